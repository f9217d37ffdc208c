/* SPDX-License-Identifier: MIT */
/* Gates, TSS and LDT of a 32-bit guest: descriptors.h. */
#include "guests/lib/descriptors.h"
#include "guests/lib/trap.h"
#include "guests/lib/x86.h"

#define GATE_INTERRUPT (BIT(15) | 14u << 8) /* present, DPL 0, 32-bit interrupt gate */
#define GATE_DPL3      (3u << 13)

/* SDM Vol. 3A, section 6.11 "IDT Descriptors". */
struct gate {
    uint16_t offset_low;
    uint16_t selector;
    uint16_t attributes;
    uint16_t offset_high;
};
_Static_assert(sizeof(struct gate) == 8, "a 32-bit gate has 8 bytes");

/* SDM Vol. 3A, section 7.2.1 "Task-State Segment (TSS)". */
struct tss {
    uint32_t link;
    uint32_t esp0; /* 32/probe.asm sets it */
    uint32_t ss0;
    uint32_t rest[22]; /* no task switches */
    uint16_t trap;
    uint16_t io_map;
};
_Static_assert(sizeof(struct tss) == 104, "figure 7-2");

extern struct tss guest_tss;

/* One processor, interrupts off: nothing guards these. */
struct tss guest_tss = { .ss0 = SELECTOR_DATA, .io_map = sizeof(struct tss) };
static struct gate idt[256];

static void set_gate(unsigned vector, void (*entry)(void), unsigned attributes)
{
    uint32_t offset = (uint32_t)entry;

    idt[vector] = (struct gate){
        .offset_low = (uint16_t)offset,
        .selector = SELECTOR_CODE,
        .attributes = (uint16_t)attributes,
        .offset_high = (uint16_t)(offset >> 16),
    };
}

void guest_set_gate(unsigned vector, void (*entry)(void))
{
    set_gate(vector, entry, GATE_INTERRUPT);
}

void descriptors_set_user_gate(unsigned vector, void (*entry)(void))
{
    set_gate(vector, entry, GATE_INTERRUPT | GATE_DPL3);
}

void descriptors_load_ldt(unsigned long base, unsigned limit)
{
    guest_gdt[SELECTOR_LDT / 8] = descriptor(base, limit, DESCRIPTOR_LDT | DESCRIPTOR_PRESENT);
    lldt(SELECTOR_LDT);
}

void descriptors_init(void)
{
    lidt(&(struct descriptor_pointer){ sizeof(idt) - 1, (uint32_t)idt });
    guest_gdt[SELECTOR_TSS / 8] = descriptor((uint32_t)&guest_tss, sizeof(guest_tss) - 1,
                                             DESCRIPTOR_TSS | DESCRIPTOR_PRESENT);
    ltr(SELECTOR_TSS);
}
