/* SPDX-License-Identifier: MIT */
/*
 * unpaged: 32-bit protected mode without paging. Linear addresses are physical ones, segments and
 * exceptions work, and what belongs to paging changes nothing (SDM Vol. 3A, section 4.1.1 "Four
 * Paging Modes": none of them). Needs 16 MiB.
 */
#include "arch/x86/cpuid.h"
#include "arch/x86/pte.h"
#include "guests/lib/descriptors.h"
#include "guests/lib/image.h"
#include "guests/lib/probe.h"
#include "guests/lib/report.h"
#include "guests/lib/serial.h"
#include "guests/lib/x86.h"

#define FIRST (4 * (unsigned long)MiB) /* memory of the tests: 12 MiB, beyond the image */
#define LAST  (16 * (unsigned long)MiB)
#define STAMP 0x5eed1234u
#define PAGE  4096ul
#define LIMIT 0xfff

static const volatile uint32_t read_only = 1; /* in .rodata; there is no such thing here */

static uint32_t *word(unsigned long address)
{
    return (uint32_t *)address;
}

/* ---- memory ---- */

static uint32_t pattern(unsigned long address, unsigned round)
{
    return (uint32_t)(address * 2654435761u) ^ (round ? ~STAMP : STAMP);
}

static void memory(void)
{
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned long a = FIRST; a < LAST; a += 256)
            *(volatile uint32_t *)word(a) = pattern(a, round);
        for (unsigned long a = FIRST; a < LAST; a += 256)
            CHECK(*(volatile uint32_t *)word(a) == pattern(a, round), "%#lx reads %#x", a,
                  *word(a));
    }
    *(volatile uint32_t *)word(FIRST + PAGE - 2) = STAMP; /* straddles two pages */
    CHECK(*(volatile uint16_t *)word(FIRST + PAGE) == STAMP >> 16, "a half went elsewhere");
}

/* ---- what belongs to paging ---- */

static void expect_completed(enum probe_op op, unsigned flags, unsigned long a, unsigned long value)
{
    struct outcome seen = probe(op, flags, a, value);

    CHECK(!seen.fault, "operation %u at %#lx: exception %lu, error code %#lx", op, a, seen.vector,
          seen.error_code);
    CHECK(op != PROBE_READ || seen.value == value, "%#lx reads %#lx", a, seen.value);
    CHECK(op != PROBE_FETCH || seen.value == value, "the code at %#lx gives %#lx", a, seen.value);
}

static void all_accesses(unsigned flags)
{
    unsigned long a = FIRST + 3 * PAGE, code = FIRST + 5 * PAGE;

    *(volatile uint64_t *)word(code) = PROBE_CODE(STAMP);
    expect_completed(PROBE_WRITE, flags, a, STAMP + flags);
    expect_completed(PROBE_READ, flags, a, STAMP + flags);
    expect_completed(PROBE_FETCH, flags, code, STAMP);
    expect_completed(PROBE_WRITE, flags, (unsigned long)&read_only, 7);
    CHECK(read_only == 7, "a write to .rodata did not arrive");
}

static void controls(void)
{
    static const unsigned long cr3[] = { 0, FIRST, 0x12345000, 0xfffff018 };
    uint32_t leaf_7 = cpuid(0, 0).eax >= 7 ? cpuid(7, 0).ebx : 0;
    unsigned long guards = (leaf_7 & CPUID_7_EBX_SMEP ? (unsigned long)CR4_SMEP : 0) |
                           (leaf_7 & CPUID_7_EBX_SMAP ? (unsigned long)CR4_SMAP : 0);

    for (unsigned i = 0; i < ARRAY_SIZE(cr3); i++) {
        set_cr3(cr3[i]);
        CHECK(get_cr3() == cr3[i], "CR3 reads %#lx, not %#lx", get_cr3(), cr3[i]);
        set_cr0(get_cr0() ^ (unsigned long)CR0_WP);
        set_cr4(i & 1 ? (unsigned long)(CR4_PSE | CR4_PAE | CR4_PGE) : guards);
        for (unsigned long a = FIRST; a < LAST; a += MiB)
            invlpg(a);
        all_accesses(0);
        all_accesses(PROBE_USER);
        all_accesses(PROBE_USER | PROBE_AC);
    }
    set_cr4(0);
}

/* ---- segments ---- */

static void set_spare(uint32_t base, uint32_t limit, uint64_t bits)
{
    guest_gdt[SELECTOR_SPARE / 8] = descriptor(base, limit, bits);
}

static void segments(void)
{
    uint64_t bits = DESCRIPTOR_DATA_WRITE | DESCRIPTOR_PRESENT | DESCRIPTOR_32BIT;

    for (unsigned i = 0; i < 8; i++) {
        unsigned long base = FIRST + 0x1357 * i;

        set_spare((uint32_t)base, LIMIT, bits);
        load_fs(SELECTOR_SPARE);
        write_fs(0x40, STAMP + i);
        CHECK(*(volatile uint32_t *)word(base + 0x40) == STAMP + i, "FS:0x40 went elsewhere");
        *(volatile uint32_t *)word(base + LIMIT - 3) = i;
        CHECK(read_fs(LIMIT - 3) == i, "the last word of FS reads %#x", read_fs(LIMIT - 3));
    }
    load_fs(SELECTOR_USER_DATA);
}

static void expect_exception(enum probe_op op, unsigned flags, unsigned long address,
                             const unsigned long expected[2])
{
    struct outcome seen = probe(op, flags, address, 0);

    CHECK(seen.fault && seen.vector == expected[0] && seen.error_code == expected[1],
          "operation %u: exception %lu, error code %#lx, expected %lu, %#lx", op, seen.vector,
          seen.error_code, expected[0], expected[1]);
}

static void segment_faults(void)
{
    static const unsigned long beyond_gdt[] = { EXC_GP, 0x7ff8 };
    static const unsigned long absent[] = { EXC_NP, SELECTOR_SPARE };
    static const unsigned long too_low[] = { EXC_GP, SELECTOR_SPARE };
    static const unsigned long privileged[] = { EXC_GP, 0 };
    uint64_t bits = DESCRIPTOR_DATA_WRITE | DESCRIPTOR_32BIT;

    expect_exception(PROBE_LOAD_GS, 0, 0x7ff8, beyond_gdt);
    set_spare(0, LIMIT, bits);
    expect_exception(PROBE_LOAD_GS, 0, SELECTOR_SPARE, absent);
    set_spare(0, LIMIT, bits | DESCRIPTOR_PRESENT); /* DPL 0 */
    expect_exception(PROBE_LOAD_GS, PROBE_USER, SELECTOR_SPARE, too_low);
    for (enum probe_op op = PROBE_INVLPG; op <= PROBE_CR4; op++)
        expect_exception(op, PROBE_USER, FIRST, privileged);
}

/* ---- exceptions ---- */

static volatile unsigned seen_vector, seen_count;

static void count_exception(struct trap_frame *frame)
{
    seen_vector = (unsigned)frame->vector;
    seen_count++;
}

#define EXPECT_INT(n)                                                                            \
    do {                                                                                         \
        guest_on_exception(n, count_exception);                                                  \
        int_n(n);                                                                                \
        CHECK(seen_vector == (n), "INT %u arrived as exception %u", (unsigned)(n), seen_vector); \
    } while (0)

/* Those without an error code; INT pushes none. */
static void interrupts(void)
{
    for (unsigned i = 0; i < 50; i++) {
        EXPECT_INT(EXC_DE);
        EXPECT_INT(EXC_DB);
        EXPECT_INT(EXC_BP);
        EXPECT_INT(EXC_OF);
        EXPECT_INT(EXC_BR);
        EXPECT_INT(EXC_UD);
        EXPECT_INT(EXC_MF);
        EXPECT_INT(EXC_XM);
    }
    CHECK(seen_count == 400, "%u exceptions in place of 400", seen_count);
    probe_init();
}

static const struct {
    const char *name;
    void (*run)(void);
} steps[] = {
    { "12 MiB of memory, written and read", memory },
    { "CR3, INVLPG, WP, PSE, PAE, PGE, SMEP, SMAP: without effect, at CPL 0 and 3", controls },
    { "segments with bases and limits", segments },
    { "#GP and #NP of segments, #GP of privileged instructions", segment_faults },
    { "exceptions by INT", interrupts },
};

void main(void)
{
    CHECK((unsigned long)guest_image_end <= FIRST, "the image ends at %p", guest_image_end);
    CHECK(!(get_cr0() & CR0_PG), "CR0 is %#lx", get_cr0());
    probe_init();
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        steps[i].run();
        serial_printf("unpaged: %zu %s\n", i + 1, steps[i].name);
    }
    guest_pass();
}
