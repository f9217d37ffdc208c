/* SPDX-License-Identifier: MIT */
/*
 * Guest images, built here byte by byte from the specifications: good ones of all four kinds, then
 * one malformation at a time, each with the very sentence that has to come back, then truncations
 * and noise.
 *
 * Whatever happens, all of the fake RAM is compared afterwards, the pages between the guest's
 * regions included: a refused image leaves every byte as it was, an accepted one changes exactly
 * what the test has computed by itself.
 */
#include "vmm/load/load.h"
#include "tests/host/host.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* ------ The guest: RAM below 640 KiB, a device, a ROM, 256 KiB of RAM at 1 MiB ------ */

#define ARENA_BASE 0x7654321000ull
#define ARENA_SIZE 0xf4000ull
#define UNTOUCHED  0xcc

static const struct place {
    uint64_t base, size, arena;
    enum gpm_kind kind;
} places[] = {
    /* with a page of nobody's before, between and after */
    { 0x000000, 0xa0000, 0x1000, GPM_RAM },
    { 0x0c0000, 0x01000, 0, GPM_DEVICE },
    { 0x0f0000, 0x10000, 0xa2000, GPM_ROM },
    { 0x100000, 0x40000, 0xb3000, GPM_RAM },
};

static const struct guest_memory_range usual_ranges[] = {
    { { 0x000000 }, 0x9f000, GUEST_RAM },
    { { 0x09f000 }, 0x01000, GUEST_RESERVED },
    { { 0x0f0000 }, 0x10000, GUEST_RESERVED },
    { { 0x100000 }, 0x40000, GUEST_RAM },
};

static struct gpm guest;
static struct load_request request;
static struct start_state start;
static char error[LOAD_ERROR_MAX];
static uint8_t expected[ARENA_SIZE];

static void prepare_guest(void)
{
    guest = (struct gpm){ .count = 0 };
    for (size_t i = 0; i < ARRAY_SIZE(places); i++)
        assert_true(gpm_add(&guest, (struct gpm_region){
                                        .base = gpa(places[i].base),
                                        .size = places[i].size,
                                        .kind = places[i].kind,
                                        .host = hpa(ARENA_BASE + places[i].arena),
                                    }));
    host_arena_init(ARENA_BASE, ARENA_SIZE);
    memset(host_ptr(hpa(ARENA_BASE)), UNTOUCHED, ARENA_SIZE);
    memset(expected, UNTOUCHED, ARENA_SIZE);
    request = (struct load_request){
        .cmdline = "one two=3",
        .name = "a guest",
        .ranges = usual_ranges,
        .range_count = ARRAY_SIZE(usual_ranges),
    };
}

static int setup(void **state)
{
    (void)state;
    prepare_guest();
    return 0;
}

static void check_memory(void)
{
    assert_memory_equal(host_ptr(hpa(ARENA_BASE)), expected, ARENA_SIZE);
}

static uint8_t *expect_at(uint64_t address)
{
    for (size_t i = 0; i < ARRAY_SIZE(places); i++)
        if (address - places[i].base < places[i].size)
            return expected + places[i].arena + (address - places[i].base);
    fail_msg("the test expects a byte at 0x%lx", address);
    return NULL;
}

static void put(uint8_t *at, unsigned bytes, uint64_t value)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

/* ------ Images ------ */

#define BASE32      0xc0000000ull         /* virtual minus physical address, 32 bits */
#define BASE64      0xffffffff80000000ull /* and 64 bits */
#define HEADER_AT   0x128                 /* multiboot header */
#define NOTE_AT     0x1c0
#define TEXT_AT     0x200
#define TEXT_SIZE   0x300
#define DATA_AT     0x500
#define DATA_FILLED 0x123
#define IMAGE_SIZE  (DATA_AT + DATA_FILLED)

#define MB1_MAGIC 0x1badb002u
#define MB2_MAGIC 0xe85250d6u

struct image {
    uint8_t bytes[0x9000];
    size_t size;
    unsigned version, bits;
};

struct segment {
    uint32_t type;
    uint64_t offset, filled, physical, size;
};

static const struct segment good_segments[] = {
    { 4, NOTE_AT, 20, 0, 0 },
    { 1, TEXT_AT, TEXT_SIZE, 0x100000, TEXT_SIZE },
    { 1, DATA_AT, DATA_FILLED, 0x102000, 0x2345 },
    { 1, 0xffff0000, 0, 0x10000, 0x1801 }, /* all bss, just where the information would go */
};

static uint64_t virtual_base(const struct image *image)
{
    return image->bits == 64 ? BASE64 : BASE32;
}

static void put_elf_header(struct image *image, unsigned segments)
{
    bool wide = image->bits == 64;
    unsigned word = wide ? 8 : 4;
    uint8_t *b = image->bytes;

    memcpy(b, "\177ELF", 4);
    b[4] = wide ? 2 : 1;
    b[5] = b[6] = 1;
    put(b + 16, 2, 2);             /* executable */
    put(b + 18, 2, wide ? 62 : 3); /* machine */
    put(b + 20, 4, 1);
    put(b + 24, word, virtual_base(image) + 0x100010);
    put(b + 24 + word, word, wide ? 64 : 52);
    put(b + 24 + 3 * word + 4, 2, wide ? 64 : 52);
    put(b + 24 + 3 * word + 6, 2, wide ? 56 : 32);
    put(b + 24 + 3 * word + 8, 2, segments);
}

static uint8_t *segment_header(struct image *image, unsigned index)
{
    return image->bytes + (image->bits == 64 ? 64 + index * 56 : 52 + index * 32);
}

static void put_segment(struct image *image, unsigned index, const struct segment *segment)
{
    bool wide = image->bits == 64;
    unsigned word = wide ? 8 : 4;
    uint8_t *b = segment_header(image, index);

    put(b, 4, segment->type);
    b += wide ? 8 : 4;
    put(b, word, segment->offset);
    put(b + word, word, segment->physical + virtual_base(image));
    put(b + 2 * word, word, segment->physical);
    put(b + 3 * word, word, segment->filled);
    put(b + 4 * word, word, segment->size);
}

static void put_mb1(struct image *image, uint64_t at, uint32_t flags)
{
    put(image->bytes + at, 4, MB1_MAGIC);
    put(image->bytes + at + 4, 4, flags);
    put(image->bytes + at + 8, 4, 0u - MB1_MAGIC - flags);
}

/* The tags are given as 32-bit words. */
static void put_mb2(struct image *image, uint64_t at, const uint32_t *tags, uint32_t words)
{
    uint32_t length = 16 + words * 4;

    put(image->bytes + at, 4, MB2_MAGIC);
    put(image->bytes + at + 4, 4, 0);
    put(image->bytes + at + 8, 4, length);
    put(image->bytes + at + 12, 4, 0u - MB2_MAGIC - length);
    for (uint32_t i = 0; i < words; i++)
        put(image->bytes + at + 16 + i * 4, 4, tags[i]);
}

static void put_mb2_checksum(struct image *image, uint64_t at)
{
    uint32_t sum = 0;

    for (unsigned i = 0; i < 12; i++)
        sum += (uint32_t)image->bytes[at + i] << (i % 4 * 8);
    put(image->bytes + at + 12, 4, 0u - sum);
}

#define OPTIONAL 0x10000u

static const uint32_t good_tags[] = {
    1,
    32,
    1,
    2,
    3,
    4,
    6,
    21, /* request of all that is given */
    5 + OPTIONAL,
    20,
    80,
    25,
    0,
    0, /* framebuffer, optional */
    6,
    8, /* modules page aligned */
    0,
    8,
};

static void put_image_header(struct image *image)
{
    if (image->version == 1)
        put_mb1(image, HEADER_AT, 7);
    else
        put_mb2(image, HEADER_AT, good_tags, ARRAY_SIZE(good_tags));
}

static void put_note(struct image *image, const char owner[4], uint32_t type)
{
    uint8_t *b = image->bytes + NOTE_AT;

    put(b, 4, 4);
    put(b + 4, 4, 4);
    put(b + 8, 4, type);
    memcpy(b + 12, owner, 4);
    put(b + 16, 4, 0x100010);
}

/* A good kernel of that version of multiboot and that ELF class. */
static void build(struct image *image, unsigned version, unsigned bits)
{
    memset(image, 0, sizeof(*image));
    image->size = IMAGE_SIZE;
    image->version = version;
    image->bits = bits;
    for (unsigned i = TEXT_AT; i < IMAGE_SIZE; i++)
        image->bytes[i] = (uint8_t)(i * 7 + i / 256);
    put_elf_header(image, ARRAY_SIZE(good_segments));
    for (unsigned i = 0; i < ARRAY_SIZE(good_segments); i++)
        put_segment(image, i, &good_segments[i]);
    put_note(image, "Foo", 18);
    put_image_header(image);
}

/* The image in a block of exactly its size: reading past it is found by the sanitizer. */
static bool load(const struct image *image)
{
    uint8_t *bytes = malloc(image->size ? image->size : 1);
    bool loaded;

    memcpy(bytes, image->bytes, image->size);
    memset(error, 0xee, sizeof(error));
    start = (struct start_state){ 0xdead, 0xdead, 0xdead };
    request.image = bytes;
    request.size = image->size;
    loaded = load_guest(&request, &guest, &start, error);
    free(bytes);
    return loaded;
}

static void check_one_line(void)
{
    size_t length = strnlen(error, sizeof(error));

    assert_in_range(length, 1, sizeof(error) - 1);
    for (size_t i = 0; i < length; i++)
        assert_in_range((uint8_t)error[i], ' ', '~');
}

static void check_refused(const struct image *image, const char *sentence)
{
    assert_false(load(image));
    check_one_line();
    assert_string_equal(error, sentence);
    check_memory();
}

static void check_loaded(const struct image *image)
{
    if (!load(image))
        fail_msg("refused: %s", error);
}

/* ------ What a good image becomes ------ */

static void expect_segments(const struct image *image)
{
    memcpy(expect_at(0x100000), image->bytes + TEXT_AT, TEXT_SIZE);
    memcpy(expect_at(0x102000), image->bytes + DATA_AT, DATA_FILLED);
    memset(expect_at(0x102000) + DATA_FILLED, 0, 0x2345 - DATA_FILLED);
    memset(expect_at(0x10000), 0, 0x1801);
}

static void put_words(uint8_t *at, const uint32_t *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        put(at + i * 4, 4, words[i]);
}

static void expect_mb1_info(uint32_t at)
{
    const uint32_t words[30] = {
        [0] = 0x245, /* memory sizes, command line, memory map, loader's name */
        [1] = 636,   [2] = 256, [4] = at + 216, [11] = 96, [12] = at + 120, [16] = at + 226,
    };
    const uint32_t map[] = {
        20, 0x000000, 0, 0x9f000, 0, 1, 20, 0x09f000, 0, 0x01000, 0, 2,
        20, 0x0f0000, 0, 0x10000, 0, 2, 20, 0x100000, 0, 0x40000, 0, 1,
    };

    put_words(expect_at(at), words, ARRAY_SIZE(words));
    put_words(expect_at(at + 120), map, ARRAY_SIZE(map));
    memcpy(expect_at(at + 216), "one two=3", 10);
    memcpy(expect_at(at + 226), "Umbra", 6);
}

static void expect_mb2_info(uint32_t at)
{
    const uint32_t before[] = { 200, 0, 21, 12, 0x10000, 0, 1, 18 };
    const uint32_t after[] = {
        6,       112, 24, 0, 0x000000, 0,  0x9f000, 0,   1, 0, 0x09f000, 0,
        0x01000, 0,   2,  0, 0x0f0000, 0,  0x10000, 0,   2, 0, 0x100000, 0,
        0x40000, 0,   1,  0, 4,        16, 636,     256, 0, 8,
    };

    put_words(expect_at(at), before, ARRAY_SIZE(before));
    memcpy(expect_at(at + 32), "one two=3\0\0\0\0\0\0", 16);
    put_words(expect_at(at + 48), (const uint32_t[]){ 2, 14 }, 2);
    memcpy(expect_at(at + 56), "Umbra\0\0", 8);
    put_words(expect_at(at + 64), after, ARRAY_SIZE(after));
}

static void check_good(unsigned version, unsigned bits)
{
    static struct image image;

    prepare_guest();
    build(&image, version, bits);
    check_loaded(&image);
    assert_int_equal(start.eip, 0x100010);
    assert_int_equal(start.eax, version == 1 ? 0x2badb002 : 0x36d76289);
    assert_int_equal(start.ebx, 0x12000);
    expect_segments(&image);
    if (version == 1)
        expect_mb1_info(0x12000);
    else
        expect_mb2_info(0x12000);
    check_memory();
}

static void test_good_images(void **state)
{
    (void)state;
    for (unsigned version = 1; version <= 2; version++) {
        check_good(version, 32);
        check_good(version, 64);
    }
}

/* ------ One malformation at a time ------ */

struct malformation {
    unsigned version, bits;
    unsigned offset, bytes;
    uint64_t value;
    const char *sentence;
};

#define P64(index, field) (64 + (index)*56 + (field))
#define P32(index, field) (52 + (index)*32 + (field))

/* clang-format off */
static const struct malformation malformations[] = {
    /* The ELF header. */
    { 1, 64, 4, 1, 0, "ELF class at file offset 4 is 0, not 1 (32 bits) or 2 (64 bits)" },
    { 1, 64, 4, 1, 3, "ELF class at file offset 4 is 3, not 1 (32 bits) or 2 (64 bits)" },
    { 1, 32, 5, 1, 2, "ELF byte order at file offset 5 is 2, not 1 (little endian)" },
    { 1, 64, 6, 1, 0, "ELF version at file offset 6 is 0, not 1" },
    { 1, 64, 16, 2, 1, "ELF type at file offset 16 is 1, not 2 (executable) or 3 (position "
      "independent)" },
    { 1, 64, 18, 2, 3, "ELF machine at file offset 18 is 3, not 62 (x86, 64 bits)" },
    { 2, 32, 18, 2, 40, "ELF machine at file offset 18 is 40, not 3 (x86, 32 bits)" },
    { 2, 32, 20, 4, 7, "ELF version at file offset 20 is 7, not 1" },
    { 1, 64, 54, 2, 57, "ELF program headers are of 57 bytes each, not 56" },
    { 1, 32, 42, 2, 0, "ELF program headers are of 0 bytes each, not 32" },
    { 1, 64, 56, 2, 0, "ELF file without program headers: there is nothing to load" },
    { 1, 64, 56, 2, 0xffff, "ELF program headers: 0x37ffc8 bytes at file offset 0x40 end after the "
      "file's end (0x623 bytes)" },
    { 1, 64, 32, 8, 0xffffffffffffffff, "ELF program headers: 0xe0 bytes at file offset "
      "0xffffffffffffffff end after the file's end (0x623 bytes)" },
    { 1, 64, 32, 8, IMAGE_SIZE - 0xdf, "ELF program headers: 0xe0 bytes at file offset 0x544 end "
      "after the file's end (0x623 bytes)" },
    { 2, 32, 28, 4, 0xffffffff, "ELF program headers: 0x80 bytes at file offset 0xffffffff end "
      "after the file's end (0x623 bytes)" },
    { 2, 32, 44, 2, 1, "none of the ELF file's 1 program headers is to be loaded" },
    { 1, 64, 24, 8, 0x100010, "ELF entry point 0x100010 lies in no segment that is loaded" },
    { 1, 64, 24, 8, BASE64 + 0x100300, "ELF entry point 0xffffffff80100300 lies in no segment that "
      "is loaded" },
    { 1, 64, 24, 8, BASE64 + 0xffff, "ELF entry point 0xffffffff8000ffff lies in no segment that "
      "is loaded" },
    { 2, 32, 24, 4, 0, "ELF entry point 0x0 lies in no segment that is loaded" },

    /* Segments: offset 8, virtual address 16, physical 24, filled 32, size 40; 4 bytes each. */
    { 1, 64, P64(2, 8), 8, 0x501, "ELF program header 2 at file offset 0xb0: segment of 0x123 "
      "bytes at file offset 0x501 ends after the file's end (0x623 bytes)" },
    { 1, 64, P64(2, 8), 8, 0xfffffffffffffff0, "ELF program header 2 at file offset 0xb0: segment "
      "of 0x123 bytes at file offset 0xfffffffffffffff0 ends after the file's end (0x623 bytes)" },
    { 1, 64, P64(1, 32), 8, 0xffffffffffffffff, "ELF program header 1 at file offset 0x78: segment "
      "of 0xffffffffffffffff bytes at file offset 0x200 ends after the file's end (0x623 bytes)" },
    { 2, 32, P32(1, 16), 4, 0xffffffff, "ELF program header 1 at file offset 0x54: segment "
      "of 0xffffffff bytes at file offset 0x200 ends after the file's end (0x623 bytes)" },
    { 1, 64, P64(1, 40), 8, 0x2ff, "ELF program header 1 at file offset 0x78: segment has 0x300 "
      "bytes in the file, but 0x2ff in memory" },
    { 2, 64, P64(1, 40), 8, 0, "ELF program header 1 at file offset 0x78: segment has 0x300 "
      "bytes in the file, but 0x0 in memory" },
    { 1, 64, P64(2, 40), 8, 0xfffffffffff00000, "ELF program header 2 at file offset 0xb0: segment "
      "of 0xfffffffffff00000 bytes at physical address 0x102000 ends after the address space" },
    { 1, 64, P64(1, 24), 8, 0xffffffffffffff00, "ELF program header 1 at file offset 0x78: segment "
      "of 0x300 bytes at physical address 0xffffffffffffff00 ends after the address space" },
    { 1, 64, P64(1, 24), 8, 0x13fd01, "ELF program header 1 at file offset 0x78: segment of 0x300 "
      "bytes at guest-physical address 0x13fd01: there is no RAM at 0x140000" },
    { 2, 32, P32(2, 20), 4, 0xffffffff, "ELF program header 2 at file offset 0x74: segment of "
      "0xffffffff bytes at guest-physical address 0x102000: there is no RAM at 0x140000" },
    { 2, 32, P32(1, 12), 4, 0xc0000, "ELF program header 1 at file offset 0x54: segment of 0x300 "
      "bytes at guest-physical address 0xc0000: there is no RAM at 0xc0000" },
    { 2, 32, P32(1, 12), 4, 0xf8000, "ELF program header 1 at file offset 0x54: segment of 0x300 "
      "bytes at guest-physical address 0xf8000: there is no RAM at 0xf8000" },
    { 2, 32, P32(1, 12), 4, 0xfff00, "ELF program header 1 at file offset 0x54: segment of 0x300 "
      "bytes at guest-physical address 0xfff00: there is no RAM at 0xfff00" },
    { 2, 32, P32(1, 12), 4, 0x9ed01, "ELF program header 1 at file offset 0x54: segment of 0x300 "
      "bytes at guest-physical address 0x9ed01: the 0x1000 bytes at 0x9f000 are reserved" },

    /* The multiboot 1 header. */
    { 1, 32, HEADER_AT + 8, 4, 0, "multiboot 1 header at file offset 0x128 has a wrong checksum: "
      "its first 3 words add up to 0x1badb009, not to 0" },

    /* The multiboot 2 header. */
    { 2, 32, HEADER_AT + 12, 4, 0, "multiboot 2 header at file offset 0x128 has a wrong checksum: "
      "its first 4 words add up to 0xe852512e, not to 0" },
};
/* clang-format on */

static void test_malformations(void **state)
{
    static struct image image;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(malformations); i++) {
        const struct malformation *m = &malformations[i];

        build(&image, m->version, m->bits);
        put(image.bytes + m->offset, m->bytes, m->value);
        check_refused(&image, m->sentence);
    }
}

static void test_too_many_segments(void **state)
{
    static struct image image;

    (void)state;
    build(&image, 1, 64);
    image.size = 0x8000;
    memset(image.bytes + HEADER_AT, 0, 12);
    put_mb1(&image, 0x1f00, 0);
    put(image.bytes + 56, 2, 17);
    for (unsigned i = 0; i < 17; i++)
        put_segment(&image, i, &(struct segment){ 1, 0, 0, 0x100000 + i * 0x1000, 16 + i });
    check_refused(&image, "ELF program header 16 at file offset 0x3c0: more than 16 segments to "
                          "load");
    put(image.bytes + 56, 2, 16);
    put(image.bytes + 24, 8, BASE64 + 0x10f01e);
    check_loaded(&image);
    assert_int_equal(start.eip, 0x10f01e);
}

static void test_entry_above_4_gib(void **state)
{
    static struct image image;

    (void)state;
    build(&image, 1, 64);
    put_segment(&image, 1, &(struct segment){ 1, TEXT_AT, 0, 0x100000000, 0x1000 });
    put(image.bytes + 24, 8, BASE64 + 0x100000010);
    assert_true(gpm_add(&guest, (struct gpm_region){ gpa(0x100000000), 0x1000, GPM_RAM,
                                                     hpa(ARENA_BASE + 0x1000) }));
    check_refused(&image, "ELF entry point 0x80000010 lies at guest-physical address 0x100000010, "
                          "not below 4 GiB");
}

/* The segment's virtual end wraps to 0x200: what begins there is not in it, as for GRUB. */
static void test_entry_before_its_segment(void **state)
{
    static struct image image;

    (void)state;
    build(&image, 1, 64);
    put(image.bytes + P64(1, 16), 8, 0xffffffffffffff00);
    put(image.bytes + 24, 8, 0x10);
    check_refused(&image, "ELF entry point 0x10 lies in no segment that is loaded");
}

/* It would be the lowest, and is nowhere. */
static void test_empty_segment(void **state)
{
    static struct image image;

    (void)state;
    build(&image, 2, 32);
    put_segment(&image, 0, &(struct segment){ 1, NOTE_AT, 0, 0, 0 });
    check_loaded(&image);
    expect_segments(&image);
    expect_mb2_info(0x12000);
    check_memory();
}

static void test_mb1_flags(void **state)
{
    static struct image image;
    char sentence[LOAD_ERROR_MAX];

    (void)state;
    build(&image, 1, 32);
    for (unsigned bit = 3; bit < 16; bit++) {
        put_mb1(&image, HEADER_AT, 3 | 1u << bit);
        snprintf(sentence, sizeof(sentence),
                 "multiboot 1 header at file offset 0x128: flags 0x%x demand bit %u, which is "
                 "unknown",
                 3 | 1u << bit, bit);
        check_refused(&image, sentence);
    }
    put_mb1(&image, HEADER_AT, 0x10003);
    check_refused(&image, "multiboot 1 header at file offset 0x128: flags 0x10003: address fields "
                          "(bit 16, a.out kludge) are not handled yet");
    put_mb1(&image, HEADER_AT, 0xfffe0007);
    check_loaded(&image);
    put_mb1(&image, HEADER_AT, 0);
    check_loaded(&image);
    expect_segments(&image);
    expect_mb1_info(0x12000);
    check_memory();
}

/* ------ Multiboot 2 header tags ------ */

#define AT_TAG "multiboot 2 header tag "

/* clang-format off */
static const struct {
    uint32_t words[12];
    uint32_t count;
    const char *sentence; /* NULL: loads */
} tag_cases[] = {
    { { 0, 8 }, 2, NULL },
    { { 1, 12, 15, 0, 0, 8 }, 6, AT_TAG "1 at file offset 0x138 requests information 15 (ACPI 2.0 "
      "RSDP), which is not given" },
    { { 1, 16, 1, 5, 0, 8 }, 6, AT_TAG "1 at file offset 0x138 requests information 5 (BIOS boot "
      "device), which is not given" },
    { { 1, 12, 22, 0, 0, 8 }, 6, AT_TAG "1 at file offset 0x138 requests information 22 (unknown), "
      "which is not given" },
    { { 1, 12, 0xffffffff, 0, 0, 8 }, 6, AT_TAG "1 at file offset 0x138 requests information "
      "4294967295 (unknown), which is not given" },
    { { 1 + OPTIONAL, 12, 15, 0, 0, 8 }, 6, NULL },
    { { 1, 8, 0, 8 }, 4, NULL },
    { { 2, 24, 0, 0, 0, 0, 0, 8 }, 8, AT_TAG "2 at file offset 0x138: addresses of an image that "
      "is not ELF are not handled yet" },
    { { 2 + OPTIONAL, 24, 0, 0, 0, 0, 0, 8 }, 8, NULL },
    { { 2, 20, 0, 0, 0, 0, 0, 8 }, 8, AT_TAG "2 at file offset 0x138: 20 bytes, too short: 24 are "
      "needed" },
    { { 3, 8, 0, 8 }, 4, AT_TAG "3 at file offset 0x138: 8 bytes, too short: 12 are needed" },
    { { 3, 12, 0x100300, 0, 0, 8 }, 6, "entry address 0x100300 of the multiboot 2 header at file "
      "offset 0x128 lies in no segment that is loaded" },
    { { 4, 12, 1, 0, 0, 8 }, 6, AT_TAG "4 at file offset 0x138: a console is required; guests have "
      "none but serial ports" },
    { { 4, 12, 2, 0, 0, 8 }, 6, NULL },
    { { 4 + OPTIONAL, 12, 3, 0, 0, 8 }, 6, NULL },
    { { 5, 20, 0, 0, 0, 0, 0, 8 }, 8, AT_TAG "5 at file offset 0x138: a framebuffer is required; "
      "guests have none" },
    { { 6, 8, 7, 8, 8, 12, 1, 0, 9, 12, 1, 0 }, 12, "multiboot 2 header at file offset 0x128 has "
      "no end tag (type 0) before its end at 0x168" },
    { { 7, 8, 8, 12, 1, 0, 9, 12, 1, 0, 0, 8 }, 12, NULL },
    { { 11, 8, 0, 8 }, 4, AT_TAG "11 at file offset 0x138: unknown, and not marked optional" },
    { { 0xffff, 8, 0, 8 }, 4, AT_TAG "65535 at file offset 0x138: unknown, and not marked "
      "optional" },
    { { 11 + OPTIONAL, 16, 1, 2, 0, 8 }, 6, NULL },
    { { 11 + OPTIONAL, 7, 0, 8 }, 4, AT_TAG "11 at file offset 0x138: size of 7 bytes, not 8 to "
      "16" },
    { { 11 + OPTIONAL, 0, 0, 8 }, 4, AT_TAG "11 at file offset 0x138: size of 0 bytes, not 8 to "
      "16" },
    { { 11 + OPTIONAL, 17, 0, 8 }, 4, AT_TAG "11 at file offset 0x138: size of 17 bytes, not 8 to "
      "16" },
    { { 11 + OPTIONAL, 0xffffffff, 0, 8 }, 4, AT_TAG "11 at file offset 0x138: size of 4294967295 "
      "bytes, not 8 to 16" },
    { { 11 + OPTIONAL, 9, 0 }, 3, "multiboot 2 header at file offset 0x128 has no end tag (type 0) "
      "before its end at 0x144" },
    { { 6 }, 1, "multiboot 2 header at file offset 0x128 has no end tag (type 0) before its end at "
      "0x13c" },
    { { 0 }, 0, "multiboot 2 header at file offset 0x128 has no end tag (type 0) before its end at "
      "0x138" },
    /* Relocatable: the image lies in 0x10000 to 0x104344. */
    { { 10, 24, 0x10000, 0x104344, 0x10000, 1, 0, 8 }, 8, NULL },
    { { 10, 24, 0, 0xffffffff, 0, 0, 0, 8 }, 8, NULL },
    { { 10, 24, 0x10001, 0x104344, 1, 0, 0, 8 }, 8, "multiboot 2 header asks for a place "
      "in 0x10001 to 0x104344, the image is linked to 0x10000 to 0x104344: "
      "relocation is not handled yet" },
    { { 10, 24, 0x10000, 0x104343, 1, 0, 0, 8 }, 8, "multiboot 2 header asks for a place "
      "in 0x10000 to 0x104343, the image is linked to 0x10000 to 0x104344: "
      "relocation is not handled yet" },
    { { 10, 24, 0, 0x200000, 0x20000, 0, 0, 8 }, 8, "multiboot 2 header asks for a multiple of "
      "0x20000, the image is linked to 0x10000: relocation is not handled yet" },
};
/* clang-format on */

static void test_mb2_tags(void **state)
{
    static struct image image;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(tag_cases); i++) {
        prepare_guest();
        build(&image, 2, 32);
        put_mb2(&image, HEADER_AT, tag_cases[i].words, tag_cases[i].count);
        if (tag_cases[i].sentence != NULL)
            check_refused(&image, tag_cases[i].sentence);
        else
            check_loaded(&image);
    }
}

static void test_mb2_entry_address(void **state)
{
    static const uint32_t tags[] = { 3, 12, 0x1002ff, 0, 0, 8 };
    static struct image image;

    (void)state;
    build(&image, 2, 64);
    put(image.bytes + 24, 8, 0); /* the ELF entry does not matter then */
    put_mb2(&image, HEADER_AT, tags, ARRAY_SIZE(tags));
    check_loaded(&image);
    assert_int_equal(start.eip, 0x1002ff);
}

static void test_mb2_header_fields(void **state)
{
    static struct image image;

    (void)state;
    build(&image, 2, 64);
    put(image.bytes + HEADER_AT + 4, 4, 4);
    put_mb2_checksum(&image, HEADER_AT);
    check_refused(&image, "multiboot 2 header at file offset 0x128 is for architecture 4, not 0 "
                          "(i386)");

    build(&image, 2, 64);
    put(image.bytes + HEADER_AT + 8, 4, 15);
    put_mb2_checksum(&image, HEADER_AT);
    check_refused(&image, "multiboot 2 header at file offset 0x128: length of 15 bytes, not 16 to "
                          "1275 (it has to lie in the file's first 1571 bytes)");

    put(image.bytes + HEADER_AT + 8, 4, 1276);
    put_mb2_checksum(&image, HEADER_AT);
    check_refused(&image, "multiboot 2 header at file offset 0x128: length of 1276 bytes, not 16 "
                          "to 1275 (it has to lie in the file's first 1571 bytes)");

    put(image.bytes + HEADER_AT + 8, 4, 0xffffffff);
    put_mb2_checksum(&image, HEADER_AT);
    check_refused(&image, "multiboot 2 header at file offset 0x128: length of 4294967295 bytes, "
                          "not 16 to 1275 (it has to lie in the file's first 1571 bytes)");
}

/* ------ Where a header may be ------ */

static void build_headless(struct image *image, size_t size)
{
    build(image, 1, 32);
    memset(image->bytes + HEADER_AT, 0, 12);
    image->size = size;
}

#define NO_HEADER                                                                                  \
    "ELF file without a multiboot header: there is neither 0x1badb002 (multiboot 1) in its first " \
    "8192 bytes, 4-byte aligned, nor 0xe85250d6 (multiboot 2) in its first 32768, 8-byte aligned"

static void test_mb1_header_place(void **state)
{
    static struct image image;

    (void)state;
    build_headless(&image, 0x3000);
    check_refused(&image, NO_HEADER);
    put_mb1(&image, 8192, 0);
    check_refused(&image, NO_HEADER);
    put_mb1(&image, 0x1002, 0);
    check_refused(&image, NO_HEADER);

    build_headless(&image, 0x3000);
    put_mb1(&image, 8192 - 8, 0);
    check_refused(&image,
                  "multiboot 1 header at file offset 0x1ff8 is not wholly within the file's "
                  "first 8192 bytes");
    put_mb1(&image, 8192 - 12, 0);
    check_loaded(&image);
}

static void test_mb2_header_place(void **state)
{
    static const uint32_t end[] = { 0, 8 };
    static struct image image;

    (void)state;
    build_headless(&image, 0x9000);
    put_mb2(&image, 32768, end, 2);
    check_refused(&image, NO_HEADER);
    put_mb2(&image, 0x1004, end, 2);
    check_refused(&image, NO_HEADER);

    build_headless(&image, 0x9000);
    put_mb2(&image, 32768 - 8, end, 2);
    check_refused(&image,
                  "multiboot 2 header at file offset 0x7ff8 is not wholly within the file's "
                  "first 32768 bytes");

    build_headless(&image, 0x9000);
    put_mb2(&image, 32768 - 16, end, 2);
    check_refused(&image, "multiboot 2 header at file offset 0x7ff0: length of 24 bytes, not 16 to "
                          "16 (it has to lie in the file's first 32768 bytes)");
    put_mb2(&image, 32768 - 24, end, 2);
    check_loaded(&image);
    assert_int_equal(start.eax, 0x36d76289);
}

/* ------ Recognition ------ */

static void test_unknown_images(void **state)
{
    static struct image image;

    (void)state;
    check_refused(&image, "the image is empty");
    image.size = 3;
    memcpy(image.bytes, "#!x", 3);
    check_refused(&image, "image of unknown kind, its first bytes are 23 21 78; accepted are ELF "
                          "kernels, 32 or 64 bits, with a multiboot 1 or 2 header");
    image.size = 3000;
    memcpy(image.bytes, "\x1f\x8b\x08\x00\xff\x01\x02\x03\x04", 9);
    check_refused(&image, "image of unknown kind, its first bytes are 1f 8b 08 00 ff 01 02 03; "
                          "accepted are ELF kernels, 32 or 64 bits, with a multiboot 1 or 2 "
                          "header");
    put_mb1(&image, 1024, 0);
    check_refused(&image, "multiboot 1 header at file offset 0x400 in a file that is not ELF: "
                          "nothing says where to load it");
    put_mb2(&image, 2048, (const uint32_t[]){ 0, 8 }, 2);
    check_refused(&image, "multiboot 2 header at file offset 0x800 in a file that is not ELF: "
                          "nothing says where to load it");
}

static void test_linux(void **state)
{
    static struct image image;

    (void)state;
    image.size = 0x206;
    memcpy(image.bytes + 0x202, "HdrS", 4);
    check_refused(&image, "Linux bzImage (\"HdrS\" at file offset 0x202) is not handled yet");
    image.size = 0x205;
    assert_false(load(&image));
    assert_non_null(strstr(error, "unknown kind"));
    build(&image, 2, 64);
    memcpy(image.bytes + 0x202, "HdrS", 4);
    check_refused(&image, "Linux bzImage (\"HdrS\" at file offset 0x202) is not handled yet");
}

#define PVH "PVH kernel (ELF note 18 of \"Xen\", no multiboot header) is not handled yet"

static void test_pvh(void **state)
{
    static struct image image;

    (void)state;
    for (unsigned bits = 32; bits <= 64; bits += 32) {
        prepare_guest();
        build(&image, 1, bits);
        put_note(&image, "Xen", 18);
        check_loaded(&image);
        prepare_guest();
        memset(image.bytes + HEADER_AT, 0, 12);
        check_refused(&image, PVH);
        put_note(&image, "Xen", 17);
        check_refused(&image, NO_HEADER);
        put_note(&image, "Xem", 18);
        check_refused(&image, NO_HEADER);
        put_note(&image, "Xen", 18);
        put(image.bytes + NOTE_AT, 4, 3); /* the owner without its end */
        check_refused(&image, NO_HEADER);
    }
}

/* The note that counts comes after another; and notes that do not fit are no notes. */
static void test_pvh_notes(void **state)
{
    static struct image image;
    uint8_t *note = image.bytes + NOTE_AT;

    (void)state;
    build_headless(&image, IMAGE_SIZE);
    put_note(&image, "Xen", 18);
    memcpy(note + 24, note, 20);
    put_note(&image, "Foo", 18);
    put(note + 4, 4, 5); /* content of 5 bytes, padded to 8 */
    put_segment(&image, 0, &(struct segment){ 4, NOTE_AT, 44, 0, 0 });
    check_refused(&image, PVH);
    put_segment(&image, 0, &(struct segment){ 4, NOTE_AT, 43, 0, 0 });
    check_refused(&image, NO_HEADER);
    put_segment(&image, 0, &(struct segment){ 4, NOTE_AT, 0xffffffff, 0, 0 });
    check_refused(&image, NO_HEADER);
    put_segment(&image, 0, &(struct segment){ 4, NOTE_AT, 44, 0, 0 });
    put(note, 4, 0xfffffffc);
    put(note + 4, 4, 0xfffffffc);
    check_refused(&image, NO_HEADER);
}

static void test_mb2_before_mb1(void **state)
{
    static struct image image;

    (void)state;
    build(&image, 2, 32);
    put_mb1(&image, 0x1f0, 0);
    check_loaded(&image);
    assert_int_equal(start.eax, 0x36d76289);
    put(image.bytes + HEADER_AT + 12, 4, 0); /* broken: the other one counts */
    check_loaded(&image);
    assert_int_equal(start.eax, 0x2badb002);
}

/* ------ Where the information structure goes ------ */

/* Loads with one more segment in place of the one at 64 KiB; returns EBX. */
static uint32_t info_beside(uint64_t base, uint64_t size)
{
    static struct image image;

    prepare_guest();
    build(&image, 1, 32);
    put_segment(&image, 3, &(struct segment){ 1, 0, 0, base, size });
    check_loaded(&image);
    return start.ebx;
}

static void test_info_place(void **state)
{
    (void)state;
    assert_int_equal(info_beside(0x8000, 0x1000), 0x10000);
    assert_int_equal(info_beside(0x8000, 0x8001), 0x11000);
    assert_int_equal(info_beside(0x100e8, 0x10), 0x10000); /* 232 bytes fit just below */
    assert_int_equal(info_beside(0x100e7, 0x10), 0x11000);
    assert_int_equal(info_beside(0x10000, 0x8e000), 0x9e000);
    assert_int_equal(info_beside(0x10000, 0x8e001), 0x1000);
    assert_int_equal(info_beside(0x1000, 0x9e000), 0x101000);
    assert_int_equal(info_beside(0x0000, 0x9f000), 0x101000);
}

/* Up to the last byte of a gap of one page, and one byte more. */
static void test_info_fits_exactly(void **state)
{
    static struct image image;
    char line[4096 - 222 + 1];

    (void)state;
    memset(line, 'x', sizeof(line));
    line[4096 - 223] = '\0';
    build(&image, 1, 32);
    put_segment(&image, 3, &(struct segment){ 1, 0, 0, 0x10000, 0x8e000 });
    request.cmdline = line;
    check_loaded(&image);
    assert_int_equal(start.ebx, 0x9e000);
    line[4096 - 223] = 'x';
    line[4096 - 222] = '\0';
    check_loaded(&image);
    assert_int_equal(start.ebx, 0x1000);
}

static void test_info_without_room(void **state)
{
    static struct image image;

    (void)state;
    build(&image, 2, 64);
    put_segment(&image, 0, &(struct segment){ 1, 0, 0, 0x300, 0x9ed00 });
    put_segment(&image, 3, &(struct segment){ 1, 0, 0, 0x100fff, 0x3f001 });
    check_refused(&image, "no room for the information structure and command line (0xc8 bytes): "
                          "the segments leave no such gap in guest RAM below 4 GiB");
}

/* What the guest is told to be RAM, but is none, is not written to. */
static void test_info_only_in_ram(void **state)
{
    static const struct guest_memory_range lies[] = { { { 0xa0000 }, 0x60000, GUEST_RAM },
                                                      { { 0x100000 }, 0x40000, GUEST_RAM } };
    static struct image image;

    (void)state;
    build(&image, 1, 32);
    request.ranges = lies;
    request.range_count = ARRAY_SIZE(lies);
    check_loaded(&image);
    assert_int_equal(start.ebx, 0x101000);
}

static void test_long_command_line(void **state)
{
    static struct image image;
    static char line[0x40001];
    char text[0x3001];

    (void)state;
    memset(line, 'x', sizeof(line) - 1);
    line[0x3000] = '\0';
    request.cmdline = line;
    for (unsigned version = 1; version <= 2; version++) {
        build(&image, version, 64);
        check_loaded(&image);
        assert_int_equal(start.ebx, 0x12000);
        assert_true(gpm_read(&guest, gpa(version == 1 ? 0x120d8 : 0x12020), text, sizeof(text)));
        assert_string_equal(text, line);
    }
    line[0x3000] = 'x';
    build(&image, 1, 64);
    check_loaded(&image); /* 256 KiB fit below 640 KiB */
    prepare_guest();
    request.cmdline = line;
    put_segment(&image, 3, &(struct segment){ 1, 0, 0, 0x40000, 0x20000 });
    check_refused(&image, "no room for the information structure and command line (0x400df bytes): "
                          "the segments leave no such gap in guest RAM below 4 GiB");
}

/* ------ Memory sizes ------ */

static void check_sizes(const struct guest_memory_range *ranges, size_t count, uint32_t lower,
                        uint32_t upper)
{
    static struct image image;
    uint32_t info[3];

    request.ranges = ranges;
    request.range_count = count;
    build(&image, 1, 32);
    check_loaded(&image);
    assert_true(gpm_read(&guest, gpa(start.ebx), info, sizeof(info)));
    assert_int_equal(info[1], lower);
    assert_int_equal(info[2], upper);
}

static void test_memory_sizes(void **state)
{
    static const struct guest_memory_range all[] = {
        { { 0 }, 0x50000, GUEST_RAM },
        { { 0x50000 }, 0x20000000, GUEST_RAM },
        { { 0x20050000 }, 0x1000, GUEST_RESERVED },
        { { 0x20051000 }, 0x1000, GUEST_RAM },
    };
    static const struct guest_memory_range huge[] = { { { 0x1000 }, 0x1000000000000, GUEST_RAM } };
    static const struct guest_memory_range low[] = { { { 0 }, 0x20400, GUEST_RAM } };

    (void)state;
    check_sizes(all, ARRAY_SIZE(all), 640, 0x20050000 / 1024 - 1024);
    check_sizes(huge, ARRAY_SIZE(huge), 0, UINT32_MAX);
    check_sizes(low, ARRAY_SIZE(low), 129, 0);
}

/* ------ Truncations and noise ------ */

static uint64_t random_u64(void)
{
    static uint64_t state = 88172645463325252ull;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void check_untouched(uint64_t offset, uint64_t size)
{
    static uint8_t untouched[0x10000];

    memset(untouched, UNTOUCHED, sizeof(untouched));
    assert_memory_equal(host_ptr(hpa(ARENA_BASE + offset)), untouched, size);
}

/* The ROM, and bytes that are nobody's, stay as they are, whatever the image is. */
static void check_any(const struct image *image)
{
    if (!load(image)) {
        check_one_line();
        check_memory();
        return;
    }
    check_untouched(0, PAGE_SIZE);
    check_untouched(0xa1000, PAGE_SIZE);
    check_untouched(0xa2000, 0x10000); /* ROM */
    check_untouched(0xb2000, PAGE_SIZE);
    check_untouched(0xf3000, PAGE_SIZE);
    prepare_guest();
}

static void test_truncations(void **state)
{
    static struct image image;

    (void)state;
    for (unsigned kind = 0; kind < 4; kind++)
        for (size_t size = 0; size < IMAGE_SIZE; size++) {
            build(&image, 1 + kind / 2, kind % 2 ? 64 : 32);
            image.size = size;
            assert_false(load(&image)); /* the last segment ends with the file */
            check_one_line();
            check_memory();
        }
}

/* Of a file that goes on after what is loaded, the end is not missed. */
static void test_harmless_truncations(void **state)
{
    static struct image image;

    (void)state;
    for (size_t size = IMAGE_SIZE; size < IMAGE_SIZE + 16; size++) {
        prepare_guest();
        build(&image, 2, 64);
        image.size = size;
        check_loaded(&image);
        expect_segments(&image);
        expect_mb2_info(0x12000);
        check_memory();
    }
}

static void test_truncated_header(void **state)
{
    static struct image image;

    (void)state;
    build(&image, 1, 64);
    image.size = 63;
    put_mb1(&image, 36, 0); /* over fields that are not reached */
    check_refused(&image, "ELF header of 64 bytes is cut at the file's end (63)");
    image.size = 15;
    memcpy(image.bytes + 4, "\x02\xb0\xad\x1b", 4);
    put_mb1(&image, 4, 0);
    image.size = 16;
    assert_false(load(&image));
    image.size = 14;
    check_refused(&image, "multiboot 1 header at file offset 0x4 is not wholly within the file's "
                          "first 14 bytes");
}

static void test_noise_in_good_images(void **state)
{
    static struct image image;

    (void)state;
    for (unsigned i = 0; i < 10000; i++) {
        build(&image, 1 + i / 2 % 2, i % 2 ? 64 : 32);
        for (unsigned changes = 1 + random_u64() % 4; changes > 0; changes--)
            image.bytes[random_u64() % 0x1c0] = (uint8_t)random_u64();
        put_mb2_checksum(&image, HEADER_AT);
        if (image.version == 1)
            put_mb1(&image, HEADER_AT, 0);
        check_any(&image);
    }
}

static void test_noise(void **state)
{
    static struct image image;

    (void)state;
    for (unsigned i = 0; i < 5000; i++) {
        image.size = random_u64() % 512;
        for (size_t j = 0; j < image.size; j++)
            image.bytes[j] = (uint8_t)random_u64();
        if (i % 2)
            memcpy(image.bytes, "\177ELF\2\1\1", 7);
        if (i % 3)
            put_mb1(&image, 64, 0);
        check_any(&image);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_good_images, setup),
        cmocka_unit_test_setup(test_malformations, setup),
        cmocka_unit_test_setup(test_too_many_segments, setup),
        cmocka_unit_test_setup(test_entry_above_4_gib, setup),
        cmocka_unit_test_setup(test_entry_before_its_segment, setup),
        cmocka_unit_test_setup(test_empty_segment, setup),
        cmocka_unit_test_setup(test_mb1_flags, setup),
        cmocka_unit_test_setup(test_mb2_tags, setup),
        cmocka_unit_test_setup(test_mb2_entry_address, setup),
        cmocka_unit_test_setup(test_mb2_header_fields, setup),
        cmocka_unit_test_setup(test_mb1_header_place, setup),
        cmocka_unit_test_setup(test_mb2_header_place, setup),
        cmocka_unit_test_setup(test_unknown_images, setup),
        cmocka_unit_test_setup(test_linux, setup),
        cmocka_unit_test_setup(test_pvh, setup),
        cmocka_unit_test_setup(test_pvh_notes, setup),
        cmocka_unit_test_setup(test_mb2_before_mb1, setup),
        cmocka_unit_test_setup(test_info_place, setup),
        cmocka_unit_test_setup(test_info_fits_exactly, setup),
        cmocka_unit_test_setup(test_info_without_room, setup),
        cmocka_unit_test_setup(test_info_only_in_ram, setup),
        cmocka_unit_test_setup(test_long_command_line, setup),
        cmocka_unit_test_setup(test_memory_sizes, setup),
        cmocka_unit_test_setup(test_truncations, setup),
        cmocka_unit_test_setup(test_harmless_truncations, setup),
        cmocka_unit_test_setup(test_truncated_header, setup),
        cmocka_unit_test_setup(test_noise_in_good_images, setup),
        cmocka_unit_test_setup(test_noise, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
