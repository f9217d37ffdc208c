; SPDX-License-Identifier: MIT
;
; Where a bundled guest begins. Whoever boots it, GRUB on a bare machine or Umbra, enters here as
; the Multiboot2 Specification 2.0, section 3.3 "I386 machine state" says: 32-bit protected mode
; without paging, flat segments, interrupts off, EAX = magic. What main() finds is made here:
;
;   long mode, CPL 0, IF = 0, CR0 = PG WP NE ET MP PE, CR4 = PAE, EFER = LMA LME NXE;
;   4-level tables in .bss that map the first 1 GiB to itself with 2M pages, read-write,
;   executable, accessed and dirty clear; a stack of 16 KiB; the selectors of descriptors.h.
;
; Everything else (serial line, IDT, TSS) is set up by guest_start() in report.c, which gets the
; address of the boot information and calls main().

MULTIBOOT2_MAGIC  equ 0xe85250d6                ; in the header
MULTIBOOT2_LOADED equ 0x36d76289                ; in EAX, from the loader

PAGE_SIZE    equ 4096
PTE_P        equ 1 << 0
PTE_W        equ 1 << 1
PTE_PS       equ 1 << 7
CR0_PE       equ 1 << 0
CR0_MP       equ 1 << 1
CR0_ET       equ 1 << 4
CR0_NE       equ 1 << 5
CR0_WP       equ 1 << 16
CR0_PG       equ 1 << 31
CR4_PAE      equ 1 << 5
IA32_EFER    equ 0xc0000080
EFER_LME     equ 1 << 8
EFER_NXE     equ 1 << 11

SELECTOR_CODE equ 8
SELECTOR_DATA equ 16
STACK_SIZE    equ 16384

extern guest_start
global start32
global guest_gdt
global guest_pml4

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
    dq 0x00af9b000000ffff                       ; 64-bit code, accessed
    dq 0x00cf93000000ffff                       ; data, accessed
    dq 0x00affb000000ffff                       ; the same for CPL 3
    dq 0x00cff3000000ffff
    dq 0, 0                                     ; TSS, and
    dq 0, 0                                     ; LDT: descriptors64.c
    dq 0x00cf9b000000ffff                       ; 32-bit code, accessed
gdt_end:
gdt_pointer:
    dw gdt_end - guest_gdt - 1
    dq guest_gdt                                ; in 32-bit mode LGDT reads the low four bytes

section .bss nobits alloc noexec write align=4096 ; NASM takes a number only, and ignores a name
guest_pml4: resb PAGE_SIZE
pdpt:       resb PAGE_SIZE
directory:  resb PAGE_SIZE
stack:      resb STACK_SIZE
stack_top:

section .text
bits 32
start32:
    cli
    cld
    cmp eax, MULTIBOOT2_LOADED
    jne halt
    mov esp, stack_top
    call build_identity_map
    call enter_long_mode
    lgdt [gdt_pointer]
    jmp SELECTOR_CODE:start64

halt:                                           ; nobody who booted us otherwise could read a reason
    hlt
    jmp halt

; The loader has zeroed .bss: only what is not zero is written.
build_identity_map:
    mov dword [guest_pml4], pdpt + PTE_P + PTE_W
    mov dword [pdpt], directory + PTE_P + PTE_W
    mov eax, PTE_P | PTE_W | PTE_PS
    mov edi, directory
    mov ecx, 512
.entry:
    mov [edi], eax
    add eax, 2 << 20
    add edi, 8
    loop .entry
    ret

enter_long_mode:
    mov eax, guest_pml4
    mov cr3, eax
    mov eax, CR4_PAE
    mov cr4, eax
    mov ecx, IA32_EFER
    rdmsr
    or eax, EFER_LME | EFER_NXE
    wrmsr
    mov eax, CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE
    mov cr0, eax
    ret

bits 64
start64:
    mov eax, SELECTOR_DATA
    mov ds, eax
    mov es, eax
    mov ss, eax
    xor eax, eax
    mov fs, eax
    mov gs, eax
    mov esp, stack_top                          ; its upper half is not defined after the switch
    xor ebp, ebp
    mov edi, ebx                                ; the boot information, below 4 GiB
    call guest_start                            ; never returns

section .note.GNU-stack noalloc noexec nowrite progbits
