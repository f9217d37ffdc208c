; SPDX-License-Identifier: MIT
;
; The instructions of probe.h, each once for CPL 0 and once, in the section that users may reach,
; for CPL 3; and the way in and out. ECX is the address, EDX the value, EAX the result.

extern guest_tss
global probe_enter
global probe_leave
global probe_done
global probe_entries

VECTOR_DONE   equ 0x30
FLAGS_CLEAR   equ 1 << 1
TSS_ESP0      equ 4

struc start
.entry:   resd 1
.cs:      resd 1
.flags:   resd 1
.ss:      resd 1
.address: resd 1
.value:   resd 1
endstruc

section .bss nobits alloc noexec write align=8
probe_stack: resd 1

section .text
bits 32

; unsigned long probe_enter(const struct probe_start *start)
probe_enter:
    mov eax, [esp + 4]
    push ebx
    push ebp
    push esi
    push edi
    mov [probe_stack], esp
    mov [guest_tss + TSS_ESP0], esp
    mov ecx, [eax + start.address]
    mov edx, [eax + start.value]
    test byte [eax + start.cs], 3
    jz .same_level                              ; IRET pops no ESP and SS
    push dword [eax + start.ss]
    push dword [probe_stack]
.same_level:
    push dword [eax + start.flags]
    push dword [eax + start.cs]
    push dword [eax + start.entry]
    iretd

; The gate of INT 30h, and what an exception handler calls in place of returning.
probe_done:
probe_leave:
    mov esp, [probe_stack]
    push FLAGS_CLEAR
    popfd
    pop edi
    pop esi
    pop ebp
    pop ebx
    ret

%macro OPERATIONS 1
%1_read:
    mov eax, [ecx]
    int VECTOR_DONE
%1_write:
    mov [ecx], edx
    int VECTOR_DONE
%1_exchange:
    mov eax, edx
    xchg [ecx], eax
    int VECTOR_DONE
%1_fetch:
    jmp ecx
%1_load_gs:
    mov gs, ecx
    int VECTOR_DONE
%1_invlpg:
    invlpg [ecx]
    int VECTOR_DONE
%1_cr0:
    mov cr0, ecx
    int VECTOR_DONE
%1_cr3:
    mov cr3, ecx
    int VECTOR_DONE
%1_cr4:
    mov cr4, ecx
    int VECTOR_DONE
%1_push:
    mov ebx, esp
    mov esp, ecx
    push edx
    mov esp, ebx
    int VECTOR_DONE
%1_nothing:
    int VECTOR_DONE
%endmacro

%macro ENTRIES 1
    dd %1_read, %1_write, %1_exchange, %1_fetch, %1_load_gs, %1_invlpg
    dd %1_cr0, %1_cr3, %1_cr4, %1_push, %1_nothing
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
