/* SPDX-License-Identifier: MIT */
/*
 * Histories: what guests do to a virtual MMU, and whether each outcome is one that the architecture
 * allows. A history is an array of steps. Their operands are small numbers that select from a small
 * universe (32 frames, 256 linear addresses a mode, 8 slots a table), so that steps collide; every
 * array of bytes is a valid history, so that it can be shrunk and fuzzed.
 *
 *      guest tables --- mm/ ---> shadow tables ---> processor with a TLB that forgets nothing
 *           |                                       (history_processor.h)        |
 *           +---> the set of translations the SDM allows (history_allowed.h) <---+ judged
 *
 * The world begins with two vCPUs, not paged, and memory of zeros but for ROM. What is not allowed
 * panics, as mm/ itself does.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum step_kind {
    STEP_NONE,      /* nothing; ends a regression */
    STEP_ACCESS,    /* linear a, how b (HOW_*; bits 7:6: offset), choice c */
    STEP_SPECULATE, /* linear a: the processor walks for itself */
    STEP_STORE,     /* linear a, slot and size b, choice c: value */
    STEP_EDIT,      /* entry a b becomes frame c with value (EDIT_*) */
    STEP_TOGGLE,    /* entry a b: bit c */
    STEP_POKE,      /* Umbra stores 1 << c bytes at frame a, slot b: value */
    STEP_CR0,       /* toggles WP (a & 1), CD (a & 2), PG (a & 4) */
    STEP_CR3,       /* root a, low bits b */
    STEP_CR4,       /* toggles PSE PAE PGE SMEP SMAP PKE (a, in this order) */
    STEP_EFER,      /* toggles NXE */
    STEP_PKRU,      /* WRPKRU value */
    STEP_MODE,      /* PG off, then mode a: unpaged, 32-bit, PAE, 4-level; root b */
    STEP_INVLPG,    /* linear a, offset in bits 7:6 of b; not canonical if b & 1 */
    STEP_INVPCID,   /* type a, PCID b, linear c */
    STEP_MAP,       /* map variant a */
    STEP_RESET,     /* the vCPU anew: MAXPHYADDR a, no 1G pages if b & 1, no TRAP if b & 2 */
    STEP_VCPU,      /* vCPU a runs */
    STEP_BUILD,     /* plausible tables for mode a, seed value */
    STEP_SWEEP,     /* as STEP_ACCESS, to 64 pages that need many tables */
    STEP_KINDS
};

struct step {
    uint8_t kind, a, b, c;
    uint64_t value;
};

/* STEP_ACCESS: how. */
#define HOW_WHAT   3  /* read, write, fetch, write */
#define HOW_WHO    12 /* user, supervisor, implicit at CPL 3, implicit that nobody tells */
#define HOW_AC     16
#define HOW_REPEAT 32 /* once more, if it was allowed */

/* STEP_EDIT: value. Bits 8:0 are those of the entry. */
#define EDIT_NX        0x200
#define EDIT_RESERVED  0x400 /* one of four reserved bits, by bits 25:24 */
#define EDIT_ALIGN     0x800 /* the frame is that of a large page, by bits 27:26 */
#define EDIT_LOW_HALF  0x1000
#define EDIT_HIGH_HALF 0x2000 /* both: two stores, high first; neither: one store */
#define EDIT_KEY(n)    ((uint64_t)(n) << 16)

/* The entry that a and b of STEP_EDIT and STEP_TOGGLE mean: one that linear a uses, or a slot. */
#define ENTRY_LEVEL 3    /* of b: how far down the walk */
#define ENTRY_SLOT  0x80 /* of b: slot b & 7 of frame a */

struct history_counts {
    unsigned long steps, accesses;
    unsigned long allowed, by_past, cached, fills, faults, devices, single_steps, recycled;
};

extern struct history_counts history_counts; /* since the process began */
extern size_t history_position;              /* the step being run */

/* Runs steps from the beginning of the world; panics where one is not allowed. */
void history_run(const struct step *steps, size_t count, unsigned audit_every);
/* The same; true if it panicked, and then host_panic_text() says with what. */
bool history_fails(const struct step *steps, size_t count, unsigned audit_every);

/* ---- making and shrinking (history_make.c) ---- */

#define HISTORY_STEPS 2000

/* What paging modes a generated history goes through: bits 3:0. */
void history_generate(struct step *steps, size_t count, uint64_t seed, unsigned modes);
/* Removes and simplifies steps as long as it fails; returns how many are left. */
size_t history_shrink(struct step *steps, size_t count, unsigned audit_every);
/* As initializers of C, to be pasted into test_histories.c. */
void history_print(const struct step *steps, size_t count);
/* Generates, runs; on failure shrinks, prints, returns false. */
bool history_campaign(uint64_t seed, unsigned modes, unsigned audit_every);
