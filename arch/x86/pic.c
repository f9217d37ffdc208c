/* SPDX-License-Identifier: MIT */
/* Intel 8259A data sheet, "Operation Command Words": OCW1 is the mask register. */
#include "arch/x86/pic.h"
#include "arch/x86/insn.h"

#define PIC1_DATA 0x21
#define PIC2_DATA 0xa1
#define MASK_ALL  0xff

void pic_mask_all(void)
{
    outb(PIC1_DATA, MASK_ALL);
    outb(PIC2_DATA, MASK_ALL);
}
