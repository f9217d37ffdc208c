/* SPDX-License-Identifier: MIT */
/*
 * One instruction, tried: at CPL 0 or 3, with or without EFLAGS.AC. Whether it completes or raises
 * an exception, the guest goes on behind the call with the outcome. The instruction is followed by
 * INT 30h; what comes back by this gate or by an exception continues on the stack that probe_enter
 * left (probe64.asm, 32/probe.asm), and nothing is ever retried unless probe_on_fault says so.
 *
 * Code for CPL 3 lies in the image's section .user, which must be mapped for users; it uses no
 * stack. A PROBE_FETCH jumps to the address: what is there has to be PROBE_CODE.
 */
#pragma once

#include "guests/lib/trap.h"
#include "lib/base.h"

enum probe_op {
    PROBE_READ,     /* four bytes */
    PROBE_WRITE,    /* four bytes */
    PROBE_EXCHANGE, /* four bytes; the value is what was there */
    PROBE_FETCH,
    PROBE_LOAD_GS, /* the selector is the address */
    PROBE_INVLPG,
    PROBE_CR0, /* MOV to it, of the address */
    PROBE_CR3,
    PROBE_CR4,
    PROBE_PUSH, /* four bytes in 32-bit guests, eight in 64-bit ones, below the address */
    PROBE_NOTHING,
    PROBE_OPS,
};

#define PROBE_USER BIT(0) /* at CPL 3 */
#define PROBE_AC   BIT(1) /* with EFLAGS.AC set */

struct outcome {
    bool fault;
    unsigned long vector, error_code, cr2, rip; /* of the exception */
    unsigned long value;                        /* of an instruction that completed */
};

/* mov eax, VALUE; int 30h: eight bytes, the last one is not used. */
#define PROBE_CODE_SIZE   8
#define PROBE_CODE(value) (0x0030cd00000000b8ull | (uint64_t)(uint32_t)(value) << 8)

/* Takes over all exceptions and vector 30h. */
void probe_init(void);

struct outcome probe(enum probe_op op, unsigned flags, unsigned long address, unsigned long value);

/* If not NULL, called with each exception of a probe; true: the instruction is retried. */
extern bool (*probe_on_fault)(struct trap_frame *frame);
