/* SPDX-License-Identifier: MIT */
/*
 * The tables that torture plays with: a few of each level, shared by a few address spaces, and of
 * each table a few entries, its slots. Any slot may name any table of the level below, so one entry
 * is on the way to many addresses, and a table is reached with many rights. graph.c makes entries
 * and knows the addresses that slots add up to.
 */
#pragma once

#include "guests/lib/model.h"

enum { SPACES = 3, TABLES = 4, SLOTS = 3, ADDRESSES_MAX = 81 };

/* A slot: where it is, and when it was changed in a way that something stale may be cached of. */
struct slot {
    void *entry;
    unsigned level;
    unsigned changed_at; /* step: needs a flush before its addresses can be judged */
    unsigned raised_at;  /* step: rights were only added, so one spurious fault is allowed */
};

extern uint64_t spaces[SPACES];
extern unsigned long addresses[ADDRESSES_MAX];
extern unsigned address_count;
extern struct slot slots[(SPACES + PAGING_LEVELS * TABLES) * SLOTS];
extern unsigned slot_count;

/* A number below bound, from the seed. */
void random_seed(uint64_t seed);
unsigned random_below(unsigned bound);
bool one_in(unsigned n);

void graph_init(void);

/* The slot of an entry of a walk; NULL for none of ours. */
struct slot *graph_slot(const void *entry);

/* What the slot may become next: something new, or the old value with one bit changed. */
uint64_t graph_next_entry(const struct slot *slot);

/* Makes every PDPTE of a root good again. */
void graph_mend_pdptes(uint64_t root);
