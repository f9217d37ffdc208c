/* SPDX-License-Identifier: MIT */
/*
 * Guest memory of a history, twice: once in the fake RAM, where mm/ works on it, and once as the
 * *mirror*, which only the judge writes; they must always be equal. The guest-physical map has
 * variants: regions move in the host, vanish, or change their kind. Regions lie at odd host places
 * and end inside would-be large pages.
 *
 * The first pages are *tracked*: of each of their 8-byte words it is known which values it had, and
 * from when on. Tables lie there. The other RAM is only there to be mapped, and stays zero.
 */
#pragma once

#include "mm/gpm.h"
#include "tests/host/model.h"

#define MEMORY_TRACKED  18 /* pages from guest-physical 0 on: RAM and ROM */
#define MEMORY_BACKING  96 /* pages of fake RAM for guests */
#define MEMORY_VARIANTS 5
#define MEMORY_FRAMES   32 /* memory_frame() knows so many */

/* Begins a history: all zero, map variant 0. Backing begins at host. */
void memory_init(uint64_t host);
/* Another map. What is RAM or ROM before and after keeps its contents; versions are forgotten. */
void memory_set_variant(unsigned variant);

const struct gpm *memory_gpm(void);
const struct model_memory *memory_model(void);

/* An interesting frame, as an address. */
uint64_t memory_frame(unsigned i);
/* The host address of a byte; false if it is no RAM, for reads no ROM either. */
bool memory_host(uint64_t where, bool write, uint64_t *host);
bool memory_is_ram(uint64_t where);
/* The guest-physical address of a byte of RAM or ROM in the host. */
uint64_t memory_guest(uint64_t host);

/* A store by whom it may concern to mirror and versions; bytes that are no RAM are left out. */
void memory_mirror(uint64_t where, const void *from, unsigned size);
/* The same for flags that a successful walk sets. */
void memory_mirror_flags(const struct model_result *result);
/* Makes the fake RAM a copy of the mirror at these bytes. */
void memory_perform(uint64_t where, unsigned size);
/* Panics unless fake RAM and mirror are equal, in tracked RAM or everywhere. */
void memory_compare(bool everywhere);

/* ---- versions ---- */

/* Time is the number of things that have happened. */
uint32_t memory_time(void);
uint32_t memory_tick(void);

/* The value that an entry had in [from, until). */
struct memory_version {
    uint64_t value;
    uint32_t from, until;
};

/* The versions of the entry of size bytes (4 or 8) at where, newest first: *cursor begins as -1. */
#define MEMORY_FIRST (-1)
bool memory_next_version(uint64_t where, unsigned size, int *cursor, struct memory_version *out);
/* True if there may soon be no room for more versions. */
bool memory_crowded(void);
/* From now on only the present values count. */
void memory_forget(void);
