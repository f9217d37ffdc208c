/* SPDX-License-Identifier: MIT */
/*
 * The 16550 driver against a simulated 16550: present with and without FIFOs, absent in three
 * ways, slow, stuck. Time is the number of I/O accesses, so that a wait that would never end
 * shows as too many of them.
 */
#include "drivers/serial/uart.h"
#include "arch/x86/insn.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define PORT      0x3f8
#define WAIT_MAX  250000 /* accesses that one bounded wait may take */
#define SENT_MAX  4096
#define FIFO_SIZE 16

enum bus { BUS_UART, BUS_FLOATING, BUS_KEEPS_LAST, BUS_ZERO };

static struct {
    enum bus bus;
    bool has_fifo;
    bool dead_transmitter; /* takes bytes, sends none */
    bool no_loopback;
    unsigned ticks_per_byte; /* accesses until a byte has left */

    uint8_t last; /* on the bus */
    uint8_t ier, fcr, lcr, mcr, scratch;
    uint16_t divisor;
    unsigned queued;              /* bytes not yet sent */
    uint8_t queue[FIFO_SIZE + 1]; /* the first is in the shift register */
    unsigned ticks;               /* of the byte being sent */
    uint8_t received[64];
    bool is_break[64];
    unsigned received_count;
    bool break_seen; /* LSR was read since the break came to the front */
    bool overrun;
    unsigned long accesses;
    unsigned long lost; /* bytes written while there was no room */
    char sent[SENT_MAX];
    size_t sent_length;
} sim;

static void power_on(void)
{
    memset(&sim, 0, sizeof(sim));
    sim.has_fifo = true;
    sim.ticks_per_byte = 40;
    sim.divisor = 12;
}

static unsigned depth(void)
{
    return sim.has_fifo && (sim.fcr & 1) ? FIFO_SIZE : 1;
}

/* The byte being sent has left the FIFO for the shift register, so THRE comes before TEMT. */
static unsigned waiting(void)
{
    return sim.queued > 0 && !sim.dead_transmitter ? sim.queued - 1 : sim.queued;
}

static void receive(uint8_t byte, bool is_break)
{
    assert_true(sim.received_count < sizeof(sim.received));
    sim.is_break[sim.received_count] = is_break;
    sim.received[sim.received_count++] = byte;
}

static void finish_byte(void)
{
    uint8_t byte = sim.queue[0];

    memmove(sim.queue, sim.queue + 1, --sim.queued);
    if (!(sim.mcr & 0x10)) {
        assert_true(sim.sent_length < SENT_MAX - 1);
        sim.sent[sim.sent_length++] = (char)byte;
    } else if (!sim.no_loopback) {
        receive(byte, false);
    }
}

static void tick(void)
{
    sim.accesses++;
    if (sim.queued == 0 || sim.dead_transmitter || ++sim.ticks < sim.ticks_per_byte)
        return;
    sim.ticks = 0;
    finish_byte();
}

static uint8_t read_receiver(void)
{
    if (sim.received_count == 0)
        return 0;
    uint8_t byte = sim.received[0];
    sim.received_count--;
    memmove(sim.received, sim.received + 1, sim.received_count);
    memmove(sim.is_break, sim.is_break + 1, sim.received_count);
    sim.break_seen = false;
    return byte;
}

static uint8_t read_line_status(void)
{
    uint8_t status = 0;

    if (sim.received_count > 0) {
        status |= 0x01;
        status |= sim.is_break[0] && !sim.break_seen ? 0x18 : 0;
        sim.break_seen = true;
    }
    status |= sim.overrun ? 0x02 : 0;
    sim.overrun = false;
    status |= waiting() == 0 ? 0x20 : 0;
    status |= sim.queued == 0 ? 0x40 : 0;
    return status;
}

static uint8_t read_uart(unsigned reg)
{
    bool dlab = sim.lcr & 0x80;

    switch (reg) {
    case 0: return dlab ? sim.divisor & 0xff : read_receiver();
    case 1: return dlab ? sim.divisor >> 8 : sim.ier;
    case 2: return depth() > 1 ? 0xc1 : 0x01;
    case 3: return sim.lcr;
    case 4: return sim.mcr;
    case 5: return read_line_status();
    case 6: return 0xb0;
    default: return sim.scratch;
    }
}

static void write_transmitter(uint8_t value)
{
    if (waiting() >= depth())
        sim.lost++;
    else
        sim.queue[sim.queued++] = value;
}

static void write_fifo_control(uint8_t value)
{
    if (!sim.has_fifo)
        return;
    sim.fcr = value;
    if (value & 2)
        sim.received_count = 0;
    if ((value & 4) && !sim.dead_transmitter)
        sim.queued = 0;
}

static void write_uart(unsigned reg, uint8_t value)
{
    bool dlab = sim.lcr & 0x80;

    if (reg == 0 && dlab)
        sim.divisor = (uint16_t)((sim.divisor & 0xff00) | value);
    else if (reg == 0)
        write_transmitter(value);
    else if (reg == 1 && dlab)
        sim.divisor = (uint16_t)((sim.divisor & 0xff) | value << 8);
    else if (reg == 1)
        sim.ier = value & 0x0f;
    else if (reg == 2)
        write_fifo_control(value);
    else if (reg == 3)
        sim.lcr = value;
    else if (reg == 4)
        sim.mcr = value & 0x1f;
    else if (reg == 7)
        sim.scratch = value;
}

void outb(uint16_t port, uint8_t value)
{
    assert_in_range(port, PORT, PORT + 7);
    tick();
    sim.last = value;
    if (sim.bus == BUS_UART)
        write_uart(port - PORT, value);
}

uint8_t inb(uint16_t port)
{
    assert_in_range(port, PORT, PORT + 7);
    tick();
    switch (sim.bus) {
    case BUS_UART: return read_uart(port - PORT);
    case BUS_FLOATING: return 0xff;
    case BUS_KEEPS_LAST: return sim.last;
    default: return 0;
    }
}

static struct uart uart;

static int reset(void **state)
{
    (void)state;
    power_on();
    memset(&uart, 0xcc, sizeof(uart));
    return 0;
}

static void start(void)
{
    assert_true(uart_init(&uart, PORT, 115200));
    sim.accesses = 0;
}

static void send(const char *text)
{
    uart_write(&uart, text, strlen(text));
}

static void assert_sent(const char *text)
{
    assert_true(uart.present);
    uart_drain(&uart);
    sim.sent[sim.sent_length] = '\0';
    assert_string_equal(sim.sent, text);
    assert_int_equal(sim.lost, 0);
}

static void programs(void **state)
{
    (void)state;
    sim.ier = 0x0f;
    assert_true(uart_init(&uart, PORT, 115200));
    assert_true(uart.present);
    assert_false(uart.stuck);
    assert_int_equal(uart.port, PORT);
    assert_int_equal(sim.ier, 0);
    assert_int_equal(sim.fcr & 1, 1);
    assert_int_equal(sim.lcr, 0x03);
    assert_int_equal(sim.mcr, 0x0b);
    assert_int_equal(sim.divisor, 1);
    assert_int_equal(sim.sent_length, 0); /* the loopback test sends nothing */
    assert_int_equal(sim.received_count, 0);
}

static void bauds(void **state)
{
    static const struct {
        unsigned baud;
        unsigned divisor;
    } cases[] = { { 115200, 1 }, { 57600, 2 }, { 38400, 3 },  { 9600, 12 }, { 1200, 96 },
                  { 300, 384 },  { 50, 2304 }, { 110, 1047 }, { 134, 860 }, { 2, 57600 } };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        power_on();
        assert_true(uart_init(&uart, PORT, cases[i].baud));
        assert_int_equal(sim.divisor, cases[i].divisor);
    }
    assert_false(uart_init(&uart, PORT, 0));
    assert_false(uart_init(&uart, PORT, 1));
    assert_false(uart_init(&uart, PORT, 115201));
    assert_false(uart.present);
}

static void absent(void **state)
{
    uint8_t byte = 0x42;

    (void)state;
    for (enum bus bus = BUS_FLOATING; bus <= BUS_ZERO; bus++) {
        power_on();
        sim.bus = bus;
        assert_false(uart_init(&uart, PORT, 115200));
        assert_false(uart.present);
        assert_true(sim.accesses < 100);
        sim.accesses = 0;
        send("text\n");
        assert_false(uart_read(&uart, &byte));
        uart_drain(&uart);
        assert_int_equal(sim.accesses, 0);
        assert_int_equal(byte, 0x42);
    }
}

static void broken_at_start(void **state)
{
    (void)state;
    sim.no_loopback = true;
    assert_false(uart_init(&uart, PORT, 115200));
    assert_true(sim.accesses < 3 * WAIT_MAX);

    power_on();
    sim.dead_transmitter = true;
    sim.queued = 1;
    assert_false(uart_init(&uart, PORT, 115200));
    assert_true(sim.accesses < 3 * WAIT_MAX);
    assert_false(uart.present);
}

/* The firmware's last words are sent before the line is touched. */
static void lets_firmware_finish(void **state)
{
    (void)state;
    sim.queue[0] = '!';
    sim.queued = 1;
    sim.ticks_per_byte = 5000;
    start();
    assert_sent("!");
}

/* What lay in the receiver before is not taken for the answer of the loopback test. */
static void forgets_old_input(void **state)
{
    uint8_t byte;

    (void)state;
    receive('x', false);
    receive(0, true);
    start();
    assert_false(uart_read(&uart, &byte));
    assert_int_equal(uart.rx_breaks, 0);
}

static void sends(void **state)
{
    (void)state;
    start();
    send("plain");
    assert_sent("plain");
    send("\na\r\nb\n\n");
    assert_sent("plain\r\na\r\r\nb\r\n\r\n");
    uart_write(&uart, "\0\xff\x80", 3);
    uart_write(&uart, "ignored", 0);
    uart_drain(&uart);
    assert_memory_equal(sim.sent + sim.sent_length - 3, "\0\xff\x80", 3);
    assert_int_equal(sim.sent_length, 5 + 11 + 3);
    assert_int_equal(uart.dropped, 0);
}

static void check_long_text(void)
{
    char text[1001], expected[2002];
    size_t length = 0;

    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        text[i] = i % 37 == 36 ? '\n' : (char)('a' + i % 26);
        if (text[i] == '\n')
            expected[length++] = '\r';
        expected[length++] = text[i];
    }
    text[sizeof(text) - 1] = expected[length] = '\0';
    start();
    send(text);
    assert_sent(expected);
}

static void sends_long_texts(void **state)
{
    static const unsigned speeds[] = { 1, 2, 40, 700 };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(speeds); i++) {
        for (unsigned fifo = 0; fifo < 2; fifo++) {
            power_on();
            sim.has_fifo = fifo;
            sim.ticks_per_byte = speeds[i];
            check_long_text();
            assert_int_equal(uart.depth, fifo ? 16 : 1);
        }
    }
}

/* One look at LSR pays for a whole FIFO. */
static void looks_seldom(void **state)
{
    (void)state;
    sim.ticks_per_byte = 1;
    start();
    send("0123456789abcdef");
    assert_int_equal(sim.accesses, 17);
}

static void slow_is_not_stuck(void **state)
{
    (void)state;
    start();
    sim.ticks_per_byte = 90000;
    sim.has_fifo = false;
    uart.depth = 1;
    send("abc");
    assert_false(uart.stuck);
    assert_sent("abc");
}

static void stuck(void **state)
{
    (void)state;
    start();
    sim.dead_transmitter = true;
    send("0123456789abcdef and more\n");
    assert_true(uart.stuck);
    assert_true(sim.accesses < WAIT_MAX);
    assert_int_equal(uart.dropped, 11); /* with the carriage return */

    /* From now on it costs one look per call, and never a wait. */
    sim.accesses = 0;
    for (unsigned i = 0; i < 100; i++)
        send("a whole line that nobody will see\n");
    uart_drain(&uart);
    assert_int_equal(sim.accesses, 100);
    assert_int_equal(uart.dropped, 11 + 100 * 35);
    assert_int_equal(sim.lost, 0);
}

static void recovers(void **state)
{
    (void)state;
    start();
    sim.dead_transmitter = true;
    send("0123456789abcdefX");
    assert_true(uart.stuck);
    sim.dead_transmitter = false;
    for (unsigned i = 0; i < 100 * sim.ticks_per_byte; i++)
        tick();
    send("again\n");
    assert_false(uart.stuck);
    assert_sent("0123456789abcdefagain\r\n");
    assert_int_equal(uart.dropped, 1);
}

static void drain_is_bounded(void **state)
{
    (void)state;
    start();
    send("x");
    sim.dead_transmitter = true;
    uart_drain(&uart);
    assert_true(uart.stuck);
    assert_true(sim.accesses < WAIT_MAX);
}

static void drains(void **state)
{
    (void)state;
    sim.ticks_per_byte = 1000;
    start();
    send("0123456789");
    assert_true(sim.queued > 0);
    uart_drain(&uart);
    assert_int_equal(sim.queued, 0);
    assert_false(uart.stuck);
}

static void reads(void **state)
{
    uint8_t byte;

    (void)state;
    start();
    assert_false(uart_read(&uart, &byte));
    for (unsigned value = 0; value < 256; value++) {
        receive((uint8_t)value, false);
        assert_true(uart_read(&uart, &byte));
        assert_int_equal(byte, value);
    }
    receive('a', false);
    receive('b', false);
    assert_true(uart_read(&uart, &byte) && byte == 'a');
    assert_true(uart_read(&uart, &byte) && byte == 'b');
    assert_false(uart_read(&uart, &byte));
    assert_int_equal(uart.rx_breaks + uart.rx_overruns, 0);
}

static void breaks_are_not_bytes(void **state)
{
    uint8_t byte;

    (void)state;
    start();
    receive(0, true);
    assert_false(uart_read(&uart, &byte));
    assert_int_equal(uart.rx_breaks, 1);
    receive('a', false);
    receive(0, true);
    receive(0, true);
    receive('b', false);
    receive(0, false);
    assert_true(uart_read(&uart, &byte) && byte == 'a');
    assert_int_equal(uart.rx_breaks, 1);
    assert_true(uart_read(&uart, &byte) && byte == 'b');
    assert_int_equal(uart.rx_breaks, 3);
    assert_true(uart_read(&uart, &byte) && byte == 0);
}

/* Reading LSR clears its error bits, even if it was read in order to send. */
static void sending_loses_no_break(void **state)
{
    uint8_t byte;

    (void)state;
    start();
    receive(0, true);
    receive('a', false);
    sim.overrun = true;
    send("text\n");
    assert_true(uart_read(&uart, &byte) && byte == 'a');
    assert_int_equal(uart.rx_breaks, 1);
    assert_int_equal(uart.rx_overruns, 1);
}

/* A port that is pulled out: reads as ones, which look like endless breaks. */
static void vanishes(void **state)
{
    uint8_t byte;

    (void)state;
    start();
    sim.bus = BUS_FLOATING;
    assert_false(uart_read(&uart, &byte));
    send("text\n");
    uart_drain(&uart);
    assert_true(sim.accesses < 100);
    assert_int_equal(uart.rx_breaks, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(programs, reset),
        cmocka_unit_test_setup(bauds, reset),
        cmocka_unit_test_setup(absent, reset),
        cmocka_unit_test_setup(broken_at_start, reset),
        cmocka_unit_test_setup(lets_firmware_finish, reset),
        cmocka_unit_test_setup(forgets_old_input, reset),
        cmocka_unit_test_setup(sends, reset),
        cmocka_unit_test_setup(sends_long_texts, reset),
        cmocka_unit_test_setup(looks_seldom, reset),
        cmocka_unit_test_setup(slow_is_not_stuck, reset),
        cmocka_unit_test_setup(stuck, reset),
        cmocka_unit_test_setup(recovers, reset),
        cmocka_unit_test_setup(drain_is_bounded, reset),
        cmocka_unit_test_setup(drains, reset),
        cmocka_unit_test_setup(reads, reset),
        cmocka_unit_test_setup(breaks_are_not_bytes, reset),
        cmocka_unit_test_setup(sending_loses_no_break, reset),
        cmocka_unit_test_setup(vanishes, reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
