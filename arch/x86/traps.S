/* SPDX-License-Identifier: MIT */
/*
 * One stub a vector: makes every frame alike (error code, vector), saves the general registers,
 * calls trap_handler(). SDM 3A 6.14 "Exception and Interrupt Handling in 64-bit Mode".
 */
#define STUB_SIZE 16
#define WITH_ERROR_CODE 0x00227d00 /* EXC_WITH_ERROR_CODE of arch/x86/regs.h */

        .text
        .balign STUB_SIZE
        .globl trap_stubs
trap_stubs:
        .set vector, 0
        .rept 256
        .balign STUB_SIZE
        .if vector >= 32
        pushq $0
        .elseif !((WITH_ERROR_CODE >> vector) & 1)
        pushq $0
        .endif
        pushq $vector
        jmp trap_common
        .set vector, vector + 1
        .endr

        .balign 16
trap_common:
        pushq %rax
        pushq %rcx
        pushq %rdx
        pushq %rbx
        pushq %rbp
        pushq %rsi
        pushq %rdi
        pushq %r8
        pushq %r9
        pushq %r10
        pushq %r11
        pushq %r12
        pushq %r13
        pushq %r14
        pushq %r15
        movq %rsp, %rdi
        cld
        call trap_handler
        popq %r15
        popq %r14
        popq %r13
        popq %r12
        popq %r11
        popq %r10
        popq %r9
        popq %r8
        popq %rdi
        popq %rsi
        popq %rbp
        popq %rbx
        popq %rdx
        popq %rcx
        popq %rax
        addq $16, %rsp
        iretq

        .section .note.GNU-stack, "", @progbits
