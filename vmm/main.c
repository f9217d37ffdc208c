/* SPDX-License-Identifier: MIT */
/*
 * Umbra's bring-up, in order: read this first. boot/entry.asm calls umbra_main() in 64-bit mode, on
 * the boot stack, with the boot page tables.
 */
#include "arch/x86/cpu.h"
#include "arch/x86/engine.h"
#include "arch/x86/pic.h"
#include "arch/x86/time.h"
#include "arch/x86/trap.h"
#include "boot/mb2.h"
#include "lib/log.h"
#include "vmm/console.h"
#include "vmm/end.h"
#include "vmm/guests.h"
#include "vmm/memory.h"
#include "vmm/panic.h"
#include "vmm/probe.h"
#include "vmm/selftest.h"
#include "vmm/settings.h"
#include "vmm/symbols.h"

#define LOADER_INFO_MAX \
    MiB /* more than any loader's structure; it lies where the boot map reaches */

/* The one processor, and what is too large for its stack. */
static struct cpu boot_cpu;
static struct boot_info boot_info;
static struct settings settings;
static struct memory memory;
static struct guests guests;

static void take_boot_info(uint32_t magic, uint32_t address)
{
    if (magic != MB2_BOOTLOADER_MAGIC)
        end_machine(END_UMBRA_STOPPED, "not started by a multiboot2 loader");
    if (!mb2_parse(host_ptr(hpa(address)), LOADER_INFO_MAX, hpa(address), &boot_info))
        end_machine(END_UMBRA_STOPPED, "the boot loader's information cannot be used");
}

static void start_clock(void)
{
    uint64_t rate = time_measure_tsc();

    time_set_tsc_rate(rate);
    log_set_clock(time_now_us);
    if (rate)
        log_printf(LOG_INFO, "time: TSC at %lu kHz", rate / 1000);
    else
        log_printf(LOG_WARN, "time: the 8254 does not count; time stamps are TSC ticks");
}

static void start_engine(void)
{
    char error[ENGINE_ERROR_MAX];

    if (engine_init(&memory.frames, selftest_msr_reader(settings.selftest),
                    selftest_cpuid_1_ecx(settings.selftest), error))
        return;
    log_printf(LOG_ERROR, "%s", error);
    end_machine(END_UMBRA_STOPPED, "this machine cannot run guests");
}

static _Noreturn void report_no_guests(void)
{
    log_printf(LOG_WARN,
               "no guest was given. By GRUB: module2 /boot/kernel.elf guest=NAME mem=32M");
    log_printf(LOG_WARN, "By the runner: ./qemu.sh --guest FILE, or nothing for the bundled ones");
    end_machine(END_BAD_USAGE, "no guest was given");
}

static _Noreturn void report_guests(void)
{
    size_t failed = guests_failed(&guests);

    engine_shutdown();
    if (failed)
        end_machine(END_GUEST_FAILED, "%zu of %zu guests did not end as they should", failed,
                    guests.count);
    if (guests.errors)
        end_machine(END_GUEST_FAILED, "%u modules were left out, %zu guests succeeded",
                    guests.errors, guests.count);
    if (settings.errors)
        end_machine(END_BAD_USAGE, "all %zu guests succeeded, but %u options were not understood",
                    guests.count, settings.errors);
    end_machine(END_SUCCESS, "all %zu guests succeeded", guests.count);
}

_Noreturn void umbra_main(uint32_t magic, uint32_t info);

_Noreturn void umbra_main(uint32_t magic, uint32_t info)
{
    console_init();                  /* from here on it can be heard */
    cpu_init(&boot_cpu, 0);          /* descriptor tables, GS */
    trap_init();                     /* its own exceptions ... */
    trap_set_handler(panic_on_trap); /* ... end in the panic screen */
    pic_silence();                   /* no device interrupts the hypervisor */
    log_printf(LOG_INFO, "Umbra, a hypervisor with shadow paging");
    take_boot_info(magic, info);                       /* everything the loader said */
    settings_apply(&settings, boot_info.command_line); /* the hypervisor's own options */
    start_clock();                                     /* time stamps */
    cpu_protect();                                     /* WP, SMEP, SMAP, UMIP */
    memory_init(&memory, &boot_info);                  /* frames, and tables with W^X */
    start_engine();                                    /* VMX, or one line that says why not */
    probe_run(&memory.frames);                         /* try what capability bits promise */
    selftest_provoke(settings.selftest);               /* only where a test asks for it */
    guests_configure(&guests, &boot_info, &settings);  /* modules become guests */
    if (!guests.count)
        report_no_guests();
    guests_run(&guests, &memory.frames);
    report_guests();
}
