/* SPDX-License-Identifier: MIT */
/*
 * The guest-physical map. First every refusal of gpm_add and every edge by hand; then random maps
 * and random accesses against a model that knows each page's kind and each byte's value, and
 * shares no code with mm/gpm.c: after every access all of the fake RAM has to be the model's.
 */
#include "mm/gpm.h"
#include "tests/host/host.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ARENA_BASE  0x123450000ull
#define ARENA_PAGES 64
#define ARENA_SIZE  (ARENA_PAGES * PAGE_SIZE)
#define TOP_PAGE    (0ull - PAGE_SIZE) /* the last page of the address space */

static struct gpm_region region(uint64_t base, uint64_t size, enum gpm_kind kind, uint64_t host)
{
    return (struct gpm_region){
        .base = gpa(base), .size = size, .kind = kind, .host = hpa(ARENA_BASE + host)
    };
}

static bool add(struct gpm *gpm, uint64_t base, uint64_t size)
{
    return gpm_add(gpm, region(base, size, GPM_DEVICE, 0));
}

static uint64_t random_u64(void)
{
    static uint64_t state = 88172645463325252ull;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static uint64_t random_below(uint64_t limit)
{
    return random_u64() % limit;
}

static void test_add_refuses_malformed_regions(void **state)
{
    static const struct gpm_region malformed[] = {
        { { 0x1000 }, 0, GPM_RAM, { ARENA_BASE } },
        { { 0x1000 }, 0x1800, GPM_RAM, { ARENA_BASE } },
        { { 0x1800 }, 0x1000, GPM_RAM, { ARENA_BASE } },
        { { 0x1000 }, 0x1000, GPM_RAM, { ARENA_BASE + 1 } },
        { { 0x1000 }, 0x1000, GPM_ROM, { ARENA_BASE + 0x800 } },
        { { 0x1000 }, 0x1000, GPM_HOLE, { ARENA_BASE } },
        { { TOP_PAGE }, 0x1000, GPM_RAM, { ARENA_BASE } },
        { { TOP_PAGE }, 0x2000, GPM_DEVICE, { 0 } },
        { { 0x1000 }, TOP_PAGE, GPM_DEVICE, { 0 } },
        { { 0x2000 }, TOP_PAGE, GPM_DEVICE, { 0 } },
        { { 0x1000 }, 0x2000, GPM_RAM, { TOP_PAGE } },
    };
    struct gpm gpm = { .count = 0 };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(malformed); i++) {
        assert_false(gpm_add(&gpm, malformed[i]));
        assert_int_equal(gpm.count, 0);
    }
    /* A device has no place in the host. */
    assert_true(gpm_add(&gpm, (struct gpm_region){ { 0 }, PAGE_SIZE, GPM_DEVICE, { 1 } }));
}

static void test_add_refuses_overlap(void **state)
{
    struct gpm gpm = { .count = 0 };

    (void)state;
    assert_true(add(&gpm, 0x4000, 0x3000));
    assert_true(add(&gpm, 0x9000, 0x1000));
    assert_false(add(&gpm, 0x4000, 0x3000));
    assert_false(add(&gpm, 0x5000, 0x1000));
    assert_false(add(&gpm, 0x3000, 0x2000));
    assert_false(add(&gpm, 0x6000, 0x2000));
    assert_false(add(&gpm, 0x0000, 0x20000));
    assert_false(add(&gpm, 0x7000, 0x3000));
    assert_int_equal(gpm.count, 2);
    assert_true(add(&gpm, 0x7000, 0x2000)); /* exactly between */
    assert_true(add(&gpm, 0x3000, 0x1000)); /* exactly below */
    assert_true(add(&gpm, 0xa000, TOP_PAGE - 0xa000));
    assert_false(add(&gpm, 0x4000, 0x1000));
    assert_int_equal(gpm.count, 5);
}

static void test_add_sorts_and_fills_up(void **state)
{
    struct gpm gpm = { .count = 0 };

    (void)state;
    for (uint64_t i = 0; i < GPM_REGIONS_MAX; i++)
        assert_true(add(&gpm, (i * 7 % GPM_REGIONS_MAX) * 0x2000, 0x1000));
    for (uint64_t i = 0; i < GPM_REGIONS_MAX; i++)
        assert_int_equal(gpm.regions[i].base.v, i * 0x2000);
    assert_false(add(&gpm, 0x1000000, 0x1000));
    assert_int_equal(gpm.count, GPM_REGIONS_MAX);
}

static void test_find_edges(void **state)
{
    struct gpm gpm = { .count = 0 };

    (void)state;
    assert_null(gpm_find(&gpm, gpa(0)));
    for (uint64_t i = 0; i < GPM_REGIONS_MAX; i++) {
        assert_true(add(&gpm, i * 0x3000 + 0x1000, 0x1000));
        for (uint64_t j = 0; j <= i; j++) {
            uint64_t base = j * 0x3000 + 0x1000;

            assert_null(gpm_find(&gpm, gpa(base - 1)));
            assert_ptr_equal(gpm_find(&gpm, gpa(base)), &gpm.regions[j]);
            assert_ptr_equal(gpm_find(&gpm, gpa(base + 0xfff)), &gpm.regions[j]);
            assert_null(gpm_find(&gpm, gpa(base + 0x1000)));
        }
        assert_null(gpm_find(&gpm, gpa(0)));
        assert_null(gpm_find(&gpm, gpa(UINT64_MAX)));
    }
}

static void test_translate(void **state)
{
    struct gpm gpm = { .count = 0 };
    hpa_t host = hpa(7);

    (void)state;
    assert_true(gpm_add(&gpm, region(0x1000, 0x2000, GPM_RAM, 0x5000)));
    assert_true(gpm_add(&gpm, region(0x3000, 0x1000, GPM_ROM, 0x1000)));
    assert_true(gpm_add(&gpm, region(0x4000, 0x1000, GPM_DEVICE, 0)));
    assert_false(gpm_translate(&gpm, gpa(0xfff), &host));
    assert_false(gpm_translate(&gpm, gpa(0x4000), &host));
    assert_false(gpm_translate(&gpm, gpa(0x5000), &host));
    assert_int_equal(host.v, 7);
    assert_true(gpm_translate(&gpm, gpa(0x2fff), &host));
    assert_int_equal(host.v, ARENA_BASE + 0x6fff);
    assert_true(gpm_translate(&gpm, gpa(0x3004), &host));
    assert_int_equal(host.v, ARENA_BASE + 0x1004);
}

/* RAM in the last pages that may be: nothing wraps to the RAM at address 0. */
static void test_top_of_the_address_space(void **state)
{
    struct gpm gpm = { .count = 0 };
    uint8_t bytes[64] = { 0 };

    (void)state;
    host_arena_init(ARENA_BASE, ARENA_SIZE);
    assert_true(gpm_add(&gpm, region(0, 0x2000, GPM_RAM, 0)));
    assert_true(gpm_add(&gpm, region(TOP_PAGE - 0x1000, 0x1000, GPM_RAM, 0x2000)));
    assert_true(gpm_write(&gpm, gpa(TOP_PAGE - 64), bytes, 64));
    assert_false(gpm_write(&gpm, gpa(TOP_PAGE - 63), bytes, 64));
    assert_false(gpm_read(&gpm, gpa(UINT64_MAX - 3), bytes, 8));
    assert_false(gpm_fill(&gpm, gpa(TOP_PAGE - 1), 0, UINT64_MAX));
    assert_false(gpm_fill(&gpm, gpa(0), 0, UINT64_MAX));
    assert_false(gpm_fill(&gpm, gpa(1), 0, UINT64_MAX));
}

static void test_nothing_is_always_possible(void **state)
{
    struct gpm gpm = { .count = 0 };

    (void)state;
    assert_true(gpm_read(&gpm, gpa(5), NULL, 0));
    assert_true(gpm_write(&gpm, gpa(5), NULL, 0));
    assert_true(gpm_load(&gpm, gpa(5), NULL, 0));
    assert_true(gpm_fill(&gpm, gpa(5), 1, 0));
}

static void test_compare_swap(void **state)
{
    struct gpm gpm = { .count = 0 };
    uint64_t word = 0x1111111122222222;

    (void)state;
    host_arena_init(ARENA_BASE, ARENA_SIZE);
    assert_true(gpm_add(&gpm, region(0, 0x1000, GPM_RAM, 0)));
    assert_true(gpm_add(&gpm, region(0x1000, 0x1000, GPM_ROM, 0x1000)));
    assert_true(gpm_add(&gpm, region(0x2000, 0x1000, GPM_DEVICE, 0)));
    assert_true(gpm_write(&gpm, gpa(0xff8), &word, 8));

    assert_int_equal(gpm_compare_swap(&gpm, gpa(0xff8), 8, 0x22222222, 5), GPM_LOST);
    assert_int_equal(gpm_compare_swap(&gpm, gpa(0xff8), 4, 0x22222222, 0x33333333), GPM_SWAPPED);
    assert_true(gpm_read(&gpm, gpa(0xff8), &word, 8));
    assert_int_equal(word, 0x1111111133333333);
    assert_int_equal(gpm_compare_swap(&gpm, gpa(0xffc), 4, 0x33333333, 5), GPM_LOST);
    assert_int_equal(gpm_compare_swap(&gpm, gpa(0xffc), 4, 0x11111111, 0x44444444), GPM_SWAPPED);
    assert_int_equal(gpm_compare_swap(&gpm, gpa(0xff8), 8, 0x4444444433333333, 9), GPM_SWAPPED);
    assert_true(gpm_read(&gpm, gpa(0xff8), &word, 8));
    assert_int_equal(word, 9);

    assert_int_equal(gpm_compare_swap(&gpm, gpa(0x1000), 8, 0, 1), GPM_NOT_RAM);
    assert_int_equal(gpm_compare_swap(&gpm, gpa(0x2000), 4, 0, 1), GPM_NOT_RAM);
    assert_int_equal(gpm_compare_swap(&gpm, gpa(0x3000), 4, 0, 1), GPM_NOT_RAM);
    assert_true(gpm_read(&gpm, gpa(0x1000), &word, 8));
    assert_int_equal(word, 0);
}

static void must_panic(const struct gpm *gpm, uint64_t where, unsigned size)
{
    enum gpm_swap result = gpm_compare_swap(gpm, gpa(where), size, 0, 0);

    print_error("compare and swap of %u bytes at 0x%lx returned %d\n", size, where, result);
}

static void test_compare_swap_asserts_its_callers(void **state)
{
    static const struct {
        uint64_t where;
        unsigned size;
    } wrong[] = { { 4, 8 }, { 2, 4 }, { 1, 4 }, { 0, 2 }, { 0, 0 }, { 0, 16 } };
    struct gpm gpm = { .count = 0 };

    (void)state;
    host_arena_init(ARENA_BASE, ARENA_SIZE);
    assert_true(gpm_add(&gpm, region(0, 0x1000, GPM_RAM, 0)));
    for (volatile size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_true(host_expect_panic(must_panic(&gpm, wrong[i].where, wrong[i].size)));
}

/* ------ Random maps ------ */

#define MODEL_PAGES 24

static struct {
    enum gpm_kind kind[MODEL_PAGES];
    uint64_t frame[MODEL_PAGES]; /* page of the arena */
    uint8_t bytes[ARENA_SIZE];
} model;

/* Regions of one to three pages, with their frames in falling order, so that neighbours differ. */
static void random_map(struct gpm *gpm)
{
    uint64_t frame = ARENA_PAGES;

    *gpm = (struct gpm){ .count = 0 };
    memset(&model, 0, sizeof(model));
    for (uint64_t page = 0; page < MODEL_PAGES;) {
        uint64_t pages = 1 + random_below(3);
        enum gpm_kind kind = random_below(6);

        kind = kind > GPM_DEVICE ? GPM_RAM : kind;
        pages = page + pages > MODEL_PAGES ? 1 : pages;
        frame -= pages + 1;
        for (uint64_t i = 0; i < pages; i++) {
            model.kind[page + i] = kind;
            model.frame[page + i] = frame + i;
        }
        if (kind != GPM_HOLE)
            assert_true(
                gpm_add(gpm, region(page * PAGE_SIZE, pages * PAGE_SIZE, kind, frame * PAGE_SIZE)));
        page += pages;
    }
    host_arena_init(ARENA_BASE, ARENA_SIZE);
    for (size_t i = 0; i < ARENA_SIZE; i++)
        model.bytes[i] = (uint8_t)random_u64();
    memcpy(host_ptr(hpa(ARENA_BASE)), model.bytes, ARENA_SIZE);
}

static bool model_allows(uint64_t address, uint64_t size, bool rom_too)
{
    for (uint64_t i = 0; i < size; i++) {
        uint64_t page = (address + i) / PAGE_SIZE;

        if (page >= MODEL_PAGES)
            return false;
        if (model.kind[page] != GPM_RAM && !(rom_too && model.kind[page] == GPM_ROM))
            return false;
    }
    return true;
}

static uint8_t *model_byte(uint64_t address)
{
    return &model.bytes[model.frame[address / PAGE_SIZE] * PAGE_SIZE + address % PAGE_SIZE];
}

static void check_read(const struct gpm *gpm, uint64_t address, uint64_t size)
{
    uint8_t *bytes = malloc(size);
    bool allowed = model_allows(address, size, true);

    memset(bytes, 0xa5, size);
    assert_int_equal(gpm_read(gpm, gpa(address), bytes, size), allowed);
    for (uint64_t i = 0; i < size; i++)
        assert_int_equal(bytes[i], allowed ? *model_byte(address + i) : 0xa5);
    free(bytes);
}

static void check_store(const struct gpm *gpm, uint64_t address, uint64_t size)
{
    bool loading = random_below(2) == 0;
    bool allowed = model_allows(address, size, loading);
    uint8_t *bytes = malloc(size);
    bool done;

    for (uint64_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)random_u64();
    done = loading ? gpm_load(gpm, gpa(address), bytes, size)
                   : gpm_write(gpm, gpa(address), bytes, size);
    assert_int_equal(done, allowed);
    for (uint64_t i = 0; allowed && i < size; i++)
        *model_byte(address + i) = bytes[i];
    free(bytes);
}

static void check_fill(const struct gpm *gpm, uint64_t address, uint64_t size)
{
    bool allowed = model_allows(address, size, true);
    uint8_t value = (uint8_t)random_u64();

    assert_int_equal(gpm_fill(gpm, gpa(address), value, size), allowed);
    for (uint64_t i = 0; allowed && i < size; i++)
        *model_byte(address + i) = value;
}

static uint64_t random_size(void)
{
    switch (random_below(4)) {
    case 0: return 8;
    case 1: return 4;
    case 2: return 1 + random_below(32);
    default: return 1 + random_below(3 * PAGE_SIZE);
    }
}

/* Mostly so that the access begins or ends near the boundary of a page. */
static uint64_t random_address(uint64_t size)
{
    uint64_t page = random_below(MODEL_PAGES + 1) * PAGE_SIZE;

    switch (random_below(4)) {
    case 0: return page;
    case 1: return page >= size ? page - size : page;
    case 2: return page >= 4 ? page - 4 : page;
    default: return random_below(MODEL_PAGES * PAGE_SIZE);
    }
}

static void test_random_accesses(void **state)
{
    static void (*const checks[])(const struct gpm *, uint64_t,
                                  uint64_t) = { check_read, check_store, check_fill };
    struct gpm gpm;

    (void)state;
    for (unsigned map = 0; map < 60; map++) {
        random_map(&gpm);
        for (unsigned i = 0; i < 150; i++) {
            uint64_t size = random_size();
            uint64_t address = random_address(size);

            checks[random_below(ARRAY_SIZE(checks))](&gpm, address, size);
            assert_memory_equal(host_ptr(hpa(ARENA_BASE)), model.bytes, ARENA_SIZE);
        }
    }
}

static void test_random_lookups(void **state)
{
    struct gpm gpm;

    (void)state;
    for (unsigned map = 0; map < 200; map++) {
        random_map(&gpm);
        for (uint64_t page = 0; page < MODEL_PAGES; page++) {
            uint64_t address = page * PAGE_SIZE + random_below(PAGE_SIZE);
            const struct gpm_region *found = gpm_find(&gpm, gpa(address));
            hpa_t host;

            assert_int_equal(found == NULL ? GPM_HOLE : found->kind, model.kind[page]);
            assert_int_equal(gpm_translate(&gpm, gpa(address), &host),
                             model_allows(address, 1, true));
            if (model_allows(address, 1, true))
                assert_int_equal(host.v,
                                 ARENA_BASE + (uint64_t)(model_byte(address) - model.bytes));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add_refuses_malformed_regions),
        cmocka_unit_test(test_add_refuses_overlap),
        cmocka_unit_test(test_add_sorts_and_fills_up),
        cmocka_unit_test(test_find_edges),
        cmocka_unit_test(test_translate),
        cmocka_unit_test(test_top_of_the_address_space),
        cmocka_unit_test(test_nothing_is_always_possible),
        cmocka_unit_test(test_compare_swap),
        cmocka_unit_test(test_compare_swap_asserts_its_callers),
        cmocka_unit_test(test_random_accesses),
        cmocka_unit_test(test_random_lookups),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
