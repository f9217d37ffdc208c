/* SPDX-License-Identifier: MIT */
/* What every engine shares: architectural start states. */
#include "arch/x86/engine.h"
#include "arch/x86/regs.h"

void engine_set_protected_mode(struct engine_vcpu *vcpu, uint32_t eip)
{
    const struct segment data = { 0, UINT32_MAX, SEGMENT_DATA32, 0x10 };
    const struct segment code = { 0, UINT32_MAX, SEGMENT_CODE32, 0x08 };
    const struct segment task = { 0, 0x67, SEGMENT_TSS32BUSY, 0 };
    const struct segment none = { 0, 0, SEGMENT_ABSENT | SEGMENT_LDT, 0 };

    for (enum segment_name s = SEG_ES; s <= SEG_GS; s++)
        engine_set_segment(vcpu, s, s == SEG_CS ? code : data);
    engine_set_segment(vcpu, SEG_LDTR, none);
    engine_set_segment(vcpu, SEG_TR, task);
    engine_set(vcpu, REG_GDTR_BASE, 0);
    engine_set(vcpu, REG_GDTR_LIMIT, 0);
    engine_set(vcpu, REG_IDTR_BASE, 0);
    engine_set(vcpu, REG_IDTR_LIMIT, 0);
    engine_set(vcpu, REG_RFLAGS, RFLAGS_RESERVED);
    engine_set(vcpu, REG_RSP, 0);
    engine_set(vcpu, REG_RIP, eip);
}
