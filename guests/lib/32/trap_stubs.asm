; SPDX-License-Identifier: MIT
;
; One stub for each of the 32 exceptions: makes the stack look like struct trap_frame (trap.h),
; whatever the vector, and calls trap_dispatch(). SDM Vol. 3A, section 6.12 "Exception and
; Interrupt Handling": ESP and SS are there only if CPL changed.

extern trap_dispatch
global trap_stubs

; The exceptions that push an error code: #DF #TS #NP #SS #GP #PF #AC #CP #VC #SX.
%define PUSHES_ERROR_CODE(v) \
    ((v) = 8 || ((v) >= 10 && (v) <= 14) || (v) = 17 || (v) = 21 || (v) = 29 || (v) = 30)

section .text
bits 32

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
    pushad
    mov eax, cr2
    push eax
    cld
    mov ebx, esp
    and esp, -16
    sub esp, 12
    push ebx
    call trap_dispatch
    mov esp, ebx
    add esp, 4                                  ; CR2 stays as it is
    popad
    add esp, 8                                  ; vector and error code
    iretd

section .rodata
align 4
trap_stubs:
%assign vector 0
%rep 32
    dd trap_ %+ vector
%assign vector vector + 1
%endrep

section .note.GNU-stack noalloc noexec nowrite progbits
