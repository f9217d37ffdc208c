/* SPDX-License-Identifier: MIT */
/*
 * Control registers, flags, EFER, exception vectors: constants only, SDM names and order (SDM 3A
 * 2.5 "Control Registers", 2.3 "System Flags and Fields in the EFLAGS Register", 6.3.1 table 6-1).
 */
#pragma once

#include "lib/base.h"

#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_EM BIT(2)
#define CR0_TS BIT(3)
#define CR0_ET BIT(4)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_AM BIT(18)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)

#define CR3_PWT      BIT(3)
#define CR3_PCD      BIT(4)
#define CR3_PCID     BITS(11, 0)
#define CR3_NO_FLUSH BIT(63)

#define CR4_VME        BIT(0)
#define CR4_PVI        BIT(1)
#define CR4_TSD        BIT(2)
#define CR4_DE         BIT(3)
#define CR4_PSE        BIT(4)
#define CR4_PAE        BIT(5)
#define CR4_MCE        BIT(6)
#define CR4_PGE        BIT(7)
#define CR4_PCE        BIT(8)
#define CR4_OSFXSR     BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define CR4_UMIP       BIT(11)
#define CR4_LA57       BIT(12)
#define CR4_VMXE       BIT(13)
#define CR4_SMXE       BIT(14)
#define CR4_FSGSBASE   BIT(16)
#define CR4_PCIDE      BIT(17)
#define CR4_OSXSAVE    BIT(18)
#define CR4_SMEP       BIT(20)
#define CR4_SMAP       BIT(21)
#define CR4_PKE        BIT(22)
#define CR4_CET        BIT(23)
#define CR4_PKS        BIT(24)

#define CR8_TPR BITS(3, 0)

#define EFER_SCE BIT(0)
#define EFER_LME BIT(8)
#define EFER_LMA BIT(10)
#define EFER_NXE BIT(11)

#define RFLAGS_CF         BIT(0)
#define RFLAGS_RESERVED   BIT(1) /* always 1 */
#define RFLAGS_PF         BIT(2)
#define RFLAGS_AF         BIT(4)
#define RFLAGS_ZF         BIT(6)
#define RFLAGS_SF         BIT(7)
#define RFLAGS_TF         BIT(8)
#define RFLAGS_IF         BIT(9)
#define RFLAGS_DF         BIT(10)
#define RFLAGS_OF         BIT(11)
#define RFLAGS_IOPL       BITS(13, 12)
#define RFLAGS_NT         BIT(14)
#define RFLAGS_RF         BIT(16)
#define RFLAGS_VM         BIT(17)
#define RFLAGS_AC         BIT(18)
#define RFLAGS_VIF        BIT(19)
#define RFLAGS_VIP        BIT(20)
#define RFLAGS_ID         BIT(21)
#define RFLAGS_ARITHMETIC (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

#define DR7_RESERVED BIT(10) /* always 1; the value after reset */
#define DR7_GD       BIT(13)
#define DR6_RESET    0xffff0ff0ull
#define DR6_BS       BIT(14)

#define XCR0_X87 BIT(0)

enum exception_vector {
    EXC_DE = 0,
    EXC_DB = 1,
    EXC_NMI = 2,
    EXC_BP = 3,
    EXC_OF = 4,
    EXC_BR = 5,
    EXC_UD = 6,
    EXC_NM = 7,
    EXC_DF = 8,
    EXC_TS = 10,
    EXC_NP = 11,
    EXC_SS = 12,
    EXC_GP = 13,
    EXC_PF = 14,
    EXC_MF = 16,
    EXC_AC = 17,
    EXC_MC = 18,
    EXC_XM = 19,
    EXC_VE = 20,
    EXC_CP = 21,
    EXC_COUNT = 32,
};

/* Exceptions that push an error code: SDM 3A 6.13 "Error Code". */
#define EXC_WITH_ERROR_CODE                                                              \
    (BIT(EXC_DF) | BIT(EXC_TS) | BIT(EXC_NP) | BIT(EXC_SS) | BIT(EXC_GP) | BIT(EXC_PF) | \
     BIT(EXC_AC) | BIT(EXC_CP))
