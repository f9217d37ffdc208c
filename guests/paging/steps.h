/* SPDX-License-Identifier: MIT */
/*
 * What the steps of the paging guests share. A step begins in an address space of its own: all
 * memory mapped, an empty window (guests/lib/paging.h), CR0.WP set, SMEP, SMAP and PGE clear. Every
 * access is judged twice: by the model, to the last bit, and by what the step says it has to be.
 */
#pragma once

#include "guests/lib/model.h"
#include "guests/lib/report.h"
#include "guests/lib/x86.h"

#define RW  (PTE_P | PTE_W)
#define URW (PTE_P | PTE_W | PTE_U)
#define ANY (~0u) /* not NOTHING and no error code */

extern uint64_t space; /* the root of the step's address space */

/* Page n of the window. */
unsigned long page(unsigned n);

/* The entry of an address of the step's space. */
void *entry_of(unsigned long address, unsigned level);

/* Page table entry: frame and bits. */
void map(unsigned long address, unsigned frame, uint64_t bits);
/* An entry of any level changes its bits; nothing is flushed. */
void set_bits(void *entry, uint64_t set, uint64_t clear);

/* The access completes, in this frame. */
void expect_frame(unsigned long address, unsigned access, unsigned frame);
/* The access completes; the physical address is the model's. */
void expect_done(unsigned long address, unsigned access);
/* It raises #PF with this error code. */
void expect_fault(unsigned long address, unsigned access, unsigned error_code);
/* A and D of an entry. */
void expect_marks(void *entry, uint64_t marks, const char *when);

void flush(void); /* MOV CR3 */

/* Levels at which a large page can be; 0 ends the list. */
const unsigned *large_levels(void);
/* The size of a page that an entry of this level maps. */
uint64_t page_size(unsigned level);

typedef bool step(void); /* false: this mode or processor has no such thing */

step not_present, remapping, spaces, marks, write_protect, handled, straddling;
step rights, no_execute, smep, smap, implicit_access;
step large_pages, large_split, large_reserved, without_pse, global_pages, global_large;
step reserved, pdptes, recursive, halves, recycling, paging_off, mode_switch, canonical;
