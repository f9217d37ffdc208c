/* SPDX-License-Identifier: MIT */
/*
 * Ends the machine. QEMU's isa-debug-exit takes the status at port 0xf4; Bochs powers off at the
 * string "Shutdown" on port 0x8900; a real machine, where both ports are unused, halts.
 */
#include "vmm/end.h"
#include "arch/x86/engine.h"
#include "arch/x86/insn.h"
#include "lib/format.h"
#include "lib/log.h"
#include "vmm/console.h"

#define PORT_DEBUG_EXIT     0xf4
#define PORT_BOCHS_SHUTDOWN 0x8900

void end_machine(enum end_status status, const char *fmt, ...)
{
    char reason[200];
    va_list arguments;

    va_start(arguments, fmt);
    vformat(reason, sizeof(reason), fmt, arguments);
    va_end(arguments);
    log_printf(LOG_INFO, "stopped at tick %lu", rdtsc());
    log_raw("umbra: end status=%d reason=%s\n", (int)status, reason);
    console_drain();
    outb(PORT_DEBUG_EXIT, (uint8_t)status);
    for (const char *c = "Shutdown"; *c; c++)
        outb(PORT_BOCHS_SHUTDOWN, (uint8_t)*c);
    halt_forever();
}
