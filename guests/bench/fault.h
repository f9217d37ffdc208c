/* SPDX-License-Identifier: MIT */
/*
 * The page-fault handler that is part of what is measured: as small as a kernel's could be, and
 * beside the runtime's dispatcher (fault_stubs.asm). Anything but the faults of its mode fails.
 */
#pragma once

#include "lib/base.h"

enum fault_mode {
    FAULT_NONE,
    FAULT_MAP,   /* not present: maps frame i of the window at page i */
    FAULT_COPY,  /* read-only: copies the frame, maps the copy writable, INVLPG */
    FAULT_REUSE, /* read-only: makes it writable, INVLPG */
};

struct fault_plan {
    uint64_t region; /* linear address of page 0 */
    uint64_t *table; /* its entry */
    uint64_t pages;
    uint64_t copy_to; /* the next frame that FAULT_COPY takes */
    uint64_t count;
    enum fault_mode mode;
};

extern struct fault_plan fault;

void fault_init(void);
