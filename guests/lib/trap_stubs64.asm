; SPDX-License-Identifier: MIT
;
; One stub for each of the 32 exceptions: makes the stack look like struct trap_frame (trap.h),
; whatever the vector, and calls trap_dispatch(). SDM Vol. 3A, section 6.14 "Exception and
; Interrupt Handling in 64-bit Mode": the stack is 16-byte aligned before SS is pushed.

default rel

extern trap_dispatch
global trap_stubs

; The exceptions that push an error code: #DF #TS #NP #SS #GP #PF #AC #CP #VC #SX.
%define PUSHES_ERROR_CODE(v) \
    ((v) = 8 || ((v) >= 10 && (v) <= 14) || (v) = 17 || (v) = 21 || (v) = 29 || (v) = 30)

section .text
bits 64

%assign vector 0
%rep 32
trap_ %+ vector:
%if !PUSHES_ERROR_CODE(vector)
    push 0
%endif
    push vector
    jmp trap_common
%assign vector vector + 1
%endrep

trap_common:
    push rax
    push rcx
    push rdx
    push rbx
    push rbp
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
    mov rax, cr2
    push rax
    cld
    mov rdi, rsp
    call trap_dispatch
    add rsp, 8                                  ; CR2 stays as it is
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rbp
    pop rbx
    pop rdx
    pop rcx
    pop rax
    add rsp, 16                                 ; vector and error code
    iretq

section .rodata
align 8
trap_stubs:
%assign vector 0
%rep 32
    dq trap_ %+ vector
%assign vector vector + 1
%endrep

section .note.GNU-stack noalloc noexec nowrite progbits
