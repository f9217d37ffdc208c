/* SPDX-License-Identifier: MIT */
/* The console of vmm/console.h on a 16550. */
#include "vmm/console.h"
#include "drivers/serial/uart.h"
#include "lib/log.h"
#include "lib/string.h"

#define BAUD 115200

static const struct {
    const char *name;
    uint16_t port;
} ports[] = {
    { "com1", 0x3f8 },
    { "com2", 0x2f8 },
    { "com3", 0x3e8 },
    { "com4", 0x2e8 },
};

static struct uart uart; /* used by one processor at a time: the one that logs */

/* An absent port is survived: the driver drops what is written to it, and nobody is left to tell.
 */
static bool open_port(uint16_t port)
{
    return uart_init(&uart, port, BAUD);
}

static void write_log(const char *text, size_t length)
{
    uart_write(&uart, text, length);
}

void console_init(void)
{
    if (open_port(ports[0].port))
        log_set_sink(write_log);
}

bool console_select(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
        if (strcmp(name, ports[i].name))
            continue;
        if (ports[i].port != uart.port && open_port(ports[i].port))
            log_set_sink(write_log);
        return true;
    }
    return false;
}

void console_drain(void)
{
    uart_drain(&uart);
}

void console_guest_flush(struct console_line *line, const char *name)
{
    if (line->length)
        log_raw("%s| %.*s\n", name, (int)line->length, line->text);
    line->length = 0;
}

void console_guest_put(struct console_line *line, const char *name, char c)
{
    if (c == '\r')
        return;
    if (c == '\n' && !line->length) {
        log_raw("%s|\n", name);
        return;
    }
    if (c == '\n' || line->length == CONSOLE_LINE_MAX)
        console_guest_flush(line, name);
    if (c != '\n')
        line->text[line->length++] = c;
}
