/* SPDX-License-Identifier: MIT */
/* Gates, TSS and LDT of a 64-bit guest: descriptors.h. */
#include "guests/lib/descriptors.h"
#include "guests/lib/trap.h"
#include "guests/lib/x86.h"

#define GATE_INTERRUPT (BIT(15) | 14u << 8) /* present, DPL 0, 64-bit interrupt gate */
#define GATE_DPL3      (3u << 13)

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

/* SDM Vol. 3A, section 7.7 "Task Management in 64-bit Mode". */
struct tss {
    uint32_t reserved;
    uint64_t rsp[3]; /* probe64.asm sets rsp[0] */
    uint64_t reserved2;
    uint64_t ist[7];
    uint64_t reserved3;
    uint16_t reserved4;
    uint16_t io_map;
} __attribute__((packed));
_Static_assert(sizeof(struct tss) == 104, "figure 7-11");

extern struct tss guest_tss;

/* One processor, interrupts off: nothing guards these. */
struct tss guest_tss = { .io_map = sizeof(struct tss) };
static struct gate idt[256];

static void set_gate(unsigned vector, void (*entry)(void), unsigned attributes)
{
    uint64_t offset = (uint64_t)entry;

    idt[vector] = (struct gate){
        .offset_low = (uint16_t)offset,
        .selector = SELECTOR_CODE,
        .attributes = (uint16_t)attributes,
        .offset_middle = (uint16_t)(offset >> 16),
        .offset_high = (uint32_t)(offset >> 32),
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

static void set_system_descriptor(unsigned selector, uint64_t base, uint32_t limit, uint64_t bits)
{
    guest_gdt[selector / 8] = descriptor((uint32_t)base, limit, bits | DESCRIPTOR_PRESENT);
    guest_gdt[selector / 8 + 1] = base >> 32;
}

void descriptors_load_ldt(unsigned long base, unsigned limit)
{
    set_system_descriptor(SELECTOR_LDT, base, limit, DESCRIPTOR_LDT);
    lldt(SELECTOR_LDT);
}

void descriptors_init(void)
{
    lidt(&(struct descriptor_pointer){ sizeof(idt) - 1, (uint64_t)idt });
    set_system_descriptor(SELECTOR_TSS, (uint64_t)&guest_tss, sizeof(guest_tss) - 1,
                          DESCRIPTOR_TSS);
    ltr(SELECTOR_TSS);
}
