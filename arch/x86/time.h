/* SPDX-License-Identifier: MIT */
/* Time: the TSC, and its rate as measured once at boot against the 8254. */
#pragma once

#include "lib/base.h"

/*
 * TSC ticks a second, measured against 8254 channel 2; 0 if the timer does not count. CPUID leaf
 * 15h is not asked: emulators are known to state a rate there at which their TSC does not run.
 */
uint64_t time_measure_tsc(void);
/* Microseconds since the TSC was 0; ticks if the rate is unknown. */
uint64_t time_now_us(void);
/* Set once by main. */
void time_set_tsc_rate(uint64_t ticks_per_second);
uint64_t time_tsc_rate(void);
