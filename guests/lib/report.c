/* SPDX-License-Identifier: MIT */
/* A guest's life around main(): report.h says how it ends. */
#include "guests/lib/report.h"
#include "guests/lib/cmdline.h"
#include "guests/lib/descriptors.h"
#include "guests/lib/serial.h"
#include "guests/lib/trap.h"
#include "guests/lib/x86.h"

#define PORT_DEBUG_EXIT 0xf4
#define PORT_SHUTDOWN   0x8900

enum { EXIT_PASS = 0, EXIT_FAIL = 1 };

_Noreturn void guest_start(unsigned long boot_information);

/* Bochs has no exit status: there the line that was printed is the verdict, and both ways end. */
static _Noreturn void end(uint8_t status)
{
    serial_drain();
    outb(PORT_DEBUG_EXIT, status);
    for (const char *s = "Shutdown"; *s; s++)
        outb(PORT_SHUTDOWN, (uint8_t)*s);
    halt_forever();
}

void guest_pass(void)
{
    serial_printf("%s: PASS\n", guest_name);
    end(EXIT_PASS);
}

static void print_failure(const char *fmt, va_list arguments)
{
    serial_printf("%s: FAIL ", guest_name);
    serial_vprintf(fmt, arguments);
    serial_puts("\n");
}

void guest_fail(const char *fmt, ...)
{
    va_list arguments;

    va_start(arguments, fmt);
    print_failure(fmt, arguments);
    va_end(arguments);
    end(EXIT_FAIL);
}

/* What lib/ asks of whoever links it. */
void panic(const char *fmt, ...)
{
    va_list arguments;

    va_start(arguments, fmt);
    print_failure(fmt, arguments);
    va_end(arguments);
    end(EXIT_FAIL);
}

/* Called by start64.asm or 32/start.asm. */
void guest_start(unsigned long boot_information)
{
    serial_init();
    trap_init();
    descriptors_init();
    cmdline_init(boot_information);
    main();
    guest_pass();
}
