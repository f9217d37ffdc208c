/* SPDX-License-Identifier: MIT */
/* CPUID leaves and feature bits, constants only (SDM 2A, "CPUID - CPU Identification"). */
#pragma once

#include "lib/base.h"

#define CPUID_LEAF_EXTENDED  0x80000000u /* EAX: the highest extended leaf */
#define CPUID_LEAF_FEATURES  0x80000001u /* extended features */
#define CPUID_LEAF_ADDRESSES 0x80000008u /* address widths */

#define CPUID_1_ECX_SSE3       BIT(0)
#define CPUID_1_ECX_VMX        BIT(5)
#define CPUID_1_ECX_SSSE3      BIT(9)
#define CPUID_1_ECX_CX16       BIT(13)
#define CPUID_1_ECX_PCID       BIT(17)
#define CPUID_1_ECX_SSE4_1     BIT(19)
#define CPUID_1_ECX_SSE4_2     BIT(20)
#define CPUID_1_ECX_MOVBE      BIT(22)
#define CPUID_1_ECX_POPCNT     BIT(23)
#define CPUID_1_ECX_AES        BIT(25)
#define CPUID_1_ECX_XSAVE      BIT(26)
#define CPUID_1_ECX_OSXSAVE    BIT(27)
#define CPUID_1_ECX_RDRAND     BIT(30)
#define CPUID_1_ECX_HYPERVISOR BIT(31)

#define CPUID_1_EDX_FPU   BIT(0)
#define CPUID_1_EDX_VME   BIT(1)
#define CPUID_1_EDX_DE    BIT(2)
#define CPUID_1_EDX_PSE   BIT(3)
#define CPUID_1_EDX_TSC   BIT(4)
#define CPUID_1_EDX_MSR   BIT(5)
#define CPUID_1_EDX_PAE   BIT(6)
#define CPUID_1_EDX_MCE   BIT(7)
#define CPUID_1_EDX_CX8   BIT(8)
#define CPUID_1_EDX_APIC  BIT(9)
#define CPUID_1_EDX_SEP   BIT(11)
#define CPUID_1_EDX_MTRR  BIT(12)
#define CPUID_1_EDX_PGE   BIT(13)
#define CPUID_1_EDX_MCA   BIT(14)
#define CPUID_1_EDX_CMOV  BIT(15)
#define CPUID_1_EDX_PAT   BIT(16)
#define CPUID_1_EDX_PSE36 BIT(17)
#define CPUID_1_EDX_CLFSH BIT(19)
#define CPUID_1_EDX_MMX   BIT(23)
#define CPUID_1_EDX_FXSR  BIT(24)
#define CPUID_1_EDX_SSE   BIT(25)
#define CPUID_1_EDX_SSE2  BIT(26)

#define CPUID_7_EBX_FSGSBASE BIT(0)
#define CPUID_7_EBX_SMEP     BIT(7)
#define CPUID_7_EBX_ERMS     BIT(9)
#define CPUID_7_EBX_SMAP     BIT(20)
#define CPUID_7_ECX_UMIP     BIT(2)
#define CPUID_7_ECX_PKU      BIT(3)
#define CPUID_7_ECX_LA57     BIT(16)

#define CPUID_80000001_ECX_LAHF    BIT(0)
#define CPUID_80000001_EDX_SYSCALL BIT(11)
#define CPUID_80000001_EDX_NX      BIT(20)
#define CPUID_80000001_EDX_PAGE1GB BIT(26)
#define CPUID_80000001_EDX_RDTSCP  BIT(27)
#define CPUID_80000001_EDX_LM      BIT(29)
