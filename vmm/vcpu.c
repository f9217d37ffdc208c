/* SPDX-License-Identifier: MIT */
/* vCPUs: start state, the run loop, and the dump of one that did wrong. */
#include "vmm/vcpu.h"
#include "arch/x86/cpu.h"
#include "arch/x86/regs.h"
#include "arch/x86/vmexit.h"
#include "lib/log.h"
#include "vmm/cpuid.h"
#include "vmm/event.h"
#include "vmm/exit/exit.h"
#include "vmm/load/load.h"
#include "vmm/probe.h"
#include "vmm/vm.h"

#define WATCH_INTERVAL   64 /* exits */
#define CODE_BYTES_SHOWN 15 /* the longest instruction */

bool vcpu_init(struct vcpu *vcpu, struct vm *vm, struct frames *frames)
{
    struct paging_regs regs = { .cr0 = CR0_PE | CR0_ET,
                                .maxphyaddr = cpuid_guest_maxphyaddr(),
                                .gib_pages = cpuid_guest_gib_pages() };

    *vcpu = (struct vcpu){ 0 };
    if (!engine_vcpu_init(&vcpu->engine, frames))
        return false;
    vcpu->vm = vm;
    mmu_init(&vcpu->mmu, &vm->gpm, &vm->pool, &regs, probe_empty_entry());
    engine_set_paging(&vcpu->engine, &regs);
    engine_set_root(&vcpu->engine, mmu_root(&vcpu->mmu));
    return true;
}

void vcpu_destroy(struct vcpu *vcpu, struct frames *frames)
{
    mmu_destroy(&vcpu->mmu);
    engine_vcpu_destroy(&vcpu->engine, frames);
    vcpu->vm = NULL;
}

void vcpu_set_start(struct vcpu *vcpu, const struct start_state *start)
{
    engine_set_protected_mode(&vcpu->engine, start->eip);
    engine_set_gpr(&vcpu->engine, GPR_RAX, start->eax);
    engine_set_gpr(&vcpu->engine, GPR_RBX, start->ebx);
}

/* ---- state ---- */

struct paging_regs vcpu_paging_regs(const struct vcpu *vcpu)
{
    struct paging_regs regs = vcpu->mmu.regs;

    regs.cr0 = engine_cr0(&vcpu->engine);
    regs.cr4 = engine_cr4(&vcpu->engine);
    regs.efer = vcpu->efer;
    return regs;
}

bool vcpu_set_paging_regs(struct vcpu *vcpu, const struct paging_regs *regs)
{
    if (!mmu_set_regs(&vcpu->mmu, regs))
        return false;
    vcpu->efer = regs->efer;
    engine_set_paging(&vcpu->engine, regs);
    engine_set_root(&vcpu->engine, mmu_root(&vcpu->mmu));
    return true;
}

unsigned vcpu_cpl(const struct vcpu *vcpu)
{
    uint32_t attributes = engine_segment(&vcpu->engine, SEG_SS).attributes;

    return (attributes & SEGMENT_DPL) >> SEGMENT_DPL_SHIFT;
}

bool vcpu_in_64bit_code(const struct vcpu *vcpu)
{
    return vcpu->efer & EFER_LMA && engine_segment(&vcpu->engine, SEG_CS).attributes & SEGMENT_L;
}

/* ---- running ---- */

void host_tlb_flush(struct mmu *mmu, enum tlb_flush kind, gva_t address)
{
    struct flush_request *flush = &container_of(mmu, struct vcpu, mmu)->flush;

    if (kind == TLB_FLUSH_NON_GLOBALS)
        flush->non_globals = true;
    else if (kind == TLB_FLUSH_ALL || flush->addresses == FLUSH_ADDRESSES_MAX)
        flush->all = true;
    else
        flush->address[flush->addresses++] = address;
}

/* Issues what was requested since the last entry, by as few INVVPIDs as do it. */
static void issue_flushes(struct vcpu *vcpu)
{
    struct flush_request *flush = &vcpu->flush;

    if (flush->all) {
        engine_flush(&vcpu->engine, TLB_FLUSH_ALL, gva(0));
    } else {
        if (flush->non_globals)
            engine_flush(&vcpu->engine, TLB_FLUSH_NON_GLOBALS, gva(0));
        for (unsigned i = 0; i < flush->addresses; i++)
            engine_flush(&vcpu->engine, TLB_FLUSH_ADDRESS, flush->address[i]);
    }
    flush->all = flush->non_globals = false;
    flush->addresses = 0;
}

static void deliver_pending(struct vcpu *vcpu)
{
    if (!vcpu->pending.valid)
        return;
    engine_inject(&vcpu->engine, vcpu->pending);
    vcpu->pending.valid = false;
}

static void record_exit(struct vcpu *vcpu, const struct engine_exit *exit)
{
    struct cpu *cpu = this_cpu();
    uint32_t basic = exit->reason & EXIT_REASON_BASIC;

    vcpu->stats.exits++;
    if (basic < EXIT_REASON_COUNT)
        vcpu->stats.by_reason[basic]++;
    cpu->exits[cpu->exit_count++ % EXIT_RECORDS] =
        (struct exit_record){ rdtsc(), engine_get(&vcpu->engine, REG_RIP), exit->qualification,
                              exit->reason, vcpu->vm->number };
}

/* Every exit would be exact and slow: the tables change by few entries an exit. */
static void watch(const struct vcpu *vcpu)
{
    const struct vm_config *config = &vcpu->vm->config;

    if (vcpu->stats.exits % WATCH_INTERVAL)
        return;
    if (config->panics)
        panic("self-test: panic while guest %s ran", config->name);
    if (config->audit && !mmu_audit(&vcpu->mmu))
        panic("the audit of guest %s's shadow tables failed", config->name);
}

void vcpu_run(struct vcpu *vcpu)
{
    struct engine_exit exit;

    this_cpu()->current = vcpu;
    vcpu->watched = vcpu->vm->config.audit || vcpu->vm->config.panics;
    engine_load(&vcpu->engine);
    do {
        if (vcpu->flush.all || vcpu->flush.non_globals || vcpu->flush.addresses)
            issue_flushes(vcpu);
        deliver_pending(vcpu);
        exit = engine_run(&vcpu->engine);
        record_exit(vcpu, &exit);
        if (vcpu->watched)
            watch(vcpu);
    } while (exit_dispatch(vcpu, &exit));
    engine_store(&vcpu->engine);
    this_cpu()->current = NULL;
}

/* ---- dump ---- */

static void dump_segments(const struct vcpu *vcpu)
{
    static const char *const names[SEG_COUNT] = {
        "es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"
    };

    for (enum segment_name s = 0; s < SEG_COUNT; s++) {
        struct segment segment = engine_segment(&vcpu->engine, s);
        log_raw("  %-4s %04x base %016lx limit %08x attributes %05x\n", names[s], segment.selector,
                segment.base, segment.limit, segment.attributes);
    }
}

static void dump_code(const struct vcpu *vcpu)
{
    uint64_t at = engine_segment(&vcpu->engine, SEG_CS).base + engine_get(&vcpu->engine, REG_RIP);
    uint8_t bytes[CODE_BYTES_SHOWN];

    if (!mmu_peek(&vcpu->mmu, gva(at), bytes, sizeof(bytes))) {
        log_raw("  code: cannot be read at linear 0x%lx\n", at);
        return;
    }
    log_raw("  code:");
    for (unsigned i = 0; i < sizeof(bytes); i++)
        log_raw(" %02x", bytes[i]);
    log_raw("\n");
}

void vcpu_dump(const struct vcpu *vcpu)
{
    static const char *const names[GPR_COUNT] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp",
                                                  "rsi", "rdi", "r8",  "r9",  "r10", "r11",
                                                  "r12", "r13", "r14", "r15" };
    struct paging_regs regs = vcpu_paging_regs(vcpu);

    console_guest_flush(&vcpu->vm->console, vcpu->vm->config.name);
    log_raw("guest %s, %s paging:\n", vcpu->vm->config.name,
            paging_mode(paging_mode_of(&regs))->name);
    for (enum gpr g = 0; g < GPR_COUNT; g++)
        log_raw("  %-3s %016lx%s", names[g], engine_gpr(&vcpu->engine, g), g % 4 == 3 ? "\n" : "");
    log_raw("  rip %016lx  rflags %lx\n", engine_get(&vcpu->engine, REG_RIP),
            engine_get(&vcpu->engine, REG_RFLAGS));
    log_raw("  cr0 %lx  cr2 %lx  cr3 %lx  cr4 %lx  efer %lx\n", regs.cr0, read_cr2(), regs.cr3,
            regs.cr4, regs.efer);
    dump_segments(vcpu);
    dump_code(vcpu);
}
