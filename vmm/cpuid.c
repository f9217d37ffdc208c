/* SPDX-License-Identifier: MIT */
/*
 * The CPUID policy: one row a leaf, with the bits of the host's answer that pass and those that are
 * always set, and why. What has no row reads as zeros (SDM 2A "CPUID").
 */
#include "vmm/cpuid.h"
#include "arch/x86/cpu.h"
#include "arch/x86/cpuid.h"
#include "arch/x86/regs.h"

#define ALL           0xffffffffu
#define LEAF_BASIC    7u
#define LEAF_HV       0x40000000u
#define LEAF_EXTENDED 0x80000008u

/* "UmbraUmbra", in EBX, ECX, EDX of leaf 40000000h. */
#define SIGNATURE_EBX 0x72626d55u
#define SIGNATURE_ECX 0x626d5561u
#define SIGNATURE_EDX 0x00006172u

struct cpuid_row {
    uint32_t leaf;
    struct cpuid_result pass; /* bits of the host's answer that the guest sees */
    struct cpuid_result set;  /* bits that it sees in any case */
    const char *why;
};

static const struct cpuid_row rows[] = {
    { 0,
      { 0, ALL, ALL, ALL },
      { LEAF_BASIC, 0, 0, 0 },
      "the host's vendor, since the guest runs on its instructions" },
    { 1,
      { .eax = ALL,
        .ebx = BITS(15, 8), /* CLFLUSH line; APIC ID 0 */
        .ecx = CPUID_1_ECX_SSE3 | CPUID_1_ECX_SSSE3 | CPUID_1_ECX_CX16 | CPUID_1_ECX_SSE4_1 |
               CPUID_1_ECX_SSE4_2 | CPUID_1_ECX_MOVBE | CPUID_1_ECX_POPCNT | CPUID_1_ECX_AES |
               CPUID_1_ECX_RDRAND,
        .edx = CPUID_1_EDX_FPU | CPUID_1_EDX_DE | CPUID_1_EDX_PSE | CPUID_1_EDX_TSC |
               CPUID_1_EDX_MSR | CPUID_1_EDX_PAE | CPUID_1_EDX_CX8 | CPUID_1_EDX_SEP |
               CPUID_1_EDX_PGE | CPUID_1_EDX_CMOV | CPUID_1_EDX_PSE36 | CPUID_1_EDX_CLFSH |
               CPUID_1_EDX_MMX | CPUID_1_EDX_FXSR | CPUID_1_EDX_SSE | CPUID_1_EDX_SSE2 },
      { .ebx = 1u << 16, .ecx = CPUID_1_ECX_HYPERVISOR },
      "no APIC, MTRR, PAT, MCE, MONITOR, PCID, XSAVE, VMX: not virtualized" },
    { 2, { ALL, ALL, ALL, ALL }, { 0 }, "cache descriptors: harmless" },
    { 7,
      { .ebx = CPUID_7_EBX_FSGSBASE | CPUID_7_EBX_SMEP | CPUID_7_EBX_ERMS | CPUID_7_EBX_SMAP },
      { 0 },
      "no PKU, LA57, INVPCID: not virtualized" },
    { LEAF_HV, { 0 }, { LEAF_HV, SIGNATURE_EBX, SIGNATURE_ECX, SIGNATURE_EDX }, "who virtualizes" },
    { 0x80000000u, { 0 }, { LEAF_EXTENDED, 0, 0, 0 }, "the highest extended leaf below" },
    { 0x80000001u,
      { .ecx = CPUID_80000001_ECX_LAHF,
        .edx = CPUID_80000001_EDX_SYSCALL | CPUID_80000001_EDX_NX | CPUID_80000001_EDX_PAGE1GB |
               CPUID_80000001_EDX_LM },
      { 0 },
      "no RDTSCP: not virtualized" },
    { 0x80000002u, { ALL, ALL, ALL, ALL }, { 0 }, "brand string" },
    { 0x80000003u, { ALL, ALL, ALL, ALL }, { 0 }, "brand string" },
    { 0x80000004u, { ALL, ALL, ALL, ALL }, { 0 }, "brand string" },
    { 0x80000006u, { .ecx = ALL }, { 0 }, "cache line and size: harmless" },
    { 0x80000007u, { .edx = BIT(8) }, { 0 }, "invariant TSC: the guest reads the host's" },
    { 0x80000008u, { .eax = BITS(15, 0) }, { 0 }, "address widths" },
};

static const struct cpuid_row *find_row(uint32_t leaf)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].leaf == leaf)
            return &rows[i];
    return NULL;
}

/* SDM 2A "CPUID": a leaf above the highest of its range is answered as the highest basic leaf. */
static uint32_t leaf_answered(uint32_t leaf)
{
    bool basic = leaf <= LEAF_BASIC;
    bool extended = leaf >= CPUID_LEAF_EXTENDED && leaf <= LEAF_EXTENDED;

    return basic || extended || leaf == LEAF_HV ? leaf : LEAF_BASIC;
}

struct cpuid_result cpuid_guest(uint32_t leaf, uint32_t subleaf)
{
    const struct cpuid_row *row;
    struct cpuid_result host = { 0 };

    leaf = leaf_answered(leaf);
    row = find_row(leaf);
    if (!row || (leaf == 7 && subleaf))
        return host;
    if (leaf <= cpuid(0, 0).eax || leaf >= CPUID_LEAF_EXTENDED)
        host = cpuid(leaf, subleaf);
    return (struct cpuid_result){
        (host.eax & row->pass.eax) | row->set.eax,
        (host.ebx & row->pass.ebx) | row->set.ebx,
        (host.ecx & row->pass.ecx) | row->set.ecx,
        (host.edx & row->pass.edx) | row->set.edx,
    };
}

uint8_t cpuid_guest_maxphyaddr(void)
{
    return (uint8_t)cpu_maxphyaddr();
}

bool cpuid_guest_gib_pages(void)
{
    return cpuid_guest(CPUID_LEAF_FEATURES, 0).edx & CPUID_80000001_EDX_PAGE1GB;
}

/* Features that bring a bit of CR4. */
struct cr4_row {
    uint32_t feature;
    uint64_t cr4;
};

static uint64_t cr4_of(const struct cr4_row *table, size_t count, uint32_t features)
{
    uint64_t cr4 = 0;

    for (size_t i = 0; i < count; i++)
        if (features & table[i].feature)
            cr4 |= table[i].cr4;
    return cr4;
}

uint64_t cpuid_guest_cr4(void)
{
    static const struct cr4_row leaf_1_edx[] = {
        { CPUID_1_EDX_TSC, CR4_TSD },        { CPUID_1_EDX_DE, CR4_DE },
        { CPUID_1_EDX_PSE, CR4_PSE },        { CPUID_1_EDX_PAE, CR4_PAE },
        { CPUID_1_EDX_PGE, CR4_PGE },        { CPUID_1_EDX_FXSR, CR4_OSFXSR },
        { CPUID_1_EDX_SSE, CR4_OSXMMEXCPT },
    };
    static const struct cr4_row leaf_7_ebx[] = {
        { CPUID_7_EBX_FSGSBASE, CR4_FSGSBASE },
        { CPUID_7_EBX_SMEP, CR4_SMEP },
        { CPUID_7_EBX_SMAP, CR4_SMAP },
    };

    /* CR4.PCE in any case: without counters RDPMC faults whatever it says. */
    return CR4_PCE | cr4_of(leaf_1_edx, ARRAY_SIZE(leaf_1_edx), cpuid_guest(1, 0).edx) |
           cr4_of(leaf_7_ebx, ARRAY_SIZE(leaf_7_ebx), cpuid_guest(7, 0).ebx);
}
