/* SPDX-License-Identifier: MIT */
/*
 * The physical 16550 serial port of the hypervisor's own console, polled: no interrupt, no
 * buffer of its own, every wait bounded. A port that stops sending (flow control, a virtual
 * machine's unread pipe, broken hardware) costs one bounded wait; then it is marked stuck and its
 * output is dropped, with one look per uart_write() whether it sends again.
 *
 * Locking is the caller's: one processor at a time per struct uart.
 */
#pragma once

#include "lib/base.h"

#define UART_COM1 0x3f8
#define UART_COM2 0x2f8

struct uart {
    uint16_t port; /* first of its 8 I/O ports */
    bool present;  /* else nothing below does anything */
    bool stuck;
    uint8_t seen;         /* LSR bits of the byte in front that reading LSR has cleared */
    unsigned depth;       /* of the transmit FIFO: bytes that fit when it is empty */
    unsigned room;        /* bytes that fit now, at least */
    unsigned rx_breaks;   /* serial BREAKs received; a BREAK is not a byte */
    unsigned rx_overruns; /* times that bytes came faster than they were read */
    uint64_t dropped;     /* bytes that were not sent while stuck */
};

/*
 * Sets the port to baud, 8n1, FIFOs on, DTR, RTS and OUT2 on, interrupts off. False if no 16550
 * answers there, or if baud is none that its divisor can make (2 to 115200 baud).
 */
must_check bool uart_init(struct uart *uart, uint16_t port, unsigned baud);

/* Sends length bytes as they are, but for a carriage return in front of each '\n'. */
void uart_write(struct uart *uart, const char *text, size_t length);

/* The next received byte; false, at once, if there is none. */
must_check bool uart_read(struct uart *uart, uint8_t *byte);

/* Waits, bounded, until the last bit is on the line: before power off. */
void uart_drain(struct uart *uart);
