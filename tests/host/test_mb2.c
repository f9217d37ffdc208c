/* SPDX-License-Identifier: MIT */
/*
 * The multiboot2 parser: an image as GRUB 2.06 gives it, that image cut at every byte, and each
 * kind of malformation by itself, which has to be named in the log, counted, and survived. Every
 * image is parsed from an allocation of exactly its size, so that the address sanitizer sees any
 * read outside of it, and from an odd address too.
 */
#include "boot/mb2.h"
#include "tests/host/host.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define WHERE 0x10e000ull
#define KEEP  0xffffffffu /* total_size as the image has it */

enum { END, COMMAND_LINE, LOADER, MODULE, BASIC_MEMORY, MEMORY_MAP = 6, FRAMEBUFFER = 8 };
enum { RSDP_V1 = 14, RSDP_V2 = 15 };

/* An image under construction. */
static uint8_t image[64 * KiB];
static size_t image_size;
static size_t tag_start;
static struct boot_info info;

static void put(const void *bytes, size_t size)
{
    assert_true(image_size + size <= sizeof(image));
    memcpy(image + image_size, bytes, size);
    image_size += size;
}

static void put32(uint32_t value)
{
    put(&value, sizeof(value));
}

static void put64(uint64_t value)
{
    put(&value, sizeof(value));
}

static void patch32(size_t at, uint32_t value)
{
    memcpy(image + at, &value, sizeof(value));
}

static void begin_image(void)
{
    memset(image, 0xee, sizeof(image));
    image_size = 0;
    put64(0);
}

static void begin_tag(uint32_t type)
{
    tag_start = image_size;
    put32(type);
    put32(0);
}

static void end_tag(void)
{
    patch32(tag_start + 4, (uint32_t)(image_size - tag_start));
    image_size = align_up(image_size, 8);
}

static void end_image(void)
{
    begin_tag(END);
    end_tag();
    patch32(0, (uint32_t)image_size);
}

static void put_string(uint32_t type, const char *text)
{
    begin_tag(type);
    put(text, strlen(text) + 1);
    end_tag();
}

static void put_module(uint32_t start, uint32_t end, const char *text)
{
    begin_tag(MODULE);
    put32(start);
    put32(end);
    put(text, strlen(text) + 1);
    end_tag();
}

static void begin_map(uint32_t entry_size, uint32_t version)
{
    begin_tag(MEMORY_MAP);
    put32(entry_size);
    put32(version);
}

static void put_entry(uint64_t base, uint64_t size, uint32_t kind)
{
    put64(base);
    put64(size);
    put32(kind);
    put32(0);
}

static void put_small_map(void)
{
    begin_map(24, 0);
    put_entry(0, 0x9fc00, 1);
    end_tag();
}

static void make_rsdp(uint8_t *rsdp, uint32_t length)
{
    uint8_t sum = 0;

    memset(rsdp, 0x11, length);
    memcpy(rsdp, "RSD PTR ", 8);
    memcpy(rsdp + 20, &length, 4);
    rsdp[8] = rsdp[32] = 0;
    for (size_t i = 0; i < 20; i++)
        sum = (uint8_t)(sum + rsdp[i]);
    rsdp[8] = (uint8_t)-sum;
    sum = 0;
    for (size_t i = 0; i < length; i++)
        sum = (uint8_t)(sum + rsdp[i]);
    rsdp[32] = (uint8_t)-sum;
}

static void put_rsdp(uint32_t type, const uint8_t *rsdp, size_t size)
{
    begin_tag(type);
    put(rsdp, size);
    end_tag();
}

/* What GRUB 2.06 on a BIOS machine gives, in its order. */
static void make_grub_image(void)
{
    uint8_t rsdp[36];

    make_rsdp(rsdp, sizeof(rsdp));
    begin_image();
    put_string(COMMAND_LINE, "console=com1 loglvl=info");
    put_string(LOADER, "GRUB 2.06-13+deb12u1");
    put_module(0x10f000, 0x110234, "guest=a mem=16M");
    put_module(0x111000, 0x911000, "guest=lnx mem=128M \"cmdline=console=ttyS0 nokaslr\"");
    begin_tag(BASIC_MEMORY + 0);
    put64(0x0001fb80000027full);
    end_tag();
    begin_map(24, 0);
    put_entry(0, 0x9fc00, 1);
    put_entry(0x9fc00, 0x400, 2);
    put_entry(0x100000, 0x7ee0000, 1);
    put_entry(0x7fe0000, 0x10000, 3);
    put_entry(0x7ff0000, 0x10000, 4);
    put_entry(0xfffc0000, 0x40000, 5);
    end_tag();
    begin_tag(FRAMEBUFFER);
    put("framebuffer", 11);
    end_tag();
    put_rsdp(RSDP_V1, rsdp, 20);
    put_rsdp(RSDP_V2, rsdp, 36);
    end_image();
}

/* Whatever the input: what came out is within its bounds. */
static void check_sane(void)
{
    assert_true(info.range_count <= BOOT_RANGES_MAX);
    assert_true(info.module_count <= BOOT_MODULES_MAX);
    assert_non_null(memchr(info.command_line, '\0', sizeof(info.command_line)));
    assert_non_null(memchr(info.loader, '\0', sizeof(info.loader)));
    for (size_t i = 0; i < info.range_count; i++) {
        assert_true(info.ranges[i].size <= UINT64_MAX - info.ranges[i].base.v);
        assert_in_range(info.ranges[i].kind, BOOT_RAM, BOOT_BAD);
    }
    for (size_t i = 0; i < info.module_count; i++)
        assert_non_null(memchr(info.modules[i].string, '\0', BOOT_STRING_MAX));
    assert_true(info.rsdp_size == 0 || info.rsdp_size == 20 || info.rsdp_size == 36);
}

/* Parses the first limit bytes of the image, which claims to have total_size bytes. */
static bool parse_cut(size_t limit, uint32_t total_size, size_t misalignment)
{
    uint8_t *copy = malloc(limit + misalignment);

    assert_true(copy || limit + misalignment == 0);
    memcpy(copy + misalignment, image, limit);
    if (total_size != KEEP && limit >= 4)
        memcpy(copy + misalignment, &total_size, 4);
    memset(&info, 0xcc, sizeof(info));
    host_log_clear();
    bool ok = mb2_parse(copy + misalignment, limit, hpa(WHERE), &info);
    free(copy);
    check_sane();
    return ok;
}

static bool parse(void)
{
    return parse_cut(image_size, KEEP, 0);
}

static void assert_logged(const char *text)
{
    if (!strstr(host_log_text(), text))
        fail_msg("\"%s\" is not in the log:\n%s", text, host_log_text());
}

/* The image at hand has one problem, said in these words, and is usable. */
static void assert_one_problem(const char *words)
{
    assert_true(parse());
    assert_logged(words);
    assert_int_equal(info.problems, 1);
}

static void check_grub_modules(void)
{
    assert_int_equal(info.module_count, 2);
    assert_int_equal(info.modules[0].base.v, 0x10f000);
    assert_int_equal(info.modules[0].size, 0x1234);
    assert_string_equal(info.modules[0].string, "guest=a mem=16M");
    assert_int_equal(info.modules[1].base.v, 0x111000);
    assert_int_equal(info.modules[1].size, 0x800000);
    assert_string_equal(info.modules[1].string,
                        "guest=lnx mem=128M \"cmdline=console=ttyS0 nokaslr\"");
}

static void check_grub_ranges(void)
{
    static const struct boot_range expected[] = {
        { { 0 }, 0x9fc00, BOOT_RAM },
        { { 0x9fc00 }, 0x400, BOOT_RESERVED },
        { { 0x100000 }, 0x7ee0000, BOOT_RAM },
        { { 0x7fe0000 }, 0x10000, BOOT_ACPI_RECLAIMABLE },
        { { 0x7ff0000 }, 0x10000, BOOT_ACPI_NVS },
        { { 0xfffc0000 }, 0x40000, BOOT_BAD },
    };

    assert_int_equal(info.range_count, ARRAY_SIZE(expected));
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        assert_int_equal(info.ranges[i].base.v, expected[i].base.v);
        assert_int_equal(info.ranges[i].size, expected[i].size);
        assert_int_equal(info.ranges[i].kind, expected[i].kind);
    }
}

static void grub_image(void **state)
{
    uint8_t rsdp[36];

    (void)state;
    make_grub_image();
    make_rsdp(rsdp, sizeof(rsdp));
    for (size_t misalignment = 0; misalignment < 9; misalignment++) {
        assert_true(parse_cut(image_size, KEEP, misalignment));
        assert_string_equal(host_log_text(), "");
        assert_int_equal(info.problems, 0);
        assert_string_equal(info.command_line, "console=com1 loglvl=info");
        assert_string_equal(info.loader, "GRUB 2.06-13+deb12u1");
        check_grub_modules();
        check_grub_ranges();
        assert_int_equal(info.rsdp_size, 36);
        assert_memory_equal(info.rsdp, rsdp, 36);
        assert_int_equal(info.loader_info.v, WHERE);
        assert_int_equal(info.loader_info_size, image_size);
    }
}

/* Bytes behind total_size are not the structure's. */
static void more_readable_than_used(void **state)
{
    (void)state;
    make_grub_image();
    uint32_t total = (uint32_t)image_size;
    assert_true(parse_cut(image_size + 4096, KEEP, 0));
    assert_int_equal(info.problems, 0);
    assert_int_equal(info.loader_info_size, total);
}

/* The header tells the truth about a structure that stops anywhere. */
static void cut_everywhere(void **state)
{
    size_t usable = 0;

    (void)state;
    make_grub_image();
    for (size_t size = 0; size < image_size; size++) {
        bool ok = parse_cut(size, (uint32_t)size, 0);
        assert_true(info.problems > 0);
        assert_true(strlen(host_log_text()) > 0);
        assert_int_equal(ok, info.range_count > 0);
        assert_true(ok || strstr(host_log_text(), "error: "));
        usable += ok;
    }
    assert_true(usable > 0 && usable < image_size);
}

/* The header claims more than is readable. */
static void limited_everywhere(void **state)
{
    (void)state;
    make_grub_image();
    for (size_t size = 0; size < image_size; size++) {
        bool ok = parse_cut(size, KEEP, 0);
        assert_true(info.problems > 0);
        assert_int_equal(ok, info.range_count > 0);
        assert_true(info.loader_info_size <= size);
    }
    assert_true(parse_cut(image_size, 0xfffffff0u, 0));
    assert_logged("header at offset 0: total size of 4294967280 bytes, readable are ");
    check_grub_modules();
    assert_int_equal(info.problems, 1);
}

/* Every byte of the image, replaced by values at the edges: nothing breaks. */
static void broken_everywhere(void **state)
{
    static const uint8_t values[] = { 0, 1, 7, 8, 0x7f, 0x80, 0xff };

    (void)state;
    make_grub_image();
    for (size_t at = 0; at < image_size; at++) {
        uint8_t kept = image[at];
        for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
            image[at] = values[i];
            (void)!parse();
        }
        image[at] = kept;
    }
}

static void check_unusable(size_t limit, uint32_t total_size, const char *words)
{
    assert_false(parse_cut(limit, total_size, 0));
    assert_logged(words);
    assert_logged("error: multiboot2: ");
    assert_true(info.problems > 0);
}

static void headers(void **state)
{
    (void)state;
    make_grub_image();
    check_unusable(0, KEEP, "header at offset 0: 0 bytes, expected 8");
    check_unusable(7, KEEP, "header at offset 0: 7 bytes, expected 8");
    check_unusable(image_size, 0, "header at offset 0: total size of 0 bytes");
    check_unusable(image_size, 7, "header at offset 0: total size of 7 bytes");
    check_unusable(image_size, 8, "tag list at offset 8: no end tag");
    check_unusable(image_size, 15, "tag list at offset 8: no end tag");
}

static void without_memory_map(void **state)
{
    (void)state;
    begin_image();
    put_string(COMMAND_LINE, "a=b");
    end_image();
    assert_false(parse());
    assert_logged("error: multiboot2: no memory map");
    assert_string_equal(info.command_line, "a=b");

    begin_image();
    begin_map(24, 0);
    end_tag();
    end_image();
    assert_false(parse());
    assert_logged("no memory map");
}

static void without_end_tag(void **state)
{
    (void)state;
    begin_image();
    put_small_map();
    patch32(0, (uint32_t)image_size);
    assert_one_problem("tag list at offset 48: no end tag");
    assert_int_equal(info.range_count, 1);
}

/* A tag whose size cannot be right ends the list; what came before it stays. */
static void check_tag_size(uint32_t size, const char *words)
{
    begin_image();
    put_small_map();
    put_string(COMMAND_LINE, "a=b");
    patch32(tag_start + 4, size);
    put_module(0x1000, 0x2000, "guest=a");
    end_image();
    assert_one_problem(words);
    assert_int_equal(info.range_count, 1);
    assert_int_equal(info.module_count, 0);
    assert_string_equal(info.command_line, "");
}

static void tag_sizes(void **state)
{
    (void)state;
    check_tag_size(0, "tag list at offset 48: tag of type 1 has 0 bytes, expected 8 to 48");
    check_tag_size(7, "tag of type 1 has 7 bytes");
    check_tag_size(49, "tag of type 1 has 49 bytes");
    check_tag_size(0x7fffffff, "tag of type 1 has 2147483647 bytes");
    check_tag_size(0xfffffff8, "tag of type 1 has 4294967288 bytes");
    check_tag_size(0xffffffff, "tag of type 1 has 4294967295 bytes");
}

/* A tag of known type that is shorter than its fixed part. */
static void check_short_tag(uint32_t type, size_t payload, const char *words)
{
    static const uint8_t zeros[64];

    begin_image();
    put_small_map();
    begin_tag(type);
    put(zeros, payload);
    end_tag();
    put_string(COMMAND_LINE, "a=b");
    end_image();
    assert_one_problem(words);
    assert_string_equal(info.command_line, "a=b");
    assert_int_equal(info.module_count, 0);
    assert_int_equal(info.rsdp_size, 0);
}

static void short_tags(void **state)
{
    (void)state;
    check_short_tag(MODULE, 0, "module at offset 48: 8 bytes, expected at least 16");
    check_short_tag(MODULE, 7, "module at offset 48: 15 bytes");
    check_short_tag(MEMORY_MAP, 7, "memory map at offset 48: 15 bytes, expected at least 16");
    check_short_tag(RSDP_V1, 19, "ACPI 1.0 RSDP at offset 48: 27 bytes, expected at least 28");
    check_short_tag(RSDP_V2, 35, "ACPI 2.0 RSDP at offset 48: 43 bytes, expected at least 44");
    check_short_tag(LOADER, 0, "boot loader name at offset 48: its string has no end");
}

static void unknown_tags(void **state)
{
    (void)state;
    begin_image();
    put_string(4, "x");
    put_string(0xffffffff, "");
    begin_tag(21);
    end_tag();
    put_small_map();
    end_image();
    assert_true(parse());
    assert_int_equal(info.problems, 0);
    assert_int_equal(info.range_count, 1);
}

static void strings_without_end(void **state)
{
    (void)state;
    begin_image();
    put_small_map();
    begin_tag(COMMAND_LINE);
    put("a=b", 3);
    end_tag();
    end_image();
    assert_one_problem("command line at offset 48: its string has no end");
    assert_string_equal(info.command_line, "a=b");

    begin_image();
    put_small_map();
    begin_tag(MODULE);
    put64(0x0000200000001000);
    put("guest=a", 7);
    end_tag();
    end_image();
    assert_one_problem("module at offset 48: its string has no end");
    assert_string_equal(info.modules[0].string, "guest=a");
}

static void check_long_string(size_t length)
{
    static char text[2 * BOOT_STRING_MAX];
    size_t kept = length < BOOT_STRING_MAX ? length : BOOT_STRING_MAX - 1;

    memset(text, 'x', length);
    text[length] = '\0';
    begin_image();
    put_small_map();
    put_string(COMMAND_LINE, text);
    put_string(LOADER, text);
    put_module(0x1000, 0x2000, text);
    end_image();
    assert_true(parse());
    assert_int_equal(strlen(info.command_line), kept);
    assert_int_equal(strlen(info.modules[0].string), kept);
    assert_int_equal(strlen(info.loader), sizeof(info.loader) - 1);
    assert_int_equal(info.modules[0].size, 0x1000);
    assert_int_equal(info.problems, length < BOOT_STRING_MAX ? 1 : 3);
    assert_logged("boot loader name at offset ");
}

static void long_strings(void **state)
{
    (void)state;
    check_long_string(BOOT_STRING_MAX - 2);
    check_long_string(BOOT_STRING_MAX - 1);
    check_long_string(BOOT_STRING_MAX);
    assert_logged("command line at offset 48: its string has 4096 bytes, kept are 4095");
    assert_logged("module at offset ");
    check_long_string(2 * BOOT_STRING_MAX - 1);
}

static void module_ends(void **state)
{
    (void)state;
    begin_image();
    put_small_map();
    put_module(0x3000, 0x2fff, "guest=a");
    put_module(0x4000, 0x4000, "guest=b");
    put_module(0, 0xffffffff, "guest=c");
    end_image();
    assert_one_problem("module at offset 48: ends at 0x2fff, before its start 0x3000");
    assert_int_equal(info.module_count, 2);
    assert_string_equal(info.modules[0].string, "guest=b");
    assert_int_equal(info.modules[0].size, 0);
    assert_int_equal(info.modules[1].size, 0xffffffff);
}

static void too_many_modules(void **state)
{
    (void)state;
    begin_image();
    put_small_map();
    for (unsigned i = 0; i < BOOT_MODULES_MAX + 2; i++)
        put_module(0x1000 * i, 0x1000 * i + i, "m");
    end_image();
    assert_true(parse());
    assert_logged(": left out, more than 32 modules");
    assert_int_equal(info.problems, 2);
    assert_int_equal(info.module_count, BOOT_MODULES_MAX);
    for (unsigned i = 0; i < BOOT_MODULES_MAX; i++)
        assert_int_equal(info.modules[i].size, i);
}

static void check_map_of(unsigned entries, unsigned problems)
{
    begin_image();
    begin_map(24, 0);
    for (unsigned i = 0; i < entries; i++)
        put_entry(i * PAGE_SIZE, PAGE_SIZE, 1);
    end_tag();
    end_image();
    assert_true(parse());
    assert_int_equal(info.problems, problems);
    assert_int_equal(info.range_count, min_u64(entries, BOOT_RANGES_MAX));
    for (size_t i = 0; i < info.range_count; i++)
        assert_int_equal(info.ranges[i].base.v, i * PAGE_SIZE);
}

static void too_many_ranges(void **state)
{
    (void)state;
    check_map_of(BOOT_RANGES_MAX, 0);
    check_map_of(BOOT_RANGES_MAX + 1, 1);
    check_map_of(BOOT_RANGES_MAX + 3, 1);
    assert_logged("memory map at offset 8: 3 entries left out, more than 128");
}

/* A map of two entries of the given size, with extra bytes of the loader's future. */
static void make_map(uint32_t entry_size, uint32_t version)
{
    begin_image();
    begin_map(entry_size, version);
    for (unsigned i = 0; i < 2; i++) {
        put_entry(0x1000 * i, 0x1000, 1 + i);
        for (unsigned extra = 24; extra < entry_size; extra++)
            put("\xff", 1);
    }
    end_tag();
    end_image();
}

static void entry_sizes(void **state)
{
    (void)state;
    for (uint32_t size = 24; size < 50; size++) {
        make_map(size, 0);
        assert_true(parse());
        assert_int_equal(info.problems, 0);
        assert_int_equal(info.range_count, 2);
        assert_int_equal(info.ranges[1].base.v, 0x1000);
        assert_int_equal(info.ranges[1].kind, BOOT_RESERVED);
    }
    for (uint32_t size = 0; size < 24; size++) {
        make_map(size, 0);
        assert_false(parse());
        assert_logged("memory map at offset 8: entries of ");
        assert_int_equal(info.problems, 1);
        assert_int_equal(info.range_count, 0);
    }
    make_map(24, 7);
    assert_one_problem("memory map at offset 8: entries of version 7 are read as version 0");
    assert_int_equal(info.range_count, 2);
}

static void rest_of_entry(void **state)
{
    (void)state;
    begin_image();
    begin_map(24, 0);
    put_entry(0, 0x1000, 1);
    put("twenty-three bytes.....", 23);
    end_tag();
    end_image();
    assert_one_problem("memory map at offset 8: 23 bytes behind the last whole entry");
    assert_int_equal(info.range_count, 1);

    make_map(24, 0);
    patch32(16, 0xffffffff); /* entry_size beyond the tag */
    assert_false(parse());
    assert_logged("48 bytes behind the last whole entry");
}

static void odd_ranges(void **state)
{
    (void)state;
    begin_image();
    begin_map(24, 0);
    put_entry(0xffffffffffff0000, 0xffff, 2); /* up to the last byte but one */
    put_entry(0xffffffffffff0000, 0x10000, 2);
    put_entry(1, UINT64_MAX, 1);
    put_entry(0x5000, 0, 1);
    put_entry(0, UINT64_MAX, 1);
    end_tag();
    end_image();
    assert_true(parse());
    assert_logged("memory map at offset 8: range 0xffffffffffff0000 of size 0x10000 wraps");
    assert_logged("range 0x1 of size 0xffffffffffffffff wraps");
    assert_int_equal(info.problems, 2);
    assert_int_equal(info.range_count, 2);
    assert_int_equal(info.ranges[0].size, 0xffff);
    assert_int_equal(info.ranges[1].size, UINT64_MAX);
}

static void unknown_kinds(void **state)
{
    static const uint32_t kinds[] = { 0, 6, 12, 0x7fffffff, 0xffffffff };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        begin_image();
        begin_map(24, 0);
        put_entry(0x1000, 0x1000, kinds[i]);
        end_tag();
        end_image();
        assert_one_problem("memory map at offset 8: unknown kind of memory ");
        assert_int_equal(info.ranges[0].kind, BOOT_RESERVED);
        assert_int_equal(info.ranges[0].base.v, 0x1000);
    }
}

/* Tags 14 and 15 in this order or the other; what is kept has this size. */
static void check_rsdps(const uint8_t *v1, const uint8_t *v2, size_t size)
{
    for (unsigned order = 0; order < 2; order++) {
        begin_image();
        put_small_map();
        if (v2 && order == 0)
            put_rsdp(RSDP_V2, v2, 36);
        if (v1)
            put_rsdp(RSDP_V1, v1, 20);
        if (v2 && order == 1)
            put_rsdp(RSDP_V2, v2, 36);
        end_image();
        assert_true(parse());
        assert_int_equal(info.rsdp_size, size);
        assert_memory_equal(info.rsdp, size == 36 ? v2 : v1, size);
    }
}

static void prefers_newest_rsdp(void **state)
{
    uint8_t old[36], new[36];

    (void)state;
    make_rsdp(old, 36);
    make_rsdp(new, 36);
    old[9]++; /* the OEM's name, so that they differ */
    old[8]--;
    check_rsdps(old, NULL, 20);
    check_rsdps(NULL, new, 36);
    check_rsdps(old, new, 36);
    assert_int_equal(info.problems, 0);
    new[35]++;
    check_rsdps(old, new, 20);
    assert_logged("ACPI 2.0 RSDP at offset ");
    assert_logged(": wrong extended checksum");
    assert_int_equal(info.problems, 1);
}

/* Any byte wrong: the RSDP is left out. */
static void broken_rsdp(void **state)
{
    uint8_t rsdp[36];

    (void)state;
    for (unsigned i = 0; i < 2 * 36; i++) {
        make_rsdp(rsdp, 36);
        rsdp[i / 2] ^= 0x40;
        begin_image();
        put_small_map();
        put_rsdp(i % 2 ? RSDP_V2 : RSDP_V1, rsdp, i % 2 ? 36 : 20);
        end_image();
        bool harmless = i % 2 == 0 && i / 2 >= 20;
        assert_true(parse());
        assert_int_equal(info.problems, !harmless);
        assert_int_equal(info.rsdp_size, harmless ? 20 : 0);
        if (i / 2 < 8)
            assert_logged(": no signature \"RSD PTR \"");
        else if (i / 2 < 20)
            assert_logged(": wrong checksum");
    }
}

/* The length that the RSDP itself gives: its extended checksum covers all of it. */
static void rsdp_lengths(void **state)
{
    uint8_t rsdp[40];

    (void)state;
    for (uint32_t length = 34; length <= 40; length++) {
        make_rsdp(rsdp, length);
        begin_image();
        put_small_map();
        put_rsdp(RSDP_V2, rsdp, 38);
        end_image();
        assert_true(parse());
        assert_int_equal(info.rsdp_size, length >= 36 && length <= 38 ? 36 : 0);
        assert_int_equal(info.problems, info.rsdp_size ? 0 : 1);
    }
    assert_logged("ACPI 2.0 RSDP at offset 48: length of 40 bytes, expected 36");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grub_image),          cmocka_unit_test(more_readable_than_used),
        cmocka_unit_test(cut_everywhere),      cmocka_unit_test(limited_everywhere),
        cmocka_unit_test(broken_everywhere),   cmocka_unit_test(headers),
        cmocka_unit_test(without_memory_map),  cmocka_unit_test(without_end_tag),
        cmocka_unit_test(tag_sizes),           cmocka_unit_test(short_tags),
        cmocka_unit_test(unknown_tags),        cmocka_unit_test(strings_without_end),
        cmocka_unit_test(long_strings),        cmocka_unit_test(module_ends),
        cmocka_unit_test(too_many_modules),    cmocka_unit_test(too_many_ranges),
        cmocka_unit_test(entry_sizes),         cmocka_unit_test(rest_of_entry),
        cmocka_unit_test(odd_ranges),          cmocka_unit_test(unknown_kinds),
        cmocka_unit_test(prefers_newest_rsdp), cmocka_unit_test(broken_rsdp),
        cmocka_unit_test(rsdp_lengths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
