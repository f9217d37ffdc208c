/* SPDX-License-Identifier: MIT */
/* Steps of the tables themselves: reserved bits, PDPTEs, recursion, partial writes, reuse, modes.
 */
#include "guests/paging/steps.h"
#include "guests/lib/unpaged.h"
#include "lib/string.h"

static unsigned top_entry_level(void)
{
    return paging_is(PAGING_PAE) ? 2 : paging->levels;
}

/* A bit that is reserved in every entry of this mode, or 0. */
static uint64_t reserved_bit(unsigned i)
{
    const uint64_t bits[] = { BIT(51), BIT(model.maxphyaddr), paging_is(PAGING_PAE) ? BIT(52) : 0,
                              paging_is(PAGING_PAE) ? BIT(62) : 0 };

    if (paging_is(PAGING_32BIT) || i >= ARRAY_SIZE(bits))
        return 0;
    return i < 2 && model.maxphyaddr >= 52 ? 0 : bits[i];
}

static void reserved_at(unsigned level, uint64_t bit)
{
    unsigned long address = page(2) + FRAME_DATA;
    void *entry = entry_of(address, level), *leaf = entry_of(address, 1);

    set_bits(entry, bit, 0);
    invlpg(address);
    expect_fault(address, 0, PF_P | PF_RSVD);
    expect_fault(address, ACCESS_WRITE | ACCESS_USER, PF_P | PF_RSVD | PF_W | PF_U);
    expect_fault(address & ~(PAGE_SIZE - 1), ACCESS_FETCH,
                 PF_P | PF_RSVD | (model.nxe ? PF_ID : 0));
    set_bits(entry, 0, PTE_P); /* what is not present is not judged */
    invlpg(address);
    expect_fault(address, ACCESS_WRITE, PF_W);
    set_bits(entry, PTE_P, 0);
    if (level > 1) { /* comes before a lower entry that is not present */
        set_bits(leaf, 0, PTE_P);
        invlpg(address);
        expect_fault(address, 0, PF_P | PF_RSVD);
        set_bits(leaf, PTE_P, 0);
    }
    set_bits(entry, 0, bit);
    expect_done(address, ACCESS_WRITE | ACCESS_USER); /* and is never cached */
}

bool reserved(void)
{
    if (paging_is(PAGING_32BIT))
        return false;
    map(page(2), 3, URW);
    for (unsigned level = top_entry_level(); level >= 1; level--) {
        for (unsigned i = 0; i < 4; i++)
            if (reserved_bit(i))
                reserved_at(level, reserved_bit(i));
        if (level > 2 && (level == 4 || !model.has_gib_pages))
            reserved_at(level, PTE_PS);
    }
    return true;
}

/* SDM Vol. 3A, section 4.4.1 "PDPTE Registers": a store to the table counts from MOV CR3 on. */
static void stores_to_pdpt(unsigned long address, void *entry)
{
    static const uint64_t bad[] = { PTE_W, BIT(8), BIT(63) };
    uint64_t value = entry_get(entry);

    entry_set(entry, 0); /* nobody looks */
    invlpg(address);
    expect_frame(address, ACCESS_WRITE, 1);
    flush();
    expect_fault(address, ACCESS_WRITE, PF_W);
    entry_set(entry, value);
    expect_fault(address, 0, 0);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        entry_set(entry, value | bad[i]);
        CHECK(!model_set_cr3(model.cr3), "a reserved bit of a PDPTE was accepted");
        expect_fault(address, 0, 0); /* nothing has changed */
    }
    entry_set(entry, PTE_W | BIT(8)); /* not present: not judged */
    flush();
    expect_fault(address, ACCESS_USER, PF_U);
    entry_set(entry, value | PTE_PWT);
    flush();
    expect_frame(address, ACCESS_USER, 1);
}

/* Changes of CR4.PGE load PDPTEs too. */
static void loads_by_cr4(unsigned long address, unsigned long beside)
{
    void *entry = entry_of(address, 3);
    uint64_t value = entry_get(entry);

    if (!model.has_pge)
        return;
    entry_set(entry_of(beside, 3), 0);
    model_set_cr4(model.cr4 | CR4_PGE);
    expect_fault(beside, 0, 0);
    entry_set(entry, value | PTE_W);
    CHECK(!model_set_cr4(model.cr4 & ~CR4_PGE), "a reserved bit of a PDPTE was accepted");
    expect_frame(address, 0, 1);
    entry_set(entry, value);
    model_set_cr4(model.cr4 & ~CR4_PGE);
}

bool pdptes(void)
{
    unsigned long address = page(1) + FRAME_DATA, beside = address + 2 * (unsigned long)GiB;

    if (!paging_is(PAGING_PAE))
        return false;
    map(address, 1, URW);
    stores_to_pdpt(address, entry_of(address, 3));
    /* two PDPTEs name one directory */
    entry_set(entry_of(beside, 3), entry_get(entry_of(address, 3)));
    expect_fault(beside, 0, 0);
    flush();
    expect_frame(beside, ACCESS_WRITE, 1);
    loads_by_cr4(address, beside);
    return true;
}

/* ---- recursion ---- */

/* The directory is also a page table: its page n is the page table n, page self it itself. */
bool recursive(void)
{
    unsigned self = (1u << paging->level[2].bits) - 2;
    unsigned long address = page(5) + FRAME_DATA, window = paging->window;
    unsigned long reach = (unsigned long)(BIT(paging->level[2].shift + paging->level[2].bits) - 1);
    unsigned long tables = (window & ~reach) + ((unsigned long)self << paging->level[2].shift);
    void *directory =
        (void *)(unsigned long)((unsigned long)entry_of(window, 2) & ~(PAGE_SIZE - 1));
    unsigned first = paging_index(window, 2);
    void *own = paging_entry_at((unsigned long)directory, self);
    void *alias; /* the leaf's entry, as linear memory shows it */

    map(address, 1, URW);
    entry_set(own, (unsigned long)directory | RW);
    alias = (void *)(tables + first * (unsigned long)PAGE_SIZE + 5 * paging->entry_size);
    expect_frame(address, ACCESS_WRITE, 1);
    CHECK(entry_get(alias) == entry_get(entry_of(address, 1)), "the entry reads differently");
    for (unsigned i = 2; i < 10; i++) {
        entry_set(alias, frame_address(i) | (i & 1 ? URW : (uint64_t)PTE_P));
        invlpg(address);
        expect_frame(address, 0, i);
        if (i & 1)
            expect_frame(address, ACCESS_WRITE | ACCESS_USER, i);
        else
            expect_fault(address, ACCESS_WRITE, PF_P | PF_W);
    }
    entry_set(alias, 0);
    invlpg(address);
    expect_fault(address, 0, 0);
    entry_set(alias, frame_address(11) | URW);
    expect_frame(address, 0, 11);
    /* the entry of all: cleared through itself */
    CHECK(entry_get(entry_of(address, 2)) & PTE_D, "the entry used as a leaf is not dirty");
    entry_set((void *)(tables + self * (unsigned long)PAGE_SIZE + self * paging->entry_size), 0);
    CHECK(entry_get(own) == 0, "the recursive entry is %#lx", (unsigned long)entry_get(own));
    invlpg((unsigned long)alias);
    expect_fault((unsigned long)alias & ~3ul, 0, 0);
    return true;
}

/* ---- partial writes ---- */

static void write_half(void *entry, unsigned half, uint64_t value)
{
    if (paging->entry_size == 8)
        ((volatile uint32_t *)entry)[half] = (uint32_t)(value >> 32 * half);
    else
        ((volatile uint16_t *)entry)[half] = (uint16_t)(value >> 16 * half);
}

bool halves(void)
{
    unsigned long address = page(6) + FRAME_DATA;
    void *entry = entry_of(address, 1);
    uint64_t nx = model.nxe ? PTE_NX : 0;

    for (unsigned i = 0; i < 6; i++) {
        uint64_t value = frame_address(20 + 16 * i) | URW | (i & 1 ? nx : 0);

        write_half(entry, 1, value); /* not present until the low half is there */
        expect_fault(address, ACCESS_WRITE, PF_W);
        write_half(entry, 0, value);
        expect_frame(address, ACCESS_WRITE, 20 + 16 * i);
        write_half(entry, 0, 0);
        invlpg(address);
        expect_fault(address, 0, 0);
    }
    for (unsigned i = 0; i < 4; i++) { /* a present entry changes by one half, then by one byte */
        uint64_t value = frame_address(20 + i) | URW;

        write_half(entry, 1, value);
        write_half(entry, 0, value);
        invlpg(address);
        expect_frame(address, ACCESS_USER, 20 + i);
        if (nx) {
            write_half(entry, 1, value | nx);
            invlpg(address);
            expect_fault(address & ~(PAGE_SIZE - 1), ACCESS_FETCH, PF_P | PF_ID);
        }
        ((volatile uint8_t *)entry)[0] = PTE_P | PTE_U;
        invlpg(address);
        expect_fault(address, ACCESS_WRITE | ACCESS_USER, PF_P | PF_W | PF_U);
        ((volatile uint8_t *)entry)[0] = 0;
        invlpg(address);
        expect_fault(address, 0, 0);
    }
    return true;
}

/* A table is mapped as a page and written there; then a page of data is linked as a table. */
bool recycling(void)
{
    unsigned long address = page(7) + FRAME_DATA, data = page(8);
    void *directory = entry_of(address, 2);
    uint64_t table;

    map(address, 1, URW);
    table = entry_get(directory) & PTE_ADDRESS;
    expect_frame(address, ACCESS_WRITE, 1);
    entry_set(entry_of(data, 1), table | RW);
    for (unsigned i = 2; i < 8; i++) {
        unsigned long entry = data + 7 * paging->entry_size;

        entry_set((void *)entry, frame_address(i) | URW);
        invlpg(address);
        expect_frame(address, ACCESS_WRITE | ACCESS_USER, i);
        expect_done(data + 0x7f0, ACCESS_WRITE); /* no entry that anybody uses */
    }
    for (unsigned i = 0; i < 4; i++) { /* a table that was data, and is data again */
        uint64_t fresh = paging_new_table();
        void *elsewhere = entry_of(address + (unsigned long)page_size(2), 2);

        entry_set(entry_of(page(9), 1), fresh | URW);
        expect_done(page(9) + 0xff0, ACCESS_WRITE | ACCESS_USER);
        memset((void *)(unsigned long)fresh, 0, PAGE_SIZE);
        entry_set(paging_entry_at(fresh, 7), frame_address(30 + i) | RW);
        entry_set(elsewhere, fresh | URW);
        expect_frame(address + (unsigned long)page_size(2), ACCESS_WRITE, 30 + i);
        entry_set(elsewhere, 0);
        invlpg(address + (unsigned long)page_size(2));
        expect_done(page(9) + 7 * paging->entry_size, ACCESS_WRITE | ACCESS_USER);
        entry_set(entry_of(page(9), 1), 0);
        invlpg(page(9));
        expect_fault(address + (unsigned long)page_size(2), 0, 0);
    }
    return true;
}

/* ---- modes ---- */

bool paging_off(void)
{
    unsigned long address = page(4) + FRAME_DATA;

    map(address, 1, URW | PTE_G);
    for (unsigned i = 1; i < 6; i++) {
        expect_frame(address, ACCESS_WRITE, i);
        /* the low half of the entry, written while nobody translates */
        unpaged_store((unsigned long)entry_of(address, 1),
                      (unsigned)(frame_address(i + 1) | URW | PTE_G));
        model_paging_returned();
        expect_frame(address, ACCESS_WRITE | ACCESS_USER, i + 1);
    }
    return true;
}

#ifdef __x86_64__

bool mode_switch(void)
{
    return false; /* paging_off() leaves long mode; no tables but 4-level ones can be used here */
}

#else

static void enter_mode(enum paging_mode_id id, uint64_t cr4)
{
    model_set_cr0(model.cr0 & ~CR0_PG);
    paging_init(id); /* the pages of the old tables become new ones */
    space = paging_new_space();
    model_start(space, cr4);
}

static void use_mode(unsigned frame)
{
    unsigned long address = page(frame) + FRAME_DATA;

    map(address, frame, URW);
    expect_frame(address, ACCESS_WRITE | ACCESS_USER, frame);
    map(page(1), frame, PTE_P | (model.nxe ? PTE_NX : 0));
    invlpg(page(1));
    if (model.nxe)
        expect_fault(page(1), ACCESS_FETCH, PF_P | PF_ID);
    else
        expect_frame(page(1), ACCESS_FETCH, frame);
    expect_fault(page(1), ACCESS_FETCH | ACCESS_USER, PF_P | PF_U | (model.nxe ? PF_ID : 0));
    expect_fault(page(0), ACCESS_FETCH, model.nxe ? PF_ID : 0);
    entry_set(entry_of(page(0) + (unsigned long)page_size(2), 2), PAGING_FRAMES | URW | PTE_PS);
    expect_done(page(0) + (unsigned long)page_size(2) + FRAME_DATA, ACCESS_WRITE);
}

bool mode_switch(void)
{
    for (unsigned i = 0; i < 2; i++) {
        enter_mode(PAGING_PAE, CR4_PAE);
        use_mode(2 + i);
        enter_mode(PAGING_32BIT, CR4_PSE);
        use_mode(4 + i);
    }
    enter_mode(GUEST_PAGING, GUEST_PAGING == PAGING_PAE ? CR4_PAE : CR4_PSE);
    use_mode(6);
    return true;
}

#endif

/* SDM Vol. 1, section 3.3.7.1 "Canonical Addressing". */
bool canonical(void)
{
#ifdef __x86_64__
    static const unsigned long wrong[] = { 1ul << 47, 0xffff7fffffffffff, 1ul << 63 };

    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct outcome seen = probe(PROBE_WRITE, 0, wrong[i], 0);

        CHECK(seen.fault && seen.vector == EXC_GP && seen.error_code == 0, "%#lx: exception %lu",
              wrong[i], seen.vector);
        seen = probe(PROBE_PUSH, PROBE_USER, wrong[i] + 8, 0); /* CPL 0 has no other stack */
        CHECK(seen.fault && seen.vector == EXC_SS && seen.error_code == 0,
              "PUSH at %#lx: exception %lu", wrong[i], seen.vector);
        seen = probe(PROBE_INVLPG, 0, wrong[i], 0);
        CHECK(!seen.fault, "INVLPG of %#lx: exception %lu", wrong[i], seen.vector);
    }
    return true;
#else
    return false;
#endif
}
