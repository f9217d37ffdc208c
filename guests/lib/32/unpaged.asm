; SPDX-License-Identifier: MIT
;
; CR0.PG off and on again; the code is mapped to itself.

global unpaged_store

CR0_PG equ 1 << 31

section .text
bits 32
; void unpaged_store(unsigned long physical, unsigned value)
unpaged_store:
    mov ecx, [esp + 4]
    mov edx, [esp + 8]
    mov eax, cr0
    and eax, ~CR0_PG
    mov cr0, eax
    mov [ecx], edx
    or eax, CR0_PG
    mov cr0, eax
    ret

section .note.GNU-stack noalloc noexec nowrite progbits
