/* SPDX-License-Identifier: MIT */
/*
 * A physical processor: its descriptor tables, its stacks for the exceptions that must not trust
 * the current one, and what runs on it. GS holds its address, so this_cpu() needs no global.
 */
#pragma once

#include "arch/x86/msr.h"
#include "arch/x86/insn.h"

#define SELECTOR_CODE 0x08
#define SELECTOR_DATA 0x10
#define SELECTOR_TSS  0x18

enum ist_slot { IST_NONE, IST_NMI, IST_DF, IST_MC };

/* SDM 3A 7.7 "Task Management in 64-bit Mode", figure 7-11. */
struct tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7];
    uint64_t reserved2;
    uint16_t reserved3;
    uint16_t io_map_base;
} __attribute__((packed));
_Static_assert(sizeof(struct tss) == 104, "the processor reads 104 bytes");

struct vcpu;

/* What vmm/panic.c shows of the last exits. */
struct exit_record {
    uint64_t tsc;
    uint64_t rip;
    uint64_t qualification;
    uint32_t reason;
    uint32_t vm;
};
#define EXIT_RECORDS 32

struct cpu {
    struct cpu *self; /* first: this_cpu() reads it through GS */
    unsigned id;
    struct vcpu *current; /* whose registers and VMCS this processor holds, or NULL */
    hpa_t vmxon_region;
    bool in_vmx_operation;
    uint64_t gdt[5]; /* null, code, data, TSS (two slots) */
    struct tss tss;
    struct exit_record exits[EXIT_RECORDS];
    uint64_t exit_count;
};

static inline struct cpu *this_cpu(void)
{
    return (struct cpu *)read_gs_base_word();
}

/* Loads descriptor tables, TSS and GS for cpu, the one that executes this. */
void cpu_init(struct cpu *cpu, unsigned id);
/* Turns on what the hypervisor wants of CR0 and CR4: WP, NE, and SMEP, SMAP, UMIP where present. */
void cpu_protect(void);
/* Width of physical addresses in bits: CPUID 80000008h. */
unsigned cpu_maxphyaddr(void);
