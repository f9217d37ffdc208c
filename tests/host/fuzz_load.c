/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes load_guest() with libFuzzer (clang -fsanitize=fuzzer,address,undefined). Every input is
 * an image; if its last byte is odd, the checksum after the first multiboot magic is made right, so
 * that the fuzzer gets past it. A refusal has to be one terminated line and leave the guest's
 * memory alone; whatever is accepted may write to RAM only and has to start in it.
 */
#include "vmm/load/load.h"
#include "tests/host/host.h"
#include <stdlib.h>
#include <string.h>

#define ARENA_BASE 0x7654321000ull
#define ARENA_SIZE 0x64000ull
#define UNTOUCHED  0xcc

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct gpm_region regions[] = {
    /* with a page of nobody's before, between, after */
    { { 0x000000 }, 0x20000, GPM_RAM, { ARENA_BASE + 0x1000 } },
    { { 0x0c0000 }, 0x01000, GPM_DEVICE, { 0 } },
    { { 0x0f0000 }, 0x10000, GPM_ROM, { ARENA_BASE + 0x22000 } },
    { { 0x100000 }, 0x30000, GPM_RAM, { ARENA_BASE + 0x33000 } },
};

static const struct guest_memory_range ranges[] = {
    { { 0x000000 }, 0x1f000, GUEST_RAM },
    { { 0x01f000 }, 0x01000, GUEST_RESERVED },
    { { 0x0f0000 }, 0x10000, GUEST_RESERVED },
    { { 0x100000 }, 0x30000, GUEST_RAM },
};

static struct gpm guest;
static uint8_t untouched[ARENA_SIZE];

static void require(bool condition, const char *what)
{
    if (!condition)
        panic("fuzz_load: %s", what);
}

static void prepare(void)
{
    if (guest.count == 0) {
        host_arena_init(ARENA_BASE, ARENA_SIZE);
        memset(untouched, UNTOUCHED, ARENA_SIZE);
        for (size_t i = 0; i < ARRAY_SIZE(regions); i++)
            require(gpm_add(&guest, regions[i]), "a region is refused");
    }
    memset(host_ptr(hpa(ARENA_BASE)), UNTOUCHED, ARENA_SIZE);
}

static void require_untouched(uint64_t offset, uint64_t size)
{
    require(memcmp(host_ptr(hpa(ARENA_BASE + offset)), untouched, size) == 0,
            "bytes outside of guest RAM have changed");
}

static uint32_t word_at(const uint8_t *bytes)
{
    uint32_t word;

    memcpy(&word, bytes, sizeof(word));
    return word;
}

/* Makes the words of the header at bytes add up to 0, the last of them being the checksum. */
static void repair(uint8_t *bytes, unsigned words)
{
    uint32_t checksum = 0;

    for (unsigned i = 0; i + 1 < words; i++)
        checksum -= word_at(bytes + i * 4);
    memcpy(bytes + (words - 1) * 4, &checksum, sizeof(checksum));
}

static void repair_first_header(uint8_t *bytes, size_t size)
{
    for (size_t at = 0; at + 16 <= size; at += 4) {
        uint32_t magic = word_at(bytes + at);

        if (magic == 0x1badb002 || magic == 0xe85250d6) {
            repair(bytes + at, magic == 0x1badb002 ? 3 : 4);
            return;
        }
    }
}

static void require_one_line(const char *error)
{
    size_t length = strnlen(error, LOAD_ERROR_MAX);

    require(length > 0 && length < LOAD_ERROR_MAX, "the error is empty or not terminated");
    for (size_t i = 0; i < length; i++)
        require(error[i] >= ' ' && error[i] <= '~', "the error is not one line of text");
}

static void require_in_ram(uint32_t address)
{
    const struct gpm_region *region = gpm_find(&guest, gpa(address));

    require(region != NULL && region->kind == GPM_RAM, "the guest would start outside of RAM");
}

static void load(const struct load_request *request)
{
    char error[LOAD_ERROR_MAX];
    struct start_state start;

    memset(error, 0xee, sizeof(error));
    if (!load_guest(request, &guest, &start, error)) {
        require_one_line(error);
        require_untouched(0, ARENA_SIZE);
        return;
    }
    require_untouched(0, PAGE_SIZE);
    require_untouched(0x20000, 0x13000); /* reserved, nobody's, ROM, nobody's */
    require_untouched(0x63000, PAGE_SIZE);
    require_in_ram(start.eip);
    require_in_ram(start.ebx);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *image = malloc(size ? size : 1); /* of exactly that size, for the sanitizer */
    struct load_request request = {
        .image = image,
        .size = size,
        .cmdline = "one two=3",
        .name = "fuzz",
        .ranges = ranges,
        .range_count = ARRAY_SIZE(ranges),
    };

    prepare();
    memcpy(image, data, size);
    if (size > 0 && data[size - 1] % 2)
        repair_first_header(image, size);
    load(&request);
    free(image);
    return 0;
}
