/* SPDX-License-Identifier: MIT */
/*
 * Host frames: lists of extents, the bitmap allocator, and the search for a gap before there is
 * one. By hand first; then random histories against a model with one byte a frame, and random
 * extents against one with one byte a page. The models look at every frame every time.
 */
#include "mm/frames.h"
#include "tests/host/host.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define FRAMES 1000 /* not a multiple of 64: the bitmap has a tail */
#define END    (FRAMES * PAGE_SIZE)
#define GUARD  0x5a /* bytes after the bitmap */

static struct frames frames;
static uint8_t *bitmap; /* on the heap, so that ASan sees its end */

static uint64_t random_below(uint64_t limit)
{
    static uint64_t state = 88172645463325252ull;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % limit;
}

static struct extent extent(uint64_t base, uint64_t size)
{
    return (struct extent){ hpa(base), size };
}

static struct extent whole(uint64_t first, uint64_t count)
{
    return extent(first * PAGE_SIZE, count * PAGE_SIZE);
}

static void start(uint64_t count)
{
    free(bitmap);
    bitmap = malloc(frames_bitmap_size(hpa(count * PAGE_SIZE)));
    frames_init(&frames, bitmap, hpa(count * PAGE_SIZE));
}

/* The number of the first frame, or -1. */
static long alloc(uint64_t count, uint64_t alignment, uint64_t limit)
{
    hpa_t base = hpa(1);

    if (!frames_alloc(&frames, (struct frame_request){ count, alignment, hpa(limit) }, &base)) {
        assert_int_equal(base.v, 1);
        return -1;
    }
    assert_int_equal(base.v % alignment, 0);
    return (long)(base.v / PAGE_SIZE);
}

static long alloc_one(void)
{
    return alloc(1, PAGE_SIZE, 0);
}

/* ------ Extents ------ */

#define LIST_MAX 4

static const struct {
    size_t count, kept;
    struct extent in[LIST_MAX], out[LIST_MAX];
} lists[] = {
    { 0, 0, { { { 0 }, 0 } }, { { { 0 }, 0 } } },
    { 1, 1, { { { 0x1000 }, 0x1000 } }, { { { 0x1000 }, 0x1000 } } },
    { 1, 0, { { { 0x1000 }, 0 } }, { { { 0 }, 0 } } },
    { 1, 0, { { { 0x1001 }, 0x1ffe } }, { { { 0 }, 0 } } },
    { 1, 1, { { { 0x1001 }, 0x1fff } }, { { { 0x2000 }, 0x1000 } } },
    { 1, 1, { { { 0x1fff }, 0x1001 } }, { { { 0x2000 }, 0x1000 } } },
    { 1, 0, { { { 0x1001 }, 0x10 } }, { { { 0 }, 0 } } },
    { 1, 1, { { { 0x400 }, 0x9f800 } }, { { { 0x1000 }, 0x9e000 } } },
    /* touching, overlapping, contained, equal; in any order */
    { 2, 1, { { { 0x2000 }, 0x1000 }, { { 0x1000 }, 0x1000 } }, { { { 0x1000 }, 0x2000 } } },
    { 2, 1, { { { 0x1000 }, 0x3000 }, { { 0x2000 }, 0x4000 } }, { { { 0x1000 }, 0x5000 } } },
    { 2, 1, { { { 0x2000 }, 0x1000 }, { { 0x1000 }, 0x5000 } }, { { { 0x1000 }, 0x5000 } } },
    { 2, 1, { { { 0x1000 }, 0x1000 }, { { 0x1000 }, 0x3000 } }, { { { 0x1000 }, 0x3000 } } },
    { 2,
      2,
      { { { 0x5000 }, 0x1000 }, { { 0x1000 }, 0x3000 } },
      { { { 0x1000 }, 0x3000 }, { { 0x5000 }, 0x1000 } } },
    /* two that share a page have it not as a whole */
    { 2,
      2,
      { { { 0x1000 }, 0x1800 }, { { 0x2800 }, 0x1800 } },
      { { { 0x1000 }, 0x1000 }, { { 0x3000 }, 0x1000 } } },
    { 4,
      2,
      { { { 0x9000 }, 0x1000 }, { { 0x3000 }, 0 }, { { 0x1000 }, 0x2000 }, { { 0x8000 }, 0x1000 } },
      { { { 0x1000 }, 0x2000 }, { { 0x8000 }, 0x2000 } } },
    { 4,
      1,
      { { { 0x4000 }, 0x1000 },
        { { 0x3000 }, 0x1000 },
        { { 0x2000 }, 0x1000 },
        { { 0x1000 }, 0x1000 } },
      { { { 0x1000 }, 0x4000 } } },
    { 1, 1, { { { 0xffffffffffff0000 }, 0xe800 } }, { { { 0xffffffffffff0000 }, 0xe000 } } },
};

static void test_normalize(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        struct extent list[LIST_MAX];

        memcpy(list, lists[i].in, sizeof(list));
        assert_int_equal(extents_normalize(list, lists[i].count), lists[i].kept);
        assert_memory_equal(list, lists[i].out, lists[i].kept * sizeof(list[0]));
    }
}

/*
 * Nothing of an extent inside the last page of all is a whole page; rounding up must not wrap.
 */
static void test_normalize_at_the_top(void **state)
{
    struct extent list[] = { extent(0xfffffffffffff800, 0x100) };

    (void)state;
    assert_int_equal(extents_normalize(list, 1), 0);
}

/* Nor may releasing it free anything. */
static void test_release_at_the_top(void **state)
{
    (void)state;
    start(FRAMES);
    frames_release(&frames, extent(0xfffffffffffff800, 0x100));
    assert_int_equal(frames.free, 0);
}

/* Random extents of less than 64 pages: a page is in the result if one extent has all of it ... */
static void test_normalize_random_lists(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        struct extent list[6];
        uint8_t whole_page[64] = { 0 }, kept[64] = { 0 };
        size_t count = random_below(7), left;

        for (size_t i = 0; i < count; i++) {
            uint64_t base = random_below(128) * 0x800 / 2, size = random_below(64) * 0x400;

            list[i] = extent(base, size);
            for (uint64_t page = 0; page < 64; page++)
                whole_page[page] |=
                    base <= page * PAGE_SIZE && base + size >= (page + 1) * PAGE_SIZE;
        }
        left = extents_normalize(list, count);
        for (size_t i = 0; i < left; i++) {
            assert_true(list[i].size > 0 && (list[i].base.v | list[i].size) % PAGE_SIZE == 0);
            assert_true(i == 0 || list[i].base.v > list[i - 1].base.v + list[i - 1].size);
            for (uint64_t page = 0; page < list[i].size / PAGE_SIZE; page++)
                kept[list[i].base.v / PAGE_SIZE + page] = 1;
        }
        assert_memory_equal(kept, whole_page, sizeof(kept));
    }
}

/* ------ Release and reserve ------ */

static void test_nothing_is_free_at_first(void **state)
{
    (void)state;
    for (uint64_t count = 0; count < 200; count++) {
        start(count);
        assert_int_equal(frames_bitmap_size(hpa(count * PAGE_SIZE)), (count + 63) / 64 * 8);
        assert_int_equal(frames.free, 0);
        assert_int_equal(alloc_one(), -1);
    }
}

static const struct {
    bool release;
    struct extent extent;
    uint64_t first, count; /* of the frames that change */
} partial[] = {
    { true, { { 0x1000 }, 0x2000 }, 1, 2 },  { true, { { 0x1001 }, 0x2000 }, 2, 1 },
    { true, { { 0x0fff }, 0x2000 }, 1, 1 },  { true, { { 0x1001 }, 0x1ffe }, 0, 0 },
    { true, { { 0x1800 }, 0x800 }, 0, 0 },   { true, { { 0x1800 }, 0x10 }, 0, 0 },
    { true, { { 0x1000 }, 0 }, 0, 0 },       { true, { { 0 }, 2 * END }, 0, FRAMES },
    { true, { { END }, 0x10000 }, 0, 0 },    { true, { { END - 1 }, 0x10000 }, 0, 0 },
    { false, { { 0x1000 }, 0x2000 }, 1, 2 }, { false, { { 0x1001 }, 0x1ffe }, 1, 2 },
    { false, { { 0x1fff }, 2 }, 1, 2 },      { false, { { 0x1fff }, 1 }, 1, 1 },
    { false, { { 0x1000 }, 1 }, 1, 1 },      { false, { { 0x1000 }, 0 }, 0, 0 },
    { false, { { 0x1800 }, 0x10 }, 1, 1 },   { false, { { END - 1 }, 0x10000 }, FRAMES - 1, 1 },
    { false, { { END }, 0x10000 }, 0, 0 },   { false, { { 0 }, 2 * END }, 0, FRAMES },
};

/* Each extent alone, on a bitmap that is full or empty; then all of what is free comes out. */
static void test_partial_pages(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(partial); i++) {
        uint64_t first = partial[i].first, count = partial[i].count;
        bool release = partial[i].release;

        start(FRAMES);
        if (!release)
            frames_release(&frames, extent(0, END));
        (release ? frames_release : frames_reserve)(&frames, partial[i].extent);
        (release ? frames_release : frames_reserve)(&frames, partial[i].extent);
        assert_int_equal(frames.free, release ? count : FRAMES - count);
        for (uint64_t frame = 0; frame < FRAMES; frame++)
            if ((frame >= first && frame < first + count) == release)
                assert_int_equal(alloc_one(), frame);
        assert_int_equal(alloc_one(), -1);
        assert_int_equal(frames.free, 0);
    }
}

/*
 * No byte of memory is in an empty extent, wherever it lies.
 */
static void test_reserve_of_nothing(void **state)
{
    (void)state;
    start(FRAMES);
    frames_release(&frames, extent(0, END));
    frames_reserve(&frames, extent(0x1800, 0));
    assert_int_equal(frames.free, FRAMES);
}

/* ------ Allocation ------ */

static const struct {
    uint64_t free[2][2]; /* first frame and count */
    uint64_t count, alignment, limit;
    long found;
} requests[] = {
    { { { 1, 100 } }, 1, 1, 0, 1 },
    { { { 1, 100 } }, 100, 1, 0, 1 },
    { { { 1, 100 } }, 101, 1, 0, -1 },
    { { { 1, 100 } }, 1, 2, 0, 2 },
    { { { 1, 100 } }, 1, 64, 0, 64 },
    { { { 1, 100 } }, 37, 64, 0, 64 },
    { { { 1, 100 } }, 38, 64, 0, -1 },
    { { { 1, 100 } }, 1, 128, 0, -1 },
    { { { 1, 100 } }, 10, 1, 11, 1 },
    { { { 1, 100 } }, 10, 1, 10, -1 },
    { { { 1, 100 } }, 1, 1, 2, 1 },
    { { { 1, 100 } }, 1, 1, 1, -1 },
    { { { 1, 100 } }, 4, 4, 8, 4 },
    { { { 1, 100 } }, 4, 4, 7, -1 },
    { { { 1, 10 }, { 20, 11 } }, 11, 1, 0, 20 },
    { { { 1, 10 }, { 12, 11 } }, 11, 1, 0, 12 },
    { { { 0, 512 }, { 513, 487 } }, 512, 512, 0, 0 },
    { { { 1, 511 }, { 513, 487 } }, 512, 1, 0, -1 },
    { { { 900, 100 } }, 100, 1, 0, 900 },
    { { { 900, 100 } }, 101, 1, 0, -1 }, /* not into the bitmap's tail */
    { { { 0, 1000 } }, 1000, 1024, 0, 0 },
    { { { 0, 1000 } }, 1001, 1, 0, -1 },
    { { { 0, 1000 } }, UINT64_MAX / 2, 1, 0, -1 },
    { { { 0, 1000 } }, 5, 1, 5000, 0 }, /* a limit beyond the end */
    { { { 63, 2 } }, 2, 1, 0, 63 },
    { { { 127, 66 } }, 66, 1, 0, 127 },
    { { { 999, 1 } }, 1, 1, 0, 999 },
};

static void test_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
        uint64_t before;
        long found;

        start(FRAMES);
        for (unsigned j = 0; j < 2; j++)
            frames_release(&frames, whole(requests[i].free[j][0], requests[i].free[j][1]));
        before = frames.free;
        found = alloc(requests[i].count, requests[i].alignment * PAGE_SIZE,
                      requests[i].limit * PAGE_SIZE);
        if (found != requests[i].found)
            fail_msg("request %zu: %ld in place of %ld", i, found, requests[i].found);
        assert_int_equal(before - frames.free, found < 0 ? 0 : requests[i].count);
    }
}

static void test_next_fit_wraps(void **state)
{
    (void)state;
    start(FRAMES);
    frames_release(&frames, whole(10, 3));
    frames_release(&frames, whole(FRAMES - 2, 2));
    assert_int_equal(alloc_one(), 10);
    assert_int_equal(alloc_one(), 11);
    frames_free(&frames, hpa(10 * PAGE_SIZE), 1); /* and the search begins there */
    assert_int_equal(alloc_one(), 10);
    assert_int_equal(alloc_one(), 12);
    assert_int_equal(alloc_one(), FRAMES - 2);
    frames_release(&frames, whole(5, 1));
    assert_int_equal(alloc_one(), FRAMES - 1); /* goes on */
    assert_int_equal(alloc_one(), 5);          /* then wraps */
    assert_int_equal(alloc_one(), -1);
    frames_free(&frames, hpa(11 * PAGE_SIZE), 1);
    assert_int_equal(alloc(1, PAGE_SIZE, 11 * PAGE_SIZE), -1);
    assert_int_equal(alloc(1, PAGE_SIZE, 12 * PAGE_SIZE), 11);
}

/* A limit below where the last search ended. */
static void test_limit_below_next(void **state)
{
    (void)state;
    start(FRAMES);
    frames_release(&frames, whole(100, 500));
    for (unsigned i = 0; i < 300; i++)
        assert_int_equal(alloc_one(), 100 + i);
    frames_release(&frames, whole(50, 1));
    assert_int_equal(alloc(1, PAGE_SIZE, 200 * PAGE_SIZE), 50);
    assert_int_equal(alloc(1, PAGE_SIZE, 200 * PAGE_SIZE), -1);
    assert_int_equal(alloc_one(), 400);
}

static void test_exhaustion(void **state)
{
    (void)state;
    start(FRAMES);
    frames_release(&frames, extent(0, END));
    for (unsigned round = 0; round < 3; round++) {
        for (long i = 0; i < FRAMES; i++)
            assert_int_equal(alloc_one(), i);
        assert_int_equal(frames.free, 0);
        assert_int_equal(alloc_one(), -1);
        assert_int_equal(alloc(2, PAGE_SIZE, 0), -1);
        frames_free(&frames, hpa(0), FRAMES);
        assert_int_equal(frames.free, FRAMES);
    }
}

static void test_zeroed(void **state)
{
    hpa_t frame = hpa(0);

    (void)state;
    host_arena_init(0x100000, 2 * PAGE_SIZE);
    memset(host_ptr(hpa(0x100000)), GUARD, 2 * PAGE_SIZE);
    start(FRAMES);
    frames_release(&frames, extent(0x100000, PAGE_SIZE));
    assert_true(frames_alloc_zeroed(&frames, &frame));
    assert_int_equal(frame.v, 0x100000);
    for (uint64_t i = 0; i < PAGE_SIZE; i++)
        assert_int_equal(((uint8_t *)host_ptr(frame))[i], 0);
    assert_int_equal(*(uint8_t *)host_ptr(hpa(0x101000)), GUARD);
    assert_false(frames_alloc_zeroed(&frames, &frame));
}

static void test_wrong_frees_panic(void **state)
{
    static const struct {
        uint64_t base, count;
    } wrong[] = {
        { 0x5000, 1 }, { 0x3000, 3 }, { 0x3800, 1 },
        { 0x2000, 2 }, { END, 1 },    { END - PAGE_SIZE, 2 },
    };

    (void)state;
    for (volatile size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        start(FRAMES);
        frames_release(&frames, whole(2, 4));
        frames_reserve(&frames, whole(3, 2)); /* taken: 3, 4; free: 2, 5 */
        assert_true(host_expect_panic(frames_free(&frames, hpa(wrong[i].base), wrong[i].count)));
    }
    start(FRAMES);
    frames_release(&frames, whole(2, 4));
    assert_int_equal(alloc(2, PAGE_SIZE, 0), 2);
    frames_free(&frames, hpa(0x2000), 2);
    assert_true(host_expect_panic(frames_free(&frames, hpa(0x2000), 2))); /* twice */
}

static void test_wrong_requests_panic(void **state)
{
    (void)state;
    start(FRAMES);
    frames_release(&frames, extent(0, END));
    assert_true(host_expect_panic((void)alloc(0, PAGE_SIZE, 0)));
    assert_true(host_expect_panic((void)alloc(1, PAGE_SIZE / 2, 0)));
}

/* ------ Random histories ------ */

static uint8_t is_free[FRAMES]; /* the model */

static void check_model(void)
{
    uint64_t free_frames = 0;

    for (uint64_t i = 0; i < FRAMES; i++) {
        free_frames += is_free[i];
        assert_int_equal(!(bitmap[i / 8] >> (i % 8) & 1), is_free[i]);
    }
    assert_int_equal(frames.free, free_frames);
}

static bool block_is(uint64_t first, uint64_t count, uint8_t free_or_not)
{
    for (uint64_t i = first; i < first + count; i++)
        if (i >= FRAMES || is_free[i] != free_or_not)
            return false;
    return true;
}

static bool model_has_block(uint64_t count, uint64_t alignment, uint64_t end)
{
    for (uint64_t first = 0; first + count <= end; first += alignment)
        if (block_is(first, count, 1))
            return true;
    return false;
}

static void step_alloc(void)
{
    uint64_t count = random_below(3) ? 1 : 1 + random_below(80);
    uint64_t alignment = 1ull << random_below(8);
    uint64_t limit = random_below(2) ? 0 : 1 + random_below(FRAMES + 100);
    uint64_t end = limit && limit < FRAMES ? limit : FRAMES;
    long found = alloc(count, alignment * PAGE_SIZE, limit * PAGE_SIZE);

    if (found < 0) {
        assert_false(model_has_block(count, alignment, end));
        return;
    }
    assert_true((uint64_t)found + count <= end && block_is((uint64_t)found, count, 1));
    memset(&is_free[found], 0, count);
}

static void step_free(void)
{
    uint64_t first = random_below(FRAMES), count = 1 + random_below(40);

    if (!block_is(first, count, 0))
        return;
    frames_free(&frames, hpa(first * PAGE_SIZE), count);
    memset(&is_free[first], 1, count);
}

static void step_release_or_reserve(void)
{
    uint64_t base = random_below(END), size = 1 + random_below(50 * PAGE_SIZE);
    bool release = random_below(2);

    (release ? frames_release : frames_reserve)(&frames, extent(base, size));
    for (uint64_t i = 0; i < FRAMES; i++) {
        uint64_t start_of = i * PAGE_SIZE, end_of = start_of + PAGE_SIZE;

        if (release && base <= start_of && base + size >= end_of)
            is_free[i] = 1;
        if (!release && base < end_of && base + size > start_of)
            is_free[i] = 0;
    }
}

static void test_random_histories(void **state)
{
    static void (*const steps[])(void) = {
        step_alloc, step_alloc, step_alloc, step_free, step_free, step_free, step_release_or_reserve
    };

    (void)state;
    for (unsigned history = 0; history < 20; history++) {
        start(FRAMES);
        memset(is_free, 0, sizeof(is_free));
        for (unsigned i = 0; i < 1500; i++) {
            steps[random_below(ARRAY_SIZE(steps))]();
            check_model();
        }
    }
}

/* ------ Gaps ------ */

static const struct {
    struct extent ram[2], used[3];
    uint64_t size, limit;
    int64_t found; /* -1: there is none */
} gaps[] = {
    { { { { 0 }, 16 * MiB } }, { { { 0 }, 0 } }, 0x1000, 4 * GiB, MiB },
    { { { { 0 }, MiB } }, { { { 0 }, 0 } }, 0x1000, 4 * GiB, -1 },
    { { { { 0 }, MiB + 0x1000 } }, { { { 0 }, 0 } }, 0x1000, 4 * GiB, MiB },
    { { { { 0 }, MiB + 0x1000 } }, { { { 0 }, 0 } }, 0x1001, 4 * GiB, -1 },
    { { { { 0 }, 16 * MiB } }, { { { MiB }, 0x1000 } }, 0x1000, 4 * GiB, MiB + 0x1000 },
    { { { { 0 }, 16 * MiB } }, { { { MiB }, 0x1001 } }, 0x1000, 4 * GiB, MiB + 0x2000 },
    { { { { 0 }, 16 * MiB } }, { { { MiB + 0x1000 }, 1 } }, 0x1000, 4 * GiB, MiB },
    { { { { 0 }, 16 * MiB } }, { { { MiB + 0x1000 }, 1 } }, 0x1001, 4 * GiB, MiB + 0x2000 },
    { { { { 0 }, 16 * MiB } },
      { { { MiB + 0x4000 }, 0x4000 }, { { 2 * MiB }, 1 }, { { MiB }, 0x4000 } },
      0x10000,
      4 * GiB,
      MiB + 0x8000 },
    { { { { 0 }, 2 * MiB } }, { { { MiB }, 0x80000 } }, 0x80000, 4 * GiB, MiB + 0x80000 },
    { { { { 0 }, 2 * MiB } }, { { { MiB }, 0x80001 } }, 0x80000, 4 * GiB, -1 },
    { { { { 0 }, 2 * MiB }, { { 8 * MiB }, MiB } },
      { { { MiB }, MiB } },
      0x1000,
      4 * GiB,
      8 * MiB },
    { { { { 0 }, 2 * MiB }, { { 8 * MiB + 1 }, MiB } },
      { { { MiB }, MiB } },
      0x1000,
      4 * GiB,
      8 * MiB + 0x1000 },
    { { { { 0 }, 16 * MiB } }, { { { 0 }, 0 } }, 0x1000, MiB + 0x1000, MiB },
    { { { { 0 }, 16 * MiB } }, { { { 0 }, 0 } }, 0x1000, MiB + 0xfff, -1 },
    { { { { 0 }, 16 * MiB } }, { { { 0 }, 0 } }, 0x1000, MiB, -1 },
    { { { { 4 * GiB }, 16 * MiB } }, { { { 0 }, 0 } }, 0x1000, 4 * GiB, -1 },
    { { { { 4 * GiB - MiB }, 2 * MiB } }, { { { 0 }, 0 } }, MiB, 4 * GiB, 4 * GiB - MiB },
    { { { { 4 * GiB - MiB }, 2 * MiB } }, { { { 0 }, 0 } }, MiB + 1, 4 * GiB, -1 },
    { { { { 0 }, 16 * MiB } }, { { { 0x1000 }, 16 * MiB } }, 1, 4 * GiB, -1 },
    { { { { 0 }, 16 * MiB } }, { { { 1 * MiB + 0x100 }, 0 } }, 0x1000, 4 * GiB, MiB },
};

static void test_gaps(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(gaps); i++) {
        hpa_t base = hpa(1);
        bool found = frames_find_gap((struct extent_list){ gaps[i].ram, 2 },
                                     (struct extent_list){ gaps[i].used, 3 }, gaps[i].size,
                                     hpa(gaps[i].limit), &base);

        if (found != (gaps[i].found >= 0) || (found && base.v != (uint64_t)gaps[i].found))
            fail_msg("gap %zu: found %d 0x%lx", i, found, base.v);
    }
}

static bool overlaps(struct extent e, uint64_t base, uint64_t size)
{
    return e.base.v < base + size && base < e.base.v + e.size;
}

/* The first page from 1 MiB on that would do, by trying each. */
static uint64_t model_gap(struct extent ram, const struct extent used[3], uint64_t size)
{
    for (uint64_t at = MiB; at < MiB + 64 * PAGE_SIZE; at += PAGE_SIZE)
        if (ram.base.v <= at && at + size <= ram.base.v + ram.size &&
            !overlaps(used[0], at, size) && !overlaps(used[1], at, size) &&
            !overlaps(used[2], at, size))
            return at;
    return 0;
}

static void test_random_gaps(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        struct extent ram = extent(MiB - 0x4000 + random_below(16) * 0x800, 0), used[3];
        uint64_t size = 1 + random_below(8 * PAGE_SIZE), expected;
        hpa_t base = hpa(0);
        bool found;

        ram.size = random_below(40) * 0x800;
        for (unsigned i = 0; i < 3; i++)
            used[i] = extent(MiB + random_below(40) * 0x800, 1 + random_below(8) * 0x800);
        expected = model_gap(ram, used, size);
        found = frames_find_gap((struct extent_list){ &ram, 1 }, (struct extent_list){ used, 3 },
                                size, hpa(4 * GiB), &base);
        assert_int_equal(found, expected != 0);
        assert_int_equal(base.v, expected);
    }
}

static int free_bitmap(void **state)
{
    (void)state;
    free(bitmap);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normalize),
        cmocka_unit_test(test_normalize_at_the_top),
        cmocka_unit_test(test_normalize_random_lists),
        cmocka_unit_test(test_nothing_is_free_at_first),
        cmocka_unit_test(test_partial_pages),
        cmocka_unit_test(test_release_at_the_top),
        cmocka_unit_test(test_reserve_of_nothing),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_next_fit_wraps),
        cmocka_unit_test(test_limit_below_next),
        cmocka_unit_test(test_exhaustion),
        cmocka_unit_test(test_zeroed),
        cmocka_unit_test(test_wrong_frees_panic),
        cmocka_unit_test(test_wrong_requests_panic),
        cmocka_unit_test(test_random_histories),
        cmocka_unit_test(test_gaps),
        cmocka_unit_test(test_random_gaps),
    };

    return cmocka_run_group_tests(tests, NULL, free_bitmap);
}
