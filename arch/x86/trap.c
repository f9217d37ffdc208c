/* SPDX-License-Identifier: MIT */
/*
 * The interrupt descriptor table (SDM 3A 6.14.1 "64-Bit Mode IDT"). NMI, #DF and #MC run on stacks
 * of their own, since they may come when the current one is unusable.
 */
#include "arch/x86/cpu.h"
#include "arch/x86/regs.h"
#include "arch/x86/trap.h"

#define VECTORS   256
#define STUB_SIZE 16 /* as in traps.S */

_Static_assert(EXC_WITH_ERROR_CODE == 0x00227d00, "traps.S has this value too");

struct gate {
    uint16_t offset_low;
    uint16_t selector;
    uint16_t attributes; /* IST in bits 2:0, type and P in 15:8 */
    uint16_t offset_middle;
    uint32_t offset_high;
    uint32_t reserved;
};

#define GATE_INTERRUPT 0x8e00

extern const char trap_stubs[];

/* Both are written once, at boot, before a second processor runs. */
static struct gate idt[VECTORS] __attribute__((aligned(16)));
static void (*installed_handler)(const struct trap_frame *frame);

static const char *const names[EXC_COUNT] = {
    [EXC_DE] = "#DE divide error",
    [EXC_DB] = "#DB debug exception",
    [EXC_NMI] = "non-maskable interrupt",
    [EXC_BP] = "#BP breakpoint",
    [EXC_OF] = "#OF overflow",
    [EXC_BR] = "#BR bound range exceeded",
    [EXC_UD] = "#UD invalid opcode",
    [EXC_NM] = "#NM device not available",
    [EXC_DF] = "#DF double fault",
    [EXC_TS] = "#TS invalid TSS",
    [EXC_NP] = "#NP segment not present",
    [EXC_SS] = "#SS stack-segment fault",
    [EXC_GP] = "#GP general protection",
    [EXC_PF] = "#PF page fault",
    [EXC_MF] = "#MF x87 floating-point error",
    [EXC_AC] = "#AC alignment check",
    [EXC_MC] = "#MC machine check",
    [EXC_XM] = "#XM SIMD floating-point exception",
    [EXC_VE] = "#VE virtualization exception",
    [EXC_CP] = "#CP control protection exception",
};

const char *trap_name(uint64_t vector)
{
    if (vector >= EXC_COUNT)
        return "interrupt";
    return names[vector] ? names[vector] : "reserved exception";
}

static enum ist_slot ist_of(unsigned vector)
{
    switch (vector) {
    case EXC_NMI: return IST_NMI;
    case EXC_DF: return IST_DF;
    case EXC_MC: return IST_MC;
    default: return IST_NONE;
    }
}

void trap_init(void)
{
    struct descriptor_pointer pointer = { sizeof(idt) - 1, (uint64_t)idt };

    for (unsigned v = 0; v < VECTORS; v++) {
        uint64_t stub = (uint64_t)trap_stubs + v * STUB_SIZE;
        idt[v] = (struct gate){ .offset_low = (uint16_t)stub,
                                .selector = SELECTOR_CODE,
                                .attributes = (uint16_t)(GATE_INTERRUPT | ist_of(v)),
                                .offset_middle = (uint16_t)(stub >> 16),
                                .offset_high = (uint32_t)(stub >> 32) };
    }
    lidt(&pointer);
}

void trap_set_handler(void (*handler)(const struct trap_frame *frame))
{
    installed_handler = handler;
}

void trap_handler(struct trap_frame *frame)
{
    if (!installed_handler)
        panic("%s before a handler was installed", trap_name(frame->vector));
    installed_handler(frame);
}
