/* SPDX-License-Identifier: MIT */
/*
 * What the guest's processor is: CPUID as an allow-list. A bit is shown only if the host has it and
 * Umbra virtualizes it, so what is announced works.
 */
#pragma once

#include "arch/x86/insn.h"

/* The answer to CPUID with EAX leaf, ECX subleaf. cr4: the guest's, for OSXSAVE and the like. */
struct cpuid_result cpuid_guest(uint32_t leaf, uint32_t subleaf);
/* Bits of physical addresses. */
uint8_t cpuid_guest_maxphyaddr(void);
/* Whether 1 GiB pages are announced. */
bool cpuid_guest_gib_pages(void);
/* Bits of CR4 whose feature is announced; the others are reserved for the guest. */
uint64_t cpuid_guest_cr4(void);
