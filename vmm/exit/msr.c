/* SPDX-License-Identifier: MIT */
/*
 * RDMSR and WRMSR that exit: one table of the registers a guest has, with a reason each. What has
 * no row is #GP(0), logged once with the RIP, as on a processor that lacks the register. The ones
 * that never exit are listed in arch/x86/vmx/engine.c.
 */
#include "arch/x86/insn.h"
#include "arch/x86/regs.h"
#include "lib/log.h"
#include "vmm/control.h"
#include "vmm/event.h"
#include "vmm/exit/exit.h"
#include "vmm/vm.h"

#define EFER_ALLOWED (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)

/* False: #GP(0). */
typedef bool read_msr(struct vcpu *vcpu, uint64_t *value);
typedef bool write_msr(struct vcpu *vcpu, uint64_t value);

static bool read_efer(struct vcpu *vcpu, uint64_t *value)
{
    *value = vcpu->efer;
    return true;
}

/* SDM 3A 2.2.1 "Extended Feature Enable Register": writes do not change LMA. */
static bool write_efer(struct vcpu *vcpu, uint64_t value)
{
    struct paging_regs now = vcpu_paging_regs(vcpu), next = now;
    struct control_write write = {
        .target = CONTROL_EFER, .old = &now, .new = &next, .efer_allowed = EFER_ALLOWED
    };

    next.efer = value;
    if (control_broken_rule(&write))
        return false;
    next.efer = control_efer_with_lma(value, now.cr0);
    return vcpu_set_paging_regs(vcpu, &next);
}

static bool read_tsc(struct vcpu *vcpu, uint64_t *value)
{
    (void)vcpu;
    *value = rdtsc();
    return true;
}

static bool read_zero(struct vcpu *vcpu, uint64_t *value)
{
    (void)vcpu;
    *value = 0;
    return true;
}

static bool ignore_write(struct vcpu *vcpu, uint64_t value)
{
    (void)vcpu;
    (void)value;
    return true;
}

static const struct msr_row {
    uint32_t msr;
    read_msr *read;   /* NULL: #GP(0) */
    write_msr *write; /* NULL: #GP(0) */
    const char *why;
} rows[] = {
    { MSR_EFER, read_efer, write_efer, "virtual: hardware always has NXE" },
    { MSR_TSC, read_tsc, NULL, "the host's; setting it is not virtualized" },
    { MSR_BIOS_SIGN_ID, read_zero, ignore_write, "no microcode: its update protocol reads 0" },
};

static const struct msr_row *find_row(uint32_t msr)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].msr == msr)
            return &rows[i];
    return NULL;
}

/* True the first time; when the list is full nothing new is logged, so that no guest floods it. */
static bool is_news(struct refused_msrs *refused, uint64_t key)
{
    for (unsigned i = 0; i < refused->count; i++)
        if (refused->seen[i] == key)
            return false;
    if (refused->count == REFUSED_MSRS_MAX)
        return false;
    refused->seen[refused->count++] = key;
    return true;
}

/* known: the register exists, but not for this access or with this value. */
static enum exit_action refuse(struct vcpu *vcpu, bool write, bool known)
{
    uint32_t msr = (uint32_t)vcpu->engine.gprs[GPR_RCX];

    if (is_news(&vcpu->refused_msrs, msr | (write ? BIT(32) : 0)))
        log_printf(LOG_WARN, "guest %s: %s 0x%x at RIP 0x%lx: %s, #GP(0)", vcpu->vm->config.name,
                   write ? "WRMSR" : "RDMSR", msr, engine_get(&vcpu->engine, REG_RIP),
                   known ? "the register does not take this" : "no such MSR");
    event_raise_with_code(vcpu, EXC_GP, 0);
    return EXIT_RESUME;
}

enum exit_action exit_rdmsr(struct vcpu *vcpu, const struct engine_exit *exit)
{
    uint64_t *gprs = vcpu->engine.gprs;
    const struct msr_row *row = find_row((uint32_t)gprs[GPR_RCX]);
    uint64_t value;

    (void)exit;
    if (!row || !row->read || !row->read(vcpu, &value))
        return refuse(vcpu, false, row);
    gprs[GPR_RAX] = (uint32_t)value;
    gprs[GPR_RDX] = value >> 32;
    return EXIT_SKIP;
}

enum exit_action exit_wrmsr(struct vcpu *vcpu, const struct engine_exit *exit)
{
    uint64_t *gprs = vcpu->engine.gprs;
    const struct msr_row *row = find_row((uint32_t)gprs[GPR_RCX]);
    uint64_t value = gprs[GPR_RDX] << 32 | (uint32_t)gprs[GPR_RAX];

    (void)exit;
    if (!row || !row->write || !row->write(vcpu, value))
        return refuse(vcpu, true, row);
    return EXIT_SKIP;
}
