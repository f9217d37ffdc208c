/* SPDX-License-Identifier: MIT */
/*
 * Control-register accesses: MOV to and from CR0, CR3, CR4, CR8, CLTS, LMSW. Which values are #GP
 * is the table in vmm/control.c; what a change means for translation is mm/mmu.c's.
 */
#include "arch/x86/regs.h"
#include "lib/log.h"
#include "vmm/control.h"
#include "vmm/cpuid.h"
#include "vmm/event.h"
#include "vmm/exit/exit.h"
#include "vmm/vm.h"

/* SDM 3C table 27-3 "Exit Qualification for Control-Register Accesses". */
union cr_access {
    uint64_t raw;
    struct {
        uint64_t number : 4;
        uint64_t type : 2; /* enum cr_access_type */
        uint64_t lmsw_memory : 1;
        uint64_t reserved : 1;
        uint64_t gpr : 4;
        uint64_t reserved2 : 4;
        uint64_t lmsw_source : 16;
        uint64_t reserved3 : 32;
    };
};
_Static_assert(sizeof(union cr_access) == sizeof(uint64_t), "the qualification is one word");

enum cr_access_type { MOV_TO_CR, MOV_FROM_CR, CLTS, LMSW };

#define LMSW_BITS    (CR0_PE | CR0_MP | CR0_EM | CR0_TS)
#define EFER_ALLOWED (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)

static bool has_tss16(const struct vcpu *vcpu)
{
    return !(engine_segment(&vcpu->engine, SEG_TR).attributes & BIT(3));
}

/* Applies next, or raises #GP(0) and changes nothing. */
static enum exit_action write_control(struct vcpu *vcpu, enum control_register target,
                                      struct paging_regs *next)
{
    struct paging_regs now = vcpu_paging_regs(vcpu);
    struct control_write write = { .target = target,
                                   .old = &now,
                                   .new = next,
                                   .cr4_allowed = cpuid_guest_cr4(),
                                   .efer_allowed = EFER_ALLOWED,
                                   .code64 =
                                       engine_segment(&vcpu->engine, SEG_CS).attributes &SEGMENT_L,
                                   .tss16 = has_tss16(vcpu) };
    const char *rule;

    next->efer = control_efer_with_lma(next->efer, next->cr0);
    rule = control_broken_rule(&write);
    if (!rule && !(next->cr0 & CR0_PE))
        return exit_kill(vcpu, "it cleared CR0.PE: real mode is not handled");
    if (!rule && !vcpu_set_paging_regs(vcpu, next))
        rule = "a PDPTE has a reserved bit set";
    if (!rule)
        return EXIT_SKIP;
    log_printf(LOG_DEBUG, "guest %s: #GP(0): %s", vcpu->vm->config.name, rule);
    event_raise_with_code(vcpu, EXC_GP, 0);
    return EXIT_RESUME;
}

static enum exit_action set_cr0(struct vcpu *vcpu, uint64_t value)
{
    struct paging_regs next = vcpu_paging_regs(vcpu);

    next.cr0 = value | CR0_ET;
    return write_control(vcpu, CONTROL_CR0, &next);
}

static enum exit_action set_cr4(struct vcpu *vcpu, uint64_t value)
{
    struct paging_regs next = vcpu_paging_regs(vcpu);

    next.cr4 = value;
    return write_control(vcpu, CONTROL_CR4, &next);
}

static enum exit_action set_cr3(struct vcpu *vcpu, uint64_t value)
{
    const struct control_write write = { .target = CONTROL_CR3,
                                         .old = &vcpu->mmu.regs,
                                         .new = &(struct paging_regs){
                                             .cr3 = value,
                                             .efer = vcpu->efer,
                                             .maxphyaddr = vcpu->mmu.regs.maxphyaddr } };

    if (control_broken_rule(&write) || !mmu_load_cr3(&vcpu->mmu, value)) {
        event_raise_with_code(vcpu, EXC_GP, 0);
        return EXIT_RESUME;
    }
    engine_set_root(&vcpu->engine, mmu_root(&vcpu->mmu));
    return EXIT_SKIP;
}

/* Without interrupts a priority has nothing to hold back; it reads as it was written. */
static enum exit_action set_cr8(struct vcpu *vcpu, uint64_t value)
{
    if (value & ~CR8_TPR) {
        event_raise_with_code(vcpu, EXC_GP, 0);
        return EXIT_RESUME;
    }
    vcpu->cr8 = value;
    return EXIT_SKIP;
}

/* In 64-bit code the operand is 64 bits wide, elsewhere 32 (SDM 2B "MOV CRn"). */
static enum exit_action mov_to_cr(struct vcpu *vcpu, const union cr_access *access)
{
    uint64_t value = engine_gpr(&vcpu->engine, (enum gpr)access->gpr);

    if (!vcpu_in_64bit_code(vcpu))
        value = (uint32_t)value;
    switch (access->number) {
    case 0: return set_cr0(vcpu, value);
    case 3: return set_cr3(vcpu, value);
    case 4: return set_cr4(vcpu, value);
    case 8: return set_cr8(vcpu, value);
    default: return exit_kill(vcpu, "MOV to CR%u is not handled", (unsigned)access->number);
    }
}

static enum exit_action mov_from_cr(struct vcpu *vcpu, const union cr_access *access)
{
    if (access->number != 3 && access->number != 8)
        return exit_kill(vcpu, "MOV from CR%u is not handled", (unsigned)access->number);
    engine_set_gpr(&vcpu->engine, (enum gpr)access->gpr,
                   access->number == 3 ? vcpu->mmu.regs.cr3 : vcpu->cr8);
    return EXIT_SKIP;
}

/* SDM 2A "LMSW": sets PE, MP, EM, TS; cannot clear PE. */
static enum exit_action lmsw(struct vcpu *vcpu, const union cr_access *access)
{
    uint64_t cr0 = engine_cr0(&vcpu->engine);
    uint64_t kept = cr0 & ~(LMSW_BITS & ~(uint64_t)CR0_PE);

    return set_cr0(vcpu, kept | (access->lmsw_source & LMSW_BITS));
}

enum exit_action exit_cr_access(struct vcpu *vcpu, const struct engine_exit *exit)
{
    union cr_access access = { .raw = exit->qualification };

    switch ((enum cr_access_type)access.type) {
    case MOV_TO_CR: return mov_to_cr(vcpu, &access);
    case MOV_FROM_CR: return mov_from_cr(vcpu, &access);
    case CLTS: return set_cr0(vcpu, engine_cr0(&vcpu->engine) & ~(uint64_t)CR0_TS);
    case LMSW: return lmsw(vcpu, &access);
    }
    return exit_kill(vcpu, "control-register access 0x%lx is not handled", exit->qualification);
}
