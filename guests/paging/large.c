/* SPDX-License-Identifier: MIT */
/*
 * Steps of large and global pages. A large page lies at an address that is congruent to its size; a
 * page of 1 GiB begins at physical 0, so only what lies in the 16 MiB is used of it.
 */
#include "guests/paging/steps.h"

/* Physical address of the i-th page of this level that we have. */
static uint64_t large_frame(unsigned level, unsigned i)
{
    return page_size(level) >= GiB ? 0 : PAGING_FRAMES + i * page_size(level);
}

/* Offsets in a large page: its beginning, end, and between; all of them in frames. */
static unsigned long offset_in(unsigned level, unsigned i)
{
    if (page_size(level) >= GiB)
        return (unsigned long)(PAGING_FRAMES + i * (3 * MiB + 5 * PAGE_SIZE) + FRAME_DATA);
    return (unsigned long)(i * (page_size(level) / 2 - PAGE_SIZE) + FRAME_DATA);
}

enum { OFFSETS = 3 };

/* A large page of this level, beyond what other entries of the window use. */
static unsigned long large_address(unsigned level)
{
    return paging->window + (unsigned long)(3 * page_size(level));
}

static void expect_all(unsigned level, unsigned access)
{
    for (unsigned i = 0; i < OFFSETS; i++)
        expect_done(large_address(level) + offset_in(level, i), access);
}

static void use_large_page(unsigned level, unsigned i)
{
    unsigned long address = large_address(level);
    void *entry = entry_of(address, level);

    entry_set(entry, large_frame(level, i) | URW | PTE_PS);
    invlpg(address + offset_in(level, i % OFFSETS)); /* any byte means all of the page */
    expect_all(level, 0);
    expect_marks(entry, PTE_A, "large page, after reads");
    expect_done(address + offset_in(level, 1), ACCESS_WRITE);
    expect_marks(entry, PAGING_MARKED, "large page, after a write");
    expect_all(level, ACCESS_WRITE | ACCESS_USER);
    for (unsigned n = 0; n < OFFSETS; n++)
        expect_done((address + offset_in(level, n)) & ~(PAGE_SIZE - 1), ACCESS_FETCH);
    set_bits(entry, 0, PTE_D);
    invlpg(address + offset_in(level, (i + 1) % OFFSETS));
    expect_all(level, ACCESS_USER);
    expect_marks(entry, PTE_A, "large page, D cleared, after reads");
    expect_done(address + offset_in(level, 2), ACCESS_WRITE | ACCESS_USER);
    expect_marks(entry, PAGING_MARKED, "large page, D cleared, after a write");
    set_bits(entry, 0, PTE_W);
    invlpg(address + offset_in(level, (i + 2) % OFFSETS));
    for (unsigned n = 0; n < OFFSETS; n++)
        expect_fault(address + offset_in(level, n), ACCESS_WRITE, PF_P | PF_W);
    entry_set(entry, 0);
    invlpg(address + offset_in(level, i % OFFSETS));
    for (unsigned n = 0; n < OFFSETS; n++)
        expect_fault(address + offset_in(level, n), ACCESS_USER, PF_U);
}

bool large_pages(void)
{
    if (!large_levels()[0])
        return false;
    for (const unsigned *level = large_levels(); *level; level++)
        for (unsigned i = 0; i < 3; i++)
            use_large_page(*level, i);
    return true;
}

static void split_and_join(unsigned long address)
{
    void *entry = entry_of(address, 2);
    uint64_t table = paging_new_table();

    entry_set(entry, large_frame(2, 1) | URW | PTE_PS);
    invlpg(address);
    expect_all(2, ACCESS_WRITE);
    for (unsigned i = 0; i < BIT(paging->level[1].bits); i++)
        entry_set(paging_entry_at(table, i), (large_frame(2, 1) + i * PAGE_SIZE) | RW);
    entry_set(paging_entry_at(table, 0), frame_address(3) | PTE_P);
    entry_set(entry, table | URW);
    for (unsigned i = 0; i < OFFSETS; i++)
        invlpg(address + offset_in(2, i));
    expect_frame(address + FRAME_DATA, 0, 3);
    expect_fault(address + FRAME_DATA, ACCESS_WRITE, PF_P | PF_W);
    expect_done(address + offset_in(2, 1), ACCESS_WRITE);
    expect_fault(address + offset_in(2, 2), ACCESS_USER, PF_P | PF_U);
    entry_set(entry, large_frame(2, 0) | URW | PTE_PS);
    flush();
    expect_all(2, ACCESS_WRITE | ACCESS_USER);
    entry_set(entry, 0);
    flush();
}

bool large_split(void)
{
    if (!large_levels()[0])
        return false;
    for (unsigned i = 0; i < 2; i++)
        split_and_join(large_address(2));
    return true;
}

bool large_reserved(void)
{
    if (!large_levels()[0])
        return false;
    for (const unsigned *level = large_levels(); *level; level++) {
        unsigned long address = large_address(*level) + offset_in(*level, 1);
        void *entry = entry_of(address, *level);

        for (unsigned bit = 12; bit < 22; bit++) {
            uint64_t value = large_frame(*level, 1) | URW | PTE_PS | BIT(bit);

            if (bit > 12 && !(model_large_reserved(*level) & BIT(bit)))
                continue; /* an address bit of PSE-36: there is no such memory */
            entry_set(entry, value);
            invlpg(address);
            if (bit == 12) /* PAT */
                expect_done(address, 0);
            else
                expect_fault(address, ACCESS_WRITE | ACCESS_USER, PF_P | PF_RSVD | PF_W | PF_U);
        }
        entry_set(entry, 0);
        invlpg(address);
    }
    return true;
}

/* SDM Vol. 3A, section 4.3: without CR4.PSE bit 7 of a PDE is ignored, and nothing is reserved. */
bool without_pse(void)
{
    unsigned long address = page(5) + FRAME_DATA;

    if (!paging_is(PAGING_32BIT))
        return false;
    map(address, 2, URW);
    for (unsigned i = 0; i < 3; i++) {
        model_set_cr4(model.cr4 & ~CR4_PSE);
        flush();
        set_bits(entry_of(address, 2), PTE_PS | PTE_G | PTE_D, 0);
        invlpg(address);
        expect_frame(address, ACCESS_WRITE | ACCESS_USER, 2);
        model_set_cr4(model.cr4 | CR4_PSE);
        entry_set(paging_entry_at(model.cr3, paging_index(address, 2)),
                  (entry_get(entry_of(address, 2)) & ~PTE_PS) | PTE_A);
        flush();
        expect_frame(address, 0, 2);
    }
    return true;
}

/* What INVLPG and CR4.PGE promise; that MOV CR3 keeps a global page cannot be seen for certain. */
bool global_pages(void)
{
    unsigned long address = page(6) + FRAME_DATA;
    uint64_t other = paging_new_space();

    if (!model.has_pge)
        return false;
    for (unsigned i = 0; i < 8; i += 4) {
        model_set_cr4(model.cr4 | CR4_PGE);
        map(address, i, URW | PTE_G);
        expect_frame(address, ACCESS_WRITE, i);
        flush();
        expect_frame(address, 0, i);
        map(address, i + 1, PTE_P | PTE_G);
        invlpg(address);
        expect_frame(address, 0, i + 1);
        expect_fault(address, ACCESS_WRITE, PF_P | PF_W);
        map(address, i + 2, URW | PTE_G);
        model_set_cr4(model.cr4 & ~CR4_PGE);
        expect_frame(address, ACCESS_WRITE | ACCESS_USER, i + 2);
        map(address, i + 3, URW | PTE_G);
        flush(); /* G means nothing now */
        expect_frame(address, ACCESS_WRITE | ACCESS_USER, i + 3);
        model_set_cr4(model.cr4 | CR4_PGE);
        expect_frame(address, ACCESS_USER, i + 3);
        model_set_cr3(other);
        invlpg(address); /* drops it although this space never used it */
        expect_fault(address, 0, 0);
        model_set_cr3(space);
        expect_frame(address, 0, i + 3);
        map(address, 0, 0);
        invlpg(address);
        expect_fault(address, 0, 0);
    }
    return true;
}

bool global_large(void)
{
    if (!model.has_pge || !large_levels()[0])
        return false;
    model_set_cr4(model.cr4 | CR4_PGE);
    for (const unsigned *level = large_levels(); *level; level++) {
        unsigned long address = large_address(*level);
        void *entry = entry_of(address, *level);

        entry_set(entry, large_frame(*level, 0) | URW | PTE_PS | PTE_G);
        expect_all(*level, ACCESS_WRITE);
        flush();
        expect_all(*level, ACCESS_USER);
        entry_set(entry, large_frame(*level, 1) | RW | PTE_PS | PTE_G);
        invlpg(address + offset_in(*level, 2));
        expect_all(*level, ACCESS_WRITE);
        expect_fault(address + offset_in(*level, 0), ACCESS_USER, PF_P | PF_U);
        entry_set(entry, 0);
        model_set_cr4(model.cr4 & ~CR4_PGE);
        for (unsigned i = 0; i < OFFSETS; i++)
            expect_fault(address + offset_in(*level, i), 0, 0);
        model_set_cr4(model.cr4 | CR4_PGE);
    }
    return true;
}
