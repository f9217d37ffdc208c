/* SPDX-License-Identifier: MIT */
/*
 * What the SDM says about one access, as a specification for the model checker: no loops, no
 * recursion, bits by number and not by mm/'s names, one function for each of the SDM's tables of
 * entry formats. It takes mm/'s struct paging_regs and enum access, and nothing else of mm/.
 */
#pragma once

#include "mm/walk.h"

enum spec_mode { SPEC_NONE, SPEC_32BIT, SPEC_PAE, SPEC_4LEVEL, SPEC_5LEVEL };

/* A guest's paging-structure entry at where, of size bytes; memory as it is now. */
uint64_t spec_memory(uint64_t where, unsigned size);

struct spec_use {
    uint64_t where, value;
};

struct spec {
    bool ok;
    uint32_t error_code; /* if not ok */
    bool present;        /* the tables map the address; what follows is valid */
    uint64_t gpa;
    bool writable, user, executable; /* R/W, U/S and XD of all levels together */
    bool global;
    bool dirty;
    unsigned key;
    unsigned page_bits;     /* 0: no paging */
    unsigned used;          /* entries in memory that the translation uses */
    struct spec_use use[5]; /* from the top down; the last one maps the page */
};

struct spec spec_translate(const struct paging_regs *regs, uint64_t linear, unsigned access);

/* True if a translation that is present allows access. */
bool spec_allows(const struct paging_regs *regs, const struct spec *s, unsigned access);

/* What a processor with CR0.WP = 1, EFER.NXE = 1 and this state lets access do by leaf. */
struct spec_hardware {
    bool smep, smap, pke, ac;
    uint32_t pkru;
};
bool spec_leaf_allows(uint64_t leaf, struct spec_hardware hardware, unsigned access);

/* True if a PAE PDPTE may be loaded into its register. */
bool spec_pdpte_loads(uint64_t pdpte, unsigned maxphyaddr);
