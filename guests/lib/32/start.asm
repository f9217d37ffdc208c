; SPDX-License-Identifier: MIT
;
; Where a bundled 32-bit guest begins (../start64.asm: the other kind). GRUB or Umbra enters here as
; the Multiboot2 Specification 2.0, section 3.3 "I386 machine state" says, and so it stays:
;
;   32-bit protected mode without paging, CPL 0, IF = 0, CR0 = NE ET MP PE, CR4 = 0; a stack of
;   16 KiB; the selectors of descriptors.h. DS, ES, FS and GS hold the data segment of CPL 3, which
;   CPL 0 may use as well: so IRET to CPL 3 does not have to null them, nor the way back to reload.
;
; Everything else (serial line, IDT, TSS) is set up by guest_start() in report.c, which gets the
; address of the boot information and calls main().

MULTIBOOT2_MAGIC  equ 0xe85250d6                ; in the header
MULTIBOOT2_LOADED equ 0x36d76289                ; in EAX, from the loader

CR0_PE       equ 1 << 0
CR0_MP       equ 1 << 1
CR0_ET       equ 1 << 4
CR0_NE       equ 1 << 5

SELECTOR_CODE      equ 8
SELECTOR_DATA      equ 16
SELECTOR_USER_DATA equ 32 + 3
STACK_SIZE         equ 16384

extern guest_start
global start32
global guest_gdt

section .multiboot2 progbits alloc noexec nowrite align=8
header:
    dd MULTIBOOT2_MAGIC
    dd 0                                        ; i386, protected mode
    dd header_end - header
    dd -(MULTIBOOT2_MAGIC + (header_end - header)) & 0xffffffff
    dw 0, 0                                     ; end tag
    dd 8
header_end:

section .data align=8                           ; LTR marks the TSS as busy
guest_gdt:
    dq 0
    dq 0x00cf9b000000ffff                       ; code, accessed
    dq 0x00cf93000000ffff                       ; data, accessed
    dq 0x00cffb000000ffff                       ; the same for CPL 3
    dq 0x00cff3000000ffff
    dq 0, 0                                     ; TSS, and
    dq 0, 0                                     ; LDT: 32/descriptors.c
    dq 0                                        ; what tests need
gdt_end:
gdt_pointer:
    dw gdt_end - guest_gdt - 1
    dd guest_gdt

section .bss nobits alloc noexec write align=4096
stack:      resb STACK_SIZE
stack_top:

section .text
bits 32
start32:
    cli
    cld
    cmp eax, MULTIBOOT2_LOADED
    jne halt
    lgdt [gdt_pointer]
    jmp SELECTOR_CODE:.flat
.flat:
    mov eax, SELECTOR_USER_DATA
    mov ds, eax
    mov es, eax
    mov fs, eax
    mov gs, eax
    mov eax, SELECTOR_DATA
    mov ss, eax
    mov esp, stack_top
    mov eax, CR0_NE | CR0_ET | CR0_MP | CR0_PE
    mov cr0, eax
    xor eax, eax
    mov cr4, eax
    xor ebp, ebp
    sub esp, 12                                 ; 16-byte aligned at the call
    push ebx                                    ; the boot information
    call guest_start                            ; never returns

halt:                                           ; nobody who booted us otherwise could read a reason
    hlt
    jmp halt

section .note.GNU-stack noalloc noexec nowrite progbits
