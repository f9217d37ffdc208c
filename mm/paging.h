/* SPDX-License-Identifier: MIT */
/*
 * What decides how a guest's linear addresses translate: the paging registers, by value, and the
 * paging modes as data (SDM 3A 4.1 "Paging Modes and Control Bits").
 */
#pragma once

#include "arch/x86/regs.h"
#include "mm/addr.h"

struct paging_regs {
    uint64_t cr0, cr3, cr4, efer;
    uint64_t pdpte[4];  /* registers in PAE paging: loaded by MOV CR and task switch only */
    uint32_t pkru;      /* as it is now: WRPKRU never exits */
    bool ac;            /* EFLAGS.AC */
    uint8_t maxphyaddr; /* the guest's, in bits: 32 to 52 */
    bool gib_pages;     /* the guest's CPUID offers 1 GiB pages */
};

enum paging_mode_id { MODE_NONE, MODE_32BIT, MODE_PAE, MODE_4LEVEL, MODE_5LEVEL, MODE_COUNT };

#define LEVELS_MAX 5

/* One level of a paging structure; level 1 maps 4 KiB pages, as the SDM counts. */
struct paging_level {
    uint8_t shift; /* of the lowest linear address bit that this level translates */
    uint8_t bits;  /* linear address bits it translates: its index */
    uint64_t
        leaf_reserved; /* low address bits that must be 0 in an 8-byte entry for a large page */
};

struct paging_mode {
    const char *name;
    uint8_t levels;                            /* 0: linear addresses are physical */
    uint8_t entry_size;                        /* bytes: 4 or 8 */
    uint8_t linear_bits;                       /* width of a linear address */
    struct paging_level level[LEVELS_MAX + 1]; /* [1] is the page table; [0] is unused */
};

/* The mode that regs select (SDM 3A 4.1.1 "Four Paging Modes"). */
enum paging_mode_id paging_mode_of(const struct paging_regs *regs);
const struct paging_mode *paging_mode(enum paging_mode_id id);

static inline bool paging_enabled(const struct paging_regs *regs)
{
    return regs->cr0 & CR0_PG;
}

/* True if address has the sign extension that the mode demands of a linear address. */
bool paging_canonical(const struct paging_regs *regs, gva_t address);
