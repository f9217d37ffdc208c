/* SPDX-License-Identifier: MIT */
/* The virtual TLB: see mm/vtlb.h. Levels count as the SDM does; a PAE root is level 3. */
#include "mm/vtlb.h"
#include "mm/host.h"

#define LEVEL_BITS    9
#define LEVEL_2M      2 /* entries of this level name a table that maps 2 MiB */
#define LEVEL_1G      3
#define SHIFT_4M      22
#define TABLES_A_FILL 3 /* tables below the root that one fill can need */

static unsigned root_level(const struct vtlb *vtlb)
{
    return vtlb->format == SHADOW_4LEVEL ? 4 : 3;
}

static spte_t *entry_at(hpa_t table, gva_t address, unsigned level)
{
    spte_t *entries = host_ptr(table);

    return &entries[address.v >> (PAGE_SHIFT + LEVEL_BITS * (level - 1)) & (PTE_ENTRIES - 1)];
}

static unsigned root_entries(const struct vtlb *vtlb)
{
    return vtlb->format == SHADOW_4LEVEL ? PTE_ENTRIES : 4;
}

/* PAE roots are PDPTEs: P and address only, and an empty one is 0 (SDM 3A 4.4.1). */
static bool is_pae_root(const struct vtlb *vtlb, unsigned level)
{
    return vtlb->format == SHADOW_PAE && level == 3;
}

static spte_t empty_entry(const struct vtlb *vtlb, unsigned level)
{
    return is_pae_root(vtlb, level) ? spte(0) : vtlb->empty;
}

static spte_t table_entry(const struct vtlb *vtlb, hpa_t table, unsigned level)
{
    return spte(table.v | (is_pae_root(vtlb, level) ? PTE_P : PTE_P | PTE_W | PTE_U));
}

void vtlb_init(struct vtlb *vtlb, struct pool *pool, enum shadow_format format, spte_t empty)
{
    *vtlb = (struct vtlb){ .pool = pool, .format = format, .empty = empty };
    vtlb->root = pool_take(pool, empty_entry(vtlb, root_level(vtlb)));
}

/* Frees the table that entry at level names, with all below it. */
static void free_below(struct vtlb *vtlb, spte_t entry, unsigned level)
{
    spte_t *entries = host_ptr(spte_frame(entry));

    for (unsigned i = 0; level > LEVEL_2M && i < PTE_ENTRIES; i++)
        if (spte_usable(entries[i]))
            free_below(vtlb, entries[i], level - 1);
    pool_give(vtlb->pool, spte_frame(entry));
}

static void drop_all(struct vtlb *vtlb)
{
    spte_t *entries = host_ptr(vtlb->root);
    unsigned level = root_level(vtlb);

    for (unsigned i = 0; i < root_entries(vtlb); i++) {
        if (spte_usable(entries[i]))
            free_below(vtlb, entries[i], level);
        entries[i] = empty_entry(vtlb, level);
    }
}

void vtlb_destroy(struct vtlb *vtlb)
{
    drop_all(vtlb);
    pool_give(vtlb->pool, vtlb->root);
    vtlb->root = hpa(0);
}

/* Empties a page table of all but its globals. */
static void keep_globals_of(struct vtlb *vtlb, hpa_t table)
{
    spte_t *entries = host_ptr(table);

    for (unsigned i = 0; i < PTE_ENTRIES; i++)
        if (!(entries[i].v & PTE_G) || !spte_usable(entries[i]))
            entries[i] = vtlb->empty;
}

/* Drops the non-globals below table; subtrees that have no globals at all are freed unread. */
static void drop_non_globals(struct vtlb *vtlb, hpa_t table, unsigned level)
{
    spte_t *entries = host_ptr(table);
    unsigned count = level == root_level(vtlb) ? root_entries(vtlb) : PTE_ENTRIES;

    for (unsigned i = 0; i < count; i++) {
        if (!spte_usable(entries[i]))
            continue;
        if (!is_pae_root(vtlb, level) && !(entries[i].v & SPTE_HAS_GLOBALS)) {
            free_below(vtlb, entries[i], level);
            entries[i] = empty_entry(vtlb, level);
        } else if (level == LEVEL_2M) {
            keep_globals_of(vtlb, spte_frame(entries[i]));
        } else {
            drop_non_globals(vtlb, spte_frame(entries[i]), level - 1);
        }
    }
}

void vtlb_flush(struct vtlb *vtlb, bool keep_globals)
{
    if (keep_globals)
        drop_non_globals(vtlb, vtlb->root, root_level(vtlb));
    else
        drop_all(vtlb);
}

/* Of which kind of guest page a leaf is a piece. */
static uint64_t piece_mark(uint8_t page_shift)
{
    if (page_shift > SHIFT_4M)
        return SPTE_HAS_1G_PIECES;
    return page_shift > PAGE_SHIFT ? SPTE_HAS_2M_PIECES : 0;
}

/* A leaf as it was given to vtlb_fill(); the empty entry has bits there that are no marks. */
static spte_t without_marks(spte_t entry)
{
    return spte_usable(entry) ? spte(entry.v & ~SPTE_MARKS) : entry;
}

/* What the entries above leaf must remember of it. */
static uint64_t marks_of(spte_t leaf)
{
    return (leaf.v & SPTE_MARKS) | (leaf.v & PTE_G ? SPTE_HAS_GLOBALS : 0);
}

bool vtlb_fill(struct vtlb *vtlb, gva_t address, struct vtlb_leaf leaf, spte_t *old)
{
    bool dropped = vtlb->pool->free_pages < TABLES_A_FILL;
    spte_t entry = spte(leaf.entry.v | piece_mark(leaf.page_shift));
    hpa_t table = vtlb->root;
    spte_t *slot;

    if (dropped)
        drop_all(vtlb);
    for (unsigned level = root_level(vtlb); level > 1; level--) {
        slot = entry_at(table, address, level);
        if (!spte_usable(*slot))
            *slot = table_entry(vtlb, pool_take(vtlb->pool, vtlb->empty), level);
        if (!is_pae_root(vtlb, level))
            slot->v |= marks_of(entry);
        table = spte_frame(*slot);
    }
    slot = entry_at(table, address, 1);
    *old = without_marks(*slot);
    *slot = entry;
    return dropped;
}

static void drop_table(struct vtlb *vtlb, spte_t *slot, unsigned level)
{
    if (!spte_usable(*slot))
        return;
    free_below(vtlb, *slot, level);
    *slot = empty_entry(vtlb, level);
}

/* The other half of the 4 MiB that a 32-bit guest's large page covers: its pieces lie in both. */
static gva_t other_half(gva_t address)
{
    return gva(address.v ^ 2 * MiB);
}

/* Drops the tables of all 2M or 4M pages that have pieces near address; false if there are none. */
static bool drop_pieces(struct vtlb *vtlb, hpa_t directory, gva_t address)
{
    spte_t *slot = entry_at(directory, address, LEVEL_2M);
    spte_t *other = entry_at(directory, other_half(address), LEVEL_2M);
    bool here = spte_usable(*slot) && slot->v & SPTE_HAS_2M_PIECES;
    /* Guests with 4M pages run on PAE tables; on others the neighbour's pieces are its own. */
    bool there = vtlb->format == SHADOW_PAE && spte_usable(*other) && other->v & SPTE_HAS_2M_PIECES;

    if (here)
        drop_table(vtlb, slot, LEVEL_2M);
    if (there)
        drop_table(vtlb, other, LEVEL_2M);
    return here || there;
}

bool vtlb_drop(struct vtlb *vtlb, gva_t address)
{
    bool pieces = false;
    hpa_t table = vtlb->root;

    for (unsigned level = root_level(vtlb); level > 1; level--) {
        spte_t *slot = entry_at(table, address, level);
        if (level == LEVEL_2M)
            pieces = drop_pieces(vtlb, table, address);
        if (!spte_usable(*slot))
            return pieces;
        if (level == LEVEL_1G && slot->v & SPTE_HAS_1G_PIECES) {
            drop_table(vtlb, slot, level);
            return true;
        }
        table = spte_frame(*slot);
    }
    *entry_at(table, address, 1) = vtlb->empty;
    return pieces;
}

spte_t vtlb_lookup(const struct vtlb *vtlb, gva_t address)
{
    hpa_t table = vtlb->root;

    for (unsigned level = root_level(vtlb); level > 1; level--) {
        spte_t entry = *entry_at(table, address, level);
        if (!spte_usable(entry))
            return vtlb->empty;
        table = spte_frame(entry);
    }
    return without_marks(*entry_at(table, address, 1));
}
