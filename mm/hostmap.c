/* SPDX-License-Identifier: MIT */
/* The hypervisor's page tables: see mm/hostmap.h. SDM 3A 4.5 "4-Level Paging and 5-Level Paging".
 */
#include "mm/hostmap.h"
#include "arch/x86/pte.h"
#include "lib/string.h"
#include "mm/host.h"
#include "mm/layout.h"

#define LEVELS     4
#define LEVEL_BITS 9

/* Bytes that one entry of a table at level (1: page table, 4: PML4) maps. */
static uint64_t entry_span(unsigned level)
{
    return PAGE_SIZE << (LEVEL_BITS * (level - 1));
}

static uint64_t *entry_of(hpa_t table, uint64_t va, unsigned level)
{
    uint64_t *entries = host_ptr(table);

    return &entries[va / entry_span(level) % PTE_ENTRIES];
}

static hpa_t new_table(struct hostmap *map)
{
    hpa_t table;

    if (!frames_alloc_zeroed(map->frames, &table))
        panic("no memory for the hypervisor's own page tables");
    return table;
}

void hostmap_init(struct hostmap *map, struct frames *frames, bool gib_pages)
{
    *map = (struct hostmap){ .frames = frames, .gib_pages = gib_pages };
    map->root = new_table(map);
}

static uint64_t leaf_bits(unsigned rights, unsigned level)
{
    uint64_t bits = PTE_P | PTE_A | PTE_G;

    if (rights & HOST_WRITE)
        bits |= PTE_W | PTE_D;
    if (!(rights & HOST_EXECUTE))
        bits |= PTE_NX;
    if (rights & HOST_UNCACHED)
        bits |= PTE_PCD | PTE_PWT;
    return level > 1 ? bits | PTE_PS : bits;
}

/* The highest level at which one entry can map the start of the extent. */
static unsigned leaf_level(const struct hostmap *map, uint64_t va, struct extent extent)
{
    for (unsigned level = map->gib_pages ? 3 : 2; level > 1; level--) {
        uint64_t span = entry_span(level);
        if (!((va | extent.base.v) & (span - 1)) && extent.size >= span)
            return level;
    }
    return 1;
}

static void map_leaf(struct hostmap *map, uint64_t va, uint64_t entry, unsigned leaf)
{
    hpa_t table = map->root;
    uint64_t *slot;

    for (unsigned level = LEVELS; level > leaf; level--) {
        slot = entry_of(table, va, level);
        if (!*slot)
            *slot = new_table(map).v | PTE_P | PTE_W | PTE_A;
        if (*slot & PTE_PS)
            panic("linear address 0x%lx is mapped already", va);
        table = hpa(*slot & PTE_ADDRESS);
    }
    slot = entry_of(table, va, leaf);
    if (*slot)
        panic("linear address 0x%lx is mapped already", va);
    *slot = entry;
}

void hostmap_map(struct hostmap *map, uint64_t va, struct extent extent, unsigned rights)
{
    ASSERT(!((va | extent.base.v | extent.size) & PAGE_MASK));
    ASSERT((rights & (HOST_WRITE | HOST_EXECUTE)) != (HOST_WRITE | HOST_EXECUTE));
    while (extent.size) {
        unsigned level = leaf_level(map, va, extent);
        uint64_t span = entry_span(level);

        map_leaf(map, va, extent.base.v | leaf_bits(rights, level), level);
        va += span;
        extent.base.v += span;
        extent.size -= span;
    }
}

static bool is_guard(const struct image_layout *layout, uint64_t va)
{
    for (size_t i = 0; i < ARRAY_SIZE(layout->guards); i++)
        if (layout->guards[i] == va)
            return true;
    return false;
}

void hostmap_add_image(struct hostmap *map, const struct image_layout *layout)
{
    for (size_t i = 0; i < ARRAY_SIZE(layout->parts); i++) {
        const struct image_part *part = &layout->parts[i];
        for (uint64_t va = part->start; va < part->end; va += PAGE_SIZE)
            if (!is_guard(layout, va))
                hostmap_map(map, va, (struct extent){ hpa(va - IMAGE_BASE), PAGE_SIZE },
                            part->rights);
    }
}

static void add_direct_range(struct hostmap *map, uint64_t start, uint64_t end)
{
    if (start < end)
        hostmap_map(map, DIRECT_MAP + start, (struct extent){ hpa(start), end - start },
                    HOST_WRITE);
}

void hostmap_add_direct(struct hostmap *map, struct extent_list ram, struct extent image)
{
    for (size_t i = 0; i < ram.count; i++) {
        uint64_t start = align_up(ram.items[i].base.v, PAGE_SIZE);
        uint64_t end = align_down(ram.items[i].base.v + ram.items[i].size, PAGE_SIZE);
        uint64_t image_end = align_up(image.base.v + image.size, PAGE_SIZE);

        add_direct_range(map, start, min_u64(end, align_down(image.base.v, PAGE_SIZE)));
        add_direct_range(map, max_u64(start, image_end), end);
    }
}

/* Bits 63:47 alike: 48-bit linear addresses (SDM 1 3.3.7.1 "Canonical Addressing"). */
static bool is_canonical(uint64_t va)
{
    return va <= BITS(46, 0) || va >= BITS(63, 47);
}

bool hostmap_lookup(const struct hostmap *map, uint64_t va, hpa_t *to, unsigned *rights)
{
    hpa_t table = map->root;

    if (!is_canonical(va))
        return false;
    for (unsigned level = LEVELS; level > 0; level--) {
        uint64_t entry = *entry_of(table, va, level);
        if (!(entry & PTE_P))
            return false;
        if (level == 1 || entry & PTE_PS) {
            uint64_t offset = va & (entry_span(level) - 1);
            *to = hpa((entry & PTE_ADDRESS & ~(entry_span(level) - 1)) + offset);
            *rights = (entry & PTE_W ? HOST_WRITE : 0) | (entry & PTE_NX ? 0 : HOST_EXECUTE) |
                      (entry & PTE_PCD ? HOST_UNCACHED : 0);
            return true;
        }
        table = hpa(entry & PTE_ADDRESS);
    }
    return false;
}
