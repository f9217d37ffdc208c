/* SPDX-License-Identifier: MIT */
/*
 * The GDT (32/start.asm, start64.asm), the IDT, a TSS whose only use is the stack that CPL 3 comes
 * back on, and an LDT where a test wants it: 32/descriptors.c, descriptors64.c.
 */
#pragma once

#include "lib/base.h"

#define SELECTOR_CODE      0x08
#define SELECTOR_DATA      0x10
#define SELECTOR_USER_CODE (0x18 | 3)
#define SELECTOR_USER_DATA (0x20 | 3)
#define SELECTOR_TSS       0x28
#define SELECTOR_LDT       0x38
#define SELECTOR_CODE32    0x48 /* in 64-bit guests */
#define SELECTOR_SPARE     0x48 /* in 32-bit guests: a descriptor of the test's own */
#define SELECTOR_IN_LDT    4    /* plus 8 times the index */

/* Access byte, bits 47:40 of a descriptor: SDM Vol. 3A, section 3.4.5 "Segment Descriptors". */
#define DESCRIPTOR_PRESENT    BIT(47)
#define DESCRIPTOR_DPL3       BITS(46, 45)
#define DESCRIPTOR_LDT        ((uint64_t)2 << 40)
#define DESCRIPTOR_TSS        ((uint64_t)9 << 40)
#define DESCRIPTOR_DATA_READ  ((uint64_t)0x11 << 40) /* read-only data, accessed */
#define DESCRIPTOR_DATA_WRITE ((uint64_t)0x13 << 40) /* accessed */
#define DESCRIPTOR_DATA_FRESH ((uint64_t)0x12 << 40) /* not accessed */
#define DESCRIPTOR_32BIT      BIT(54)

extern uint64_t guest_gdt[];

/* The low eight bytes of a descriptor of byte granularity; bits: as above. */
static inline uint64_t descriptor(uint32_t base, uint32_t limit, uint64_t bits)
{
    return (limit & BITS(15, 0)) | (uint64_t)(base & BITS(23, 0)) << 16 |
           (uint64_t)(limit >> 16 & 0xf) << 48 | (uint64_t)(base >> 24) << 56 | bits;
}

/* Loads IDTR and TR; done by the runtime before main(). */
void descriptors_init(void);

void descriptors_load_ldt(unsigned long base, unsigned limit);

/* As guest_set_gate() (trap.h), and CPL 3 may use it by INT. */
void descriptors_set_user_gate(unsigned vector, void (*entry)(void));
