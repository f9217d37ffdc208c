/* SPDX-License-Identifier: MIT */
/* The end of a measurement: measure.h. */
#include "guests/bench/measure.h"
#include "guests/lib/serial.h"

struct measurement measurement;

void measure_end(const char *name, uint64_t operations)
{
    uint64_t ticks = rdtsc() - measurement.started;

    outb(PORT_MARK, measurement.id | MARK_END);
    serial_printf("R %s %lu %lu %lu.%lu\n", name, operations, ticks, ticks / operations,
                  ticks * 10 / operations % 10);
}
