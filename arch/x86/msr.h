/* SPDX-License-Identifier: MIT */
/*
 * Model-specific registers: numbers and bits, constants only (SDM 4, chapter 2 "Model-Specific
 * Registers (MSRs)"; the VMX ones also SDM 3D appendix A "VMX Capability Reporting Facility").
 */
#pragma once

#include "lib/base.h"

#define MSR_TSC             0x010u
#define MSR_APIC_BASE       0x01bu
#define MSR_FEATURE_CONTROL 0x03au
#define MSR_BIOS_SIGN_ID    0x08bu
#define MSR_MTRRCAP         0x0feu
#define MSR_SYSENTER_CS     0x174u
#define MSR_SYSENTER_ESP    0x175u
#define MSR_SYSENTER_EIP    0x176u
#define MSR_MISC_ENABLE     0x1a0u
#define MSR_DEBUGCTL        0x1d9u
#define MSR_PAT             0x277u

#define MSR_VMX_BASIC               0x480u
#define MSR_VMX_PINBASED_CTLS       0x481u
#define MSR_VMX_PROCBASED_CTLS      0x482u
#define MSR_VMX_EXIT_CTLS           0x483u
#define MSR_VMX_ENTRY_CTLS          0x484u
#define MSR_VMX_MISC                0x485u
#define MSR_VMX_CR0_FIXED0          0x486u
#define MSR_VMX_CR0_FIXED1          0x487u
#define MSR_VMX_CR4_FIXED0          0x488u
#define MSR_VMX_CR4_FIXED1          0x489u
#define MSR_VMX_PROCBASED_CTLS2     0x48bu
#define MSR_VMX_EPT_VPID_CAP        0x48cu
#define MSR_VMX_TRUE_PINBASED_CTLS  0x48du
#define MSR_VMX_TRUE_PROCBASED_CTLS 0x48eu
#define MSR_VMX_TRUE_EXIT_CTLS      0x48fu
#define MSR_VMX_TRUE_ENTRY_CTLS     0x490u

#define MSR_EFER           0xc0000080u
#define MSR_STAR           0xc0000081u
#define MSR_LSTAR          0xc0000082u
#define MSR_CSTAR          0xc0000083u
#define MSR_FMASK          0xc0000084u
#define MSR_FS_BASE        0xc0000100u
#define MSR_GS_BASE        0xc0000101u
#define MSR_KERNEL_GS_BASE 0xc0000102u
#define MSR_TSC_AUX        0xc0000103u

#define FEATURE_CONTROL_LOCK            BIT(0)
#define FEATURE_CONTROL_VMX_IN_SMX      BIT(1)
#define FEATURE_CONTROL_VMX_OUTSIDE_SMX BIT(2)

#define VMX_BASIC_REVISION      BITS(30, 0)
#define VMX_BASIC_SIZE          BITS(44, 32)
#define VMX_BASIC_MEMORY_TYPE   BITS(53, 50)
#define VMX_BASIC_INS_OUTS      BIT(54)
#define VMX_BASIC_TRUE_CONTROLS BIT(55)

#define VPID_CAP_INVVPID          BIT(32)
#define VPID_CAP_ADDRESS          BIT(40)
#define VPID_CAP_SINGLE           BIT(41)
#define VPID_CAP_ALL              BIT(42)
#define VPID_CAP_SINGLE_NONGLOBAL BIT(43)
