/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's own page tables, built in the arena for invented machines and then read entry by
 * entry, as the processor does (SDM 3A 4.5), by a walker that knows nothing of mm/hostmap.c. It
 * gathers all that is mapped as runs: stretches of linear addresses with one offset and one set of
 * rights. The runs must be exactly those that a machine's row lists, so nothing else is mapped.
 */
#include "mm/hostmap.h"
#include "arch/x86/pte.h"
#include "mm/layout.h"
#include "tests/host/host.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ARENA_SIZE (8 * GiB) /* address space, not memory: only tables are touched */
#define FRAMES_END (8 * GiB)
#define RUNS_MAX   16
#define TABLES_MAX 4096

#define R  HOST_READ
#define W  HOST_WRITE
#define X  HOST_EXECUTE
#define UC HOST_UNCACHED

struct run {
    uint64_t va, pa, size;
    unsigned rights;
};

#define DIRECT(start, end)                              \
    {                                                   \
        DIRECT_MAP + (start), start, (end) - (start), W \
    }
#define IMAGE(start, end, rights)                            \
    {                                                        \
        IMAGE_BASE + (start), start, (end) - (start), rights \
    }

static const struct machine {
    struct extent ram[5], image; /* sorted; not always whole pages */
    uint64_t parts[4];           /* where text, constants, data begin; where data ends */
    uint64_t guards[4];
    struct run runs[RUNS_MAX]; /* ascending; an empty one ends them */
} machines[] = {
    /* A PC with little memory, the image at 1 MiB. */
    { { { { 0 }, 0x9fc00 }, { { MiB }, 63 * MiB } },
      { { MiB }, 0x60000 },
      { 0x100000, 0x120000, 0x128000, 0x160000 },
      { 0x130000, 0x134000, 0x138000, 0x13c000 },
      { DIRECT(0, 0x9f000), DIRECT(0x160000, 64 * MiB), IMAGE(0x100000, 0x120000, X),
        IMAGE(0x120000, 0x128000, R), IMAGE(0x128000, 0x130000, W), IMAGE(0x131000, 0x134000, W),
        IMAGE(0x135000, 0x138000, W), IMAGE(0x139000, 0x13c000, W),
        IMAGE(0x13d000, 0x160000, W) } },
    /* Much memory around the device hole; the image fills 2 MiB pages of its own. */
    { { { { 0 }, 0xa0000 }, { { MiB }, 3 * GiB - MiB }, { { 4 * GiB }, 3 * GiB + 0x5000 } },
      { { 2 * MiB }, 2 * MiB },
      { 0x200000, 0x300000, 0x380000, 0x400000 },
      { 0x380000, 0x3ff000, 0x381000, 0x382000 },
      { DIRECT(0, 0xa0000), DIRECT(MiB, 2 * MiB), DIRECT(4 * MiB, 3 * GiB),
        DIRECT(4 * GiB, 7 * GiB + 0x5000), IMAGE(0x200000, 0x300000, X),
        IMAGE(0x300000, 0x380000, R), IMAGE(0x383000, 0x3ff000, W) } },
    /* Odd ranges, ends in the middle of pages, the image's too; RAM that has no whole page. */
    { { { { 0x800 }, 0x1000 },
        { { 0x2001 }, 0x1fff },
        { { 0x300800 }, 0x7ff800 },
        { { GiB - PAGE_SIZE }, 2 * PAGE_SIZE },
        { { 2 * GiB + 2 * MiB - 1 }, GiB + 1 } },
      { { 0x400010 }, 0x8010 },
      { 0x400000, 0x401000, 0x402000, 0x409000 },
      { 0x403000, 0x405000, 0x407000, 0x408000 },
      { DIRECT(0x3000, 0x4000), DIRECT(0x301000, 0x400000), DIRECT(0x409000, 0xb00000),
        DIRECT(GiB - PAGE_SIZE, GiB + PAGE_SIZE), DIRECT(2 * GiB + 2 * MiB, 3 * GiB + 2 * MiB),
        IMAGE(0x400000, 0x401000, X), IMAGE(0x401000, 0x402000, R), IMAGE(0x402000, 0x403000, W),
        IMAGE(0x404000, 0x405000, W), IMAGE(0x406000, 0x407000, W) } },
    /* The image begins where RAM does, ends where it ends, and is all of a range. */
    { { { { MiB }, 0x10000 }, { { 2 * MiB }, 6 * MiB }, { { GiB }, 6 * GiB } },
      { { MiB }, 0x10000 },
      { 0x100000, 0x104000, 0x108000, 0x110000 },
      { 0x10a000, 0x10c000, 0x10e000, 0x10f000 },
      { DIRECT(2 * MiB, 8 * MiB), DIRECT(GiB, 7 * GiB), IMAGE(0x100000, 0x104000, X),
        IMAGE(0x104000, 0x108000, R), IMAGE(0x108000, 0x10a000, W), IMAGE(0x10b000, 0x10c000, W),
        IMAGE(0x10d000, 0x10e000, W) } },
    /* The image across the boundary of two GiB pages. */
    { { { { 0 }, 4 * GiB } },
      { { GiB - MiB }, 2 * MiB },
      { 0x3ff00000, 0x3ff80000, 0x40000000, 0x40100000 },
      { 0x40000000, 0x40001000, 0x40002000, 0x400ff000 },
      { DIRECT(0, GiB - MiB), DIRECT(GiB + MiB, 4 * GiB), IMAGE(0x3ff00000, 0x3ff80000, X),
        IMAGE(0x3ff80000, 0x40000000, R), IMAGE(0x40003000, 0x400ff000, W) } },
};

static struct frames frames;
static uint64_t bitmap[FRAMES_END / PAGE_SIZE / 64];
static uint64_t free_at_first;
static struct hostmap map;

/* What the walker finds. */
static struct run runs[RUNS_MAX];
static size_t run_count;
static uint64_t tables[TABLES_MAX];
static size_t table_count;

static struct image_layout layout_of(const struct machine *m)
{
    static const unsigned rights[3] = { X, R, W };
    struct image_layout layout;

    for (unsigned i = 0; i < 3; i++)
        layout.parts[i] = (struct image_part){ IMAGE_BASE + m->parts[i],
                                               IMAGE_BASE + m->parts[i + 1], rights[i] };
    for (unsigned i = 0; i < 4; i++)
        layout.guards[i] = IMAGE_BASE + m->guards[i];
    return layout;
}

static void start(const struct machine *m, bool gib_pages)
{
    host_arena_init(0, ARENA_SIZE);
    frames_init(&frames, bitmap, hpa(FRAMES_END));
    for (size_t i = 0; i < ARRAY_SIZE(m->ram); i++)
        frames_release(&frames, m->ram[i]);
    frames_reserve(&frames, m->image);
    frames_reserve(&frames, (struct extent){ hpa(0), PAGE_SIZE });
    free_at_first = frames.free;
    hostmap_init(&map, &frames, gib_pages);
    run_count = table_count = 0;
}

static void build(const struct machine *m, bool gib_pages)
{
    struct image_layout layout = layout_of(m);

    start(m, gib_pages);
    hostmap_add_image(&map, &layout);
    hostmap_add_direct(&map, (struct extent_list){ m->ram, ARRAY_SIZE(m->ram) }, m->image);
}

/* ------ The walker ------ */

static uint64_t span_of(unsigned level)
{
    return 1ull << (12 + 9 * (level - 1));
}

static void add_run(struct run new)
{
    struct run *last = run_count ? &runs[run_count - 1] : NULL;

    if (last && last->va + last->size == new.va && last->pa + last->size == new.pa &&
        last->rights == new.rights) {
        last->size += new.size;
        return;
    }
    assert_true(run_count < RUNS_MAX);
    runs[run_count++] = new;
}

static void see_leaf(uint64_t va, uint64_t entry, unsigned level)
{
    uint64_t address = entry & BITS(51, 12), span = span_of(level);
    bool writable = entry & PTE_W, executable = !(entry & PTE_NX);

    assert_false(writable && executable);
    assert_false(entry & PTE_U);
    assert_true(entry & PTE_A); /* preset: nobody reads them */
    assert_true(!writable || entry & PTE_D);
    assert_int_equal(!(entry & PTE_PCD), !(entry & PTE_PWT));
    assert_true(level == 1 || level == 2 || (level == 3 && map.gib_pages));
    assert_int_equal(va % span, 0);
    assert_int_equal(address % span, 0); /* the PAT bit of large pages is 0, too */
    assert_int_equal(entry & BITS(62, 52), 0);
    assert_int_equal(level == 1 ? entry & PTE_PAT : 0, 0);
    add_run((struct run){ va, address, span,
                          (writable ? W : 0) | (executable ? X : 0) | (entry & PTE_PCD ? UC : 0) });
}

static void see_table(uint64_t table)
{
    for (size_t i = 0; i < table_count; i++)
        assert_int_not_equal(tables[i], table);
    assert_true(table_count < TABLES_MAX);
    tables[table_count++] = table;
}

static void walk(uint64_t table, unsigned level, uint64_t base)
{
    const uint64_t *entries = host_ptr(hpa(table));

    see_table(table);
    for (uint64_t i = 0; i < 512; i++) {
        uint64_t va = base + i * span_of(level), entry = entries[i];

        if (level == 4 && i >= 256)
            va |= BITS(63, 48);
        if (!(entry & PTE_P)) {
            assert_int_equal(entry, 0);
        } else if (level == 1 || (level < 4 && entry & PTE_PS)) {
            see_leaf(va, entry, level);
        } else { /* must not narrow what the leaves allow, nor name a user's page */
            assert_int_equal(entry & ~(BITS(51, 12) | PTE_A), PTE_P | PTE_W);
            walk(entry & BITS(51, 12), level - 1, va);
        }
    }
}

/* ------ The machines ------ */

static void check_runs(const struct machine *m)
{
    for (size_t i = 0; i < run_count; i++)
        if (memcmp(&runs[i], &m->runs[i], sizeof(runs[i])) != 0)
            fail_msg("run %zu: 0x%lx to 0x%lx, 0x%lx bytes, rights %u", i, runs[i].va, runs[i].pa,
                     runs[i].size, runs[i].rights);
    assert_true(run_count == RUNS_MAX || m->runs[run_count].size == 0);
}

/* Every table is a frame that the allocator gave: RAM, not the image's, now taken, each once. */
static void check_tables(const struct machine *m)
{
    assert_int_equal(table_count, free_at_first - frames.free);
    for (size_t i = 0; i < table_count; i++) {
        uint64_t frame = tables[i] / PAGE_SIZE;
        bool in_ram = false;

        for (size_t r = 0; r < ARRAY_SIZE(m->ram); r++)
            in_ram |= m->ram[r].base.v <= tables[i] &&
                      tables[i] + PAGE_SIZE <= m->ram[r].base.v + m->ram[r].size;
        assert_true(in_ram);
        assert_true(bitmap[frame / 64] >> frame % 64 & 1);
        assert_true(tables[i] + PAGE_SIZE <= m->image.base.v ||
                    tables[i] >= m->image.base.v + m->image.size);
    }
}

static bool lookup(uint64_t va, struct run *found)
{
    hpa_t to;

    *found = (struct run){ va, 0, 0, 0 };
    if (!hostmap_lookup(&map, va, &to, &found->rights))
        return false;
    found->pa = to.v;
    return true;
}

static bool is_mapped_by(const struct machine *m, uint64_t va)
{
    for (size_t i = 0; i < RUNS_MAX; i++)
        if (va - m->runs[i].va < m->runs[i].size)
            return true;
    return false;
}

/* At both ends of every run, in the middle, and one byte outside. */
static void check_lookup(const struct machine *m)
{
    for (size_t i = 0; i < run_count; i++) {
        const struct run *run = &runs[i];
        uint64_t offsets[] = { 0, 1, 0xfff, run->size / 2 + 0x123, run->size - 1 };
        uint64_t outside[] = { run->va - 1, run->va + run->size };
        struct run found;

        for (size_t j = 0; j < ARRAY_SIZE(offsets); j++) {
            assert_true(lookup(run->va + offsets[j], &found));
            assert_int_equal(found.pa, run->pa + offsets[j]);
            assert_int_equal(found.rights, run->rights);
        }
        for (size_t j = 0; j < ARRAY_SIZE(outside); j++)
            assert_int_equal(lookup(outside[j], &found), is_mapped_by(m, outside[j]));
    }
}

static void check_absent(const struct machine *m)
{
    struct run found;

    assert_false(lookup(0, &found));
    assert_false(lookup(0xfff, &found));
    assert_false(lookup(0x100000, &found));
    assert_false(lookup(0x7fffffffffff, &found));
    assert_false(lookup(UINT64_MAX, &found));
    for (unsigned i = 0; i < 4; i++)
        assert_false(lookup(IMAGE_BASE + m->guards[i] + i, &found));
    for (uint64_t frame = m->image.base.v; frame < m->image.base.v + m->image.size; frame += 0x1000)
        assert_false(lookup(DIRECT_MAP + frame, &found));
}

static void test_machines(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(machines); i++)
        for (unsigned gib_pages = 0; gib_pages < 2; gib_pages++) {
            build(&machines[i], gib_pages);
            walk(map.root.v, 4, 0);
            check_runs(&machines[i]);
            check_tables(&machines[i]);
            check_lookup(&machines[i]);
            check_absent(&machines[i]);
        }
}

/* Large pages are used wherever they fit: known numbers of tables for known machines. */
static void test_table_counts(void **state)
{
    static const struct {
        unsigned machine, gib_pages;
        size_t tables;
    } counts[] = {
        /* PML4; image: PDPT, PD, PT; direct: PDPT, PD, PT */
        { 0, 0, 7 },
        { 0, 1, 7 },
        /* image 3; direct: PDPT; PDs of GiB 0, 1, 2, 4, 5, 6, 7; PTs of 0-2M and the last 5 pages
         */
        { 1, 0, 1 + 3 + 1 + 7 + 2 },
        { 1, 1, 1 + 3 + 1 + 2 + 2 },
        /* direct: PDPT, PD of GiB 0, PT of 2-8 MiB: none needed; six PDs or GiB pages */
        { 3, 0, 1 + 3 + 1 + 1 + 6 },
        { 3, 1, 1 + 3 + 1 + 1 },
        /* image: PDPT, two PDs, two PTs; direct: PDPT, PDs of GiB 0 to 3 or 0 and 1, two PTs */
        { 4, 0, 1 + 5 + 1 + 4 + 2 },
        { 4, 1, 1 + 5 + 1 + 2 + 2 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
        build(&machines[counts[i].machine], counts[i].gib_pages);
        walk(map.root.v, 4, 0);
        if (table_count != counts[i].tables)
            fail_msg("machine %u, GiB pages %u: %zu tables", counts[i].machine, counts[i].gib_pages,
                     table_count);
    }
}

/* ------ Single mappings ------ */

static const struct {
    uint64_t va, pa, size;
    unsigned rights;
    bool gib_pages;
    size_t tables;
} mappings[] = {
    { DIRECT_MAP, 0, PAGE_SIZE, R, false, 4 },
    { DIRECT_MAP, 0xfee00000, PAGE_SIZE, W | UC, false, 4 },
    { DIRECT_MAP, 0xc0000000, 2 * MiB, W | UC, true, 3 },
    { DIRECT_MAP, 2 * MiB, 2 * MiB - PAGE_SIZE, X, true, 4 },
    { DIRECT_MAP, PAGE_SIZE, 2 * MiB, W, true, 4 },             /* not congruent */
    { DIRECT_MAP + PAGE_SIZE, PAGE_SIZE, 4 * MiB, W, true, 5 }, /* congruent: small, 2M, small */
    { DIRECT_MAP, GiB, GiB, R, true, 2 },
    { DIRECT_MAP, GiB, GiB, R, false, 3 },
    { DIRECT_MAP, 2 * MiB, GiB, R, true, 3 },
    { DIRECT_MAP + 511 * GiB, 0, 2 * GiB, R, true, 3 }, /* across two PML4 entries */
    { 0 - PAGE_SIZE, 0x5000, PAGE_SIZE, R, true, 4 },   /* the last page of all */
    { 0 - GiB, BITS(51, 30), GiB, R, true, 2 },         /* the highest frames */
    { PAGE_SIZE, 0x5000, 0, W, true, 1 },               /* nothing */
};

static void test_mappings(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(mappings); i++) {
        start(&machines[0], mappings[i].gib_pages);
        hostmap_map(&map, mappings[i].va, (struct extent){ hpa(mappings[i].pa), mappings[i].size },
                    mappings[i].rights);
        walk(map.root.v, 4, 0);
        assert_int_equal(run_count, mappings[i].size != 0);
        if (mappings[i].size) {
            assert_int_equal(runs[0].va, mappings[i].va);
            assert_int_equal(runs[0].pa, mappings[i].pa);
            assert_int_equal(runs[0].size, mappings[i].size);
            assert_int_equal(runs[0].rights, mappings[i].rights);
            check_lookup(&(const struct machine){ .runs = { runs[0] } });
        }
        if (table_count != mappings[i].tables)
            fail_msg("mapping %zu: %zu tables", i, table_count);
    }
}

static void try_map(uint64_t va, uint64_t pa, uint64_t size, unsigned rights)
{
    hostmap_map(&map, va, (struct extent){ hpa(pa), size }, rights);
}

/* A second mapping that overlaps the first, on every pair of levels. */
static void test_mapping_twice_panics(void **state)
{
    static const struct {
        uint64_t first, size, second, second_size;
    } pairs[] = {
        { 0, PAGE_SIZE, 0, PAGE_SIZE },
        { 0, 2 * MiB, 0, 2 * MiB },
        { 0, GiB, 0, GiB },
        { 0, 2 * MiB, 2 * MiB - PAGE_SIZE, PAGE_SIZE },
        { 0, GiB, 0x5000, PAGE_SIZE },
        { 0, GiB, 2 * MiB, 2 * MiB },
        { 0x5000, PAGE_SIZE, 0, GiB },
        { 0x5000, PAGE_SIZE, 0, 2 * MiB },
        { 2 * MiB, 2 * MiB, 0, GiB },
        { 0x5000, PAGE_SIZE, 0x4000, 2 * PAGE_SIZE },
    };

    (void)state;
    for (volatile size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
        start(&machines[0], true);
        try_map(DIRECT_MAP + pairs[i].first, pairs[i].first, pairs[i].size, R);
        assert_true(host_expect_panic(
            try_map(DIRECT_MAP + pairs[i].second, pairs[i].second, pairs[i].second_size, R)));
        assert_non_null(strstr(host_panic_text(), "mapped already"));
    }
}

static void test_wrong_mappings_panic(void **state)
{
    static const struct {
        uint64_t va, pa, size;
        unsigned rights;
    } wrong[] = {
        { DIRECT_MAP, 0, PAGE_SIZE, W | X },     { DIRECT_MAP, 0, PAGE_SIZE, W | X | UC },
        { DIRECT_MAP + 1, 0, PAGE_SIZE, R },     { DIRECT_MAP, 0x800, PAGE_SIZE, R },
        { DIRECT_MAP, 0, PAGE_SIZE + 0x800, R },
    };

    (void)state;
    for (volatile size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        start(&machines[0], true);
        assert_true(
            host_expect_panic(try_map(wrong[i].va, wrong[i].pa, wrong[i].size, wrong[i].rights)));
    }
}

static void test_out_of_frames_panics(void **state)
{
    (void)state;
    start(&machines[0], false);
    frames_reserve(&frames, (struct extent){ hpa(0), FRAMES_END });
    assert_true(host_expect_panic(try_map(DIRECT_MAP, 0, PAGE_SIZE, R)));
    assert_true(host_expect_panic(hostmap_init(&map, &frames, false)));
}

/*
 * An address that is not canonical translates to nothing, whatever its low 48 bits say.
 */
static void test_lookup_not_canonical(void **state)
{
    struct run found;

    (void)state;
    build(&machines[0], true);
    assert_true(lookup(DIRECT_MAP + 0x1000, &found));
    assert_false(lookup((DIRECT_MAP + 0x1000) & BITS(47, 0), &found));
    assert_false(lookup((DIRECT_MAP + 0x1000) ^ BIT(63), &found));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_machines),
        cmocka_unit_test(test_table_counts),
        cmocka_unit_test(test_mappings),
        cmocka_unit_test(test_mapping_twice_panics),
        cmocka_unit_test(test_wrong_mappings_panic),
        cmocka_unit_test(test_out_of_frames_panics),
        cmocka_unit_test(test_lookup_not_canonical),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
