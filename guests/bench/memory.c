/* SPDX-License-Identifier: MIT */
/* Bump allocators of tables, frames and regions; memory.h has the map. */
#include "guests/bench/memory.h"
#include "guests/lib/report.h"
#include "guests/lib/x86.h"

uint64_t window;

static uint64_t next_window = FRAMES_START;
static uint64_t pool = POOL_START;
static uint64_t *regions; /* the PDPT of PML4 entry 1 */
static unsigned regions_used;

void memory_init(void)
{
    for (uint64_t p = POOL_START; p < POOL_END; p += sizeof(uint64_t))
        store(p, 0);
    for (uint64_t p = FRAMES_START; p < MEMORY_END; p += PAGE_SIZE)
        store(p, 0);
    regions = table_new();
    guest_pml4[1] = (uint64_t)regions | PWAD;
    write_cr3((uint64_t)guest_pml4);
}

void window_take(unsigned frames)
{
    window = next_window;
    next_window += frames * PAGE_SIZE;
    CHECK(next_window <= STRIDE_START, "out of frames");
}

uint64_t *table_new(void)
{
    uint64_t table = pool;

    pool += PAGE_SIZE;
    CHECK(pool <= POOL_END, "out of page tables");
    return (uint64_t *)table;
}

uint64_t region_new_directory(uint64_t **directory)
{
    *directory = table_new();
    regions[regions_used] = (uint64_t)*directory | PWAD;
    return SPACE_BASE + regions_used++ * GiB;
}

uint64_t region_new(unsigned tables, uint64_t **page_table)
{
    uint64_t *directory;
    uint64_t region = region_new_directory(&directory);

    *page_table = (uint64_t *)pool;
    for (unsigned i = 0; i < tables; i++)
        directory[i] = (uint64_t)table_new() | PWAD;
    return region;
}

uint64_t *region_directory(uint64_t region)
{
    return (uint64_t *)(regions[(region - SPACE_BASE) / GiB] & PTE_ADDRESS);
}

struct space space_new(void)
{
    struct space space;

    space.pml4 = table_new();
    space.pdpt = table_new();
    space.directory = table_new();
    space.table = table_new();
    return space;
}
