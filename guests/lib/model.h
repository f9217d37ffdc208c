/* SPDX-License-Identifier: MIT */
/*
 * The guest's own small model of paging: from the control registers as the guest set them and the
 * tables as they are in memory now, what an access must come to, to the last bit. It models no TLB:
 * whoever asks makes sure that nothing stale can be cached of the address. SDM Vol. 3A, sections
 * 4.3 to 4.5 (walks, reserved bits), 4.6 (rights), 4.7 (error code), 4.8 (accessed and dirty).
 *
 * Control registers change through model_set_*() so that the model knows. Each predicts whether
 * #GP(0) must come and fails the guest if the processor thinks otherwise.
 */
#pragma once

#include "guests/lib/paging.h"
#include "guests/lib/probe.h"

/* An access: error-code bits of the kind of access, and two more. A read by CPL 0 is 0. */
#define ACCESS_WRITE    PF_W
#define ACCESS_USER     PF_U
#define ACCESS_FETCH    PF_ID
#define ACCESS_AC       BIT(16) /* EFLAGS.AC is set */
#define ACCESS_IMPLICIT BIT(17) /* CPL 0 by nature, whatever CPL is: a descriptor-table read */

struct model {
    uint64_t cr0, cr3, cr4, pdpte[4];
    bool nxe; /* EFER.NXE, where the mode of paging heeds it */
    /* of the processor, by CPUID: */
    bool has_nx, has_smep, has_smap, has_pge, has_pse36, has_gib_pages;
    unsigned maxphyaddr;
};

extern struct model model;

struct prediction {
    bool fault;
    unsigned error_code;
    uint64_t physical;
    unsigned leaf;                      /* level of the last entry that was read */
    unsigned top;                       /* level of the first one */
    void *entry[PAGING_LEVELS + 1];     /* by level */
    uint64_t before[PAGING_LEVELS + 1]; /* their values */
    bool write, user, execute, global;  /* the rights of the translation */
};

/* Reads CPUID. */
void model_init(void);

/* Turns paging on, or changes to these tables: CR4 first, CR0.PG last. */
void model_start(uint64_t cr3, uint64_t cr4);

/* False: #GP(0), as it had to be, and nothing has changed. */
bool model_set_cr0(uint64_t value);
bool model_set_cr3(uint64_t value);
bool model_set_cr4(uint64_t value);
/* After CR0.PG was off and on again: PDPTEs were loaded. */
void model_paging_returned(void);
/* EFER.NXE; flushes what depends on it. */
void model_set_nxe(bool on);

uint64_t model_large_reserved(unsigned level);

/* Whether the processor may cache what this entry says: it is present and has no reserved bit. */
bool model_is_usable(unsigned level, uint64_t entry);

struct prediction model_predict(unsigned long address, unsigned access);

/*
 * Performs the access (a write stores value) and compares exception, error code, CR2, data and the
 * accessed and dirty bits of all entries with the prediction. NULL if all is as it must be, else a
 * text that says what is not. *seen, if wanted: what happened.
 */
const char *model_judge(unsigned long address, unsigned access, uint32_t value,
                        struct outcome *seen);
