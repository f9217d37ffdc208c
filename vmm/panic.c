/* SPDX-License-Identifier: MIT */
/*
 * Last words: reason, registers, backtrace by name, the VMCS by field name, the last VM exits. It
 * trusts nothing: the backtrace follows frame pointers only inside the hypervisor's stacks, and a
 * second panic on the way prints its reason and stops.
 */
#include "vmm/panic.h"
#include "arch/x86/cpu.h"
#include "arch/x86/engine.h"
#include "arch/x86/pic.h"
#include "arch/x86/regs.h"
#include "arch/x86/vmexit.h"
#include "lib/format.h"
#include "lib/log.h"
#include "lib/string.h"
#include "vmm/end.h"
#include "vmm/symbols.h"

#define BACKTRACE_MAX 1024 /* frames; more than any stack has */
#define EXITS_SHOWN   12
#define REASON_MAX    200

extern const char stacks_start[], data_end[];

static unsigned depth; /* of panics: touched by a processor that is past saving */

static void print_address(const char *label, uint64_t address)
{
    uint64_t offset;
    const char *name = symbol_name(address, &offset);

    if (name)
        log_raw("  %s%016lx %s+0x%lx\n", label, address, name, offset);
    else
        log_raw("  %s%016lx\n", label, address);
}

static bool is_frame(uint64_t pointer)
{
    return !(pointer & 7) && pointer >= (uint64_t)stacks_start &&
           pointer + 2 * sizeof(uint64_t) <= (uint64_t)data_end;
}

/* One line of the backtrace; an address that comes again and again is only counted. */
static void print_return(uint64_t address, uint64_t *last, uint64_t *repeats)
{
    if (address == *last) {
        ++*repeats;
        return;
    }
    if (*repeats)
        log_raw("  ... and %lu times more\n", *repeats);
    if (address)
        print_address("", address);
    *last = address;
    *repeats = 0;
}

/* A frame is {caller's frame pointer, return address}; the entry code's frame pointer is 0. */
static void print_backtrace(const struct trap_frame *trap, uint64_t frame_pointer)
{
    uint64_t last = 0, repeats = 0, offset;

    log_raw("backtrace:\n");
    /* A jump to where no code is has made no frame yet: the return address is the top word. */
    if (trap && !symbol_name(trap->rip, &offset) && is_frame(trap->rsp))
        print_return(*(const uint64_t *)trap->rsp, &last, &repeats);
    for (unsigned i = 0; i < BACKTRACE_MAX && is_frame(frame_pointer); i++) {
        const uint64_t *frame = (const uint64_t *)frame_pointer;
        print_return(frame[1], &last, &repeats);
        if (frame[0] <= frame_pointer)
            break;
        frame_pointer = frame[0];
    }
    print_return(0, &last, &repeats);
}

static void print_trap(const struct trap_frame *f)
{
    log_raw("error code %lx  cr2 %016lx  cr3 %016lx  cr0 %lx  cr4 %lx\n", f->error_code, read_cr2(),
            read_cr3(), read_cr0(), read_cr4());
    log_raw("rax %016lx  rbx %016lx  rcx %016lx  rdx %016lx\n", f->rax, f->rbx, f->rcx, f->rdx);
    log_raw("rsi %016lx  rdi %016lx  rbp %016lx  rsp %016lx\n", f->rsi, f->rdi, f->rbp, f->rsp);
    log_raw("r8  %016lx  r9  %016lx  r10 %016lx  r11 %016lx\n", f->r8, f->r9, f->r10, f->r11);
    log_raw("r12 %016lx  r13 %016lx  r14 %016lx  r15 %016lx\n", f->r12, f->r13, f->r14, f->r15);
    log_raw("rflags %lx  cs %lx  ss %lx\n", f->rflags, f->cs, f->ss);
    print_address("rip ", f->rip);
}

static void print_exits(const struct cpu *cpu)
{
    uint64_t shown = min_u64(cpu->exit_count, EXITS_SHOWN);

    log_raw("last %lu of %lu VM exits, newest first:\n", shown, cpu->exit_count);
    for (uint64_t i = 1; i <= shown; i++) {
        const struct exit_record *r = &cpu->exits[(cpu->exit_count - i) % EXIT_RECORDS];
        log_raw("  tsc %lu vm %u rip %lx qualification %lx: %u %s\n", r->tsc, r->vm, r->rip,
                r->qualification, r->reason & EXIT_REASON_BASIC, exit_reason_name(r->reason));
    }
}

static _Noreturn void screen(const char *reason, const struct trap_frame *trap,
                             uint64_t frame_pointer)
{
    if (depth++)
        end_machine(END_UMBRA_STOPPED, "panic within a panic: %s", reason);
    log_raw("\n==== umbra panic: %s ====\n", reason);
    if (trap)
        print_trap(trap);
    print_backtrace(trap, frame_pointer);
    engine_dump();
    print_exits(this_cpu());
    end_machine(END_UMBRA_STOPPED, "panic: %s", reason);
}

void panic(const char *fmt, ...)
{
    char reason[REASON_MAX];
    va_list arguments;

    va_start(arguments, fmt);
    vformat(reason, sizeof(reason), fmt, arguments);
    va_end(arguments);
    screen(reason, NULL, read_frame_pointer());
}

void panic_on_trap(const struct trap_frame *frame)
{
    char reason[REASON_MAX];

    if (frame->vector >= EXC_COUNT) {
        log_printf(LOG_WARN, "interrupt %lu came though every source is masked", frame->vector);
        pic_end_of_interrupt();
        return;
    }
    if (frame->vector == EXC_PF)
        format(reason, sizeof(reason), "%s at address %lx", trap_name(frame->vector), read_cr2());
    else
        format(reason, sizeof(reason), "%s (vector %lu)", trap_name(frame->vector), frame->vector);
    screen(reason, frame, frame->rbp);
}
