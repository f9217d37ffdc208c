/* SPDX-License-Identifier: MIT */
/* A 16550 at the address of COM1, without interrupts (PC16550D data sheet, section 8). */
#include "guests/lib/serial.h"
#include "guests/lib/x86.h"
#include "lib/format.h"

#define COM1 0x3f8

enum { DATA, INTERRUPT_ENABLE, FIFO_CONTROL, LINE_CONTROL, MODEM_CONTROL, LINE_STATUS };

#define LINE_CONTROL_8N1  0x03
#define LINE_CONTROL_DLAB 0x80 /* registers 0 and 1 are the divisor */
#define LINE_STATUS_THRE  0x20 /* takes another byte */
#define LINE_STATUS_TEMT  0x40 /* has sent the last one */
#define DIVISOR_115200    1

void serial_init(void)
{
    static const struct {
        uint8_t reg, value;
    } setup[] = {
        { INTERRUPT_ENABLE, 0 },
        { LINE_CONTROL, LINE_CONTROL_DLAB },
        { DATA, DIVISOR_115200 },
        { INTERRUPT_ENABLE, 0 }, /* the divisor's upper half */
        { LINE_CONTROL, LINE_CONTROL_8N1 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(setup); i++)
        outb(COM1 + setup[i].reg, setup[i].value);
}

static void wait_for(uint8_t status)
{
    while (!(inb(COM1 + LINE_STATUS) & status))
        ;
}

void serial_puts(const char *text)
{
    for (; *text; text++) {
        wait_for(LINE_STATUS_THRE);
        outb(COM1 + DATA, (uint8_t)*text);
    }
}

void serial_vprintf(const char *fmt, va_list arguments)
{
    char text[256];

    vformat(text, sizeof(text), fmt, arguments);
    serial_puts(text);
}

void serial_printf(const char *fmt, ...)
{
    va_list arguments;

    va_start(arguments, fmt);
    serial_vprintf(fmt, arguments);
    va_end(arguments);
}

void serial_drain(void)
{
    wait_for(LINE_STATUS_TEMT);
}
