/* SPDX-License-Identifier: MIT */
/*
 * The reference MMU: what the Intel SDM (volume 3A, chapter "Paging") says about one access, for
 * tests to compare mm/ with. It shares nothing with mm/ or arch/x86, constants included: register
 * and entry bits are written down here a second time, so that a wrong one is found. Where mm/
 * loops over a table of modes, the model has one plain function for each of the SDM's entry tables.
 *
 * Memory is a list of regions. What is neither RAM nor ROM reads as all ones. Accessed and dirty
 * flags reach RAM only. Registers are given raw, as the processor holds them; whatever makes their
 * own loading fault (#GP) is assumed not to occur, but for the PDPTEs of PAE paging. Linear
 * addresses are canonical; in 32-bit and PAE paging they lie below 4 GiB.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Control registers, EFER, RFLAGS: SDM 3A "Control Registers", "IA32_EFER". */
#define MODEL_CR0_WP    0x00010000ull
#define MODEL_CR0_PG    0x80000000ull
#define MODEL_CR4_PSE   0x00000010ull
#define MODEL_CR4_PAE   0x00000020ull
#define MODEL_CR4_PGE   0x00000080ull
#define MODEL_CR4_LA57  0x00001000ull
#define MODEL_CR4_PCIDE 0x00020000ull
#define MODEL_CR4_SMEP  0x00100000ull
#define MODEL_CR4_SMAP  0x00200000ull
#define MODEL_CR4_PKE   0x00400000ull
#define MODEL_EFER_LME  0x00000100ull
#define MODEL_EFER_LMA  0x00000400ull
#define MODEL_EFER_NXE  0x00000800ull
#define MODEL_RFLAGS_AC 0x00040000ull

/* Page-fault error code: SDM 3A "Page-Fault Exceptions". */
#define MODEL_FAULT_P    0x01u
#define MODEL_FAULT_WR   0x02u
#define MODEL_FAULT_US   0x04u
#define MODEL_FAULT_RSVD 0x08u
#define MODEL_FAULT_ID   0x10u
#define MODEL_FAULT_PK   0x20u

struct model_regs {
    uint64_t cr0, cr3, cr4, efer, rflags;
    uint64_t pdpte[4];
    uint32_t pkru;
    unsigned maxphyaddr;
    bool gib_pages; /* CPUID announces 1 GiB pages */
};

enum model_kind { MODEL_RAM, MODEL_ROM, MODEL_DEVICE };

struct model_region {
    uint64_t base, size; /* bytes */
    enum model_kind kind;
    uint8_t *bytes; /* RAM and ROM only */
};

struct model_memory {
    const struct model_region *regions; /* disjoint */
    size_t count;
};

enum model_what { MODEL_READ, MODEL_WRITE, MODEL_FETCH };
/* Implicit: a supervisor-mode access to a system structure, whatever CPL. */
enum model_who { MODEL_USER, MODEL_SUPERVISOR, MODEL_IMPLICIT };

struct model_access {
    enum model_what what;
    enum model_who who;
};

/* An entry in memory that a walk used, and what the access makes of it. */
struct model_use {
    uint64_t where;
    uint64_t was, becomes;
    unsigned size;  /* bytes */
    unsigned level; /* 1: page table */
    bool ram;       /* else it cannot change */
};

#define MODEL_LEVELS 5

struct model_result {
    bool ok;                   /* translated and allowed; if not, no entry changes */
    uint32_t error_code;       /* of the #PF, if not ok */
    uint64_t gpa;              /* the rest is valid if ok */
    unsigned page_bits;        /* page size is 1 << page_bits; 0: no paging */
    bool write, user, execute; /* allowed by all entries together */
    bool global;
    unsigned key; /* protection key; 0 where there are none */
    unsigned used;
    struct model_use use[MODEL_LEVELS]; /* top down; the last one maps the page */
};

struct model_result model_translate(const struct model_regs *regs,
                                    const struct model_memory *memory, uint64_t linear,
                                    struct model_access access);

/* Sets the accessed and dirty flags of a result that is ok. */
void model_commit(const struct model_result *result, const struct model_memory *memory);

/* Loads the PDPTE registers from regs->cr3 (PAE paging); false: #GP, pdpte is as it was. */
bool model_load_pdptes(const struct model_regs *regs, const struct model_memory *memory,
                       uint64_t pdpte[4]);
