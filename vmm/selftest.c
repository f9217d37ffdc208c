/* SPDX-License-Identifier: MIT */
/* The table of self-tests: see vmm/selftest.h. */
#include "vmm/selftest.h"
#include "arch/x86/insn.h"
#include "arch/x86/regs.h"
#include "arch/x86/vmx/controls.h"
#include "lib/string.h"

#define NO_SUCH_FIELD 0xffff
#define OPCODE_RET    0xc3

extern char text_start[], rodata_start[], boot_stack_guard[];

/* ---- failures of our own ---- */

static volatile uint64_t zero; /* the compiler must not see through the mistakes below */

static void fail_divide(void)
{
    static volatile uint64_t dividend = 2; /* 1 / x needs no division */

    zero = dividend / zero;
}

static void fail_null(void)
{
    *(volatile uint8_t *)zero = 1;
}

static void fail_text_write(void)
{
    *(volatile uint8_t *)text_start = 0xcc;
}

static void fail_data_execute(void)
{
    static uint8_t code[] = { OPCODE_RET };

    ((void (*)(void))(void *)code)();
}

static void fail_non_canonical(void)
{
    *(volatile uint8_t *)(BIT(63) + zero) = 1;
}

static void fail_guard_page(void)
{
    *(volatile uint8_t *)boot_stack_guard = 1;
}

/* Grows until the guard page stops it: the #PF cannot be pushed, so this is #DF. */
static uint64_t fail_recurse(uint64_t n)
{
    volatile uint8_t frame[512];
    uint64_t (*volatile again)(uint64_t) = fail_recurse;

    frame[0] = (uint8_t)n;
    return again(n + 1) + frame[0];
}

static void fail_stack_overflow(void)
{
    zero = fail_recurse(zero);
}

static void fail_assertion(void)
{
    ASSERT(zero == 1);
}

static void fail_vmcs_field(void)
{
    uint64_t value;

    if (vmread(zero + NO_SUCH_FIELD, &value) != VMX_SUCCEED)
        panic("VMREAD of VMCS field 0xffff failed");
}

/* ---- lesser machines ---- */

static uint64_t read_plain(uint32_t msr)
{
    return rdmsr(msr);
}

static uint64_t read_locked_off(uint32_t msr)
{
    return msr == MSR_FEATURE_CONTROL ? FEATURE_CONTROL_LOCK : rdmsr(msr);
}

static uint64_t read_without_hlt(uint32_t msr)
{
    bool proc = msr == MSR_VMX_PROCBASED_CTLS || msr == MSR_VMX_TRUE_PROCBASED_CTLS;

    return rdmsr(msr) & (proc ? ~(PROC_HLT << 32) : ~0ull);
}

static uint64_t read_without_vpid(uint32_t msr)
{
    return rdmsr(msr) & (msr == MSR_VMX_PROCBASED_CTLS2 ? ~(PROC2_VPID << 32) : ~0ull);
}

static uint64_t read_without_invvpid(uint32_t msr)
{
    uint64_t narrow = VPID_CAP_ADDRESS | VPID_CAP_SINGLE_NONGLOBAL;

    return rdmsr(msr) & (msr == MSR_VMX_EPT_VPID_CAP ? ~narrow : ~0ull);
}

static uint64_t read_without_efer(uint32_t msr)
{
    bool exits = msr == MSR_VMX_EXIT_CTLS || msr == MSR_VMX_TRUE_EXIT_CTLS;

    return rdmsr(msr) & (exits ? ~(EXIT_CTL_LOAD_EFER << 32) : ~0ull);
}

static uint64_t read_without_secondary(uint32_t msr)
{
    bool proc = msr == MSR_VMX_PROCBASED_CTLS || msr == MSR_VMX_TRUE_PROCBASED_CTLS;

    return rdmsr(msr) & (proc ? ~(PROC_SECONDARY << 32) : ~0ull);
}

static const struct selftest {
    const char *name;
    void (*provoke)(void); /* NULL: nothing fails by itself */
    msr_reader *read;      /* NULL: the machine as it is */
    uint64_t cpuid_1_ecx_cleared;
    bool spoils_guest;
    bool panics_in_guest;
} rows[] = {
    { .name = "divide", .provoke = fail_divide },
    { .name = "null", .provoke = fail_null },
    { .name = "text-write", .provoke = fail_text_write },
    { .name = "data-execute", .provoke = fail_data_execute },
    { .name = "non-canonical", .provoke = fail_non_canonical },
    { .name = "guard-page", .provoke = fail_guard_page },
    { .name = "stack-overflow", .provoke = fail_stack_overflow },
    { .name = "assertion", .provoke = fail_assertion },
    { .name = "vmcs-field", .provoke = fail_vmcs_field },
    { .name = "int-debug", .provoke = raise_int1 },
    { .name = "int-nmi", .provoke = raise_int2 },
    { .name = "int-breakpoint", .provoke = raise_int3 },
    { .name = "int-overflow", .provoke = raise_int4 },
    { .name = "int-bound", .provoke = raise_int5 },
    { .name = "invalid-opcode", .provoke = raise_ud2 },
    { .name = "int-device", .provoke = raise_int7 },
    { .name = "segment", .provoke = raise_segment_fault },
    { .name = "stack-segment", .provoke = raise_stack_fault },
    { .name = "int-x87", .provoke = raise_int16 },
    { .name = "int-machine-check", .provoke = raise_int18 },
    { .name = "int-simd", .provoke = raise_int19 },
    { .name = "int-33", .provoke = raise_int33 },
    { .name = "entry-fail", .provoke = engine_provoke_entry_failure },
    { .name = "guest-state", .spoils_guest = true },
    { .name = "panic-in-guest", .panics_in_guest = true },
    { .name = "no-vmx", .cpuid_1_ecx_cleared = BIT(5) },
    { .name = "vmx-locked", .read = read_locked_off },
    { .name = "no-hlt-exiting", .read = read_without_hlt },
    { .name = "no-vpid", .read = read_without_vpid },
    { .name = "no-narrow-invvpid", .read = read_without_invvpid },
    { .name = "no-efer-controls", .read = read_without_efer },
    { .name = "no-secondary-controls", .read = read_without_secondary },
};

static const struct selftest *find(const char *name)
{
    for (size_t i = 0; name && i < ARRAY_SIZE(rows); i++)
        if (!strcmp(name, rows[i].name))
            return &rows[i];
    return NULL;
}

const char *selftest_name(const char *name)
{
    const struct selftest *row = find(name);

    return row ? row->name : NULL;
}

void selftest_provoke(const char *name)
{
    const struct selftest *row = find(name);

    if (row && row->provoke)
        row->provoke();
}

bool selftest_spoils_guest(const char *name)
{
    const struct selftest *row = find(name);

    return row && row->spoils_guest;
}

bool selftest_panics_in_guest(const char *name)
{
    const struct selftest *row = find(name);

    return row && row->panics_in_guest;
}

msr_reader *selftest_msr_reader(const char *name)
{
    const struct selftest *row = find(name);

    return row && row->read ? row->read : read_plain;
}

uint32_t selftest_cpuid_1_ecx(const char *name)
{
    const struct selftest *row = find(name);
    uint32_t cleared = row ? (uint32_t)row->cpuid_1_ecx_cleared : 0;

    return cpuid(1, 0).ecx & ~cleared;
}
