; SPDX-License-Identifier: MIT
;
; The instructions of probe.h, each once for CPL 0 and once, in the section that users may reach,
; for CPL 3; and the way in and out. RCX is the address, RDX the value, EAX the result.

default rel

extern guest_tss
global probe_enter
global probe_leave
global probe_done
global probe_entries

SELECTOR_DATA equ 16
VECTOR_DONE   equ 0x30
FLAGS_CLEAR   equ 1 << 1
TSS_RSP0      equ 4

struc start
.entry:   resq 1
.cs:      resq 1
.flags:   resq 1
.ss:      resq 1
.address: resq 1
.value:   resq 1
endstruc

section .bss nobits alloc noexec write align=8
probe_stack: resq 1

section .text
bits 64

; unsigned long probe_enter(const struct probe_start *start)
probe_enter:
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    mov [probe_stack], rsp
    mov [guest_tss + TSS_RSP0], rsp
    mov rcx, [rdi + start.address]
    mov rdx, [rdi + start.value]
    push qword [rdi + start.ss]
    push qword [probe_stack]
    push qword [rdi + start.flags]
    push qword [rdi + start.cs]
    push qword [rdi + start.entry]
    iretq

; The gate of INT 30h, and what an exception handler calls in place of returning.
probe_done:
probe_leave:
    mov rsp, [probe_stack]
    mov ecx, SELECTOR_DATA                      ; null after CPL 3
    mov ss, ecx
    push FLAGS_CLEAR
    popfq
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    ret

%macro OPERATIONS 1
%1_read:
    mov eax, [rcx]
    int VECTOR_DONE
%1_write:
    mov [rcx], edx
    int VECTOR_DONE
%1_exchange:
    mov eax, edx
    xchg [rcx], eax
    int VECTOR_DONE
%1_fetch:
    jmp rcx
%1_load_gs:
    mov gs, ecx
    int VECTOR_DONE
%1_invlpg:
    invlpg [rcx]
    int VECTOR_DONE
%1_cr0:
    mov cr0, rcx
    int VECTOR_DONE
%1_cr3:
    mov cr3, rcx
    int VECTOR_DONE
%1_cr4:
    mov cr4, rcx
    int VECTOR_DONE
%1_push:
    mov rbx, rsp
    mov rsp, rcx
    push rdx
    mov rsp, rbx
    int VECTOR_DONE
%1_nothing:
    int VECTOR_DONE
%endmacro

%macro ENTRIES 1
    dq %1_read, %1_write, %1_exchange, %1_fetch, %1_load_gs, %1_invlpg
    dq %1_cr0, %1_cr3, %1_cr4, %1_push, %1_nothing
%endmacro

OPERATIONS kernel

section .user progbits alloc exec nowrite align=16
OPERATIONS user

section .rodata
align 8
probe_entries:
    ENTRIES kernel
    ENTRIES user

section .note.GNU-stack noalloc noexec nowrite progbits
