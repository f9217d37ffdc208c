/* SPDX-License-Identifier: MIT */
/*
 * One measurement: OUT 0x80,id, the operations, OUT 0x80,id|0x80, where the host of the guest takes
 * its exit counts (DESIGN.md section 6), and a line "R name ops ticks ticks/op". Ids count from 1.
 */
#pragma once

#include "guests/lib/x86.h"

#define PORT_MARK 0x80
#define MARK_END  0x80 /* set in the id */

struct measurement {
    uint64_t started; /* TSC */
    uint8_t id;
};

extern struct measurement measurement;

static inline void measure_begin(void)
{
    outb(PORT_MARK, ++measurement.id);
    measurement.started = rdtsc();
}

void measure_end(const char *name, uint64_t operations);
