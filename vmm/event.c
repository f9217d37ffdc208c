/* SPDX-License-Identifier: MIT */
/* Injection: see vmm/event.h. */
#include "vmm/event.h"
#include "arch/x86/insn.h"
#include "arch/x86/regs.h"
#include "vmm/vm.h"

void event_raise(struct vcpu *vcpu, uint8_t vector)
{
    event_raise_with_code(vcpu, vector, 0);
}

void event_raise_with_code(struct vcpu *vcpu, uint8_t vector, uint32_t error_code)
{
    vcpu->pending = event_exception(vector, error_code);
}

void event_raise_page_fault(struct vcpu *vcpu, gva_t address, uint32_t error_code,
                            struct event interrupted)
{
    vcpu->pending = event_combine(interrupted, event_exception(EXC_PF, error_code));
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
