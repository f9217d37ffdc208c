/* SPDX-License-Identifier: MIT */
/*
 * Registers and bits as in the data sheet PC16550D (National Semiconductor, 1995), section 8.0
 * "Registers". Where nobody answers, the bus reads as ones, or keeps the last value for a while.
 *
 * Transmitting: LSR.THRE means that the whole transmit FIFO is empty, so one look at it pays for
 * as many bytes as the FIFO holds. uart->room counts what is left of that; it never says more
 * than there is. Reading LSR clears its error bits, which belong to the byte in front of the
 * receive FIFO, so uart->seen keeps them until that byte is read.
 */
#include "drivers/serial/uart.h"
#include "arch/x86/insn.h"

enum uart_register {
    RBR = 0, /* read: receiver buffer */
    THR = 0, /* write: transmitter holding */
    DLL = 0, /* divisor, low byte, if LCR_DLAB */
    DLM = 1, /* divisor, high byte, if LCR_DLAB */
    IER = 1, /* interrupt enable */
    IIR = 2, /* read: interrupt identification */
    FCR = 2, /* write: FIFO control */
    LCR = 3, /* line control */
    MCR = 4, /* modem control */
    LSR = 5, /* line status */
    SCR = 7, /* scratch */
};

#define IIR_FIFOS BITS(7, 6) /* both: FIFOs on and working */

#define FCR_ENABLE   BIT(0)
#define FCR_CLEAR_RX BIT(1)
#define FCR_CLEAR_TX BIT(2)

#define LCR_8N1  BITS(1, 0)
#define LCR_DLAB BIT(7)

#define MCR_DTR  BIT(0)
#define MCR_RTS  BIT(1)
#define MCR_OUT2 BIT(3)
#define MCR_LOOP BIT(4)

#define LSR_DR      BIT(0) /* a byte was received */
#define LSR_OVERRUN BIT(1)
#define LSR_BREAK   BIT(4)
#define LSR_THRE    BIT(5) /* transmit FIFO empty */
#define LSR_TEMT    BIT(6) /* shift register empty too */

#define BAUD_BASE  115200u
#define FIFO_DEPTH 16
#define NOBODY     0xff /* what a read gives where nobody answers */

/*
 * How often a wait looks before it gives up. An I/O read takes 0.5 us or more on hardware, so
 * this is at least 100 ms: a full FIFO of 16 bytes at 1200 baud takes 133 ms, at 115200 1.4 ms.
 * In a virtual machine, where each read is an exit, it is about a second.
 */
#define POLLS_MAX 200000

static void write_register(const struct uart *uart, enum uart_register reg, uint64_t value)
{
    outb((uint16_t)(uart->port + reg), (uint8_t)value);
}

static uint8_t read_register(const struct uart *uart, enum uart_register reg)
{
    return inb((uint16_t)(uart->port + reg));
}

static uint8_t read_status(struct uart *uart)
{
    uint8_t status = read_register(uart, LSR);

    uart->seen |= status & (LSR_OVERRUN | LSR_BREAK);
    return status;
}

/* Waits until one of bits is set in LSR; false if that takes too long. */
static bool wait_for(struct uart *uart, uint64_t bits)
{
    for (unsigned polls = 0; polls < POLLS_MAX; polls++)
        if (read_status(uart) & bits)
            return true;
    return false;
}

/* The scratch register keeps what it is given, although other values pass on the bus between. */
static bool scratch_holds(const struct uart *uart, uint8_t value)
{
    write_register(uart, SCR, value);
    write_register(uart, IER, 0);
    return read_register(uart, IER) == 0 && read_register(uart, SCR) == value;
}

/* Whether a byte sent in loopback mode comes back. */
static bool loops_back(struct uart *uart, uint8_t value)
{
    write_register(uart, THR, value);
    return wait_for(uart, LSR_DR) && read_register(uart, RBR) == value;
}

static void set_line(const struct uart *uart, unsigned divisor)
{
    write_register(uart, LCR, LCR_DLAB | LCR_8N1);
    write_register(uart, DLL, divisor & 0xff);
    write_register(uart, DLM, divisor >> 8);
    write_register(uart, LCR, LCR_8N1);
    write_register(uart, FCR, FCR_ENABLE | FCR_CLEAR_RX | FCR_CLEAR_TX);
}

static bool loopback_works(struct uart *uart)
{
    wait_for(uart, LSR_TEMT); /* what the firmware sent last; if in vain, the test will tell */
    set_line(uart, 1);        /* fastest */
    write_register(uart, MCR, MCR_LOOP | MCR_RTS | MCR_OUT2);
    return loops_back(uart, 0x5a) && loops_back(uart, 0xa5);
}

bool uart_init(struct uart *uart, uint16_t port, unsigned baud)
{
    *uart = (struct uart){ .port = port };
    if (baud < 2 || baud > BAUD_BASE)
        return false;
    if (!scratch_holds(uart, 0x55) || !scratch_holds(uart, 0xaa))
        return false;
    uart->present = loopback_works(uart);
    write_register(uart, MCR, MCR_DTR | MCR_RTS | MCR_OUT2);
    if (!uart->present)
        return false;
    set_line(uart, (BAUD_BASE + baud / 2) / baud);
    uart->seen = 0;
    uart->depth = (read_register(uart, IIR) & IIR_FIFOS) == IIR_FIFOS ? FIFO_DEPTH : 1;
    return true;
}

static void put(struct uart *uart, char c)
{
    if (uart->room == 0 && !uart->stuck) {
        uart->stuck = !wait_for(uart, LSR_THRE);
        uart->room = uart->stuck ? 0 : uart->depth;
    }
    if (uart->stuck) {
        uart->dropped++;
        return;
    }
    write_register(uart, THR, (uint8_t)c);
    uart->room--;
}

void uart_write(struct uart *uart, const char *text, size_t length)
{
    if (!uart->present)
        return;
    if (uart->stuck)
        uart->stuck = !(read_status(uart) & LSR_THRE);
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\n')
            put(uart, '\r');
        put(uart, text[i]);
    }
}

bool uart_read(struct uart *uart, uint8_t *byte)
{
    if (!uart->present)
        return false;
    /* As many BREAKs as the FIFO holds may stand before the byte. */
    for (unsigned i = 0; i <= FIFO_DEPTH; i++) {
        uint8_t status = read_status(uart);

        if (status == NOBODY || !(status & LSR_DR))
            return false;
        *byte = read_register(uart, RBR);
        bool is_break = uart->seen & LSR_BREAK;
        uart->rx_overruns += (uart->seen & LSR_OVERRUN) != 0;
        uart->seen = 0;
        if (!is_break)
            return true;
        uart->rx_breaks++;
    }
    return false;
}

void uart_drain(struct uart *uart)
{
    if (uart->present && !uart->stuck)
        uart->stuck = !wait_for(uart, LSR_TEMT);
}
