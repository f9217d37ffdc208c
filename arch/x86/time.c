/* SPDX-License-Identifier: MIT */
/*
 * The 8254's channel 2 counts 1.193182 MHz input clocks down in mode 0; port 0x61 gates it and
 * shows its output in bit 5 (Intel 8254 data sheet; "PC/AT Technical Reference", system timer).
 */
#include "arch/x86/insn.h"
#include "arch/x86/time.h"

#define PIT_CHANNEL2   0x42
#define PIT_CONTROL    0x43
#define PIT_HZ         1193182ull
#define PIT_MODE0_CH2  0xb0 /* channel 2, low then high byte, mode 0, binary */
#define PORT_61        0x61
#define PORT61_GATE2   0x01
#define PORT61_SPEAKER 0x02
#define PORT61_OUT2    0x20
#define SAMPLE_HZ      100       /* one hundredth of a second */
#define POLLS_MAX      100000000 /* far longer than a sample on any machine: a dead timer ends here */

static uint64_t tsc_rate; /* boot-time constant */

uint64_t time_measure_tsc(void)
{
    uint16_t count = PIT_HZ / SAMPLE_HZ;
    uint8_t gate = inb(PORT_61) & (uint8_t) ~(PORT61_GATE2 | PORT61_SPEAKER);
    uint64_t start, polls = 0;

    outb(PORT_61, gate);
    outb(PIT_CONTROL, PIT_MODE0_CH2);
    outb(PIT_CHANNEL2, (uint8_t)count);
    outb(PIT_CHANNEL2, (uint8_t)(count >> 8));
    outb(PORT_61, gate | PORT61_GATE2);
    start = rdtsc();
    while (!(inb(PORT_61) & PORT61_OUT2))
        if (++polls == POLLS_MAX)
            return 0;
    return (rdtsc() - start) * SAMPLE_HZ;
}

void time_set_tsc_rate(uint64_t ticks_per_second)
{
    tsc_rate = ticks_per_second;
}

uint64_t time_tsc_rate(void)
{
    return tsc_rate;
}

uint64_t time_now_us(void)
{
    uint64_t tsc = rdtsc();

    if (!tsc_rate)
        return tsc;
    return tsc / tsc_rate * 1000000 + tsc % tsc_rate * 1000000 / tsc_rate;
}
