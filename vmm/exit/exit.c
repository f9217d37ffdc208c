/* SPDX-License-Identifier: MIT */
/*
 * The dispatch table of VM exits and the exits that need no file of their own. A reason without a
 * row stops the guest by name.
 */
#include "vmm/exit/exit.h"
#include "arch/x86/insn.h"
#include "arch/x86/regs.h"
#include "lib/format.h"
#include "lib/log.h"
#include "vmm/event.h"
#include "vmm/vm.h"

static exit_handler *const handlers[EXIT_REASON_COUNT] = {
    [EXIT_EXCEPTION_NMI] = exit_exception_nmi,
    [EXIT_EXTERNAL_INTERRUPT] = exit_external_interrupt,
    [EXIT_TRIPLE_FAULT] = exit_triple_fault,
    [EXIT_CPUID] = exit_cpuid,
    [EXIT_GETSEC] = exit_undefined,
    [EXIT_HLT] = exit_hlt,
    [EXIT_INVD] = exit_invd,
    [EXIT_WBINVD] = exit_invd,
    [EXIT_INVLPG] = exit_invlpg,
    [EXIT_RDPMC] = exit_rdpmc,
    [EXIT_VMCALL] = exit_undefined,
    [EXIT_VMCLEAR] = exit_undefined,
    [EXIT_VMLAUNCH] = exit_undefined,
    [EXIT_VMPTRLD] = exit_undefined,
    [EXIT_VMPTRST] = exit_undefined,
    [EXIT_VMREAD] = exit_undefined,
    [EXIT_VMRESUME] = exit_undefined,
    [EXIT_VMWRITE] = exit_undefined,
    [EXIT_VMXOFF] = exit_undefined,
    [EXIT_VMXON] = exit_undefined,
    [EXIT_INVEPT] = exit_undefined,
    [EXIT_INVVPID] = exit_undefined,
    [EXIT_MWAIT] = exit_undefined,
    [EXIT_MONITOR] = exit_undefined,
    [EXIT_CR_ACCESS] = exit_cr_access,
    [EXIT_IO] = exit_io,
    [EXIT_RDMSR] = exit_rdmsr,
    [EXIT_WRMSR] = exit_wrmsr,
    [EXIT_XSETBV] = exit_xsetbv,
    [EXIT_ENTRY_GUEST_STATE] = exit_entry_failed,
    [EXIT_ENTRY_MSR_LOAD] = exit_entry_failed,
};

enum exit_action exit_kill(struct vcpu *vcpu, const char *fmt, ...)
{
    char what[VM_END_TEXT_MAX];
    va_list arguments;

    va_start(arguments, fmt);
    vformat(what, sizeof(what), fmt, arguments);
    va_end(arguments);
    if (vcpu->vm->config.expect != EXPECT_KILLED)
        vcpu_dump(vcpu);
    vm_end(vcpu->vm, VM_KILLED, "%s (at RIP 0x%lx)", what, engine_get(&vcpu->engine, REG_RIP));
    return EXIT_STOP;
}

/* SDM 3A 6.8.3 and 17.3.1.1: an instruction that completes ends STI and MOV SS blocking, and traps
 * if TF is set. */
static void advance_rip(struct vcpu *vcpu)
{
    struct engine_vcpu *engine = &vcpu->engine;
    uint64_t next = engine_get(engine, REG_RIP) + engine_instruction_length(engine);
    uint64_t blocking = engine_get(engine, REG_INTERRUPTIBILITY);

    engine_set(engine, REG_RIP, vcpu_in_64bit_code(vcpu) ? next : (uint32_t)next);
    if (blocking & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS))
        engine_set(engine, REG_INTERRUPTIBILITY,
                   blocking & ~(uint64_t)(BLOCKING_BY_STI | BLOCKING_BY_MOV_SS));
    if (engine_get(engine, REG_RFLAGS) & RFLAGS_TF)
        engine_set(engine, REG_PENDING_DEBUG, DR6_BS);
}

bool exit_dispatch(struct vcpu *vcpu, const struct engine_exit *exit)
{
    uint32_t reason = exit->reason & EXIT_REASON_BASIC;
    exit_handler *handler = reason < EXIT_REASON_COUNT ? handlers[reason] : NULL;

    if (!handler) {
        (void)exit_kill(vcpu, "VM exit that is not handled: reason %u, %s, qualification 0x%lx",
                        reason, exit_reason_name(reason), exit->qualification);
        return false;
    }
    switch (handler(vcpu, exit)) {
    case EXIT_SKIP: advance_rip(vcpu); break;
    case EXIT_RESUME: break;
    case EXIT_STOP: return false;
    }
    return vcpu->vm->end == VM_RUNNING;
}

enum exit_action exit_external_interrupt(struct vcpu *vcpu, const struct engine_exit *exit)
{
    (void)vcpu;
    (void)exit;
    /* Umbra masks every source at boot; what comes all the same is taken with interrupts on. */
    interrupt_window();
    return EXIT_RESUME;
}

enum exit_action exit_triple_fault(struct vcpu *vcpu, const struct engine_exit *exit)
{
    (void)exit;
    if (vcpu->vm->config.expect != EXPECT_TRIPLE_FAULT)
        vcpu_dump(vcpu);
    vm_end(vcpu->vm, VM_TRIPLE_FAULT, "triple fault at RIP 0x%lx",
           engine_get(&vcpu->engine, REG_RIP));
    return EXIT_STOP;
}

enum exit_action exit_hlt(struct vcpu *vcpu, const struct engine_exit *exit)
{
    bool enabled = engine_get(&vcpu->engine, REG_RFLAGS) & RFLAGS_IF;

    (void)exit;
    vm_end(vcpu->vm, VM_HALTED, "HLT at RIP 0x%lx that nothing can end: %s",
           engine_get(&vcpu->engine, REG_RIP),
           enabled ? "no device of this machine raises interrupts" : "interrupts are disabled");
    return EXIT_STOP;
}

/* Guest memory is ordinary write-back memory of the host, whose caches stay coherent without it. */
enum exit_action exit_invd(struct vcpu *vcpu, const struct engine_exit *exit)
{
    (void)vcpu;
    (void)exit;
    return EXIT_SKIP;
}

/* SDM 2B "RDPMC": no counters are announced, so every index is out of range. */
enum exit_action exit_rdpmc(struct vcpu *vcpu, const struct engine_exit *exit)
{
    (void)exit;
    event_raise(vcpu, EXC_GP);
    return EXIT_RESUME;
}

/* Instructions that the CPUID shown to the guest says do not exist. */
enum exit_action exit_undefined(struct vcpu *vcpu, const struct engine_exit *exit)
{
    (void)exit;
    event_raise(vcpu, EXC_UD);
    return EXIT_RESUME;
}

/* CR4.OSXSAVE cannot be set, which makes it #UD before any exit; this is for completeness. */
enum exit_action exit_xsetbv(struct vcpu *vcpu, const struct engine_exit *exit)
{
    return exit_undefined(vcpu, exit);
}

enum exit_action exit_entry_failed(struct vcpu *vcpu, const struct engine_exit *exit)
{
    log_printf(LOG_ERROR, "guest %s: %s, qualification %lu; the VMCS:", vcpu->vm->config.name,
               exit_reason_name(exit->reason), exit->qualification);
    engine_dump();
    return exit_kill(vcpu, "the processor refused the guest's state: %s, qualification %lu",
                     exit_reason_name(exit->reason), exit->qualification);
}
