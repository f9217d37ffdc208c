/* SPDX-License-Identifier: MIT */
/* Injection: see vmm/event.h. */
#include "vmm/event.h"
#include "arch/x86/insn.h"
#include "arch/x86/regs.h"
#include "vmm/vm.h"

enum exception_class { BENIGN, CONTRIBUTORY, PAGE_FAULT, DOUBLE_FAULT };

/* SDM 3A table 6-4 "Interrupt and Exception Classes". */
static enum exception_class class_of(struct event event)
{
    if (event.type != EVENT_EXCEPTION)
        return BENIGN;
    switch (event.vector) {
    case EXC_DE:
    case EXC_TS:
    case EXC_NP:
    case EXC_SS:
    case EXC_GP:
    case EXC_CP: return CONTRIBUTORY;
    case EXC_PF: return PAGE_FAULT;
    case EXC_DF: return DOUBLE_FAULT;
    default: return BENIGN;
    }
}

static struct event exception(uint8_t vector, uint32_t error_code)
{
    return (struct event){ .valid = true,
                           .type = EVENT_EXCEPTION,
                           .vector = vector,
                           .has_error_code = EXC_WITH_ERROR_CODE >> vector & 1,
                           .error_code = error_code };
}

struct event event_combine(struct event first, struct event second)
{
    enum exception_class a = class_of(first), b = class_of(second);

    if (!first.valid || a == BENIGN || b == BENIGN)
        return second;
    if (a == DOUBLE_FAULT)
        return (struct event){ 0 };
    if (a == CONTRIBUTORY && b == PAGE_FAULT)
        return second;
    return exception(EXC_DF, 0);
}

void event_raise(struct vcpu *vcpu, uint8_t vector)
{
    event_raise_with_code(vcpu, vector, 0);
}

void event_raise_with_code(struct vcpu *vcpu, uint8_t vector, uint32_t error_code)
{
    vcpu->pending = exception(vector, error_code);
}

void event_raise_page_fault(struct vcpu *vcpu, gva_t address, uint32_t error_code,
                            struct event interrupted)
{
    vcpu->pending = event_combine(interrupted, exception(EXC_PF, error_code));
    if (!vcpu->pending.valid) {
        vm_end(vcpu->vm, VM_TRIPLE_FAULT, "page fault at 0x%lx while a double fault was delivered",
               address.v);
        return;
    }
    write_cr2(address.v);
}

void event_redeliver(struct vcpu *vcpu, struct event interrupted)
{
    vcpu->pending = interrupted;
}
