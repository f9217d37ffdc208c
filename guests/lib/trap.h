/* SPDX-License-Identifier: MIT */
/*
 * Exceptions of a guest. Every one of the 32 vectors arrives in a C function with the interrupted
 * state, which the function may change; one that nobody asked for fails the guest by name.
 */
#pragma once

#include "arch/x86/regs.h"
#include "lib/base.h"

/* What trap_stubs.asm leaves on the stack, lowest address first. */
struct trap_frame {
    uint64_t cr2; /* as it was at the exception; changing it changes nothing */
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
    uint64_t rdi, rsi, rbp, rbx, rdx, rcx, rax;
    uint64_t vector;
    uint64_t error_code; /* 0 where the exception has none */
    uint64_t rip, cs, rflags, rsp, ss;
};

typedef void guest_handler(struct trap_frame *frame);

/* Loads the IDT; done by the runtime before main(). */
void trap_init(void);

/*
 * Installs the handler of an exception (EXC_PF ...). It returns to where frame says; NULL makes the
 * exception unexpected again.
 */
void guest_on_exception(unsigned vector, guest_handler *handler);

/* An interrupt gate of the guest's own, for any vector, around the dispatcher: entry is assembly.
 */
void guest_set_gate(unsigned vector, void (*entry)(void));
