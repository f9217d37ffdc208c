/* SPDX-License-Identifier: MIT */
/*
 * The table of controls and its evaluation: SDM 3D appendix A.2 to A.5. For each control word one
 * MSR says which bits must be 1 (low half) and which may be (high half); where
 * IA32_VMX_BASIC bit 55 is set the "true" MSRs say it better.
 */
#include "arch/x86/vmx/caps.h"
#include "arch/x86/cpuid.h"
#include "arch/x86/msr.h"
#include "arch/x86/regs.h"
#include "arch/x86/vmx/controls.h"
#include "lib/format.h"
#include "lib/log.h"
#include "lib/string.h"

struct word_msrs {
    const char *name;
    uint32_t msr, true_msr;
};

static const struct word_msrs words[CONTROL_WORDS] = {
    [WORD_PIN] = { "IA32_VMX_PINBASED_CTLS", MSR_VMX_PINBASED_CTLS, MSR_VMX_TRUE_PINBASED_CTLS },
    [WORD_PROC] = { "IA32_VMX_PROCBASED_CTLS", MSR_VMX_PROCBASED_CTLS,
                    MSR_VMX_TRUE_PROCBASED_CTLS },
    [WORD_PROC2] = { "IA32_VMX_PROCBASED_CTLS2", MSR_VMX_PROCBASED_CTLS2, MSR_VMX_PROCBASED_CTLS2 },
    [WORD_EXIT] = { "IA32_VMX_EXIT_CTLS", MSR_VMX_EXIT_CTLS, MSR_VMX_TRUE_EXIT_CTLS },
    [WORD_ENTRY] = { "IA32_VMX_ENTRY_CTLS", MSR_VMX_ENTRY_CTLS, MSR_VMX_TRUE_ENTRY_CTLS },
};

/*
 * REQUIRED: set for every guest, no boot without it. ON_DEMAND: must be available, set at times.
 * OPTIONAL: set where available. PROBED: optional, set at times, after a probe has shown it works.
 */
enum control_kind { REQUIRED, ON_DEMAND, OPTIONAL, PROBED };

struct control_row {
    enum control_word word;
    uint64_t bit;
    enum control_kind kind;
    const char *name;
    const char *fallback; /* of what is optional */
};

static const struct control_row rows[] = {
    { WORD_PIN, PIN_EXTERNAL_INTERRUPT, REQUIRED, "external-interrupt exiting", NULL },
    { WORD_PIN, PIN_NMI, REQUIRED, "NMI exiting", NULL },
    { WORD_PIN, PIN_PREEMPTION_TIMER, PROBED, "VMX-preemption timer", "host APIC timer" },
    { WORD_PROC, PROC_INTERRUPT_WINDOW, ON_DEMAND, "interrupt-window exiting", NULL },
    { WORD_PROC, PROC_HLT, REQUIRED, "HLT exiting", NULL },
    { WORD_PROC, PROC_INVLPG, REQUIRED, "INVLPG exiting", NULL },
    { WORD_PROC, PROC_MWAIT, REQUIRED, "MWAIT exiting", NULL },
    { WORD_PROC, PROC_RDPMC, REQUIRED, "RDPMC exiting", NULL },
    { WORD_PROC, PROC_CR3_LOAD, REQUIRED, "CR3-load exiting", NULL },
    { WORD_PROC, PROC_CR3_STORE, REQUIRED, "CR3-store exiting", NULL },
    { WORD_PROC, PROC_CR8_LOAD, REQUIRED, "CR8-load exiting", NULL },
    { WORD_PROC, PROC_CR8_STORE, REQUIRED, "CR8-store exiting", NULL },
    { WORD_PROC, PROC_IO_BITMAPS, REQUIRED, "use I/O bitmaps", NULL },
    { WORD_PROC, PROC_MTF, PROBED, "monitor trap flag", "RFLAGS.TF" },
    { WORD_PROC, PROC_MSR_BITMAPS, REQUIRED, "use MSR bitmaps", NULL },
    { WORD_PROC, PROC_MONITOR, REQUIRED, "MONITOR exiting", NULL },
    { WORD_PROC, PROC_SECONDARY, OPTIONAL, "secondary controls", "none of them" },
    { WORD_PROC2, PROC2_VPID, OPTIONAL, "VPID", "every VM entry and exit flushes" },
    { WORD_PROC2, PROC2_WBINVD, OPTIONAL, "WBINVD exiting", "the guest's WBINVD is performed" },
    { WORD_EXIT, EXIT_CTL_HOST_64, REQUIRED, "host address-space size", NULL },
    { WORD_EXIT, EXIT_CTL_SAVE_DEBUG, REQUIRED, "save debug controls", NULL },
    { WORD_EXIT, EXIT_CTL_LOAD_EFER, OPTIONAL, "load IA32_EFER at exit", "MSR lists" },
    { WORD_ENTRY, ENTRY_CTL_LOAD_DEBUG, REQUIRED, "load debug controls", NULL },
    { WORD_ENTRY, ENTRY_CTL_IA32E, ON_DEMAND, "IA-32e mode guest", NULL },
    { WORD_ENTRY, ENTRY_CTL_LOAD_EFER, OPTIONAL, "load IA32_EFER at entry", "MSR lists" },
};

static bool is_available(const struct vmx_caps *caps, const struct control_row *row)
{
    return caps->allowed[row->word] & row->bit;
}

static bool word_exists(const struct vmx_caps *caps, enum control_word word)
{
    return word != WORD_PROC2 || caps->allowed[WORD_PROC] & PROC_SECONDARY;
}

static uint32_t word_msr(const struct vmx_caps *caps, enum control_word word)
{
    return caps->true_controls ? words[word].true_msr : words[word].msr;
}

static void read_words(msr_reader *read, struct vmx_caps *caps)
{
    for (enum control_word w = 0; w < CONTROL_WORDS; w++) {
        if (!word_exists(caps, w))
            continue;
        uint64_t value = read(word_msr(caps, w));
        caps->base[w] = (uint32_t)value;
        caps->allowed[w] = (uint32_t)(value >> 32);
    }
}

static bool apply_row(struct vmx_caps *caps, const struct control_row *row, char *error)
{
    bool needed = row->kind == REQUIRED || row->kind == ON_DEMAND;

    if (is_available(caps, row)) {
        if (row->kind == REQUIRED || row->kind == OPTIONAL)
            caps->base[row->word] |= (uint32_t)row->bit;
        return true;
    }
    if (needed)
        format(error, CAPS_ERROR_MAX, "VMX lacks \"%s\": bit %u of %s (MSR 0x%x) is clear",
               row->name, 32 + (unsigned)__builtin_ctzll(row->bit), words[row->word].name,
               word_msr(caps, row->word));
    return !needed;
}

static void read_vpid(msr_reader *read, struct vmx_caps *caps)
{
    uint64_t value;

    caps->vpid = caps->base[WORD_PROC2] & PROC2_VPID;
    if (!caps->vpid)
        return;
    value = read(MSR_VMX_EPT_VPID_CAP);
    caps->invvpid_types =
        (uint8_t)((value & VPID_CAP_ADDRESS ? BIT(INVVPID_ADDRESS) : 0) |
                  (value & VPID_CAP_SINGLE ? BIT(INVVPID_SINGLE) : 0) |
                  (value & VPID_CAP_ALL ? BIT(INVVPID_ALL) : 0) |
                  (value & VPID_CAP_SINGLE_NONGLOBAL ? BIT(INVVPID_SINGLE_NON_GLOBAL) : 0));
    /* A tag that can only be flushed with all others, or not at all, is worse than none. */
    caps->vpid = value & VPID_CAP_INVVPID && value & (VPID_CAP_SINGLE | VPID_CAP_ALL);
    if (!caps->vpid)
        caps->base[WORD_PROC2] &= ~(uint32_t)PROC2_VPID;
}

/* Both halves of the EFER switch or neither: the lists then do both. */
static void settle_efer(struct vmx_caps *caps)
{
    caps->load_efer =
        caps->base[WORD_EXIT] & EXIT_CTL_LOAD_EFER && caps->base[WORD_ENTRY] & ENTRY_CTL_LOAD_EFER;
    if (caps->load_efer)
        return;
    caps->base[WORD_EXIT] &= ~(uint32_t)EXIT_CTL_LOAD_EFER;
    caps->base[WORD_ENTRY] &= ~(uint32_t)ENTRY_CTL_LOAD_EFER;
}

static bool check_basic(msr_reader *read, struct vmx_caps *caps, char *error)
{
    uint64_t basic = read(MSR_VMX_BASIC);
    unsigned memory_type = (unsigned)((basic & VMX_BASIC_MEMORY_TYPE) >> 50);

    caps->revision = (uint32_t)(basic & VMX_BASIC_REVISION);
    caps->true_controls = basic & VMX_BASIC_TRUE_CONTROLS;
    if (memory_type == 6)
        return true;
    format(error, CAPS_ERROR_MAX,
           "VMX wants its regions in memory of type %u: bits 53:50 of IA32_VMX_BASIC (MSR 0x480); "
           "only 6, write-back, is handled",
           memory_type);
    return false;
}

bool vmx_caps_compute(msr_reader *read, struct vmx_caps *caps, char *error)
{
    *caps = (struct vmx_caps){ 0 };
    if (!check_basic(read, caps, error))
        return false;
    read_words(read, caps);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (!apply_row(caps, &rows[i], error))
            return false;
    read_vpid(read, caps);
    settle_efer(caps);
    caps->cr0_fixed0 = read(MSR_VMX_CR0_FIXED0);
    caps->cr0_fixed1 = read(MSR_VMX_CR0_FIXED1);
    caps->cr4_fixed0 = read(MSR_VMX_CR4_FIXED0);
    caps->cr4_fixed1 = read(MSR_VMX_CR4_FIXED1);
    return true;
}

void vmx_caps_log(const struct vmx_caps *caps)
{
    log_printf(LOG_INFO, "vmx: revision 0x%x, %s controls, VPID %s, INVVPID types%s%s%s%s",
               caps->revision, caps->true_controls ? "true" : "old", caps->vpid ? "on" : "off",
               caps->invvpid_types & BIT(INVVPID_ADDRESS) ? " address" : "",
               caps->invvpid_types & BIT(INVVPID_SINGLE) ? " single" : "",
               caps->invvpid_types & BIT(INVVPID_ALL) ? " all" : "",
               caps->invvpid_types & BIT(INVVPID_SINGLE_NON_GLOBAL) ? " non-global" : "");
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].fallback && !is_available(caps, &rows[i]))
            log_printf(LOG_INFO, "vmx: no %s; instead: %s", rows[i].name, rows[i].fallback);
}

enum vmx_availability vmx_availability(uint32_t cpuid_1_ecx, uint64_t feature_control)
{
    if (!(cpuid_1_ecx & CPUID_1_ECX_VMX))
        return VMX_ABSENT;
    if (!(feature_control & FEATURE_CONTROL_LOCK))
        return VMX_MUST_ENABLE;
    return feature_control & FEATURE_CONTROL_VMX_OUTSIDE_SMX ? VMX_READY : VMX_LOCKED_OFF;
}

uint64_t vmx_feature_control_enabled(uint64_t feature_control)
{
    return feature_control | FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX_OUTSIDE_SMX;
}
