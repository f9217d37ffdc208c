/* SPDX-License-Identifier: MIT */
/*
 * A virtual CPU: engine state, MMU, what is to be injected, counters; and the run loop. Exits are
 * dispatched by one table (vmm/exit/exit.c); RIP moves on in one place.
 */
#pragma once

#include "arch/x86/engine.h"
#include "arch/x86/vmexit.h"
#include "mm/mmu.h"

struct vm;
struct start_state;

/* Translations to drop before the next entry: beyond these addresses it is cheaper to drop all. */
#define FLUSH_ADDRESSES_MAX 8

struct flush_request {
    unsigned addresses;
    gva_t address[FLUSH_ADDRESSES_MAX];
    bool non_globals, all;
};

struct vcpu_stats {
    uint64_t exits;
    uint64_t by_reason[EXIT_REASON_COUNT];
    uint64_t page_faults; /* exits by #PF, of those by exceptions */
};

/* Between OUT 0x80,id and OUT 0x80,id|0x80. */
struct mark {
    uint8_t id; /* 0: none open */
    struct vcpu_stats stats;
    uint64_t flushes[4];
};

/* MSR accesses that were refused: each is logged once, with where it happened. */
#define REFUSED_MSRS_MAX 64

struct refused_msrs {
    uint64_t seen[REFUSED_MSRS_MAX]; /* MSR number, bit 32: WRMSR */
    unsigned count;
};

struct vcpu {
    struct vm *vm;
    struct engine_vcpu engine;
    struct mmu mmu;
    uint64_t efer;        /* as the guest believes it to be */
    uint64_t cr8;         /* the task-priority register of an APIC that is not there */
    bool watched;         /* audits or self-tests look at every few exits */
    struct event pending; /* delivered at the next entry */
    struct flush_request flush;
    struct vcpu_stats stats;
    struct mark mark;
    struct refused_msrs refused_msrs;
};

/* False: out of memory. */
must_check bool vcpu_init(struct vcpu *vcpu, struct vm *vm, struct frames *frames);
void vcpu_destroy(struct vcpu *vcpu, struct frames *frames);
/* 32-bit protected mode, flat segments, paging off: what multiboot asks for. */
void vcpu_set_start(struct vcpu *vcpu, const struct start_state *start);
/* Runs until the VM has ended. */
void vcpu_run(struct vcpu *vcpu);

/* The guest's paging registers as they are now, those that change without an exit included. */
struct paging_regs vcpu_paging_regs(const struct vcpu *vcpu);
/* Tells MMU and engine of changed registers. False, and nothing changed: #GP(0). */
must_check bool vcpu_set_paging_regs(struct vcpu *vcpu, const struct paging_regs *regs);
/* 0 to 3. */
unsigned vcpu_cpl(const struct vcpu *vcpu);
/* True if the guest runs 64-bit code. */
bool vcpu_in_64bit_code(const struct vcpu *vcpu);

/* Registers, code bytes and tables of vcpu, to the log. */
void vcpu_dump(const struct vcpu *vcpu);
