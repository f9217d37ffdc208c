/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer target: any bytes as multiboot2 boot information. The first byte chooses how far the
 * structure lies off alignment; the rest is copied to an allocation of exactly its size.
 */
#include "boot/mb2.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct boot_info info;

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_strings(void)
{
    require(memchr(info.command_line, '\0', sizeof(info.command_line)) != NULL);
    require(memchr(info.loader, '\0', sizeof(info.loader)) != NULL);
    for (size_t i = 0; i < info.module_count; i++)
        require(memchr(info.modules[i].string, '\0', BOOT_STRING_MAX) != NULL);
}

static void check_ranges(void)
{
    for (size_t i = 0; i < info.range_count; i++) {
        const struct boot_range *range = &info.ranges[i];
        require(range->size > 0 && range->base.v + range->size > range->base.v);
        require(range->kind >= BOOT_RAM && range->kind <= BOOT_BAD);
    }
    for (size_t i = 0; i < info.module_count; i++)
        require(info.modules[i].base.v + info.modules[i].size <= UINT32_MAX);
}

static void check_rsdp(void)
{
    uint8_t sum = 0;

    require(info.rsdp_size == 0 || info.rsdp_size == 20 || info.rsdp_size == 36);
    for (size_t i = 0; i < 20; i++)
        sum = (uint8_t)(sum + info.rsdp[i]);
    require(sum == 0);
    require(info.rsdp_size == 0 || memcmp(info.rsdp, "RSD PTR ", 8) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    size_t misalignment = data[0] % 8, limit = size - 1;
    uint8_t *copy = malloc(limit + misalignment + !limit);
    require(copy != NULL);
    memcpy(copy + misalignment, data + 1, limit);

    memset(&info, 0xcc, sizeof(info));
    bool ok = mb2_parse(copy + misalignment, limit, hpa(0x1000), &info);
    free(copy);
    require(ok == (info.range_count > 0));
    require(info.range_count <= BOOT_RANGES_MAX && info.module_count <= BOOT_MODULES_MAX);
    require(info.loader_info_size <= limit);
    check_strings();
    check_ranges();
    check_rsdp();
    return 0;
}
