/* SPDX-License-Identifier: MIT */
/*
 * Boot-time probes: things that capability bits promise and that are cheap to try. A guest of a few
 * instructions is run on hand-made tables, and what the processor does is believed, not what it
 * says of itself.
 */
#pragma once

#include "mm/spte.h"

struct frames;

/* Runs all probes and logs what they found. Needs engine_init(). */
void probe_run(struct frames *frames);
/* What empty shadow entries are: SPTE_TRAP where it faults with RSVD, else 0. */
spte_t probe_empty_entry(void);
/* Whether the monitor trap flag exits after one instruction. */
bool probe_has_monitor_trap(void);
