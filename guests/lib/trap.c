/* SPDX-License-Identifier: MIT */
/* The dispatcher behind trap_stubs64.asm and 32/trap_stubs.asm; trap.h says what it offers. */
#include "guests/lib/trap.h"
#include "guests/lib/report.h"

extern void (*const trap_stubs[EXC_COUNT])(void);
void trap_dispatch(struct trap_frame *frame);

/* One processor, interrupts off: nothing guards this. */
static guest_handler *handlers[EXC_COUNT];

static const char *const names[EXC_COUNT] = {
    "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "9",   "#TS",
    "#NP", "#SS", "#GP", "#PF", "15",  "#MF", "#AC", "#MC", "#XM", "#VE", "#CP",
    "22",  "23",  "24",  "25",  "26",  "27",  "#HV", "#VC", "#SX", "31",
};

void guest_on_exception(unsigned vector, guest_handler *handler)
{
    CHECK(vector < EXC_COUNT, "vector %u is not an exception", vector);
    handlers[vector] = handler;
}

void trap_dispatch(struct trap_frame *frame)
{
    guest_handler *handler = handlers[frame->vector];

    if (handler)
        handler(frame);
    else
        guest_fail("unexpected exception %lu (%s), error code %#lx, RIP %#lx, CR2 %#lx",
                   frame->vector, names[frame->vector], frame->error_code, frame->rip, frame->cr2);
}

void trap_init(void)
{
    for (unsigned vector = 0; vector < EXC_COUNT; vector++)
        guest_set_gate(vector, trap_stubs[vector]);
}
