/* SPDX-License-Identifier: MIT */
/* Tables, slots and entries: graph.h. */
#include "guests/torture/graph.h"
#include "guests/lib/report.h"

#define VALID BIT(9) /* of the ignored bits: the address in the entry is one of ours */

/* Indices of the slots, by mode and level. Small pages in a large one have to be in our frames. */
static const unsigned indices[][PAGING_LEVELS + 1][SLOTS] = {
    [PAGING_32BIT] = { [1] = { 1, 7, 1023 }, { 256, 257, 300 } },
    [PAGING_PAE] = { [1] = { 1, 7, 511 }, { 2, 3, 5 }, { 1, 2, 3 } },
    [PAGING_4LEVEL] = { [1] = { 1, 7, 511 }, { 2, 3, 5 }, { 0, 1, 511 }, { 289, 290, 100 } },
};

uint64_t spaces[SPACES];
unsigned long addresses[ADDRESSES_MAX];
unsigned address_count;
struct slot slots[(SPACES + PAGING_LEVELS * TABLES) * SLOTS];
unsigned slot_count;

static uint64_t tables[PAGING_LEVELS][TABLES]; /* by level; those of the top are spaces */
static uint64_t state;

/* ---- random numbers: xorshift64 (G. Marsaglia, "Xorshift RNGs", 2003) ---- */

void random_seed(uint64_t seed)
{
    state = seed * 0x9e3779b97f4a7c15ull + 1;
}

static uint32_t random_word(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16);
}

static uint64_t random_64(void)
{
    return (uint64_t)random_word() << 32 | random_word();
}

unsigned random_below(unsigned bound)
{
    return (unsigned)((uint64_t)random_word() * bound >> 32);
}

bool one_in(unsigned n)
{
    return random_below(n) == 0;
}

/* ---- entries ---- */

static bool is_pdpte(unsigned level)
{
    return paging_is(PAGING_PAE) && level == 3;
}

static bool can_be_large(unsigned level)
{
    if (paging_is(PAGING_32BIT) || level == 2)
        return level == 2;
    return paging_is(PAGING_4LEVEL) && level == 3 && model.has_gib_pages;
}

static uint64_t random_frame(void)
{
    if (one_in(8))
        return tables[1][random_below(TABLES)];
    return frame_address(random_below(FRAME_COUNT));
}

static uint64_t large_frame(unsigned level)
{
    uint64_t size = BIT(paging->level[level].shift);

    return size >= GiB ? 0 : PAGING_FRAMES + random_below((unsigned)(12 * MiB / size)) * size;
}

static uint64_t random_bits(unsigned level)
{
    uint64_t bits = PTE_P | VALID | (random_64() & (BITS(11, 10) | PTE_PWT | PTE_PCD));

    if (is_pdpte(level))
        return bits;
    bits |= random_64() & (PTE_A | PTE_D);
    bits |= (one_in(8) ? 0 : PTE_W) | (one_in(6) ? 0 : PTE_U) | (one_in(4) ? PTE_G : 0);
    return bits | (model.nxe && one_in(10) ? PTE_NX : 0);
}

static uint64_t reserved_bit(unsigned level, uint64_t entry)
{
    static const unsigned some[] = { 62, 52, 51, 50, 14, 7 };
    uint64_t bit =
        is_pdpte(level) ? BIT(1 + random_below(2)) : BIT(some[random_below(ARRAY_SIZE(some))]);

    /* only what turns the entry into an unusable one, not into another address */
    if (paging_is(PAGING_32BIT))
        bit = BIT(21);
    return model_is_usable(level, entry | bit) && !is_pdpte(level) ? 0 : bit;
}

static uint64_t present_entry(unsigned level)
{
    uint64_t entry = random_bits(level);

    if (level == 1)
        return entry | random_frame();
    if (can_be_large(level) && one_in(4))
        return entry | large_frame(level) | PTE_PS;
    return entry | tables[level - 1][random_below(TABLES)];
}

static uint64_t new_entry(unsigned level)
{
    uint64_t entry;

    if (one_in(12))
        return random_64() & ~(PTE_P | VALID);
    entry = present_entry(level);
    if (one_in(24))
        entry |= reserved_bit(level, entry);
    return entry;
}

/* One bit changes its mind, P included; the address stays. */
static uint64_t changed_entry(unsigned level, uint64_t entry)
{
    static const uint64_t bits[] = { PTE_P, PTE_W, PTE_U, PTE_A, PTE_D, PTE_G, BIT(10), PTE_NX };
    uint64_t bit = bits[random_below(ARRAY_SIZE(bits))];

    if (!(entry & PTE_P) && !one_in(4))
        bit = PTE_P;
    if ((bit == PTE_NX && !model.nxe) || (is_pdpte(level) && bit != PTE_P))
        bit = BIT(11);
    return entry ^ bit;
}

uint64_t graph_next_entry(const struct slot *slot)
{
    uint64_t entry = entry_get(slot->entry);

    if (entry & VALID && !one_in(3))
        return changed_entry(slot->level, entry);
    return new_entry(slot->level);
}

void graph_mend_pdptes(uint64_t root)
{
    for (unsigned i = 0; i < SLOTS; i++)
        entry_set(paging_entry_at(root, indices[PAGING_PAE][3][i]),
                  tables[2][random_below(TABLES)] | PTE_P | VALID);
}

/* ---- the graph ---- */

static void add_slots(enum paging_mode_id mode, uint64_t table, unsigned level)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        struct slot *slot = &slots[slot_count++];

        *slot = (struct slot){ .entry = paging_entry_at(table, indices[mode][level][i]),
                               .level = level };
        entry_set(slot->entry, present_entry(level));
    }
}

static unsigned long sign_extended(uint64_t address)
{
    unsigned unused = paging_is(PAGING_4LEVEL) ? 16 : 32;

    return (unsigned long)((int64_t)(address << unused) >> unused);
}

static void add_addresses(enum paging_mode_id mode, uint64_t from, unsigned level)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        uint64_t address = from | (uint64_t)indices[mode][level][i] << paging->level[level].shift;

        if (level == 1)
            addresses[address_count++] = sign_extended(address);
        else
            add_addresses(mode, address, level - 1);
    }
}

void graph_init(void)
{
    for (unsigned level = 1; level < paging->levels; level++)
        for (unsigned i = 0; i < TABLES; i++)
            tables[level][i] = paging_new_table();
    for (unsigned level = 1; level < paging->levels; level++)
        for (unsigned i = 0; i < TABLES; i++)
            add_slots(GUEST_PAGING, tables[level][i], level);
    for (unsigned i = 0; i < SPACES; i++) {
        spaces[i] = paging_new_space();
        add_slots(GUEST_PAGING, spaces[i], paging->levels);
    }
    add_addresses(GUEST_PAGING, 0, paging->levels);
    CHECK(slot_count <= ARRAY_SIZE(slots), "%u slots", slot_count);
}

struct slot *graph_slot(const void *entry)
{
    for (unsigned i = 0; i < slot_count; i++)
        if (slots[i].entry == entry)
            return &slots[i];
    return NULL;
}
