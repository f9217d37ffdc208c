/* SPDX-License-Identifier: MIT */
/* The modes, a pool of tables, and the map of all memory: paging.h. */
#include "guests/lib/paging.h"
#include "guests/lib/image.h"
#include "guests/lib/probe.h"
#include "guests/lib/report.h"
#include "lib/string.h"

#define CODE_STAMP 0x5ec70000u /* plus the frame's number */
#define DATA_STAMP 0xda7a0000u

/* Address bits between a large page's and bit 12, which is PAT: SDM Vol. 3A, tables 4-10, 4-18. */
#define LOW_2M BITS(20, 13)
#define LOW_1G BITS(29, 13)

/* SDM Vol. 3A, table 4-1 "Properties of Different Paging Modes". */
static const struct paging_mode modes[] = {
    [PAGING_32BIT] = { "32-bit", 2, 4, 0x40000000, { [1] = { 12, 10, 0 }, { 22, 10, 0 } } },
    [PAGING_PAE] = { "PAE",
                     3,
                     8,
                     0x40000000,
                     { [1] = { 12, 9, 0 }, { 21, 9, LOW_2M }, { 30, 2, 0 } } },
#ifdef __x86_64__
    [PAGING_4LEVEL] = { "4-level",
                        4,
                        8,
                        0xffff908000000000,
                        { [1] = { 12, 9, 0 },
                          { 21, 9, LOW_2M },
                          { 30, 9, LOW_1G },
                          { 39, 9, 0 } } },
#endif
};

struct table {
    _Alignas(PAGE_SIZE) uint8_t bytes[PAGE_SIZE];
};

const struct paging_mode *paging;

static struct table tables[PAGING_TABLES];
static unsigned tables_used, tables_kept;
static uint64_t memory_root;

bool paging_is(enum paging_mode_id id)
{
    return paging == &modes[id];
}

uint64_t paging_new_table(void)
{
    struct table *table = &tables[tables_used];

    CHECK(tables_used < PAGING_TABLES, "out of page tables");
    tables_used++;
    memset(table, 0, sizeof(*table));
    return (unsigned long)table;
}

uint64_t entry_get(const void *entry)
{
    if (paging->entry_size == 4)
        return *(const volatile uint32_t *)entry;
    return *(const volatile uint64_t *)entry;
}

static void set_entry_64(void *entry, uint64_t value)
{
#ifdef __x86_64__
    *(volatile uint64_t *)entry = value;
#else
    volatile uint32_t *half = entry;

    if (half[1] != value >> 32) {
        half[0] = 0;
        half[1] = (uint32_t)(value >> 32);
    }
    half[0] = (uint32_t)value;
#endif
}

void entry_set(void *entry, uint64_t value)
{
    if (paging->entry_size == 4)
        *(volatile uint32_t *)entry = (uint32_t)value;
    else
        set_entry_64(entry, value);
}

unsigned paging_index(unsigned long address, unsigned level)
{
    const struct paging_level *l = &paging->level[level];

    return (unsigned)(address >> l->shift) & ((1u << l->bits) - 1);
}

void *paging_entry_at(uint64_t table, unsigned i)
{
    return (void *)(unsigned long)(table + i * paging->entry_size);
}

/* A PDPTE of PAE paging has no rights: SDM Vol. 3A, table 4-8. */
static uint64_t link_to(uint64_t table, unsigned level)
{
    return table | (paging_is(PAGING_PAE) && level == 3 ? PTE_P : PAGING_NEEDED);
}

void *paging_entry(uint64_t root, unsigned long address, unsigned level)
{
    uint64_t table = root & PTE_ADDRESS;

    for (unsigned at = paging->levels;; at--) {
        void *entry = paging_entry_at(table, paging_index(address, at));

        if (at == level)
            return entry;
        if (!(entry_get(entry) & PTE_P))
            entry_set(entry, link_to(paging_new_table(), at));
        table = entry_get(entry) & PTE_ADDRESS;
    }
}

uint64_t frame_address(unsigned frame)
{
    return PAGING_FRAMES + frame * PAGE_SIZE;
}

unsigned long frame_code_value(uint64_t physical)
{
    return CODE_STAMP + (unsigned long)((physical - PAGING_FRAMES) / PAGE_SIZE);
}

static void write_frames(void)
{
    for (unsigned i = 0; i < FRAME_COUNT; i++) {
        uint64_t code = PROBE_CODE(frame_code_value(frame_address(i)));
        volatile uint32_t *word = physical_word(frame_address(i));

        word[0] = (uint32_t)code;
        word[1] = (uint32_t)(code >> 32);
        word[FRAME_DATA / 4] = DATA_STAMP + i;
    }
}

static bool is_user_code(unsigned long address)
{
    return address >= (unsigned long)guest_user && address < (unsigned long)guest_rodata;
}

void paging_init(enum paging_mode_id id)
{
    CHECK((unsigned long)guest_image_end <= PAGING_FRAMES, "the image ends at %p", guest_image_end);
    paging = &modes[id];
    tables_used = tables_kept = 0;
    memory_root = paging_new_table();
    for (unsigned long p = 0; p < PAGING_MEMORY; p += PAGE_SIZE)
        entry_set(paging_entry(memory_root, p, 1),
                  p | PTE_P | PTE_W | PAGING_MARKED | (is_user_code(p) ? PTE_U : 0));
    tables_kept = tables_used;
    write_frames();
}

uint64_t paging_memory_space(void)
{
    return memory_root;
}

void paging_reset(void)
{
    tables_used = tables_kept;
}

uint64_t paging_new_space(void)
{
    uint64_t root = paging_new_table();

    memcpy((void *)(unsigned long)root, (void *)(unsigned long)memory_root, PAGE_SIZE);
    if (paging_is(PAGING_PAE)) /* PDPTEs count from the next MOV CR3 on: the window has one */
        paging_entry(root, paging->window, 2);
    return root;
}
