/* SPDX-License-Identifier: MIT */
/*
 * What this processor's VMX can do, computed from its capability MSRs by a table of controls: each
 * row says whether Umbra needs the control, and what happens where it is missing. Pure functions
 * over a reader of MSRs, so that every case is a host test.
 */
#pragma once

#include "arch/x86/engine.h"

enum control_word { WORD_PIN, WORD_PROC, WORD_PROC2, WORD_EXIT, WORD_ENTRY, CONTROL_WORDS };

struct vmx_caps {
    uint32_t revision; /* of the VMCS region */
    bool true_controls;
    uint32_t base[CONTROL_WORDS];    /* the value to start from: what must and what Umbra wants */
    uint32_t allowed[CONTROL_WORDS]; /* bits that may be set at all */
    uint64_t cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
    bool vpid;
    uint8_t invvpid_types; /* BIT(enum invvpid_type) */
    bool load_efer;        /* by VM entry and exit; else by MSR lists */
};

#define CAPS_ERROR_MAX 160

/*
 * Fills caps from the MSRs that read() returns. False if the machine lacks something Umbra cannot
 * do without, with one line in error (CAPS_ERROR_MAX bytes) that names the MSR and the bit.
 */
must_check bool vmx_caps_compute(msr_reader *read, struct vmx_caps *caps, char *error);
/* One line to the log: which optional controls are there, and the fallback of each that is not. */
void vmx_caps_log(const struct vmx_caps *caps);

/* What IA32_FEATURE_CONTROL and CPUID let Umbra do (SDM 3C 23.7 "Enabling and Entering VMX
 * Operation"). */
enum vmx_availability {
    VMX_READY,       /* enabled and locked */
    VMX_MUST_ENABLE, /* unlocked: Umbra enables VMX and locks the register */
    VMX_ABSENT,      /* CPUID.1:ECX bit 5 is clear */
    VMX_LOCKED_OFF,  /* locked with VMX outside SMX disabled: only firmware can change it */
};
/* feature_control is meaningful only where cpuid_1_ecx has VMX. */
enum vmx_availability vmx_availability(uint32_t cpuid_1_ecx, uint64_t feature_control);
/* The value to write where vmx_availability() says VMX_MUST_ENABLE. */
uint64_t vmx_feature_control_enabled(uint64_t feature_control);
