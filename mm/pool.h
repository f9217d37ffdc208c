/* SPDX-License-Identifier: MIT */
/*
 * The shadow page pool: a fixed number of frames that one VM's shadow tables live in, taken when
 * the VM is made, so that no guest can exhaust the hypervisor. All of it lies below 4 GiB, since
 * a PAE root has to.
 */
#pragma once

#include "mm/frames.h"

/*
 * The most shadow pages that one instruction can need at once, which is the least a pool may hold:
 * with fewer, filling for one operand could evict another's tables for ever.
 */
#define POOL_PAGES_MIN 64

struct pool {
    hpa_t base;
    uint64_t pages;
    uint64_t free_pages;
    hpa_t first_free; /* list linked through the free pages' first words; hpa(0) ends it */
};

/* Takes pages frames from frames; false if there is no such block. */
must_check bool pool_init(struct pool *pool, struct frames *frames, uint64_t pages);
void pool_destroy(struct pool *pool, struct frames *frames);
/* A page with every entry set to empty. Panics if there is none: callers reserve first. */
hpa_t pool_take(struct pool *pool, spte_t empty);
void pool_give(struct pool *pool, hpa_t page);
