/* SPDX-License-Identifier: MIT */
/*
 * The probes of vmm/probe.h. The probe guest runs in 32-bit protected mode on a PAE shadow of three
 * tables, where one page of code is mapped and every other entry is the one under test.
 */
#include "vmm/probe.h"
#include "arch/x86/cpu.h"
#include "arch/x86/engine.h"
#include "arch/x86/regs.h"
#include "arch/x86/vmexit.h"
#include "lib/log.h"
#include "lib/string.h"

#define CODE_ADDRESS             0x1000u
#define MISS_ADDRESS             0x2000u
#define OPCODE_NOP               0x90
#define OPCODE_HLT               0xf4
#define OPCODE_MOV_EAX_MOFFS     0xa1
#define FRAMES_NEEDED            4  /* PDPT, page directory, page table, code */
#define WIDEST_WITH_RESERVED_BIT 51 /* MAXPHYADDR from 52 on leaves no reserved address bit */

/* Boot-time constants. */
static bool trap_works;
static bool monitor_trap_works;

struct probe {
    struct engine_vcpu vcpu;
    hpa_t pdpt, directory, table, code;
};

static void make_tables(struct probe *p)
{
    uint64_t *pdpt = host_ptr(p->pdpt), *directory = host_ptr(p->directory);
    uint64_t *table = host_ptr(p->table);

    memset(pdpt, 0, PAGE_SIZE);
    pdpt[0] = p->directory.v | PTE_P;
    for (unsigned i = 0; i < PTE_ENTRIES; i++)
        directory[i] = table[i] = SPTE_TRAP;
    directory[0] = p->table.v | PTE_P | PTE_W | PTE_U;
    table[CODE_ADDRESS >> PAGE_SHIFT] = p->code.v | PTE_P | PTE_A;
}

static bool make_probe(struct probe *p, struct frames *frames)
{
    struct frame_request request = { FRAMES_NEEDED, PAGE_SIZE, hpa(4 * GiB) };

    if (!frames_alloc(frames, request, &p->pdpt))
        return false;
    p->directory = hpa_add(p->pdpt, PAGE_SIZE);
    p->table = hpa_add(p->pdpt, 2 * PAGE_SIZE);
    p->code = hpa_add(p->pdpt, 3 * PAGE_SIZE);
    make_tables(p);
    return engine_vcpu_init(&p->vcpu, frames);
}

static void end_probe(struct probe *p, struct frames *frames)
{
    engine_vcpu_destroy(&p->vcpu, frames);
    frames_free(frames, p->pdpt, FRAMES_NEEDED);
}

static struct engine_exit run_code(struct probe *p, const uint8_t *code, size_t size)
{
    const struct paging_regs unpaged = { .cr0 = CR0_PE | CR0_ET,
                                         .maxphyaddr = (uint8_t)cpu_maxphyaddr() };

    memcpy(host_ptr(p->code), code, size);
    engine_load(&p->vcpu);
    engine_set_protected_mode(&p->vcpu, CODE_ADDRESS);
    engine_set_paging(&p->vcpu, &unpaged);
    engine_set_root(&p->vcpu, p->pdpt);
    return engine_run(&p->vcpu);
}

/* MOV EAX, [MISS_ADDRESS] must exit with a page fault that says P and RSVD. */
static bool probe_trap(struct probe *p)
{
    static const uint8_t code[] = { OPCODE_MOV_EAX_MOFFS, 0, MISS_ADDRESS >> 8, 0, 0, OPCODE_HLT };
    struct engine_exit exit = run_code(p, code, sizeof(code));
    struct event event = engine_exit_event(&p->vcpu);

    return exit.reason == EXIT_EXCEPTION_NMI && event.vector == EXC_PF &&
           exit.qualification == MISS_ADDRESS && event.error_code == (PF_P | PF_RSVD);
}

/* NOP; HLT with the monitor trap flag must exit behind the NOP, before the HLT. */
static bool probe_monitor_trap(struct probe *p)
{
    static const uint8_t code[] = { OPCODE_NOP, OPCODE_HLT };
    struct engine_exit exit;

    if (!engine_step(&p->vcpu, true))
        return false;
    exit = run_code(p, code, sizeof(code));
    return exit.reason == EXIT_MONITOR_TRAP_FLAG &&
           engine_get(&p->vcpu, REG_RIP) == CODE_ADDRESS + 1;
}

void probe_run(struct frames *frames)
{
    static struct probe probe; /* holds a vCPU: too large for the stack; used once */

    if (!make_probe(&probe, frames))
        panic("no memory for the boot-time probes");
    trap_works = cpu_maxphyaddr() <= WIDEST_WITH_RESERVED_BIT && probe_trap(&probe);
    monitor_trap_works = probe_monitor_trap(&probe);
    end_probe(&probe, frames);
    log_printf(LOG_INFO, "probe: reserved-bit shadow entries %s",
               trap_works ? "trap" : "do not trap: empty entries are 0");
    log_printf(LOG_INFO, "probe: monitor trap flag %s",
               monitor_trap_works ? "exits" : "does not exit: RFLAGS.TF will single-step");
}

spte_t probe_empty_entry(void)
{
    return spte(trap_works ? SPTE_TRAP : 0);
}

bool probe_has_monitor_trap(void)
{
    return monitor_trap_works;
}
