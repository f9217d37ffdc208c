/* SPDX-License-Identifier: MIT */
/*
 * Exceptions and interrupts of the hypervisor itself. None of its exceptions is recoverable: each
 * ends in the panic screen with the registers of the moment.
 */
#pragma once

#include "lib/base.h"

/* As pushed by trap_common in traps.S, then by its stub, then by the processor. */
struct trap_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
    uint64_t rdi, rsi, rbp, rbx, rdx, rcx, rax;
    uint64_t vector, error_code;
    uint64_t rip, cs, rflags, rsp, ss;
};
_Static_assert(sizeof(struct trap_frame) == 22 * 8, "traps.S pushes 22 words");

/* Loads the interrupt descriptor table of this processor. */
void trap_init(void);
/* Called by traps.S; the installed handler returns for interrupts only. */
void trap_handler(struct trap_frame *frame);
/* Who gets the hypervisor's exceptions: set once by main. */
void trap_set_handler(void (*handler)(const struct trap_frame *frame));
/* "#PF page fault" and the like; "interrupt" for vectors from 32 on. */
const char *trap_name(uint64_t vector);
