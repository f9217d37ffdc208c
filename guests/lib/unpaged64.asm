; SPDX-License-Identifier: MIT
;
; Out of long mode and back: SDM Vol. 3A, section 9.8.5.4 "Switching Out of IA-32e Mode Operation".
; CR0.PG may be cleared in compatibility mode only. The code is mapped to itself.

global unpaged_store

SELECTOR_CODE   equ 8
SELECTOR_DATA   equ 16
SELECTOR_CODE32 equ 0x48
CR0_PG          equ 1 << 31

section .rodata align=8
to_32: dd unpaged_store_32
       dw SELECTOR_CODE32

section .text
bits 64
; void unpaged_store(unsigned long physical, unsigned value)
unpaged_store:
    push rbx
    mov rbx, rsp                                ; may lose its upper half: the image is low
    mov eax, SELECTOR_DATA                      ; null after IRET to CPL 3
    mov ds, eax
    jmp far dword [abs to_32]
bits 32
unpaged_store_32:
    mov eax, cr0
    and eax, ~CR0_PG
    mov cr0, eax
    mov [edi], esi
    or eax, CR0_PG
    mov cr0, eax
    jmp SELECTOR_CODE:.long
bits 64
.long:
    mov rsp, rbx
    pop rbx
    ret

section .note.GNU-stack noalloc noexec nowrite progbits
