/* SPDX-License-Identifier: MIT */
/* Intel 8259A data sheet, "Initialization Command Words" and "Operation Command Words". */
#include "arch/x86/pic.h"
#include "arch/x86/insn.h"

#define PIC1_COMMAND 0x20
#define PIC1_DATA    0x21
#define PIC2_COMMAND 0xa0
#define PIC2_DATA    0xa1
#define ICW1_INIT    0x11 /* edge triggered, cascaded, ICW4 follows */
#define ICW2_PIC1    32   /* first vector */
#define ICW2_PIC2    40
#define ICW3_PIC1    0x04 /* the second controller is at line 2 */
#define ICW3_PIC2    0x02
#define ICW4_8086    0x01
#define OCW1_ALL     0xff
#define OCW2_EOI     0x20

void pic_silence(void)
{
    outb(PIC1_COMMAND, ICW1_INIT);
    outb(PIC2_COMMAND, ICW1_INIT);
    outb(PIC1_DATA, ICW2_PIC1);
    outb(PIC2_DATA, ICW2_PIC2);
    outb(PIC1_DATA, ICW3_PIC1);
    outb(PIC2_DATA, ICW3_PIC2);
    outb(PIC1_DATA, ICW4_8086);
    outb(PIC2_DATA, ICW4_8086);
    outb(PIC1_DATA, OCW1_ALL);
    outb(PIC2_DATA, OCW1_ALL);
}

void pic_end_of_interrupt(void)
{
    outb(PIC2_COMMAND, OCW2_EOI);
    outb(PIC1_COMMAND, OCW2_EOI);
}
