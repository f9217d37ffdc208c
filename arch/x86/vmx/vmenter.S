/* SPDX-License-Identifier: MIT */
/*
 * bool vmx_enter(uint64_t registers[16], bool launched)
 *
 * VM entry as a C function: loads the guest's general registers, enters, and returns true at the
 * next VM exit, or false if the entry instruction itself failed (VMfail). The array is indexed by
 * the registers' encoding numbers; the slot of RSP is not used, the VMCS holds it. After an exit
 * the guest's values are stored and then zeroed in every register that C does not expect kept, so
 * that none of them can be used speculatively by the hypervisor.
 *
 * SDM 3C 30.3 "VMLAUNCH/VMRESUME - Launch/Resume Virtual Machine".
 */
#define RAX (0 * 8)
#define RCX (1 * 8)
#define RDX (2 * 8)
#define RBX (3 * 8)
#define RBP (5 * 8)
#define RSI (6 * 8)
#define RDI (7 * 8)
#define R8  (8 * 8)
#define R9  (9 * 8)
#define R10 (10 * 8)
#define R11 (11 * 8)
#define R12 (12 * 8)
#define R13 (13 * 8)
#define R14 (14 * 8)
#define R15 (15 * 8)

#define VMCS_HOST_RSP 0x6c14

        .text
        .balign 16
        .globl vmx_enter
vmx_enter:
        pushq %rbp
        pushq %rbx
        pushq %r12
        pushq %r13
        pushq %r14
        pushq %r15
        pushq %rdi                      /* the array: the exit finds it at the top of the stack */
        movl $VMCS_HOST_RSP, %eax
        vmwrite %rsp, %rax
        jbe 2f
        testb %sil, %sil                /* no flag changes until VMLAUNCH: moves only */
        movq RAX(%rdi), %rax
        movq RCX(%rdi), %rcx
        movq RDX(%rdi), %rdx
        movq RBX(%rdi), %rbx
        movq RBP(%rdi), %rbp
        movq RSI(%rdi), %rsi
        movq R8(%rdi), %r8
        movq R9(%rdi), %r9
        movq R10(%rdi), %r10
        movq R11(%rdi), %r11
        movq R12(%rdi), %r12
        movq R13(%rdi), %r13
        movq R14(%rdi), %r14
        movq R15(%rdi), %r15
        movq RDI(%rdi), %rdi
        jz 1f
        vmresume
        jmp 2f
1:      vmlaunch
2:      xorl %eax, %eax                 /* VMfail */
        jmp 3f

        .balign 16
        .globl vmx_exit
vmx_exit:                               /* HOST_RIP: RSP is as it was at VMWRITE */
        pushq %rdi
        movq 8(%rsp), %rdi
        movq %rax, RAX(%rdi)
        movq %rcx, RCX(%rdi)
        movq %rdx, RDX(%rdi)
        movq %rbx, RBX(%rdi)
        movq %rbp, RBP(%rdi)
        movq %rsi, RSI(%rdi)
        popq RDI(%rdi)
        movq %r8, R8(%rdi)
        movq %r9, R9(%rdi)
        movq %r10, R10(%rdi)
        movq %r11, R11(%rdi)
        movq %r12, R12(%rdi)
        movq %r13, R13(%rdi)
        movq %r14, R14(%rdi)
        movq %r15, R15(%rdi)
        movl $1, %eax
3:      xorl %ecx, %ecx
        xorl %edx, %edx
        xorl %esi, %esi
        xorl %edi, %edi
        xorl %r8d, %r8d
        xorl %r9d, %r9d
        xorl %r10d, %r10d
        xorl %r11d, %r11d
        addq $8, %rsp
        popq %r15
        popq %r14
        popq %r13
        popq %r12
        popq %rbx
        popq %rbp
        ret

        .section .note.GNU-stack, "", @progbits
