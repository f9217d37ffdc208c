/* SPDX-License-Identifier: MIT */
/*
 * Which writes of control registers and EFER the processor refuses with #GP(0): one table of rules.
 * Pure, so that the host tests each rule.
 */
#pragma once

#include "mm/paging.h"

enum control_register { CONTROL_CR0, CONTROL_CR3, CONTROL_CR4, CONTROL_EFER };

struct control_write {
    enum control_register target;
    const struct paging_regs *old; /* as they are */
    const struct paging_regs *new; /* as they would be; EFER.LMA already follows CR0.PG and LME */
    uint64_t cr4_allowed;          /* bits that are not reserved */
    uint64_t efer_allowed;
    bool code64; /* CS.L is 1 */
    bool tss16;  /* TR names a 16-bit TSS */
};

/* The rule that write breaks, in words, or NULL if the processor accepts it. */
const char *control_broken_rule(const struct control_write *write);
/* EFER with LMA as the processor sets it for cr0: paging and LME together. */
uint64_t control_efer_with_lma(uint64_t efer, uint64_t cr0);
