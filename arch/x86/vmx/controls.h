/* SPDX-License-Identifier: MIT */
/* Bits of the VMX control fields that Umbra names (SDM 3C 24.6 to 24.8), and of related fields. */
#pragma once

#include "lib/base.h"

#define PIN_EXTERNAL_INTERRUPT BIT(0)
#define PIN_NMI                BIT(3)
#define PIN_VIRTUAL_NMIS       BIT(5)
#define PIN_PREEMPTION_TIMER   BIT(6)

#define PROC_INTERRUPT_WINDOW BIT(2)
#define PROC_TSC_OFFSETTING   BIT(3)
#define PROC_HLT              BIT(7)
#define PROC_INVLPG           BIT(9)
#define PROC_MWAIT            BIT(10)
#define PROC_RDPMC            BIT(11)
#define PROC_RDTSC            BIT(12)
#define PROC_CR3_LOAD         BIT(15)
#define PROC_CR3_STORE        BIT(16)
#define PROC_CR8_LOAD         BIT(19)
#define PROC_CR8_STORE        BIT(20)
#define PROC_TPR_SHADOW       BIT(21)
#define PROC_NMI_WINDOW       BIT(22)
#define PROC_MOV_DR           BIT(23)
#define PROC_UNCONDITIONAL_IO BIT(24)
#define PROC_IO_BITMAPS       BIT(25)
#define PROC_MTF              BIT(27)
#define PROC_MSR_BITMAPS      BIT(28)
#define PROC_MONITOR          BIT(29)
#define PROC_PAUSE            BIT(30)
#define PROC_SECONDARY        BIT(31)

#define PROC2_EPT                BIT(1)
#define PROC2_RDTSCP             BIT(3)
#define PROC2_VPID               BIT(5)
#define PROC2_WBINVD             BIT(6)
#define PROC2_UNRESTRICTED_GUEST BIT(7)
#define PROC2_INVPCID            BIT(12)
#define PROC2_XSAVES             BIT(20)

#define EXIT_CTL_SAVE_DEBUG BIT(2)
#define EXIT_CTL_HOST_64    BIT(9)
#define EXIT_CTL_ACK_INTR   BIT(15)
#define EXIT_CTL_SAVE_EFER  BIT(20)
#define EXIT_CTL_LOAD_EFER  BIT(21)

#define ENTRY_CTL_LOAD_DEBUG BIT(2)
#define ENTRY_CTL_IA32E      BIT(9)
#define ENTRY_CTL_LOAD_EFER  BIT(15)

/* VM-entry and VM-exit interruption information, IDT-vectoring information (SDM 3C 24.8.3). */
#define INTERRUPTION_VECTOR      BITS(7, 0)
#define INTERRUPTION_TYPE        BITS(10, 8)
#define INTERRUPTION_TYPE_SHIFT  8
#define INTERRUPTION_ERROR_CODE  BIT(11)
#define INTERRUPTION_NMI_UNBLOCK BIT(12) /* exits only */
#define INTERRUPTION_VALID       BIT(31)

enum invvpid_type {
    INVVPID_ADDRESS = 0,
    INVVPID_SINGLE = 1,
    INVVPID_ALL = 2,
    INVVPID_SINGLE_NON_GLOBAL = 3,
    INVVPID_TYPES
};
