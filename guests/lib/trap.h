/* SPDX-License-Identifier: MIT */
/*
 * Exceptions of a guest. Every one of the 32 vectors arrives in a C function with the interrupted
 * state, which the function may change; one that nobody asked for fails the guest by name.
 */
#pragma once

#include "arch/x86/regs.h"
#include "lib/base.h"

/*
 * What trap_stubs64.asm or 32/trap_stubs.asm leaves on the stack, lowest address first. In a 32-bit
 * guest a register is its low half, and rsp and ss are there only if the exception came from CPL 3.
 */
struct trap_frame {
    unsigned long cr2; /* as it was at the exception; changing it changes nothing */
#ifdef __x86_64__
    unsigned long r15, r14, r13, r12, r11, r10, r9, r8;
    unsigned long rdi, rsi, rbp, rbx, rdx, rcx, rax;
#else
    unsigned long rdi, rsi, rbp, unused, rbx, rdx, rcx, rax; /* as PUSHAD leaves them */
#endif
    unsigned long vector;
    unsigned long error_code; /* 0 where the exception has none */
    unsigned long rip, cs, rflags, rsp, ss;
};

typedef void guest_handler(struct trap_frame *frame);

/* Fills the IDT; done by the runtime before main(). */
void trap_init(void);

/*
 * Installs the handler of an exception (EXC_PF ...). It returns to where frame says; NULL makes the
 * exception unexpected again.
 */
void guest_on_exception(unsigned vector, guest_handler *handler);

/* An interrupt gate of the guest's own, for any vector, around the dispatcher: entry is assembly.
 */
void guest_set_gate(unsigned vector, void (*entry)(void));
