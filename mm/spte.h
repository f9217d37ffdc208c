/* SPDX-License-Identifier: MIT */
/*
 * Shadow entries: what the processor reads. An empty one is TRAP, present with reserved bit 51 and
 * an address above any RAM, so that a miss faults with RSVD and is told apart from a fault that
 * belongs to the guest; where the processor has no free reserved bit (MAXPHYADDR 52, or the
 * boot-time probe failed) it is 0. Umbra's marks use bits 11:9 only: in PAE shadows bits 62:52 are
 * reserved too.
 */
#pragma once

#include "arch/x86/pte.h"
#include "mm/addr.h"

#define SPTE_TRAP (PTE_P | BITS(51, 12))

/* In a leaf: what it is; in an entry that names a table: what lies somewhere below it. */
#define SPTE_HAS_2M_PIECES BIT(9)  /* pieces of a 2M or 4M guest page */
#define SPTE_HAS_1G_PIECES BIT(10) /* pieces of a 1G guest page */
#define SPTE_HAS_GLOBALS   BIT(11) /* in a leaf, PTE_G says it */
#define SPTE_MARKS         (SPTE_HAS_2M_PIECES | SPTE_HAS_1G_PIECES | SPTE_HAS_GLOBALS)

static inline spte_t spte(uint64_t v)
{
    return (spte_t){ v };
}

/* True if the processor can use the entry: present, not TRAP. */
static inline bool spte_usable(spte_t entry)
{
    return entry.v & PTE_P && !(entry.v & BIT(51));
}

static inline hpa_t spte_frame(spte_t entry)
{
    return hpa(entry.v & BITS(50, 12));
}
