/* SPDX-License-Identifier: MIT */
/*
 * The guest's 16550 at COM1, polled: its whole register file, output to the console, the loopback
 * mode that drivers probe with. No input and no interrupts yet. National Semiconductor PC16550D
 * data sheet, section 8 "Registers".
 */
#pragma once

#include "lib/base.h"

struct vm;

struct virtual_uart {
    uint8_t ier, fcr, lcr, mcr, scratch;
    uint8_t divisor_low, divisor_high;
    uint8_t received; /* by loopback */
    bool has_received;
};

void virtual_uart_init(struct virtual_uart *uart);
uint8_t virtual_uart_read(struct vm *vm, uint16_t port);
void virtual_uart_write(struct vm *vm, uint16_t port, uint8_t value);
