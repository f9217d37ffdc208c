/* SPDX-License-Identifier: MIT */
/*
 * The face of mm/: one virtual MMU a vCPU. The machine monitor tells it every event that the SDM
 * says matters to translation, and asks it about every #PF exit. It knows nothing of VMX.
 */
#pragma once

#include "mm/vtlb.h"
#include "mm/walk.h"

/* What the monitor has to do about a #PF exit. */
enum mmu_verdict {
    MMU_RESUME, /* the shadow was filled: run the instruction again */
    MMU_INJECT, /* the guest's own fault: CR2 is the address, error_code is exact */
    MMU_DEVICE, /* the access hit no RAM: gpa says where */
    MMU_STORE,  /* a store to a shadowed table: perform it through mmu_store() */
    MMU_STEP,   /* the access is allowed, but for this one instruction only */
};

struct mmu_outcome {
    enum mmu_verdict verdict;
    uint32_t error_code; /* MMU_INJECT */
    gpa_t gpa;           /* MMU_DEVICE, MMU_STORE */
};

/* Counters carry KVM's names where KVM has them. */
struct mmu_stats {
    uint64_t pf_fixed;     /* hidden faults: the shadow was filled */
    uint64_t pf_guest;     /* faults given to the guest */
    uint64_t tlb_flush;    /* guest flushes of more than one address */
    uint64_t invlpg;       /* guest flushes of one address */
    uint64_t mmu_recycled; /* times the pool ran out */
    uint64_t pf_implicit;  /* faults found to be implicit supervisor accesses */
};

struct mmu {
    const struct gpm *gpm;
    struct paging_regs regs;
    struct vtlb vtlb;
    struct mmu_stats stats;
};

/* A vCPU's MMU over gpm with the state regs; empty is SPTE_TRAP or 0 (see mm/spte.h). */
void mmu_init(struct mmu *mmu, const struct gpm *gpm, struct pool *pool,
              const struct paging_regs *regs, spte_t empty);
void mmu_destroy(struct mmu *mmu);

/* What the processor's CR3 must hold, and in which format its tables are. */
static inline hpa_t mmu_root(const struct mmu *mmu)
{
    return mmu->vtlb.root;
}

static inline enum shadow_format mmu_format(const struct mmu *mmu)
{
    return mmu->vtlb.format;
}

/*
 * Answers a #PF exit on an access (enum access) to address; hardware is the error code that the
 * processor reported for it, which is not the one that the guest must see.
 */
struct mmu_outcome mmu_fault(struct mmu *mmu, gva_t address, unsigned access, uint32_t hardware);

/*
 * CR0, CR4, EFER, MAXPHYADDR change to those of regs. Where PAE paging makes the change load the
 * PDPTEs, does so. False, and nothing changed, if a PDPTE has a reserved bit: #GP(0).
 */
must_check bool mmu_set_regs(struct mmu *mmu, const struct paging_regs *regs);
/* MOV to CR3. False, and nothing changed, if a PDPTE has a reserved bit: #GP(0). */
must_check bool mmu_load_cr3(struct mmu *mmu, uint64_t cr3);
/*
 * INVPCID of type 0 to 3 (SDM 2A "INVPCID"): an address in a PCID; a PCID; everything; everything
 * but globals. The operand's own faults are the monitor's business.
 */
void mmu_invpcid(struct mmu *mmu, unsigned type, uint16_t pcid, gva_t address);
/* INVLPG; an address that is not canonical is a no-operation (SDM 2A "INVLPG"). */
void mmu_invlpg(struct mmu *mmu, gva_t address);

/* The guest-physical map has changed: nothing that was cached of it may be used any more. */
void mmu_map_changed(struct mmu *mmu);
/* A store by Umbra to guest RAM (devices, loader, debugger); false if a byte is no RAM. */
must_check bool mmu_store(struct mmu *mmu, gpa_t to, const void *from, size_t size);

/* Checks the invariants of docs/shadow-mmu.md on all tables; logs what is violated. */
must_check bool mmu_audit(const struct mmu *mmu);

/*
 * Copies size bytes between guest memory at linear addresses and a buffer, as a supervisor access
 * by a debugger would: no flags are set, nothing faults. False if a byte does not translate.
 */
must_check bool mmu_peek(const struct mmu *mmu, gva_t from, void *to, size_t size);
