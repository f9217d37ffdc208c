/* SPDX-License-Identifier: MIT */
/* The IDT and the dispatcher behind trap_stubs.asm; trap.h says what they offer. */
#include "guests/lib/trap.h"
#include "guests/lib/report.h"
#include "guests/lib/x86.h"

#define SELECTOR_CODE  8
#define GATE_INTERRUPT (BIT(15) | 14u << 8) /* present, DPL 0, 64-bit interrupt gate */

/* SDM Vol. 3A, section 6.14.1 "64-Bit Mode IDT". */
struct gate {
    uint16_t offset_low;
    uint16_t selector;
    uint16_t attributes;
    uint16_t offset_middle;
    uint32_t offset_high;
    uint32_t reserved;
};
_Static_assert(sizeof(struct gate) == 16, "a 64-bit gate has 16 bytes");

extern void (*const trap_stubs[EXC_COUNT])(void);
void trap_dispatch(struct trap_frame *frame);

/* One processor, interrupts off: nothing guards these two. */
static struct gate idt[256];
static guest_handler *handlers[EXC_COUNT];

static const char *const names[EXC_COUNT] = {
    "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "9",   "#TS",
    "#NP", "#SS", "#GP", "#PF", "15",  "#MF", "#AC", "#MC", "#XM", "#VE", "#CP",
    "22",  "23",  "24",  "25",  "26",  "27",  "#HV", "#VC", "#SX", "31",
};

void guest_set_gate(unsigned vector, void (*entry)(void))
{
    uint64_t offset = (uint64_t)entry;

    idt[vector] = (struct gate){
        .offset_low = (uint16_t)offset,
        .selector = SELECTOR_CODE,
        .attributes = GATE_INTERRUPT,
        .offset_middle = (uint16_t)(offset >> 16),
        .offset_high = (uint32_t)(offset >> 32),
    };
}

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
    lidt(&(struct descriptor_pointer){ sizeof(idt) - 1, (uint64_t)idt });
}
