/* SPDX-License-Identifier: MIT */
/*
 * One vCPU of a history and its judge: the virtual MMU of mm/ under test, the processor that runs
 * on its shadow (history_processor.h), and the registers and past by which both are judged
 * (history_allowed.h). Whatever the guest does here panics if its outcome is not allowed:
 *   RESUME    the reference allows the access; A and D are set as it says, nothing else changes
 *   INJECT    the reference faults on the tables of now with exactly this error code
 *   DEVICE    the reference allows it, and it hits no RAM (or ROM, if written)
 *   no fault  the byte is the reference's, or one that an older state of the tables allows
 */
#pragma once

#include "mm/mmu.h"
#include "tests/host/history_allowed.h"
#include "tests/host/history_processor.h"

enum mode { UNPAGED, PAGED_32BIT, PAGED_PAE, PAGED_4LEVEL };

struct vcpu {
    struct pool pool;
    struct mmu mmu;
    struct processor processor;
    struct model_regs regs;
    struct past past;
    unsigned machine_width; /* the machine's MAXPHYADDR: 52 where there is no TRAP */
};

static inline struct vcpu *vcpu_of(struct mmu *mmu)
{
    return container_of(mmu, struct vcpu, mmu);
}

/* A vCPU with regs, not paged, and a tag of its own: nothing is cached. Its pool is ready. */
void cpu_start(struct vcpu *v, struct model_regs regs, bool trap);
/* Gives back its shadow; panics if pages are lost. */
void cpu_stop(struct vcpu *v);

enum mode cpu_mode(const struct model_regs *regs);
/* What happens to the guest's own caches. */
void cpu_event(struct vcpu *v, enum event_kind kind, uint64_t linear);
/* CR0, CR4, EFER become those of next, unless that is #GP. */
void cpu_set_regs(struct vcpu *v, struct model_regs next);
void cpu_load_cr3(struct vcpu *v, uint64_t cr3);
/* The registers that events may change are what the guest made them. */
void cpu_check_regs(const struct vcpu *v);

/* What came of an access: refused; performed; allowed, but a store is left to Umbra. */
enum end { AGAIN, NOT_DONE, DONE, DONE_BY_UMBRA };

/* The guest accesses memory; how is HOW_*. *where is the byte of RAM or ROM that it got to. */
enum end cpu_access(struct vcpu *v, uint64_t linear, unsigned how, unsigned choice,
                    uint64_t *where);
void cpu_speculate(struct vcpu *v, uint64_t linear);
