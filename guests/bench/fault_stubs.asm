; SPDX-License-Identifier: MIT
;
; Two handlers that are measured. fault_entry saves what C may change, calls
; fault_handle(CR2, error code) and retries the instruction; interrupt_entry does nothing.

extern fault_handle
global fault_entry
global interrupt_entry

SAVED equ 9 * 8

section .text
bits 64
fault_entry:
    push rax
    push rcx
    push rdx
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    mov rdi, cr2
    mov rsi, [rsp + SAVED]
    call fault_handle
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rax
    add rsp, 8                                  ; error code
interrupt_entry:
    iretq

section .note.GNU-stack noalloc noexec nowrite progbits
