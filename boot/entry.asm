; SPDX-License-Identifier: MIT
;
; From GRUB to C. The multiboot2 header, then the 32-bit entry: check what long mode needs, build
; the first page tables, switch, jump to the higher half, call umbra_main(magic, information).
;
; The first tables map the low 4 GiB three times with 2 MiB pages: at 0 (we run there for a few
; instructions), at the direct map, and the first GiB at the image's own addresses. They are
; replaced by those of mm/hostmap.c, which know W^X and guard pages, as soon as memory is known.
; Multiboot2 Specification 2.0, sections 3.1 "OS image format" and 3.3 "I386 machine state".

MB2_MAGIC      equ 0xe85250d6
MB2_LOADER     equ 0x36d76289
IMAGE_BASE     equ 0xffffffff80000000   ; as in linker.ld and mm/layout.h
COM1           equ 0x3f8

PTE_PW         equ 0x3
PTE_PW_PS      equ 0x83
CR0_PG_PE_WP   equ 0x80010001
CR4_PAE        equ 0x20
MSR_EFER       equ 0xc0000080
EFER_LME_NXE   equ 0x900
CPUID_LM       equ 1 << 29
CPUID_NX       equ 1 << 20

section .mb2 progbits alloc noexec nowrite align=8
header:
        dd MB2_MAGIC, 0, header_end - header, -(MB2_MAGIC + header_end - header)
        dw 0, 0
        dd 8
header_end:

section .boot.text progbits alloc exec nowrite align=16
bits 32
global start
extern umbra_main, boot_stack_top
start:
        cli
        cld
        mov edi, eax                    ; magic and information go to umbra_main unharmed
        mov esi, ebx
        mov esp, boot_stack_top - IMAGE_BASE
        mov ebp, message_magic
        cmp edi, MB2_LOADER
        jne refuse
        mov ebp, message_long_mode
        mov eax, 0x80000000
        cpuid
        cmp eax, 0x80000001
        jb refuse
        mov eax, 0x80000001
        cpuid
        test edx, CPUID_LM
        jz refuse
        mov ebp, message_nx
        test edx, CPUID_NX
        jz refuse
        call build_tables
        mov eax, boot_pml4
        mov cr3, eax
        mov eax, CR4_PAE
        mov cr4, eax
        mov ecx, MSR_EFER
        rdmsr
        or eax, EFER_LME_NXE
        wrmsr
        mov eax, CR0_PG_PE_WP
        mov cr0, eax
        lgdt [gdt_pointer]
        jmp 8:start64

; Four page directories of 2 MiB pages, two page-directory-pointer tables, one PML4.
build_tables:
        mov ebx, boot_pd
        mov eax, PTE_PW_PS
        mov ecx, 4 * 512
.page:  mov [ebx], eax
        mov dword [ebx + 4], 0
        add ebx, 8
        add eax, 0x200000               ; wraps only after the last page below 4 GiB
        loop .page
        mov eax, boot_pd + PTE_PW
        mov ebx, boot_pdpt_low
        mov ecx, 4
.pd:    mov [ebx], eax
        add ebx, 8
        add eax, 4096
        loop .pd
        mov dword [boot_pdpt_high + 510 * 8], boot_pd + PTE_PW
        mov dword [boot_pml4], boot_pdpt_low + PTE_PW
        mov dword [boot_pml4 + 256 * 8], boot_pdpt_low + PTE_PW
        mov dword [boot_pml4 + 511 * 8], boot_pdpt_high + PTE_PW
        ret

; Says the text at ebp on COM1 and stops: there is no other voice yet. The wait is bounded, so
; that an absent port does not hold the machine before the message's last character.
refuse: mov ecx, 0x100000
.wait:  mov dx, COM1 + 5
        in al, dx
        test al, 0x20
        jnz .ready
        loop .wait
.ready: mov al, [ebp]
        test al, al
        jz .halt
        mov dx, COM1
        out dx, al
        inc ebp
        jmp refuse
.halt:  cli
        hlt
        jmp .halt

bits 64
start64:
        mov eax, 16
        mov ds, eax
        mov es, eax
        mov ss, eax
        xor eax, eax
        mov fs, eax
        mov gs, eax
        mov rsp, boot_stack_top
        xor ebp, ebp                    ; the end of every backtrace
        mov rax, umbra_main
        call rax
.halt:  cli
        hlt
        jmp .halt

section .boot.data progbits alloc noexec nowrite align=16
gdt:    dq 0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
        dw gdt_pointer - gdt - 1
        dd gdt
message_magic:
        db "umbra: not started by a multiboot2 loader (EAX is not 0x36d76289)", 13, 10
        db "umbra: end status=3 reason=no multiboot2 loader", 13, 10, 0
message_long_mode:
        db "umbra: this processor has no 64-bit mode (CPUID 80000001h EDX bit 29)", 13, 10
        db "umbra: end status=3 reason=no 64-bit mode", 13, 10, 0
message_nx:
        db "umbra: this processor has no execute-disable (CPUID 80000001h EDX bit 20)", 13, 10
        db "umbra: end status=3 reason=no execute-disable", 13, 10, 0

section .boot.bss nobits alloc noexec write align=4096
boot_pml4:      resb 4096
boot_pdpt_low:  resb 4096
boot_pdpt_high: resb 4096
boot_pd:        resb 4 * 4096
