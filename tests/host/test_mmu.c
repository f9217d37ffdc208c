/* SPDX-License-Identifier: MIT */
/*
 * The face of mm/ on hand-made guest tables: one table of guests, one a paging mode and page size,
 * and for each what a fault must do to the guest's memory, to the shadow leaf, and to the TLB. A
 * guest's entries are given top-down; entry i is at where[i], and the last maps the page.
 *
 * Guest-physical: RAM 0 to 4 MiB, ROM 4 MiB to 4 MiB + 64 KiB, a device page after it, then a hole.
 */
#include "mm/mmu.h"
#include "tests/host/host.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define ARENA_BASE  0x40000000ull
#define POOL_SIZE   (POOL_PAGES_MIN * PAGE_SIZE)
#define RAM_SIZE    (4 * MiB)
#define ROM_SIZE    (64 * KiB)
#define ARENA_SIZE  (POOL_SIZE + RAM_SIZE + ROM_SIZE)
#define RAM_HOST    (ARENA_BASE + POOL_SIZE)
#define ROM_HOST    (RAM_HOST + RAM_SIZE)
#define ROM_GPA     RAM_SIZE
#define DEVICE_GPA  (ROM_GPA + ROM_SIZE)
#define HOLE_GPA    (DEVICE_GPA + PAGE_SIZE)
#define PAE_CR3     0x2020ull
#define RIGHTS      (PTE_P | PTE_W | PTE_U)
#define FETCH       ACCESS_FETCH
#define WRITE       ACCESS_WRITE
#define USER        ACCESS_USER
#define HW_NOT_HERE (PF_P | PF_RSVD) /* the error code of a hit on TRAP */

#define CR0_PAGED (CR0_PE | CR0_PG | CR0_WP)
#define EFER_LONG (EFER_LME | EFER_LMA)

enum { PDPTE_FIRST = 1 }; /* entry 0 is a PDPTE: registers, no A */

static const struct guest {
    const char *name;
    uint64_t cr3, cr4, efer;
    unsigned size, count, flags;
    uint64_t where[4];
    uint64_t entry[4];
    uint64_t gva, gpa; /* of the byte accessed */
} guests[] = {
    { "32-bit",
      0x1000,
      0,
      0,
      4,
      2,
      0,
      { 0x1004, 0x4004 },
      { 0x4000 | RIGHTS, 0x101000 | RIGHTS },
      0x401abc,
      0x101abc },
    { "PSE", 0x1000, CR4_PSE, 0, 4, 1, 0, { 0x1004 }, { RIGHTS | PTE_PS }, 0x601abc, 0x201abc },
    { "PAE",
      PAE_CR3,
      CR4_PAE,
      EFER_NXE,
      8,
      3,
      PDPTE_FIRST,
      { PAE_CR3 + 8, 0x3008, 0x4008 },
      { 0x3000 | PTE_P, 0x4000 | RIGHTS, 0x101000 | RIGHTS },
      0x40201abc,
      0x101abc },
    { "PAE 2M",
      PAE_CR3,
      CR4_PAE,
      EFER_NXE,
      8,
      2,
      PDPTE_FIRST,
      { PAE_CR3 + 8, 0x3008 },
      { 0x3000 | PTE_P, 0x200000 | RIGHTS | PTE_PS },
      0x40301abc,
      0x301abc },
    { "4-level",
      0x1000,
      CR4_PAE,
      EFER_LONG | EFER_NXE,
      8,
      4,
      0,
      { 0x1800, 0x2808, 0x3008, 0x4008 },
      { 0x2000 | RIGHTS, 0x3000 | RIGHTS, 0x4000 | RIGHTS, 0x101000 | RIGHTS },
      0xffff804040201abc,
      0x101abc },
    { "4-level 2M",
      0x1000,
      CR4_PAE,
      EFER_LONG | EFER_NXE,
      8,
      3,
      0,
      { 0x1800, 0x2808, 0x3008 },
      { 0x2000 | RIGHTS, 0x3000 | RIGHTS, 0x200000 | RIGHTS | PTE_PS },
      0xffff804040301abc,
      0x301abc },
    { "4-level 1G",
      0x1000,
      CR4_PAE,
      EFER_LONG | EFER_NXE,
      8,
      2,
      0,
      { 0x1800, 0x2808 },
      { 0x2000 | RIGHTS, RIGHTS | PTE_PS },
      0xffff804040301abc,
      0x301abc },
};

#define FOR_EACH_GUEST(g) for (const struct guest *g = guests; g < guests + 7; g++)
#define GUEST_32          (&guests[0])
#define GUEST_PSE         (&guests[1])
#define GUEST_PAE         (&guests[2])
#define GUEST_LONG        (&guests[4])

static struct frames frames;
static uint64_t bitmap[(ARENA_BASE + ARENA_SIZE) / PAGE_SIZE / 64 + 1];
static struct pool pool;
static struct gpm gpm;
static struct mmu mmu;
static uint8_t expected[RAM_SIZE];

/* ------ Making guests ------ */

static void make_machine(void)
{
    host_arena_init(ARENA_BASE, ARENA_SIZE);
    frames_init(&frames, bitmap, hpa(ARENA_BASE + ARENA_SIZE));
    frames_release(&frames, (struct extent){ hpa(ARENA_BASE), POOL_SIZE });
    assert_true(pool_init(&pool, &frames, POOL_PAGES_MIN));
    gpm = (struct gpm){ .count = 0 };
    assert_true(gpm_add(&gpm, (struct gpm_region){ gpa(0), RAM_SIZE, GPM_RAM, hpa(RAM_HOST) }));
    assert_true(
        gpm_add(&gpm, (struct gpm_region){ gpa(ROM_GPA), ROM_SIZE, GPM_ROM, hpa(ROM_HOST) }));
    assert_true(
        gpm_add(&gpm, (struct gpm_region){ gpa(DEVICE_GPA), PAGE_SIZE, GPM_DEVICE, hpa(0) }));
}

static void put(const struct guest *g, uint64_t where, uint64_t entry)
{
    assert_true(gpm_write(&gpm, gpa(where), &entry, g->size));
}

static uint64_t get(const struct guest *g, unsigned i)
{
    uint64_t entry = 0;

    assert_true(gpm_read(&gpm, gpa(g->where[i]), &entry, g->size));
    return entry;
}

static struct paging_regs regs_of(const struct guest *g)
{
    return (struct paging_regs){ .cr0 = CR0_PAGED,
                                 .cr3 = g->cr3,
                                 .cr4 = g->cr4,
                                 .efer = g->efer,
                                 .maxphyaddr = 40,
                                 .gib_pages = true };
}

/* The guest with its tables as given, and with more bits in CR0, CR4 and EFER. */
static void start_with(const struct guest *g, struct paging_regs more)
{
    struct paging_regs regs = regs_of(g);

    regs.cr0 ^= more.cr0; /* so that WP can be cleared */
    regs.cr4 |= more.cr4;
    regs.efer ^= more.efer;
    regs.ac = more.ac;
    make_machine();
    for (unsigned i = 0; i < g->count; i++)
        put(g, g->where[i], g->entry[i]);
    mmu_init(&mmu, &gpm, &pool, &regs, spte(SPTE_TRAP));
    assert_true(mmu_load_cr3(&mmu, g->cr3));
    host_flushes_clear();
}

static void start(const struct guest *g)
{
    start_with(g, (struct paging_regs){ 0 });
}

static void start_unpaged(void)
{
    struct paging_regs regs = { .cr0 = CR0_PE, .maxphyaddr = 40 };

    make_machine();
    mmu_init(&mmu, &gpm, &pool, &regs, spte(SPTE_TRAP));
    host_flushes_clear();
}

static void finish(void)
{
    assert_true(mmu_audit(&mmu));
    mmu_destroy(&mmu);
    assert_int_equal(pool.free_pages, POOL_PAGES_MIN);
    pool_destroy(&pool, &frames);
    assert_int_equal(frames.free, POOL_PAGES_MIN);
}

/* ------ Asking and judging ------ */

static uint64_t leaf(uint64_t address)
{
    spte_t entry = vtlb_lookup(&mmu.vtlb, gva(address));

    return spte_usable(entry) ? entry.v : 0;
}

static void resumes(uint64_t address, unsigned access)
{
    struct mmu_outcome outcome = mmu_fault(&mmu, gva(address), access, HW_NOT_HERE);

    assert_int_equal(outcome.verdict, MMU_RESUME);
    assert_true(leaf(address));
}

static void injects(uint64_t address, unsigned access, uint64_t error_code)
{
    uint64_t before = mmu.stats.pf_guest;
    struct mmu_outcome outcome = mmu_fault(&mmu, gva(address), access, HW_NOT_HERE);

    assert_int_equal(outcome.verdict, MMU_INJECT);
    assert_int_equal(outcome.error_code, error_code);
    assert_int_equal(leaf(address), 0); /* a fault drops its address */
    assert_int_equal(mmu.stats.pf_guest, before + 1);
}

static void is_device(uint64_t address, unsigned access, uint64_t where)
{
    struct mmu_outcome outcome = mmu_fault(&mmu, gva(address), access, HW_NOT_HERE);

    assert_int_equal(outcome.verdict, MMU_DEVICE);
    assert_int_equal(outcome.gpa.v, where);
}

/* Flushes since the last time, of one address and of everything. */
static void flushed(unsigned long addresses, unsigned long non_globals, unsigned long all)
{
    assert_int_equal(host_flushes[TLB_FLUSH_ADDRESS], addresses);
    assert_int_equal(host_flushes[TLB_FLUSH_NON_GLOBALS], non_globals);
    assert_int_equal(host_flushes[TLB_FLUSH_ALL], all);
    host_flushes_clear();
}

static uint64_t host_page(uint64_t where)
{
    return RAM_HOST + (where & ~PAGE_MASK);
}

static void remember_memory(void)
{
    memcpy(expected, host_ptr(hpa(RAM_HOST)), RAM_SIZE);
}

static void expect_bits(const struct guest *g, unsigned i, uint64_t bits)
{
    expected[g->where[i]] |= (uint8_t)bits; /* A and D are in the first byte */
}

static void memory_is_as_expected(void)
{
    assert_memory_equal(host_ptr(hpa(RAM_HOST)), expected, RAM_SIZE);
}

/* What error codes say of a fetch: nothing, unless NX or SMEP is on (SDM 3A 4.7). */
static uint64_t access_bits(const struct guest *g, unsigned access)
{
    return (access & WRITE ? PF_W : 0) | (access & USER ? PF_U : 0) |
           (access & FETCH && g->efer & EFER_NXE ? PF_ID : 0);
}

/* ------ Translations ------ */

static const unsigned accesses[] = { 0, WRITE, FETCH, USER, USER | WRITE, USER | FETCH };

/* A in every entry used, D in the leaf by a write, nothing else; W in the shadow if and only if D.
 */
static void test_flags_are_exact(void **state)
{
    (void)state;
    FOR_EACH_GUEST(g)
    for (size_t a = 0; a < ARRAY_SIZE(accesses); a++) {
        bool write = accesses[a] & WRITE;

        start(g);
        remember_memory();
        resumes(g->gva, accesses[a]);
        for (unsigned i = g->flags & PDPTE_FIRST ? 1 : 0; i < g->count; i++)
            expect_bits(g, i, PTE_A);
        if (write)
            expect_bits(g, g->count - 1, PTE_D);
        memory_is_as_expected();
        assert_int_equal(leaf(g->gva),
                         host_page(g->gpa) | PTE_P | PTE_U | PTE_A | (write ? PTE_W | PTE_D : 0));
        assert_int_equal(mmu.stats.pf_fixed, 1);
        flushed(0, 0, 0);
        finish();
    }
}

static void test_first_write_after_a_read(void **state)
{
    (void)state;
    FOR_EACH_GUEST(g)
    {
        start(g);
        resumes(g->gva, USER);
        assert_false(leaf(g->gva) & PTE_W);
        assert_false(get(g, g->count - 1) & PTE_D);
        resumes(g->gva, USER | WRITE);
        assert_true(leaf(g->gva) & PTE_W);
        assert_true(get(g, g->count - 1) & PTE_D);
        finish();
    }
}

/* A dirty page becomes writable by a read; one without W never does. */
static void test_dirty_pages(void **state)
{
    (void)state;
    FOR_EACH_GUEST(g)
    {
        unsigned last = g->count - 1;

        start(g);
        put(g, g->where[last], g->entry[last] | PTE_D);
        resumes(g->gva, 0);
        assert_true(leaf(g->gva) & PTE_W);
        mmu_invlpg(&mmu, gva(g->gva));
        put(g, g->where[last], (g->entry[last] | PTE_D) & ~PTE_W);
        resumes(g->gva, 0);
        assert_false(leaf(g->gva) & (PTE_W | PTE_D));
        finish();
    }
}

static void test_rights_in_the_leaf(void **state)
{
    (void)state;
    FOR_EACH_GUEST(g)
    for (unsigned i = 0; i < g->count; i++) {
        if (i == 0 && g->flags & PDPTE_FIRST)
            continue;
        start(g);
        put(g, g->where[i], g->entry[i] & ~PTE_U);
        resumes(g->gva, WRITE);
        assert_int_equal(leaf(g->gva), host_page(g->gpa) | PTE_P | PTE_A | PTE_W | PTE_D);
        if (g->efer & EFER_NXE) {
            mmu_invlpg(&mmu, gva(g->gva));
            put(g, g->where[i], g->entry[i] | PTE_NX);
            resumes(g->gva, WRITE);
            assert_int_equal(leaf(g->gva),
                             host_page(g->gpa) | PTE_P | PTE_A | PTE_U | PTE_W | PTE_D | PTE_NX);
        }
        finish();
    }
}

/* G counts in the leaf and with CR4.PGE only. */
static void test_globals(void **state)
{
    (void)state;
    FOR_EACH_GUEST(g)
    for (unsigned pge = 0; pge < 2; pge++) {
        unsigned last = g->count - 1;

        start_with(g, (struct paging_regs){ .cr4 = pge ? CR4_PGE : 0 });
        put(g, g->where[last], g->entry[last] | PTE_G);
        resumes(g->gva, 0);
        assert_int_equal((leaf(g->gva) & PTE_G) != 0, pge);
        assert_true(mmu_load_cr3(&mmu, g->cr3));
        assert_int_equal(leaf(g->gva) != 0, pge);
        finish();
    }
}

static void test_unpaged(void **state)
{
    (void)state;
    start_unpaged();
    assert_int_equal(mmu_format(&mmu), SHADOW_PAE);
    remember_memory();
    resumes(0x123456, 0);
    assert_int_equal(leaf(0x123456), host_page(0x123456) | RIGHTS | PTE_A | PTE_D);
    resumes(ROM_GPA, FETCH);
    assert_int_equal(leaf(ROM_GPA), ROM_HOST | PTE_P | PTE_U | PTE_A);
    is_device(ROM_GPA + 4, WRITE, ROM_GPA + 4);
    is_device(DEVICE_GPA + 8, 0, DEVICE_GPA + 8);
    is_device(0xfee00020, WRITE, 0xfee00020);
    memory_is_as_expected();
    finish();
}

/* ------ Faults of the guest ------ */

static void test_absent_entries(void **state)
{
    (void)state;
    FOR_EACH_GUEST(g)
    for (unsigned i = 0; i < g->count; i++)
        for (size_t a = 0; a < ARRAY_SIZE(accesses); a++) {
            start(g);
            put(g, g->where[i], ~PTE_P & (g->size == 8 ? UINT64_MAX : UINT32_MAX));
            assert_true(mmu_load_cr3(&mmu, g->cr3)); /* for the PDPTE */
            host_flushes_clear();
            remember_memory();
            injects(g->gva, accesses[a], access_bits(g, accesses[a]));
            memory_is_as_expected();
            flushed(1, 0, 0);
            finish();
        }
}

/* Each level that lacks U, W, or has NX, forbids; nothing is set in memory by that. */
static void check_forbidden(const struct guest *g, unsigned i, uint64_t entry, unsigned access)
{
    start(g);
    put(g, g->where[i], entry);
    remember_memory();
    injects(g->gva, access, PF_P | access_bits(g, access));
    memory_is_as_expected();
    finish();
}

static void test_forbidden_accesses(void **state)
{
    (void)state;
    FOR_EACH_GUEST(g)
    for (unsigned i = g->flags & PDPTE_FIRST ? 1 : 0; i < g->count; i++) {
        check_forbidden(g, i, g->entry[i] & ~PTE_U, USER);
        check_forbidden(g, i, g->entry[i] & ~PTE_U, USER | WRITE);
        check_forbidden(g, i, g->entry[i] & ~PTE_U, USER | FETCH);
        check_forbidden(g, i, g->entry[i] & ~PTE_W, USER | WRITE);
        check_forbidden(g, i, g->entry[i] & ~PTE_W, WRITE);
        if (!(g->efer & EFER_NXE))
            continue;
        check_forbidden(g, i, g->entry[i] | PTE_NX, FETCH);
        check_forbidden(g, i, g->entry[i] | PTE_NX, USER | FETCH);
    }
}

/* Reserved bits beat an absent entry below them; an absent entry below beats missing rights. */
static void test_order_of_judgement(void **state)
{
    const struct guest *g = GUEST_LONG;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        start(g);
        put(g, g->where[i + 1], 0);
        put(g, g->where[i], g->entry[i] & ~PTE_U & ~PTE_W);
        injects(g->gva, USER | WRITE, PF_U | PF_W);
        put(g, g->where[i], g->entry[i] | BIT(45));
        injects(g->gva, USER | WRITE, PF_P | PF_RSVD | PF_U | PF_W);
        put(g, g->where[i], (g->entry[i] | BIT(45)) & ~PTE_P);
        injects(g->gva, 0, 0);
        finish();
    }
}

static const struct {
    unsigned guest, entry;
    uint64_t bit;
    bool nx_off;
} reserved[] = {
    { 1, 0, BIT(21), false }, /* PSE-36 by min(40, MAXPHYADDR) */
    { 2, 1, BIT(40), false }, { 2, 2, BIT(51), false }, { 2, 1, BIT(52), false },
    { 2, 2, BIT(62), false }, { 2, 1, PTE_NX, true },   { 2, 2, PTE_NX, true },
    { 3, 1, BIT(13), false }, { 3, 1, BIT(20), false }, { 4, 0, BIT(40), false },
    { 4, 0, PTE_PS, false },  { 4, 1, BIT(51), false }, { 4, 3, PTE_NX, true },
    { 4, 0, PTE_NX, true },   { 5, 2, BIT(13), false }, { 5, 2, BIT(20), false },
    { 6, 1, BIT(13), false }, { 6, 1, BIT(29), false },
};

static void test_reserved_bits(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(reserved); i++) {
        const struct guest *g = &guests[reserved[i].guest];
        unsigned n = reserved[i].entry;

        start_with(g, (struct paging_regs){ .efer = reserved[i].nx_off ? EFER_NXE : 0 });
        put(g, g->where[n], g->entry[n] | reserved[i].bit);
        remember_memory();
        injects(g->gva, USER | WRITE, PF_P | PF_RSVD | PF_U | PF_W);
        injects(g->gva, 0, PF_P | PF_RSVD);
        memory_is_as_expected();
        finish();
    }
}

/* Bits that look reserved and are not, and a bit 7 that CR4.PSE=0 makes ignored. */
static void test_ignored_bits(void **state)
{
    (void)state;
    start(GUEST_32);
    put(GUEST_32, 0x1004, 0x4000 | RIGHTS | PTE_PS | BITS(11, 9));
    resumes(GUEST_32->gva, USER | WRITE);
    assert_int_equal(leaf(GUEST_32->gva) & PTE_ADDRESS, host_page(0x101abc));
    finish();

    start(GUEST_LONG);
    put(GUEST_LONG, GUEST_LONG->where[3], GUEST_LONG->entry[3] | BITS(62, 52) | PTE_PAT);
    resumes(GUEST_LONG->gva, USER | WRITE);
    assert_int_equal(leaf(GUEST_LONG->gva), host_page(0x101abc) | RIGHTS | PTE_A | PTE_D);
    finish();
}

/* A 4 MiB page above 4 GiB: bits 20:13 of the PDE are address bits 39:32. */
static void test_pse36(void **state)
{
    (void)state;
    start(GUEST_PSE);
    put(GUEST_PSE, 0x1004, 0x00800000 | RIGHTS | PTE_PS | 0xab << 13);
    is_device(GUEST_PSE->gva, 0, 0xab00a01abc);
    finish();
}

static void test_smep(void **state)
{
    (void)state;
    FOR_EACH_GUEST(g)
    {
        start_with(g, (struct paging_regs){ .cr4 = CR4_SMEP, .efer = g->efer & EFER_NXE });
        injects(g->gva, FETCH, PF_P | PF_ID); /* also without NX */
        resumes(g->gva, FETCH | USER);
        put(g, g->where[g->count - 1], 0);
        injects(g->gva, FETCH | USER, PF_U | PF_ID);
        finish();
    }
}

static void test_smap(void **state)
{
    (void)state;
    FOR_EACH_GUEST(g)
    {
        start_with(g, (struct paging_regs){ .cr4 = CR4_SMAP });
        injects(g->gva, 0, PF_P);
        injects(g->gva, WRITE, PF_P | PF_W);
        resumes(g->gva, USER);
        resumes(g->gva, FETCH);
        finish();

        start_with(g, (struct paging_regs){ .cr4 = CR4_SMAP, .ac = true });
        injects(g->gva, ACCESS_IMPLICIT, PF_P);
        resumes(g->gva, WRITE);
        finish();
    }
}

/*
 * With AC set, a rights fault on a leaf that allows the explicit access can only be an implicit
 * one; a fault on an empty leaf says nothing yet, and neither does one without AC or SMAP.
 */
static void test_implicit_accesses_are_found(void **state)
{
    (void)state;
    FOR_EACH_GUEST(g)
    {
        struct mmu_outcome outcome;

        start_with(g, (struct paging_regs){ .cr4 = CR4_SMAP, .ac = true });
        resumes(g->gva, 0); /* HW_NOT_HERE */
        resumes(g->gva, 0);
        outcome = mmu_fault(&mmu, gva(g->gva), WRITE, PF_P | PF_W); /* D was withheld */
        assert_int_equal(outcome.verdict, MMU_RESUME);
        assert_int_equal(mmu.stats.pf_implicit, 0);
        outcome = mmu_fault(&mmu, gva(g->gva), 0, PF_P);
        assert_int_equal(outcome.verdict, MMU_INJECT);
        assert_int_equal(outcome.error_code, PF_P);
        assert_int_equal(mmu.stats.pf_implicit, 1);
        resumes(g->gva, 0);
        outcome = mmu_fault(&mmu, gva(g->gva), USER, PF_P | PF_U);
        assert_int_equal(outcome.verdict, MMU_RESUME);
        finish();
    }
}

/* ------ What is no RAM ------ */

static const struct {
    uint64_t page;
    unsigned access;
} devices[] = {
    { HOLE_GPA, 0 },       { HOLE_GPA, USER | WRITE }, { HOLE_GPA, FETCH },       { DEVICE_GPA, 0 },
    { DEVICE_GPA, WRITE }, { ROM_GPA, WRITE },         { ROM_GPA, USER | WRITE },
};

/* The guest's flags are set as for RAM; nothing is filled. */
static void test_devices(void **state)
{
    (void)state;
    FOR_EACH_GUEST(g)
    for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
        unsigned last = g->count - 1, access = devices[i].access;

        if (g->entry[last] & PTE_PS)
            continue;
        start(g);
        put(g, g->where[last], devices[i].page | RIGHTS);
        is_device(g->gva, access, devices[i].page + 0xabc);
        assert_int_equal(get(g, last),
                         devices[i].page | RIGHTS | PTE_A | (access & WRITE ? PTE_D : 0));
        assert_int_equal(leaf(g->gva), 0);
        finish();
    }
}

/* A large page with RAM, ROM, a device and a hole inside: each piece is what it is. */
static void test_large_page_over_everything(void **state)
{
    const struct guest *g = &guests[6];
    uint64_t base = g->gva & ~(GiB - 1);

    (void)state;
    start(g);
    put(g, g->where[1], g->entry[1] | PTE_D);
    resumes(base + 0x3ff000, USER);
    resumes(base + ROM_GPA, USER);
    assert_true(leaf(base + 0x3ff000) & PTE_W);
    assert_int_equal(leaf(base + ROM_GPA), ROM_HOST | PTE_P | PTE_U | PTE_A);
    is_device(base + ROM_GPA, WRITE, ROM_GPA);
    is_device(base + DEVICE_GPA + 0x10, 0, DEVICE_GPA + 0x10);
    is_device(base + HOLE_GPA, 0, HOLE_GPA);
    is_device(base + GiB - 1, 0, GiB - 1);
    finish();
}

static void test_rom_is_never_writable(void **state)
{
    (void)state;
    FOR_EACH_GUEST(g)
    for (size_t a = 0; a < ARRAY_SIZE(accesses); a++) {
        unsigned last = g->count - 1;

        if (g->entry[last] & PTE_PS || accesses[a] & WRITE)
            continue;
        start(g);
        put(g, g->where[last], ROM_GPA | RIGHTS | PTE_D);
        resumes(g->gva, accesses[a]);
        assert_int_equal(leaf(g->gva), ROM_HOST | PTE_P | PTE_U | PTE_A);
        is_device(g->gva, WRITE, ROM_GPA + 0xabc);
        assert_false(leaf(g->gva) & PTE_W);
        finish();
    }
}

/* Tables in ROM translate; their flags cannot be set, and that holds nobody up. */
static void test_tables_in_rom(void **state)
{
    const struct guest *g = GUEST_LONG;
    uint64_t entry = g->entry[3];

    (void)state;
    start(g);
    assert_true(gpm_load(&gpm, gpa(ROM_GPA + 8), &entry, 8));
    put(g, g->where[2], ROM_GPA | RIGHTS);
    resumes(g->gva, USER | WRITE);
    assert_true(leaf(g->gva) & PTE_W);
    assert_true(gpm_read(&gpm, gpa(ROM_GPA + 8), &entry, 8));
    assert_int_equal(entry, g->entry[3]);
    assert_true(get(g, 2) & PTE_A);
    finish();
}

/* A table where nothing is reads as all ones. */
static void test_tables_in_a_hole(void **state)
{
    (void)state;
    start(GUEST_LONG);
    put(GUEST_LONG, GUEST_LONG->where[2], HOLE_GPA | RIGHTS);
    injects(GUEST_LONG->gva, 0, PF_P | PF_RSVD);
    finish();
}

/* ------ CR0.WP = 0 ------ */

static void test_writing_without_wp(void **state)
{
    (void)state;
    FOR_EACH_GUEST(g)
    {
        unsigned last = g->count - 1;
        uint64_t page = host_page(g->gpa) | PTE_P | PTE_A;

        start_with(g, (struct paging_regs){ .cr0 = CR0_WP });
        put(g, g->where[last], g->entry[last] & ~PTE_W);
        injects(g->gva, USER | WRITE, PF_P | PF_U | PF_W);
        resumes(g->gva, WRITE);
        assert_int_equal(leaf(g->gva), page | PTE_W | PTE_D);
        assert_true(get(g, last) & PTE_D);
        host_flushes_clear();
        resumes(g->gva, USER); /* the user's turn: W must go */
        assert_int_equal(leaf(g->gva), page | PTE_U);
        flushed(1, 0, 0);
        resumes(g->gva, WRITE); /* and back: U must go */
        assert_int_equal(leaf(g->gva), page | PTE_W | PTE_D);
        flushed(1, 0, 0);
        finish();
    }
}

/* A supervisor's read-only page stays executable; a user's must not become so with SMEP. */
static void test_writing_without_wp_and_smep(void **state)
{
    static const struct {
        uint64_t cr4, user, nx;
    } cases[] = { { CR4_SMEP, PTE_U, PTE_NX }, { CR4_SMEP, 0, 0 }, { 0, PTE_U, 0 }, { 0, 0, 0 } };

    (void)state;
    FOR_EACH_GUEST(g)
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        unsigned last = g->count - 1;

        start_with(g, (struct paging_regs){ .cr0 = CR0_WP, .cr4 = cases[i].cr4 });
        put(g, g->where[last], (g->entry[last] & ~PTE_W & ~PTE_U) | cases[i].user);
        resumes(g->gva, WRITE);
        assert_int_equal(leaf(g->gva),
                         host_page(g->gpa) | PTE_P | PTE_A | PTE_W | PTE_D | cases[i].nx);
        finish();
    }
}

/* With SMAP or PKE, hardware would not check a page that is the supervisor's in the shadow. */
static void test_writing_without_wp_steps(void **state)
{
    static const uint64_t guards[] = { CR4_SMAP, CR4_PKE };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(guards); i++) {
        const struct guest *g = GUEST_LONG;
        struct mmu_outcome outcome;

        start_with(g, (struct paging_regs){ .cr0 = CR0_WP, .cr4 = guards[i], .ac = true });
        put(g, g->where[3], g->entry[3] & ~PTE_W);
        outcome = mmu_fault(&mmu, gva(g->gva), WRITE, HW_NOT_HERE);
        assert_int_equal(outcome.verdict, MMU_STEP);
        put(g, g->where[3], g->entry[3] & ~PTE_W & ~PTE_U);
        resumes(g->gva, WRITE);
        finish();
    }
}

/* ------ Flushes ------ */

/* A leaf is replaced by another: each way in which it can allow less, or elsewhere. */
static void check_reduction(const struct guest *g, struct paging_regs more, uint64_t was,
                            uint64_t is)
{
    unsigned last = g->count - 1;

    start_with(g, more);
    put(g, g->where[last], was);
    resumes(g->gva, was & PTE_U ? USER : 0);
    flushed(0, 0, 0);
    put(g, g->where[last], is);
    resumes(g->gva, is & PTE_U ? USER : 0);
    flushed(1, 0, 0);
    finish();
}

static void test_reductions_flush(void **state)
{
    (void)state;
    FOR_EACH_GUEST(g)
    {
        uint64_t page = g->entry[g->count - 1] | PTE_D;
        uint64_t other = page + (page & PTE_PS ? 0 : 0x5000);
        struct paging_regs none = { 0 };

        check_reduction(g, none, page, page & ~PTE_W);
        check_reduction(g, none, page, page & ~PTE_D);
        check_reduction(g, none, page, page & ~PTE_U);
        if (g->efer & EFER_NXE)
            check_reduction(g, none, page, page | PTE_NX);
        if (other != page)
            check_reduction(g, none, page, other);
        /* The page becomes the user's: less for the supervisor. */
        check_reduction(g, (struct paging_regs){ .cr4 = CR4_SMEP }, page & ~PTE_U, page);
        check_reduction(g, (struct paging_regs){ .cr4 = CR4_SMAP }, page & ~PTE_U, page);
    }
}

/* A guest fault drops what there was, of the whole page if it was a large one. */
static void test_faults_flush(void **state)
{
    (void)state;
    FOR_EACH_GUEST(g)
    {
        unsigned last = g->count - 1;
        bool large = g->entry[last] & PTE_PS;

        start(g);
        resumes(g->gva, 0);
        put(g, g->where[last], g->entry[last] & ~PTE_P);
        injects(g->gva, 0, 0);
        flushed(!large, 0, large);
        finish();
    }
}

/* Each new 512 GiB of linear space takes three tables of the pool. */
static void test_recycling_flushes(void **state)
{
    const struct guest *g = &guests[6];
    uint64_t low = g->gva & (512 * GiB - 1);

    (void)state;
    start(g);
    for (uint64_t i = 0; i < 256 && mmu.stats.mmu_recycled == 0; i++) {
        flushed(0, 0, 0);
        put(g, g->cr3 + i * 8, g->entry[0]);
        resumes(i << 39 | low, 0);
    }
    assert_int_equal(mmu.stats.mmu_recycled, 1);
    assert_int_equal(leaf(low), 0);
    flushed(0, 0, 1);
    finish();
}

/* ------ MOV to CR3, INVLPG ------ */

static void test_load_cr3(void **state)
{
    (void)state;
    FOR_EACH_GUEST(g)
    {
        start(g);
        resumes(g->gva, 0);
        assert_true(mmu_load_cr3(&mmu, g->cr3)); /* the same value is a flush all the same */
        flushed(0, 1, 0);
        assert_int_equal(leaf(g->gva), 0);
        assert_int_equal(mmu.regs.cr3, g->cr3);
        finish();
    }
}

static void test_load_cr3_unpaged(void **state)
{
    (void)state;
    start_unpaged();
    resumes(0x1000, 0);
    assert_true(mmu_load_cr3(&mmu, 0x5000));
    assert_int_equal(mmu.regs.cr3, 0x5000);
    assert_true(leaf(0x1000));
    finish();
}

/* PDPTEs are registers: what is in memory counts at the next load only. */
static void test_pdptes_are_registers(void **state)
{
    const struct guest *g = GUEST_PAE;

    (void)state;
    start(g);
    put(g, g->where[0], 0);
    mmu_invlpg(&mmu, gva(g->gva));
    resumes(g->gva, 0);
    assert_true(mmu_load_cr3(&mmu, g->cr3));
    injects(g->gva, 0, 0);
    put(g, 0x6fe0 + 8, g->entry[0]);
    assert_true(mmu_load_cr3(&mmu, 0x6fe0 | BITS(4, 0))); /* low bits do not count */
    resumes(g->gva, 0);
    finish();
}

static bool refuses_pdpte(unsigned i, uint64_t pdpte)
{
    uint64_t old[4];
    bool refused;

    start(GUEST_PAE);
    resumes(GUEST_PAE->gva, 0);
    memcpy(old, mmu.regs.pdpte, sizeof(old));
    put(GUEST_PAE, 0x7000 + i * 8, pdpte);
    refused = !mmu_load_cr3(&mmu, 0x7000);
    if (refused) { /* nothing has changed */
        assert_int_equal(mmu.regs.cr3, PAE_CR3);
        assert_memory_equal(mmu.regs.pdpte, old, sizeof(old));
        assert_true(leaf(GUEST_PAE->gva));
        flushed(0, 0, 0);
    } else {
        assert_int_equal(mmu.regs.pdpte[i], pdpte);
        flushed(0, 1, 0);
    }
    finish();
    return refused;
}

/* SDM 3A table 4-8: bits 2:1, 8:5 and from MAXPHYADDR (40) on are reserved, if P is 1. */
static void test_pdpte_reserved_bits(void **state)
{
    const uint64_t reserved_bits = BITS(2, 1) | BITS(8, 5) | BITS(63, 40);

    (void)state;
    for (unsigned bit = 1; bit < 64; bit++) {
        unsigned i = bit % 4;

        assert_int_equal(refuses_pdpte(i, 0x3000 | PTE_P | BIT(bit)),
                         (reserved_bits & BIT(bit)) != 0);
        assert_false(refuses_pdpte(i, BIT(bit)));
    }
    assert_false(refuses_pdpte(3, ~PTE_P));
}

/* One INVLPG of any byte drops a large page's every piece, and what the guest maps instead counts.
 */
static void test_invlpg(void **state)
{
    static const uint64_t offsets[] = { 0, 0xabc, 0xfff };

    (void)state;
    FOR_EACH_GUEST(g)
    for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
        bool large = g->entry[g->count - 1] & PTE_PS;
        uint64_t page = g->gva & ~PAGE_MASK;

        start(g);
        resumes(g->gva, 0);
        if (large)
            resumes(g->gva ^ 0x8000, 0);
        mmu_invlpg(&mmu, gva((large ? page ^ 0x10000 : page) + offsets[i]));
        flushed(!large, 0, large);
        assert_int_equal(leaf(g->gva), 0);
        assert_int_equal(leaf(g->gva ^ 0x8000), 0);
        assert_int_equal(mmu.stats.invlpg, 1);
        finish();
    }
}

static void test_invlpg_drops_globals(void **state)
{
    (void)state;
    FOR_EACH_GUEST(g)
    {
        start_with(g, (struct paging_regs){ .cr4 = CR4_PGE });
        put(g, g->where[g->count - 1], g->entry[g->count - 1] | PTE_G);
        resumes(g->gva, 0);
        mmu_invlpg(&mmu, gva(g->gva));
        assert_int_equal(leaf(g->gva), 0);
        finish();
    }
}

/* A 4 MiB page used in one half, INVLPG in the other (see test_vtlb.c). */
static void test_invlpg_in_the_other_half_of_a_4m_page(void **state)
{
    (void)state;
    start(GUEST_PSE);
    resumes(GUEST_PSE->gva, 0);
    mmu_invlpg(&mmu, gva(GUEST_PSE->gva ^ 2 * MiB));
    assert_int_equal(leaf(GUEST_PSE->gva), 0);
    flushed(0, 0, 1);
    finish();
}

static void test_invlpg_not_canonical(void **state)
{
    static const struct {
        const struct guest *guest;
        uint64_t flip;
    } cases[] = {
        { GUEST_LONG, BIT(63) }, { GUEST_LONG, BIT(48) }, { GUEST_LONG, BITS(63, 48) },
        { GUEST_LONG, BIT(55) }, { GUEST_PAE, BIT(32) },  { GUEST_32, BITS(63, 32) },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t address = cases[i].guest->gva;

        start(cases[i].guest);
        resumes(address, 0);
        mmu_invlpg(&mmu, gva(address ^ cases[i].flip));
        assert_true(leaf(address));
        flushed(0, 0, 0);
        finish();
    }
}

/* ------ INVPCID ------ */

static void test_invpcid(void **state)
{
    static const struct {
        unsigned type;
        uint16_t pcid;
        uint64_t offset;
        bool global, dropped; /* the page is global; it must be gone */
    } cases[] = {
        { 0, 0, 0, false, true }, { 0, 5, 0, false, false },       { 0, 0, 0x1000, false, false },
        { 1, 0, 0, false, true }, { 1, 5, 0, false, false },       { 1, 0, 0, true, false },
        { 2, 5, 0, false, true }, { 2, 0, 0, true, true },         { 3, 5, 0, false, true },
        { 3, 5, 0, true, false }, { 0, 0, BIT(60), false, false },
    };
    const struct guest *g = GUEST_LONG;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        start_with(g, (struct paging_regs){ .cr4 = CR4_PGE });
        put(g, g->where[3], g->entry[3] | (cases[i].global ? PTE_G : 0));
        resumes(g->gva, 0);
        mmu_invpcid(&mmu, cases[i].type, cases[i].pcid, gva(g->gva ^ cases[i].offset));
        assert_int_equal(leaf(g->gva) == 0, cases[i].dropped);
        finish();
    }
}

/* ------ Changes of mode ------ */

static void test_modes_change(void **state)
{
    (void)state;
    FOR_EACH_GUEST(from)
    FOR_EACH_GUEST(to)
    {
        struct paging_regs unpaged = regs_of(to), regs = regs_of(to);

        start(from);
        resumes(from->gva, 0);
        unpaged.cr0 &= ~CR0_PG;
        unpaged.efer &= ~EFER_LMA;
        assert_true(mmu_set_regs(&mmu, &unpaged));
        flushed(0, 0, 1);
        assert_int_equal(mmu_format(&mmu), SHADOW_PAE);
        resumes(0x5000, WRITE);
        assert_int_equal(leaf(0x5000), host_page(0x5000) | RIGHTS | PTE_A | PTE_D);
        for (unsigned i = 0; i < to->count; i++)
            put(to, to->where[i], to->entry[i]);
        assert_true(mmu_set_regs(&mmu, &regs)); /* loads the PDPTEs */
        flushed(0, 0, 1);
        assert_int_equal(mmu_format(&mmu), to->efer & EFER_LMA ? SHADOW_4LEVEL : SHADOW_PAE);
        assert_int_equal(leaf(0x5000), 0);
        resumes(to->gva, 0);
        assert_true(mmu_root(&mmu).v < 4 * GiB);
        finish();
    }
}

/* Each bit on which translations depend flushes, both ways; others do not. */
static void test_bits_that_flush(void **state)
{
    static const struct {
        uint64_t cr0, cr4, efer;
        bool flushes;
    } cases[] = {
        { CR0_WP, 0, 0, true },           { 0, CR4_PGE, 0, true },  { 0, CR4_SMEP, 0, true },
        { 0, CR4_SMAP, 0, true },         { 0, 0, EFER_NXE, true }, { CR0_TS, 0, 0, false },
        { CR0_MP | CR0_NE, 0, 0, false }, { 0, CR4_DE, 0, false },  { 0, 0, EFER_SCE, false },
        { 0, CR4_OSFXSR, 0, false },
    };

    (void)state;
    FOR_EACH_GUEST(g)
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct paging_regs regs;

        start(g);
        for (unsigned round = 0; round < 2; round++) {
            resumes(g->gva, USER);
            regs = mmu.regs;
            regs.cr0 ^= cases[i].cr0;
            regs.cr4 ^= cases[i].cr4;
            regs.efer ^= cases[i].efer;
            host_flushes_clear();
            assert_true(mmu_set_regs(&mmu, &regs));
            assert_int_equal(leaf(g->gva) == 0, cases[i].flushes);
            flushed(0, 0, cases[i].flushes);
        }
        finish();
    }
}

/* SDM 3A 4.4.1: these bits load the PDPTEs where PAE paging is or comes in use, others do not. */
static void test_bits_that_load_pdptes(void **state)
{
    static const struct {
        uint64_t cr0, cr4, efer;
        bool loads;
    } cases[] = {
        { CR0_CD, 0, 0, true },    { CR0_NW, 0, 0, true },   { 0, CR4_PGE, 0, true },
        { 0, CR4_PSE, 0, true },   { 0, CR4_SMEP, 0, true }, { CR0_WP, 0, 0, false },
        { CR0_TS, 0, 0, false },   { 0, CR4_DE, 0, false },  { 0, CR4_SMAP, 0, false },
        { 0, 0, EFER_NXE, false },
    };
    const struct guest *g = GUEST_PAE;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        for (unsigned bad = 0; bad < 2; bad++) {
            uint64_t pdpte = 0x5000 | PTE_P | (bad ? PTE_W : 0);
            struct paging_regs regs;

            start(g);
            resumes(g->gva, 0);
            put(g, PAE_CR3, pdpte);
            regs = mmu.regs;
            regs.cr0 ^= cases[i].cr0;
            regs.cr4 ^= cases[i].cr4;
            regs.efer ^= cases[i].efer;
            assert_int_equal(mmu_set_regs(&mmu, &regs), !(bad && cases[i].loads));
            assert_int_equal(mmu.regs.pdpte[0], cases[i].loads && !bad ? pdpte : 0);
            if (bad && cases[i].loads) {
                assert_int_equal(mmu.regs.cr4, g->cr4);
                assert_int_equal(mmu.regs.cr0, CR0_PAGED);
                assert_true(leaf(g->gva));
                flushed(0, 0, 0);
            }
            finish();
        }
}

/* Paging comes on in PAE mode with a bad PDPTE: refused, and still unpaged. */
static void test_bad_pdpte_refuses_paging(void **state)
{
    struct paging_regs regs = regs_of(GUEST_PAE);

    (void)state;
    start_unpaged();
    put(GUEST_PAE, PAE_CR3, 0x3000 | PTE_P | PTE_U);
    assert_false(mmu_set_regs(&mmu, &regs));
    assert_false(paging_enabled(&mmu.regs));
    flushed(0, 0, 0);
    resumes(0x1000, 0);
    finish();
}

/* ------ The rest ------ */

static void test_map_changed(void **state)
{
    (void)state;
    start_unpaged();
    resumes(0x1000, 0);
    mmu_map_changed(&mmu);
    assert_int_equal(leaf(0x1000), 0);
    flushed(0, 0, 1);
    finish();
}

static void test_store(void **state)
{
    uint64_t value = 0x1122334455667788, read = 0;

    (void)state;
    start(GUEST_LONG);
    assert_true(mmu_store(&mmu, gpa(0x101ff8), &value, sizeof(value)));
    assert_true(gpm_read(&gpm, gpa(0x101ff8), &read, sizeof(read)));
    assert_int_equal(read, value);
    assert_false(mmu_store(&mmu, gpa(ROM_GPA - 4), &value, sizeof(value)));
    assert_false(mmu_store(&mmu, gpa(DEVICE_GPA), &value, sizeof(value)));
    finish();
}

/* Across two pages that lie apart; SMAP does not count; no flag is set. */
static void test_peek(void **state)
{
    const struct guest *g = GUEST_LONG;
    uint64_t page = g->gva & ~PAGE_MASK;
    char text[8] = { 0 };

    (void)state;
    start_with(g, (struct paging_regs){ .cr4 = CR4_SMAP });
    put(g, 0x4010, 0x300000 | RIGHTS);
    assert_true(gpm_write(&gpm, gpa(0x101ffc), "abcd", 4));
    assert_true(gpm_write(&gpm, gpa(0x300000), "efg", 4));
    remember_memory();
    assert_true(mmu_peek(&mmu, gva(page + 0xffc), text, 8));
    assert_string_equal(text, "abcdefg");
    assert_false(mmu_peek(&mmu, gva(page + 0x1ffc), text, 8)); /* not mapped */
    put(g, 0x4010, DEVICE_GPA | RIGHTS);
    expected[0x4010 + 2] = (uint8_t)(DEVICE_GPA >> 16);
    assert_false(mmu_peek(&mmu, gva(page + 0xffc), text, 8)); /* device */
    memory_is_as_expected();
    flushed(0, 0, 0);
    assert_int_equal(leaf(g->gva), 0);
    finish();
}

/*
 * What is not canonical does not translate.
 */
static void test_peek_not_canonical(void **state)
{
    uint64_t word;

    (void)state;
    start(GUEST_LONG);
    assert_true(mmu_peek(&mmu, gva(GUEST_LONG->gva), &word, 8));
    assert_false(mmu_peek(&mmu, gva(GUEST_LONG->gva ^ BIT(63)), &word, 8));
    assert_false(mmu_peek(&mmu, gva(GUEST_LONG->gva & BITS(47, 0)), &word, 8));
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flags_are_exact),
        cmocka_unit_test(test_first_write_after_a_read),
        cmocka_unit_test(test_dirty_pages),
        cmocka_unit_test(test_rights_in_the_leaf),
        cmocka_unit_test(test_globals),
        cmocka_unit_test(test_unpaged),
        cmocka_unit_test(test_absent_entries),
        cmocka_unit_test(test_forbidden_accesses),
        cmocka_unit_test(test_order_of_judgement),
        cmocka_unit_test(test_reserved_bits),
        cmocka_unit_test(test_ignored_bits),
        cmocka_unit_test(test_pse36),
        cmocka_unit_test(test_smep),
        cmocka_unit_test(test_smap),
        cmocka_unit_test(test_implicit_accesses_are_found),
        cmocka_unit_test(test_devices),
        cmocka_unit_test(test_large_page_over_everything),
        cmocka_unit_test(test_rom_is_never_writable),
        cmocka_unit_test(test_tables_in_rom),
        cmocka_unit_test(test_tables_in_a_hole),
        cmocka_unit_test(test_writing_without_wp),
        cmocka_unit_test(test_writing_without_wp_and_smep),
        cmocka_unit_test(test_writing_without_wp_steps),
        cmocka_unit_test(test_reductions_flush),
        cmocka_unit_test(test_faults_flush),
        cmocka_unit_test(test_recycling_flushes),
        cmocka_unit_test(test_load_cr3),
        cmocka_unit_test(test_load_cr3_unpaged),
        cmocka_unit_test(test_pdptes_are_registers),
        cmocka_unit_test(test_pdpte_reserved_bits),
        cmocka_unit_test(test_invlpg),
        cmocka_unit_test(test_invlpg_drops_globals),
        cmocka_unit_test(test_invlpg_in_the_other_half_of_a_4m_page),
        cmocka_unit_test(test_invlpg_not_canonical),
        cmocka_unit_test(test_invpcid),
        cmocka_unit_test(test_modes_change),
        cmocka_unit_test(test_bits_that_flush),
        cmocka_unit_test(test_bits_that_load_pdptes),
        cmocka_unit_test(test_bad_pdpte_refuses_paging),
        cmocka_unit_test(test_map_changed),
        cmocka_unit_test(test_store),
        cmocka_unit_test(test_peek),
        cmocka_unit_test(test_peek_not_canonical),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
