/* SPDX-License-Identifier: MIT */
/*
 * Descriptor tables and protection bits of a physical processor (SDM 3A 3.4.5 "Segment
 * Descriptors", 7.7 "Task Management in 64-bit Mode", 2.5 "Control Registers"). Segments are flat;
 * the TSS exists for its interrupt stack table only.
 */
#include "arch/x86/cpu.h"
#include "arch/x86/cpuid.h"
#include "arch/x86/regs.h"
#include "lib/string.h"

#define DESCRIPTOR_CODE64 0x00af9b000000ffffull
#define DESCRIPTOR_DATA   0x00cf93000000ffffull
#define DESCRIPTOR_TSS    0x0000890000000000ull /* present, available 64-bit TSS */

extern char nmi_stack_top[], df_stack_top[], mc_stack_top[];

static void set_tss_descriptor(struct cpu *cpu)
{
    uint64_t base = (uint64_t)&cpu->tss, limit = sizeof(cpu->tss) - 1;

    cpu->gdt[3] = DESCRIPTOR_TSS | limit | (base & BITS(23, 0)) << 16 | (base & BITS(31, 24)) << 32;
    cpu->gdt[4] = base >> 32;
}

void cpu_init(struct cpu *cpu, unsigned id)
{
    struct descriptor_pointer gdt = { sizeof(cpu->gdt) - 1, (uint64_t)cpu->gdt };

    cpu->self = cpu;
    cpu->id = id;
    cpu->gdt[1] = DESCRIPTOR_CODE64;
    cpu->gdt[2] = DESCRIPTOR_DATA;
    cpu->tss.ist[IST_NMI - 1] = (uint64_t)nmi_stack_top;
    cpu->tss.ist[IST_DF - 1] = (uint64_t)df_stack_top;
    cpu->tss.ist[IST_MC - 1] = (uint64_t)mc_stack_top;
    cpu->tss.io_map_base = sizeof(cpu->tss);
    set_tss_descriptor(cpu);
    lgdt(&gdt);
    load_flat_segments(SELECTOR_CODE, SELECTOR_DATA);
    ltr(SELECTOR_TSS);
    wrmsr(MSR_GS_BASE, (uint64_t)cpu);
}

void cpu_protect(void)
{
    struct cpuid_result features = cpuid(0, 0).eax >= 7 ? cpuid(7, 0) : (struct cpuid_result){ 0 };
    uint64_t cr4 = read_cr4();

    cr4 |= CR4_PGE | CR4_OSFXSR;
    if (features.ebx & CPUID_7_EBX_SMEP)
        cr4 |= CR4_SMEP;
    if (features.ebx & CPUID_7_EBX_SMAP)
        cr4 |= CR4_SMAP;
    if (features.ecx & CPUID_7_ECX_UMIP)
        cr4 |= CR4_UMIP;
    write_cr4(cr4);
    write_cr0((read_cr0() | CR0_WP | CR0_NE | CR0_MP) & ~(CR0_EM | CR0_TS | CR0_CD | CR0_NW));
}

unsigned cpu_maxphyaddr(void)
{
    if (cpuid(CPUID_LEAF_EXTENDED, 0).eax < CPUID_LEAF_ADDRESSES)
        return 36;
    return cpuid(CPUID_LEAF_ADDRESSES, 0).eax & 0xff;
}
