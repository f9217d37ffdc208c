/* SPDX-License-Identifier: MIT */
/*
 * Exceptions that exit: #PF, which the shadow MMU answers, and #AC and #MC. A fault during event
 * delivery that was Umbra's alone is filled and the event delivered once more; one that is the
 * guest's combines with the event as the SDM says.
 */
#include "arch/x86/insn.h"
#include "arch/x86/pte.h"
#include "arch/x86/regs.h"
#include "lib/log.h"
#include "vmm/event.h"
#include "vmm/exit/exit.h"
#include "vmm/vm.h"

/* The hardware error code tells how memory was accessed: NXE is always on, so fetches show. */
static unsigned access_of(const struct vcpu *vcpu, uint32_t error_code)
{
    unsigned access = 0;

    if (error_code & PF_W)
        access |= ACCESS_WRITE;
    if (error_code & PF_ID)
        access |= ACCESS_FETCH;
    if (error_code & PF_U)
        access |= ACCESS_USER;
    else if (vcpu_cpl(vcpu) == 3)
        access |= ACCESS_IMPLICIT;
    return access;
}

static enum exit_action page_fault(struct vcpu *vcpu, gva_t address, uint32_t error_code)
{
    unsigned access = access_of(vcpu, error_code);
    struct event interrupted = engine_interrupted_event(&vcpu->engine);
    struct mmu_outcome outcome;

    vcpu->stats.page_faults++;
    vcpu->mmu.regs.ac = engine_get(&vcpu->engine, REG_RFLAGS) & RFLAGS_AC;
    outcome = mmu_fault(&vcpu->mmu, address, access, error_code);
    switch (outcome.verdict) {
    case MMU_RESUME:
        if (interrupted.valid)
            event_redeliver(vcpu, interrupted);
        return EXIT_RESUME;
    case MMU_INJECT:
        event_raise_page_fault(vcpu, address, outcome.error_code, interrupted);
        return EXIT_RESUME;
    case MMU_DEVICE:
        return exit_kill(vcpu, "%s of guest-physical address 0x%lx (linear 0x%lx), where %s is",
                         access & ACCESS_WRITE   ? "write"
                         : access & ACCESS_FETCH ? "fetch"
                                                 : "read",
                         outcome.gpa.v, address.v,
                         gpm_find(&vcpu->vm->gpm, outcome.gpa) ? "ROM" : "no RAM");
    case MMU_STORE:
    case MMU_STEP: break;
    }
    return exit_kill(vcpu,
                     "supervisor write to a read-only user page with CR0.WP clear and "
                     "SMAP or PKE set (linear 0x%lx) is not handled",
                     address.v);
}

/* SDM 3C 27.2.3: where an IRET faulted, NMIs that it unblocked must be blocked once more. */
static void restore_nmi_blocking(struct vcpu *vcpu)
{
    uint64_t blocking = engine_get(&vcpu->engine, REG_INTERRUPTIBILITY);

    engine_set(&vcpu->engine, REG_INTERRUPTIBILITY, blocking | BLOCKING_BY_NMI);
}

enum exit_action exit_exception_nmi(struct vcpu *vcpu, const struct engine_exit *exit)
{
    struct event event = engine_exit_event(&vcpu->engine);

    if (event.type == EVENT_NMI) {
        log_printf(LOG_WARN, "an NMI came while guest %s ran", vcpu->vm->config.name);
        return EXIT_RESUME;
    }
    if (!engine_interrupted_event(&vcpu->engine).valid && event.vector != EXC_DF &&
        engine_iret_unblocked_nmis(&vcpu->engine))
        restore_nmi_blocking(vcpu);
    switch (event.vector) {
    case EXC_PF: return page_fault(vcpu, gva(exit->qualification), event.error_code);
    case EXC_AC: event_raise_with_code(vcpu, EXC_AC, event.error_code); return EXIT_RESUME;
    case EXC_MC: panic("machine check while guest %s ran", vcpu->vm->config.name);
    default:
        return exit_kill(vcpu, "exception exit for vector %u, which is not handled", event.vector);
    }
}

enum exit_action exit_invlpg(struct vcpu *vcpu, const struct engine_exit *exit)
{
    mmu_invlpg(&vcpu->mmu, gva(exit->qualification));
    return EXIT_SKIP;
}
