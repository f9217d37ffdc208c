/* SPDX-License-Identifier: MIT */
/*
 * The virtualization engine, in the words of the architecture: registers, segments, events, exits.
 * vmm/ knows no other interface to the processor's virtualization, and no VMCS field; the engine
 * for Intel processors is arch/x86/vmx/engine.c.
 */
#pragma once

#include "arch/x86/msr.h"
#include "mm/frames.h"
#include "mm/host.h"
#include "mm/paging.h"

/* Numbers of general registers as instructions encode them. */
enum gpr {
    GPR_RAX,
    GPR_RCX,
    GPR_RDX,
    GPR_RBX,
    GPR_RSP, /* lives in the engine: engine_gpr() */
    GPR_RBP,
    GPR_RSI,
    GPR_RDI,
    GPR_R8,
    GPR_R9,
    GPR_R10,
    GPR_R11,
    GPR_R12,
    GPR_R13,
    GPR_R14,
    GPR_R15,
    GPR_COUNT
};

enum engine_reg {
    REG_RIP,
    REG_RSP,
    REG_RFLAGS,
    REG_DR7,
    REG_GDTR_BASE,
    REG_GDTR_LIMIT,
    REG_IDTR_BASE,
    REG_IDTR_LIMIT,
    REG_INTERRUPTIBILITY, /* BLOCKING_BY_... */
    REG_PENDING_DEBUG,
    REG_COUNT
};

/* Guest interruptibility state (SDM 3C 24.4.2). */
#define BLOCKING_BY_STI    BIT(0)
#define BLOCKING_BY_MOV_SS BIT(1)
#define BLOCKING_BY_NMI    BIT(3)

/* Segment access rights in the VMCS's form (SDM 3C table 24-2). */
#define SEGMENT_TYPE      BITS(3, 0)
#define SEGMENT_S         BIT(4)
#define SEGMENT_DPL       BITS(6, 5)
#define SEGMENT_DPL_SHIFT 5
#define SEGMENT_P         BIT(7)
#define SEGMENT_L         BIT(13)
#define SEGMENT_DB        BIT(14)
#define SEGMENT_G         BIT(15)
#define SEGMENT_UNUSABLE  BIT(16)

enum segment_name { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, SEG_COUNT };

struct segment {
    uint64_t base;
    uint32_t limit;      /* bytes, as the processor uses it */
    uint32_t attributes; /* SDM 3C table 24-2 "Format of Access Rights" */
    uint16_t selector;
};

#define SEGMENT_CODE32    0xc09bu /* execute/read, accessed, S, P, D, G */
#define SEGMENT_DATA32    0xc093u /* read/write, accessed, S, P, B, G */
#define SEGMENT_TSS32BUSY 0x008bu /* busy 32-bit TSS, P */
#define SEGMENT_LDT       0x0082u
#define SEGMENT_ABSENT    0x10000u

/* Event types: SDM 3C 24.8.3, bits 10:8 of the interruption information. */
enum event_type {
    EVENT_INTERRUPT = 0,
    EVENT_NMI = 2,
    EVENT_EXCEPTION = 3,
    EVENT_SOFTWARE_INTERRUPT = 4,
    EVENT_PRIVILEGED_SOFTWARE_EXCEPTION = 5, /* INT1 */
    EVENT_SOFTWARE_EXCEPTION = 6,            /* INT3, INTO */
};

struct event {
    bool valid;
    enum event_type type;
    uint8_t vector;
    bool has_error_code;
    uint32_t error_code;
    uint8_t instruction_length; /* software events */
};

/* Guest state that no control block holds, switched when another vCPU takes the processor. */
#define SWITCHED_MSRS 5
struct engine_switched {
    uint64_t msrs[SWITCHED_MSRS];
    uint64_t cr2, dr0, dr1, dr2, dr3, dr6;
    uint8_t fpu[512] __attribute__((aligned(16)));
};

struct engine_vcpu {
    uint64_t gprs[GPR_COUNT]; /* but RSP; valid while the guest does not run */
    hpa_t control_block;      /* the VMCS */
    hpa_t msr_list;           /* EFER, where VM entry and exit cannot load it themselves */
    uint16_t tag;             /* VPID; 0 if there are none */
    bool launched;
    uint32_t proc_controls;
    uint64_t flushes[4]; /* INVVPIDs issued, by type: 0 address, 1 single, 2 all, 3 non-globals */
    struct engine_switched switched;
};

struct engine_exit {
    uint32_t reason;        /* enum exit_reason; bit 31: the VM entry failed */
    uint64_t qualification; /* SDM 3C 27.2.1 "Basic VM-Exit Information" */
};
#define EXIT_ENTRY_FAILED BIT(31)

/* What the machine has; all MSRs are read through read, so that tests can play a lesser machine. */
typedef uint64_t msr_reader(uint32_t msr);

#define ENGINE_ERROR_MAX 200

/*
 * Prepares this machine for guests: checks, enables, enters VMX operation. False if that cannot be,
 * with one line in error (ENGINE_ERROR_MAX bytes) naming the CPUID or MSR bit.
 */
must_check bool engine_init(struct frames *frames, msr_reader *read, uint32_t cpuid_1_ecx,
                            char *error);
/* Leaves VMX operation. */
void engine_shutdown(void);

/* A vCPU with architectural state still to be set. False: out of memory. */
must_check bool engine_vcpu_init(struct engine_vcpu *vcpu, struct frames *frames);
void engine_vcpu_destroy(struct engine_vcpu *vcpu, struct frames *frames);
/* Gives vcpu this processor, or takes it away: its control block and its switched state. */
void engine_load(struct engine_vcpu *vcpu);
void engine_store(struct engine_vcpu *vcpu);

/* All that follow need vcpu to be loaded. */
uint64_t engine_get(const struct engine_vcpu *vcpu, enum engine_reg reg);
void engine_set(struct engine_vcpu *vcpu, enum engine_reg reg, uint64_t value);
struct segment engine_segment(const struct engine_vcpu *vcpu, enum segment_name name);
void engine_set_segment(struct engine_vcpu *vcpu, enum segment_name name, struct segment segment);
uint64_t engine_gpr(const struct engine_vcpu *vcpu, enum gpr gpr);
void engine_set_gpr(struct engine_vcpu *vcpu, enum gpr gpr, uint64_t value);

/* Segments, flags and RIP of 32-bit protected mode: flat, interrupts off. Paging is not touched. */
void engine_set_protected_mode(struct engine_vcpu *vcpu, uint32_t eip);

/* The guest's CR0 and CR4 as it would read them now: some bits it changes without an exit. */
uint64_t engine_cr0(const struct engine_vcpu *vcpu);
uint64_t engine_cr4(const struct engine_vcpu *vcpu);
/* Makes the guest see regs' CR0, CR4, EFER, and the processor obey what they mean here. */
void engine_set_paging(struct engine_vcpu *vcpu, const struct paging_regs *regs);
/* The table that the processor walks: a PML4, or with LMA clear a PDPT below 4 GiB. */
void engine_set_root(struct engine_vcpu *vcpu, hpa_t root);
/* Bits of CR4 that a guest of this machine may ever set. */
uint64_t engine_cr4_possible(void);

/* Runs the guest until the next exit. Panics, with the error's name, on VMfail. */
struct engine_exit engine_run(struct engine_vcpu *vcpu);

/* About the last exit. */
struct event engine_exit_event(const struct engine_vcpu *vcpu); /* what caused it, if an event */
struct event
engine_interrupted_event(const struct engine_vcpu *vcpu); /* what was being delivered */
bool engine_iret_unblocked_nmis(const struct engine_vcpu *vcpu);
uint32_t engine_instruction_length(const struct engine_vcpu *vcpu);

/* Delivers event at the next entry. */
void engine_inject(struct engine_vcpu *vcpu, struct event event);
/* Exits after one instruction (monitor trap flag); false if this machine cannot. */
must_check bool engine_step(struct engine_vcpu *vcpu, bool on);
/* Drops cached translations of vcpu; see mm/host.h. */
void engine_flush(struct engine_vcpu *vcpu, enum tlb_flush kind, gva_t address);

/* Tries a VM entry that must fail, with no vCPU loaded: a self-test of its report. */
void engine_provoke_entry_failure(void);
/* The control block by field name, to the log. Does nothing if none is loaded. */
void engine_dump(void);
/* True if the vCPU's entries flush all by themselves, for want of tags. */
bool engine_untagged(void);
