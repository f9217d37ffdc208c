/* SPDX-License-Identifier: MIT */
/*
 * What the architecture allows a guest's processor to have cached (SDM 3A 4.10 "Caching Translation
 * Information"), as a set: a translation is allowed if there is a moment for each entry of its walk
 * at which the entry had the value used, such that the moments go down the tables in order, the
 * last one is after every flush that covers the translation, and no flush of the upper entries
 * lies between. Rights are judged under the registers as they are now.
 *
 * So the set is never built. What is kept is the past: versions of memory (history_memory.h) and a
 * list of *events* of each vCPU: flushes, and changes of the registers. An event begins a span in
 * which the registers are constant.
 */
#pragma once

#include "tests/host/history_memory.h"

enum event_kind {
    EVENT_ALL,         /* everything */
    EVENT_NON_GLOBALS, /* everything but globals */
    EVENT_ADDRESS,     /* INVLPG: an address, globals too; all upper entries */
    EVENT_LOCAL,       /* INVPCID 0: an address but globals, and the upper entries it uses */
    EVENT_FAULT,       /* #PF: an address, globals too, and the upper entries it uses */
    EVENT_REGS,        /* registers only */
};

struct event {
    enum event_kind kind;
    uint32_t time;
    uint64_t linear;
    struct model_regs regs; /* from now on */
};

#define EVENTS_MAX  512
#define EVENTS_STEP 80 /* the most that one step makes */

struct past {
    struct event event[EVENTS_MAX];
    unsigned count;
};

/* Time passes, then regs are in force and the flush has been done. */
void past_event(struct past *past, enum event_kind kind, uint64_t linear,
                const struct model_regs *regs);
bool past_crowded(const struct past *past);

/*
 * True if some translation of linear that may be cached now permits access under the registers of
 * now, and names the byte at host.
 */
bool past_allows(const struct past *past, uint64_t linear, struct model_access access,
                 uint64_t host);
