/* SPDX-License-Identifier: MIT */
/*
 * The processor below the shadow: it translates through the tables that Umbra made, as the SDM says
 * (volume 3A "Paging", "Caching Translation Information"), and shares no code with mm/. What makes
 * it a test is its memory: a translation or an upper entry once read stays usable until a flush
 * that Umbra really issued removes it, and whether an access uses what is cached or walks afresh is
 * the history's choice. So a forgotten flush shows, which an emulator would forgive.
 *
 * CR0.WP and EFER.NXE are always set, as under Umbra. What no processor could go on with, or what
 * Umbra promises never to need (a flag set in a leaf, a PDPTE with more than an address), panics.
 */
#pragma once

#include "mm/host.h"

struct processor_regs {
    uint64_t root;
    bool long_mode; /* 4-level; else PAE */
    bool pge, smep, smap, pke, ac;
    uint32_t pkru;
    unsigned maxphyaddr;              /* the machine's */
    uint64_t tables_base, tables_end; /* the only memory that may be used as a table */
};

struct processor_access {
    uint64_t linear;
    bool write, fetch, user, implicit;
};

struct processor_result {
    bool ok;
    uint64_t host;       /* of the byte, if ok */
    uint32_t error_code; /* of the #PF, if not */
};

/* A cached translation (level 1 to 3, the level of the leaf) or upper entry. No padding: compared.
 */
struct processor_cached {
    uint64_t prefix; /* linear address >> shift of the level */
    uint64_t frame;  /* of the page or of the next table */
    uint16_t level;
    uint16_t key;
    bool write, user, execute; /* all entries so far together */
    bool global;
};

#define PROCESSOR_LEAVES 192
#define PROCESSOR_UPPERS 96

struct processor {
    struct processor_cached leaf[PROCESSOR_LEAVES];
    struct processor_cached upper[PROCESSOR_UPPERS];
    unsigned leaves, uppers;
    unsigned long hits; /* accesses answered by what was cached */
};

/*
 * One access. Bits 6:0 of choice select among a fresh walk (0) and everything cached that could be
 * used. A #PF drops its address (SDM 3A 4.10.4.1) unless bit 7 is set: whether one that causes a VM
 * exit does is not said clearly, and mm/ does not rely on it.
 */
#define PROCESSOR_KEEPS 0x80
struct processor_result processor_access(struct processor *processor,
                                         const struct processor_regs *regs,
                                         struct processor_access access, unsigned choice);
/* The processor walks for no reason, and caches what it finds. */
void processor_speculate(struct processor *processor, const struct processor_regs *regs,
                         uint64_t linear);
void processor_flush(struct processor *processor, enum tlb_flush kind, uint64_t linear);
