/* SPDX-License-Identifier: MIT */
/*
 * Memory of the paging benchmark. Physical, 184 MiB from 0:
 *
 *     1 MiB ..    the image, its stack, the identity map of start64.asm
 *     4 ..  12    pool of page tables, handed out in order, zeroed before the start
 *    16 .. 112    data frames: every test takes its own window of them, so that no frame is mapped
 *                 twice (but for the identity map) and no test pays for another's reverse maps
 *   112 .. 176    what the stride tests read
 *   176 .. 184    frames that copy-on-write copies into
 *
 * Linear: PML4 entry 0 is the identity map, whose 2M pages are the way to tables and frames. Entry
 * 1 is the tests': each takes a fresh PDPT entry (1 GiB) with fresh tables, so that none sees
 * shadow state of another; address spaces of their own have their pages at SPACE_BASE.
 */
#pragma once

#include "arch/x86/pte.h"
#include "guests/lib/image.h"
#include "lib/base.h"
#include "mm/addr.h"

#define POOL_START   (4 * MiB)
#define POOL_END     (12 * MiB)
#define FRAMES_START (16 * MiB)
#define STRIDE_START (112 * MiB)
#define STRIDE_SIZE  (64 * MiB)
#define COPY_START   (176 * MiB)
#define MEMORY_END   (184 * MiB)
#define SPACE_BASE   (1ull << 39)

#define PW   (PTE_P | PTE_W)
#define PWAD (PTE_P | PTE_W | PTE_A | PTE_D)

/* The first frame of the running test's window. */
extern uint64_t window;

void memory_init(void);
/* Begins a new window of that many frames. */
void window_take(unsigned frames);
uint64_t *table_new(void);

/*
 * A fresh 1 GiB region with that many page tables, adjacent, all entries zero; returns its linear
 * address. The second form leaves the page directory empty to its caller.
 */
uint64_t region_new(unsigned tables, uint64_t **page_table);
uint64_t region_new_directory(uint64_t **directory);
/* The directory entry of the region's first 2 MiB. */
uint64_t *region_directory(uint64_t region);

/* An address space of one page table at SPACE_BASE. */
struct space {
    uint64_t *pml4, *pdpt, *directory, *table;
};

struct space space_new(void);

/* The identity map for the code that runs, then the way down to the table. */
static inline void space_link(const struct space *space, uint64_t bits)
{
    space->pml4[0] = guest_pml4[0];
    space->pml4[1] = (uint64_t)space->pdpt | bits;
    space->pdpt[0] = (uint64_t)space->directory | bits;
    space->directory[0] = (uint64_t)space->table | bits;
}

static inline uint64_t frame(uint64_t i)
{
    return window + i * PAGE_SIZE;
}

static inline uint64_t page(uint64_t region, int i)
{
    return region + i * PAGE_SIZE;
}

static inline uint64_t load(uint64_t address)
{
    return *(volatile uint64_t *)address;
}

static inline void store(uint64_t address, uint64_t value)
{
    *(volatile uint64_t *)address = value;
}

/* To an entry that the processor may be using. */
static inline void set_entry(uint64_t *entry, uint64_t value)
{
    *(volatile uint64_t *)entry = value;
}
