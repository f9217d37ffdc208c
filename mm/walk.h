/* SPDX-License-Identifier: MIT */
/*
 * The guest page-table walk: what the guest's own tables say about an access, exactly as its
 * processor would (SDM 3A 4.3 to 4.7). It decides and changes nothing; accessed and dirty flags are
 * set afterwards by walk_set_flags(), which may find that the tables have changed.
 */
#pragma once

#include "mm/gpm.h"
#include "mm/paging.h"

/* How memory is accessed; explicit supervisor data read is 0. */
enum access {
    ACCESS_WRITE = 1,
    ACCESS_FETCH = 2,
    ACCESS_USER = 4,     /* CPL 3, and not an implicit supervisor access */
    ACCESS_IMPLICIT = 8, /* supervisor access to a system structure, whatever CPL */
};

/* What the entries of a walk allow together, before CR0.WP, SMEP, SMAP and PKRU are asked. */
struct rights {
    bool write;
    bool user;
    bool execute;
    bool global; /* the leaf's G, if CR4.PGE */
    uint8_t pkey;
};

/* An entry that the walk went through. */
struct walk_step {
    gpa_t where;  /* of the entry */
    gpte_t entry; /* as read */
};

struct walk {
    bool ok;             /* the access is allowed: the fields below are a translation */
    uint32_t error_code; /* else the page-fault error code that the guest must see */
    gpa_t gpa;           /* the byte accessed */
    struct rights rights;
    uint8_t leaf;       /* level of the entry that maps the page; 0 if unpaged */
    uint8_t page_shift; /* of the guest's page */
    bool dirty;         /* the leaf has D, or has no such flag to set */
    uint8_t top;        /* level of the first entry in steps; steps[leaf..top] are valid */
    enum paging_mode_id mode;
    struct walk_step steps[LEVELS_MAX + 1];
};

/* Translates address for access (enum access) under regs. Entries outside RAM and ROM read as 1s.
 */
struct walk walk_translate(const struct paging_regs *regs, const struct gpm *gpm, gva_t address,
                           unsigned access);

/*
 * Sets A in every entry of a successful walk and D in its leaf for a write, by compare-and-swap, as
 * the processor does. False if an entry is no longer what the walk read: walk again. Entries that
 * lie in ROM or device memory are left alone. Fills in what it set: walk->dirty.
 */
must_check bool walk_set_flags(struct walk *walk, const struct gpm *gpm, bool write);

/*
 * SDM 3A 4.4.1 "PDPTE Registers": reads the four PDPTEs at regs->cr3 into pdpte; false if one that
 * is present has a reserved bit, which is #GP(0) for the MOV.
 */
must_check bool walk_load_pdptes(const struct paging_regs *regs, const struct gpm *gpm,
                                 uint64_t pdpte[4]);
