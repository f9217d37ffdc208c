/* SPDX-License-Identifier: MIT */
/*
 * The virtual TLB against its contract (mm/vtlb.h), in both formats and with both empty entries.
 * Tables are also read here word by word, as the processor does: what is not filled must be the
 * empty entry, and a PAE root must hold nothing but P and addresses (SDM 3A 4.4.1).
 */
#include "mm/vtlb.h"
#include "tests/host/host.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define ARENA_BASE 0x7fc00000ull
#define ARENA_SIZE (512 * PAGE_SIZE)
#define FRAME      0x654321000ull /* of leaves: invented */
#define LEAF       (PTE_P | PTE_U | PTE_A)

static struct frames frames;
static uint64_t bitmap[(ARENA_BASE + ARENA_SIZE) / PAGE_SIZE / 64 + 1];
static struct pool pool;
static struct vtlb vtlb;

static const struct setting {
    enum shadow_format format;
    uint64_t empty;
} settings[] = {
    { SHADOW_PAE, SPTE_TRAP },
    { SHADOW_PAE, 0 },
    { SHADOW_4LEVEL, SPTE_TRAP },
    { SHADOW_4LEVEL, 0 },
};

#define FOR_EACH_SETTING(s) for (const struct setting *s = settings; s < settings + 4; s++)

static void start(const struct setting *setting)
{
    host_arena_init(ARENA_BASE, ARENA_SIZE);
    frames_init(&frames, bitmap, hpa(ARENA_BASE + ARENA_SIZE));
    frames_release(&frames, (struct extent){ hpa(ARENA_BASE), ARENA_SIZE });
    assert_true(pool_init(&pool, &frames, POOL_PAGES_MIN));
    vtlb_init(&vtlb, &pool, setting->format, spte(setting->empty));
}

static void finish(void)
{
    vtlb_destroy(&vtlb);
    assert_int_equal(pool.free_pages, POOL_PAGES_MIN);
    pool_destroy(&pool, &frames);
    assert_int_equal(frames.free, ARENA_SIZE / PAGE_SIZE);
}

static bool is_long(const struct setting *setting)
{
    return setting->format == SHADOW_4LEVEL;
}

static struct vtlb_leaf leaf(uint64_t frame, uint64_t bits, uint8_t shift)
{
    return (struct vtlb_leaf){ spte(frame | LEAF | bits), shift };
}

/* Fills where the pool is known to last. */
static uint64_t fill(uint64_t address, struct vtlb_leaf filled)
{
    spte_t old = spte(~0ull);

    assert_false(vtlb_fill(&vtlb, gva(address), filled, &old));
    assert_int_equal(vtlb_lookup(&vtlb, gva(address)).v, filled.entry.v);
    return old.v;
}

static bool is_there(uint64_t address)
{
    spte_t entry = vtlb_lookup(&vtlb, gva(address));

    if (entry.v == vtlb.empty.v)
        return false;
    assert_true(spte_usable(entry));
    return true;
}

/* ------ The tables, word by word ------ */

static uint64_t word(uint64_t table, unsigned index)
{
    assert_true(table >= pool.base.v && table < pool.base.v + POOL_PAGES_MIN * PAGE_SIZE);
    assert_int_equal(table % PAGE_SIZE, 0);
    return ((uint64_t *)host_ptr(hpa(table)))[index];
}

static bool is_pdpte(const struct setting *s, unsigned level)
{
    return !is_long(s) && level == 3;
}

/* Counts the tables from table on; all words have to be empty or well-formed. */
static unsigned check_tables(const struct setting *s, uint64_t table, unsigned level)
{
    unsigned tables = 1;

    for (unsigned i = 0; i < (is_pdpte(s, level) ? 4 : 512); i++) {
        uint64_t entry = word(table, i);

        if (entry == (is_pdpte(s, level) ? 0 : s->empty))
            continue;
        assert_true(entry & PTE_P);
        if (level == 1)
            continue;
        if (is_pdpte(s, level))
            assert_int_equal(entry & ~BITS(51, 12), PTE_P);
        else
            assert_int_equal(entry & ~BITS(51, 12) & ~SPTE_MARKS, PTE_P | PTE_W | PTE_U);
        tables += check_tables(s, entry & BITS(51, 12), level - 1);
    }
    return tables;
}

static const char *any_leaf(const void *context, spte_t entry)
{
    return context || !spte_usable(entry) ? "the test is wrong" : NULL;
}

static void check(const struct setting *s)
{
    unsigned tables = check_tables(s, vtlb.root.v, is_long(s) ? 4 : 3);

    assert_int_equal(tables, POOL_PAGES_MIN - pool.free_pages);
    assert_true(vtlb_audit(&vtlb, any_leaf, NULL));
}

static void test_empty(void **state)
{
    static const uint64_t addresses[] = { 0, 0x1000, 0x7fffffff, 0xffffffff };

    (void)state;
    FOR_EACH_SETTING(s)
    {
        start(s);
        check(s);
        assert_int_equal(pool.free_pages, POOL_PAGES_MIN - 1);
        assert_true(vtlb.root.v < 4 * GiB);
        for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
            assert_int_equal(vtlb_lookup(&vtlb, gva(addresses[i])).v, s->empty);
            assert_false(vtlb_drop(&vtlb, gva(addresses[i])));
        }
        vtlb_flush(&vtlb, true);
        vtlb_flush(&vtlb, false);
        check(s);
        finish();
    }
}

static void test_fill_and_lookup(void **state)
{
    static const uint64_t addresses[] = {
        0,
        0x1000,
        0x1ff000,
        0x200000,
        0x3ff000,
        0x40000000,
        0xbffff000,
        0xfffff000,
        0x8000000000,
        0x7ffffffff000,
        0xffff800000000000,
        0xffffffff80000000,
        0xfffffffffffff000,
    };

    (void)state;
    FOR_EACH_SETTING(s)
    {
        size_t count = is_long(s) ? ARRAY_SIZE(addresses) : 8;

        start(s);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(fill(addresses[i] + i * 7, leaf(FRAME + i * PAGE_SIZE, 0, 12)),
                             s->empty);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(vtlb_lookup(&vtlb, gva(addresses[i] | 0xfff)).v,
                             FRAME + i * PAGE_SIZE + LEAF);
        assert_false(is_there(0x2000));
        assert_false(is_there(0x40001000));
        assert_false(is_there(0x400000));
        check(s);
        /* A fill in the same place returns what was there. */
        assert_int_equal(fill(0x1000, leaf(0x777000, PTE_W | PTE_D, 12)), FRAME + 0x1000 + LEAF);
        check(s);
        vtlb_flush(&vtlb, false);
        for (size_t i = 0; i < count; i++)
            assert_false(is_there(addresses[i]));
        assert_int_equal(pool.free_pages, POOL_PAGES_MIN - 1);
        check(s);
        finish();
    }
}

/* The words in the tables are those that hardware looks at: walk them by hand for one address. */
static void test_places_in_tables(void **state)
{
    (void)state;
    FOR_EACH_SETTING(s)
    {
        uint64_t address = is_long(s) ? 0xffff812345678000 : 0xd2345000, table;

        start(s);
        fill(address, leaf(FRAME, PTE_NX, 12));
        table = vtlb.root.v;
        if (is_long(s))
            table = word(table, 258) & BITS(51, 12);
        table = word(table, is_long(s) ? 141 : 3) & BITS(51, 12);
        table = word(table, is_long(s) ? 43 : 145) & BITS(51, 12);
        assert_int_equal(word(table, is_long(s) ? 120 : 325), FRAME | LEAF | PTE_NX);
        finish();
    }
}

static void test_drop_of_one_page(void **state)
{
    (void)state;
    FOR_EACH_SETTING(s)
    for (unsigned global = 0; global < 2; global++) {
        start(s);
        for (uint64_t i = 0; i < 3; i++)
            fill(0x5000 + i * PAGE_SIZE, leaf(FRAME, global ? PTE_G : 0, 12));
        assert_false(vtlb_drop(&vtlb, gva(0x6fff)));
        assert_true(is_there(0x5000));
        assert_false(is_there(0x6000));
        assert_true(is_there(0x7000));
        assert_false(vtlb_drop(&vtlb, gva(0x6000)));
        assert_false(vtlb_drop(&vtlb, gva(0x40006000)));
        assert_true(is_there(0x5000) && is_there(0x7000));
        check(s);
        finish();
    }
}

/* Globals and others, in the same table and in tables of their own. */
static void test_flush_keeps_globals(void **state)
{
    static const struct {
        uint64_t address;
        bool global;
    } pages[] = {
        { 0x1000, true },      { 0x2000, false },     { 0x3000, true },     { 0x200000, false },
        { 0x400000, true },    { 0x40000000, false }, { 0x80000000, true }, { 0x80001000, false },
        { 0xc0000000, false }, { 0xfffff000, true },
    };

    (void)state;
    FOR_EACH_SETTING(s)
    {
        start(s);
        for (size_t i = 0; i < ARRAY_SIZE(pages); i++)
            fill(pages[i].address, leaf(FRAME, pages[i].global ? PTE_G : 0, 12));
        for (unsigned round = 0; round < 2; round++) {
            vtlb_flush(&vtlb, true);
            check(s);
            for (size_t i = 0; i < ARRAY_SIZE(pages); i++)
                assert_int_equal(is_there(pages[i].address), pages[i].global);
        }
        vtlb_flush(&vtlb, false);
        for (size_t i = 0; i < ARRAY_SIZE(pages); i++)
            assert_false(is_there(pages[i].address));
        finish();
    }
}

/* A page filled as global, then not, goes; the reverse stays. */
static void test_refilled_globals(void **state)
{
    (void)state;
    FOR_EACH_SETTING(s)
    {
        start(s);
        fill(0x1000, leaf(FRAME, PTE_G, 12));
        fill(0x1000, leaf(FRAME, 0, 12));
        fill(0x40000000, leaf(FRAME, 0, 12));
        fill(0x40000000, leaf(FRAME, PTE_G, 12));
        vtlb_flush(&vtlb, true);
        assert_false(is_there(0x1000));
        assert_true(is_there(0x40000000));
        check(s);
        finish();
    }
}

/* ------ Large guest pages ------ */

struct large_case {
    uint8_t shift;
    bool long_only;
    uint64_t base;
    unsigned pieces;
    uint64_t piece[3];
    unsigned drops;
    uint64_t drop[5]; /* offsets for INVLPG; each one has to drop all pieces */
};

/* 'page' has what pieces of c there are; one more, of a small page, lies far away. */
static void check_large(const struct setting *s, const struct large_case *c, uint64_t bits)
{
    for (unsigned d = 0; d < c->drops; d++) {
        start(s);
        for (unsigned i = 0; i < c->pieces; i++)
            fill(c->base + c->piece[i], leaf(FRAME + c->piece[i], bits, c->shift));
        fill(0xc0000000, leaf(FRAME, 0, 12));
        if (bits & PTE_G)
            vtlb_flush(&vtlb, true); /* the marks outlive it */
        if (!vtlb_drop(&vtlb, gva(c->base + c->drop[d])))
            fail_msg("page of 1 << %u, drop of +0x%lx: no whole flush", c->shift, c->drop[d]);
        for (unsigned i = 0; i < c->pieces; i++)
            if (is_there(c->base + c->piece[i]))
                fail_msg("page of 1 << %u: piece +0x%lx stays after a drop of +0x%lx", c->shift,
                         c->piece[i], c->drop[d]);
        assert_int_equal(is_there(0xc0000000), !(bits & PTE_G));
        check(s);
        finish();
    }
}

static void check_large_cases(const struct large_case *cases, size_t count)
{
    FOR_EACH_SETTING(s)
    for (size_t i = 0; i < count; i++) {
        if (cases[i].long_only && !is_long(s))
            continue;
        if (cases[i].shift == 22 && is_long(s))
            continue;
        check_large(s, &cases[i], 0);
        check_large(s, &cases[i], PTE_G);
    }
}

/* SDM 3A 4.10.4.1: INVLPG of any byte invalidates all TLB entries for a page above 4 KiB. */
static void test_drop_of_large_pages(void **state)
{
    static const struct large_case cases[] = {
        { 21, false, 0x600000, 1, { 0x1000 }, 3, { 0, 0x1000, 0x1fffff } },
        { 21, false, 0x400000, 2, { 0, 0x1ff000 }, 4, { 0, 0x1000, 0x100000, 0x1fffff } },
        { 21, true, 0xffffffff80000000, 1, { 0x5000 }, 2, { 0, 0x1fffff } },
        { 22, false, 0x400000, 2, { 0, 0x200000 }, 4, { 0, 0x1fffff, 0x200000, 0x3fffff } },
        { 22, false, 0x800000, 2, { 0x1000, 0x3ff000 }, 4, { 0, 0x1000, 0x3ff000, 0x2ff123 } },
        { 22, false, 0x400000, 1, { 0x3000 }, 2, { 0, 0x1fffff } },
        { 22, false, 0x400000, 1, { 0x203000 }, 2, { 0x200000, 0x3fffff } },
        { 30, true, 0x40000000, 1, { 0 }, 4, { 0, 0x1000, 0x200000, 0x3fffffff } },
        { 30, true, 0x40000000, 3, { 0, 0x200000, 0x3ffff000 }, 3, { 1, 0x20000000, 0x3fffffff } },
        { 30, true, 0xffffffffc0000000, 2, { 0x1000, 0x3ffff000 }, 2, { 0, 0x2000 } },
    };

    (void)state;
    check_large_cases(cases, ARRAY_SIZE(cases));
}

/* INVLPG of the half of a 4 MiB page of which no piece was used; see the test above. */
static void test_drop_of_the_other_half_of_a_4m_page(void **state)
{
    static const struct large_case cases[] = {
        { 22, false, 0x400000, 1, { 0x203000 }, 2, { 0, 0x1fffff } },
        { 22, false, 0x400000, 1, { 0x3000 }, 2, { 0x200000, 0x3fffff } },
    };

    (void)state;
    check_large_cases(cases, ARRAY_SIZE(cases));
}

/* As above, where that half has a table left from small pages that were there before. */
static void test_drop_of_the_other_half_with_small_pages(void **state)
{
    (void)state;
    start(&settings[0]);
    fill(0x401000, leaf(FRAME, 0, 12));
    fill(0x603000, leaf(FRAME, 0, 22));
    assert_true(vtlb_drop(&vtlb, gva(0x402000)));
    assert_false(is_there(0x603000));
    finish();
}

/* Marks of one page must not make small pages elsewhere cost a whole flush. */
static void test_marks_stay_local(void **state)
{
    (void)state;
    FOR_EACH_SETTING(s)
    {
        start(s);
        fill(0x400000, leaf(FRAME, 0, 21));
        assert_int_equal(fill(0x400000, leaf(FRAME, 0, 21)), FRAME | LEAF); /* as it was given */
        fill(0x801000, leaf(FRAME, 0, 12));
        fill(0x80001000, leaf(FRAME, 0, 12));
        assert_false(vtlb_drop(&vtlb, gva(0x801000)));
        assert_false(vtlb_drop(&vtlb, gva(0x80001000)));
        assert_true(is_there(0x400000));
        finish();
    }
}

/* ------ The pool ------ */

/*
 * Every fill in a new 512 GiB takes three tables, until there are fewer and all are dropped; before
 * that some more tables are taken, so that none, one or two are left at the end.
 */
static void check_exhaustion(const struct setting *s, unsigned more)
{
    uint64_t root, last = 0;
    spte_t old;

    start(s);
    root = vtlb.root.v;
    fill(0, leaf(FRAME, PTE_G, 12));
    for (unsigned i = 1; i <= more; i++)
        fill(i * 2 * MiB, leaf(FRAME, 0, 12));
    do {
        check(s);
        last += 512 * GiB;
    } while (!vtlb_fill(&vtlb, gva(last), leaf(FRAME, PTE_G, 12), &old));
    assert_int_equal(last / (512 * GiB), (POOL_PAGES_MIN - 1 - more) / 3);
    assert_int_equal(vtlb.root.v, root);
    assert_int_equal(old.v, s->empty);
    assert_int_equal(pool.free_pages, POOL_PAGES_MIN - 1 - 3);
    assert_true(is_there(last));
    for (uint64_t address = 0; address < last; address += 512 * GiB)
        assert_false(is_there(address));
    check(s);
    finish();
}

static void test_exhaustion(void **state)
{
    (void)state;
    for (const struct setting *s = settings + 2; s < settings + 4; s++)
        for (unsigned more = 0; more < 3; more++)
            check_exhaustion(s, more);
}

static void test_exhaustion_of_a_pae_shadow(void **state)
{
    (void)state;
    for (const struct setting *s = settings; s < settings + 2; s++) {
        uint64_t address = 0;
        spte_t old;

        start(s);
        while (!vtlb_fill(&vtlb, gva(address), leaf(FRAME, 0, 12), &old))
            address += 2 * MiB;
        assert_true(address >= (POOL_PAGES_MIN - 5) * 2 * MiB); /* not before it must */
        assert_true(is_there(address) && !is_there(0) && !is_there(address - 2 * MiB));
        check(s);
        finish();
    }
}

static void test_pool_gives_each_page_once(void **state)
{
    uint64_t seen = 0;

    (void)state;
    start(&settings[0]);
    vtlb_destroy(&vtlb);
    for (unsigned i = 0; i < POOL_PAGES_MIN; i++) {
        hpa_t page = pool_take(&pool, spte(SPTE_TRAP));
        uint64_t number = (page.v - pool.base.v) / PAGE_SIZE;

        assert_true(number < POOL_PAGES_MIN && !(seen & BIT(number)));
        seen |= BIT(number);
        for (unsigned w = 0; w < 512; w++)
            assert_int_equal(word(page.v, w), SPTE_TRAP);
    }
    assert_true(host_expect_panic(pool_take(&pool, spte(0))));
    assert_true(host_expect_panic(pool_give(&pool, hpa(pool.base.v - PAGE_SIZE))));
    assert_true(host_expect_panic(pool_give(&pool, hpa_add(pool.base, 64 * PAGE_SIZE))));
    pool_destroy(&pool, &frames);
    assert_int_equal(frames.free, ARENA_SIZE / PAGE_SIZE);
}

/* A pool lies below 4 GiB, where a PAE root can be; a machine that has no such block is refused. */
static void test_pool_lies_low(void **state)
{
    static uint64_t high_bitmap[(4 * GiB + 256 * PAGE_SIZE) / PAGE_SIZE / 64];
    struct pool high = { .pages = 1 };

    (void)state;
    host_arena_init(4 * GiB - 63 * PAGE_SIZE, 319 * PAGE_SIZE);
    frames_init(&frames, high_bitmap, hpa(4 * GiB + 256 * PAGE_SIZE));
    frames_release(&frames, (struct extent){ hpa(4 * GiB - 63 * PAGE_SIZE), 319 * PAGE_SIZE });
    assert_false(pool_init(&high, &frames, POOL_PAGES_MIN));
    pool_destroy(&high, &frames);
    assert_int_equal(frames.free, 319);
    assert_true(host_expect_panic((void)!pool_init(&high, &frames, POOL_PAGES_MIN - 1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_fill_and_lookup),
        cmocka_unit_test(test_places_in_tables),
        cmocka_unit_test(test_drop_of_one_page),
        cmocka_unit_test(test_flush_keeps_globals),
        cmocka_unit_test(test_refilled_globals),
        cmocka_unit_test(test_drop_of_large_pages),
        cmocka_unit_test(test_drop_of_the_other_half_of_a_4m_page),
        cmocka_unit_test(test_drop_of_the_other_half_with_small_pages),
        cmocka_unit_test(test_marks_stay_local),
        cmocka_unit_test(test_exhaustion),
        cmocka_unit_test(test_exhaustion_of_a_pae_shadow),
        cmocka_unit_test(test_pool_gives_each_page_once),
        cmocka_unit_test(test_pool_lies_low),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
