/* SPDX-License-Identifier: MIT */
/*
 * The virtual TLB (SDM 3C 32.3.4 "Alternate Approach to Memory Virtualization" describes such an
 * algorithm): shadow tables keyed by linear address alone. A leaf carries all the rights its walk
 * accumulated, the entries above it allow everything; a guest flush empties the tables but for
 * globals; a large guest page is filled piece by piece, and the entries above a piece are marked so
 * that INVLPG of any byte of the page drops all of it.
 */
#pragma once

#include "mm/pool.h"
#include "mm/spte.h"

enum shadow_format { SHADOW_PAE, SHADOW_4LEVEL };

struct vtlb {
    struct pool *pool;
    enum shadow_format format;
    spte_t empty; /* TRAP, or 0 where the processor has no reserved bit for it */
    hpa_t root;
};

/* A translation to install: 4 KiB, part of a guest page of 1 << page_shift bytes. */
struct vtlb_leaf {
    spte_t entry; /* as the processor shall see it */
    uint8_t page_shift;
};

void vtlb_init(struct vtlb *vtlb, struct pool *pool, enum shadow_format format, spte_t empty);
/* Gives every page back, the root too. */
void vtlb_destroy(struct vtlb *vtlb);

/*
 * Installs leaf at address in place of what was there, which it returns (*old; the empty entry if
 * nothing). If the pool runs out, everything else is dropped first: then true is returned, and the
 * processor's whole TLB must be flushed.
 */
must_check bool vtlb_fill(struct vtlb *vtlb, gva_t address, struct vtlb_leaf leaf, spte_t *old);

/* Drops everything, or everything but globals. */
void vtlb_flush(struct vtlb *vtlb, bool keep_globals);

/*
 * Drops address, and all of the large guest page that it is a piece of. True if more than the one
 * 4 KiB translation may have gone, so that the processor's whole TLB must be flushed.
 */
must_check bool vtlb_drop(struct vtlb *vtlb, gva_t address);

/*
 * Checks every table: the leaves by check (NULL, or what is wrong with the leaf), the form of the
 * entries above, the marks, and that every page of the pool is either free or in exactly one place.
 * Logs each violation; false if there was one.
 */
typedef const char *vtlb_check_leaf(const void *context, spte_t leaf);
must_check bool vtlb_audit(const struct vtlb *vtlb, vtlb_check_leaf *check, const void *context);

/* The leaf at address as it was given to vtlb_fill(), or the empty entry. */
spte_t vtlb_lookup(const struct vtlb *vtlb, gva_t address);
