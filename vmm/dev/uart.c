/* SPDX-License-Identifier: MIT */
/* The virtual 16550: see vmm/dev/uart.h. */
#include "vmm/dev/uart.h"
#include "vmm/vm.h"

enum uart_register { THR_RBR, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCRATCH };

#define REGISTER_MASK 7
#define FLOATING      0xff

#define IER_BITS       0x0f
#define IIR_NONE       0x01
#define IIR_FIFOS_ON   0xc0
#define FCR_ENABLE     0x01
#define FCR_CLEAR_RX   0x02
#define LCR_DLAB       0x80
#define MCR_DTR        0x01
#define MCR_RTS        0x02
#define MCR_OUT1       0x04
#define MCR_OUT2       0x08
#define MCR_LOOP       0x10
#define MCR_BITS       0x1f
#define LSR_DATA_READY 0x01
#define LSR_THR_EMPTY  0x20
#define LSR_TX_EMPTY   0x40
#define MSR_CTS        0x10
#define MSR_DSR        0x20
#define MSR_RI         0x40
#define MSR_DCD        0x80

void virtual_uart_init(struct virtual_uart *uart)
{
    *uart = (struct virtual_uart){ .divisor_low = 1 };
}

/* In loopback the modem outputs come back as modem inputs; else a modem is always there. */
static uint8_t modem_status(const struct virtual_uart *uart)
{
    uint8_t mcr = uart->mcr;

    if (!(mcr & MCR_LOOP))
        return MSR_CTS | MSR_DSR | MSR_DCD;
    return (uint8_t)((mcr & MCR_RTS ? MSR_CTS : 0) | (mcr & MCR_DTR ? MSR_DSR : 0) |
                     (mcr & MCR_OUT1 ? MSR_RI : 0) | (mcr & MCR_OUT2 ? MSR_DCD : 0));
}

static void transmit(struct vm *vm, uint8_t value)
{
    struct virtual_uart *uart = &vm->uart;

    if (!(uart->mcr & MCR_LOOP)) {
        console_guest_put(&vm->console, vm->config.name, (char)value);
        return;
    }
    uart->received = value;
    uart->has_received = true;
}

static uint8_t receive(struct virtual_uart *uart)
{
    uart->has_received = false;
    return uart->received;
}

uint8_t virtual_uart_read(struct vm *vm, uint16_t port)
{
    struct virtual_uart *uart = &vm->uart;
    bool dlab = uart->lcr & LCR_DLAB;

    switch ((enum uart_register)(port & REGISTER_MASK)) {
    case THR_RBR: return dlab ? uart->divisor_low : receive(uart);
    case IER: return dlab ? uart->divisor_high : uart->ier;
    case IIR_FCR: return (uint8_t)(IIR_NONE | (uart->fcr & FCR_ENABLE ? IIR_FIFOS_ON : 0));
    case LCR: return uart->lcr;
    case MCR: return uart->mcr;
    case LSR:
        return (uint8_t)(LSR_THR_EMPTY | LSR_TX_EMPTY | (uart->has_received ? LSR_DATA_READY : 0));
    case MSR: return modem_status(uart);
    case SCRATCH: return uart->scratch;
    }
    return FLOATING;
}

static void write_fcr(struct virtual_uart *uart, uint8_t value)
{
    uart->fcr = value;
    if (value & FCR_CLEAR_RX)
        uart->has_received = false;
}

void virtual_uart_write(struct vm *vm, uint16_t port, uint8_t value)
{
    struct virtual_uart *uart = &vm->uart;
    bool dlab = uart->lcr & LCR_DLAB;

    switch ((enum uart_register)(port & REGISTER_MASK)) {
    case THR_RBR:
        if (dlab)
            uart->divisor_low = value;
        else
            transmit(vm, value);
        break;
    case IER:
        if (dlab)
            uart->divisor_high = value;
        else
            uart->ier = value & IER_BITS;
        break;
    case IIR_FCR: write_fcr(uart, value); break;
    case LCR: uart->lcr = value; break;
    case MCR: uart->mcr = value & MCR_BITS; break;
    case LSR:
    case MSR: break; /* read only */
    case SCRATCH: uart->scratch = value; break;
    }
}
