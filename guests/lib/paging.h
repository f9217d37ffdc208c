/* SPDX-License-Identifier: MIT */
/*
 * Page tables of a guest, in any mode: a mode is a row of a table (levels, bits, entry size), and
 * everything else is one code for all (SDM Vol. 3A, chapter 4 "Paging"). Written from the manual:
 * nothing is shared with the hypervisor's mm/.
 *
 * Every address space maps the memory of the guest, 16 MiB, to itself with 4K pages for CPL 0 (for
 * CPL 3 too where the image has its user code), so tables and frames are always within reach. What
 * is tested lies in the window, which begins with a top-level entry of its own. Frames are the
 * pages from 4 MiB on; each begins with code that gives the frame's number, for PROBE_FETCH, and
 * has a word of data in the middle. A physical address is a pointer.
 */
#pragma once

#include "arch/x86/pte.h"
#include "arch/x86/regs.h"
#include "lib/base.h"
#include "mm/addr.h"

#define PAGING_MEMORY (16 * MiB)
#define PAGING_FRAMES (4 * MiB) /* the first frame */
#define PAGING_TABLES 192
#define PAGING_NEEDED (PTE_P | PTE_W | PTE_U) /* what paging_entry() gives to tables it adds */
#define PAGING_MARKED (PTE_A | PTE_D)
#define FRAME_DATA    0x800 /* offset of the word */
#define FRAME_COUNT   ((unsigned)((PAGING_MEMORY - PAGING_FRAMES) / PAGE_SIZE))
#define PAGING_LEVELS 4

enum paging_mode_id { PAGING_32BIT, PAGING_PAE, PAGING_4LEVEL };

struct paging_level {
    unsigned shift, bits;
    uint64_t leaf_reserved; /* address bits below those of a large page */
};

struct paging_mode {
    const char *name;
    unsigned levels, entry_size;
    unsigned long window;
    struct paging_level level[PAGING_LEVELS + 1]; /* by number, 1 is the page table */
};

extern const struct paging_mode *paging; /* chosen by paging_init() */

bool paging_is(enum paging_mode_id id);

/* Makes the tables of all memory and writes the frames; the machine must reach 16 MiB. */
void paging_init(enum paging_mode_id id);

/* An address space of all memory and nothing else: what CR3 has to be. */
uint64_t paging_memory_space(void);

/* Forgets every table but those of all memory; CR3 must name these alone. */
void paging_reset(void);

/* An address space with all memory and an empty window; returns what CR3 has to be. */
uint64_t paging_new_space(void);

/* A table with nothing in it; its physical address. */
uint64_t paging_new_table(void);

/* The entry that translates address at a level; tables that are missing above it are made. */
void *paging_entry(uint64_t root, unsigned long address, unsigned level);

/* Entry number i of a table. */
void *paging_entry_at(uint64_t table, unsigned i);

uint64_t entry_get(const void *entry);
/* In one piece, or, where the processor has no such store, never present while half written. */
void entry_set(void *entry, uint64_t value);

/* The number of an address in its table of a level. */
unsigned paging_index(unsigned long address, unsigned level);

/* The physical address of a frame, and the number that is in the code of the frame of an address.
 */
uint64_t frame_address(unsigned frame);
unsigned long frame_code_value(uint64_t physical);

static inline volatile uint32_t *physical_word(uint64_t physical)
{
    return (volatile uint32_t *)(unsigned long)physical;
}
