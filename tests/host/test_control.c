/* SPDX-License-Identifier: MIT */
/*
 * Writes of CR0, CR3, CR4 and EFER that the processor refuses. First each rule by hand: a write
 * that breaks just that rule, and writes that nearly do. Then all combinations of the bits that
 * matter against the SDM's rules in another form: as a predicate on the two states, from 2B "MOV -
 * Move to/from Control Registers" and "WRMSR", 3A 4.1.1 "Four Paging Modes", 9.8.5 "Initializing
 * IA-32e Mode" and 4.10.1 "Process-Context Identifiers (PCIDs)".
 */
#include "vmm/control.h"
#include "tests/host/host.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define CR4_ALLOWED  (CR4_PSE | CR4_PAE | CR4_PGE | CR4_LA57 | CR4_PCIDE)
#define EFER_ALLOWED (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)

#define CR0_REAL   CR0_ET
#define CR0_PROT   (CR0_ET | CR0_PE)
#define CR0_PAGED  (CR0_PROT | CR0_PG)
#define EFER_LONG  (EFER_LME | EFER_LMA)
#define LONG_STATE CR0_PAGED, 0, CR4_PAE, EFER_LONG

enum { CODE64 = 1, TSS16 = 2, PHYS52 = 4 }; /* flags of a case; MAXPHYADDR is 40 without PHYS52 */

struct values {
    uint64_t cr0, cr3, cr4, efer;
};

/* In state old, the register target is written with value. */
struct control_case {
    struct values old;
    enum control_register target;
    uint64_t value;
    unsigned flags;
    const char *rule; /* words of the rule that it breaks; NULL: accepted */
};

static const struct control_case cases[] = {
    { { 0 }, CONTROL_CR0, BIT(32), 0, "63:32" },
    { { 0 }, CONTROL_CR0, BIT(63) | CR0_PE, 0, "63:32" },
    { { 0 }, CONTROL_CR0, UINT32_MAX, 0, NULL },
    { { 0 }, CONTROL_CR0, CR0_NW, 0, "NW" },
    { { 0 }, CONTROL_CR0, CR0_NW | CR0_CD, 0, NULL },
    { { 0 }, CONTROL_CR0, CR0_CD, 0, NULL },
    { { CR0_REAL, 0, 0, 0 }, CONTROL_CR0, CR0_PG, 0, "CR0.PE" },
    { { CR0_PAGED, 0, 0, 0 }, CONTROL_CR0, CR0_PG, 0, "CR0.PE" },
    { { CR0_PROT, 0, 0, 0 }, CONTROL_CR0, CR0_PAGED, 0, NULL },
    { { CR0_PROT, 0, 0, 0 }, CONTROL_CR0, CR0_REAL, 0, NULL },
    { { CR0_REAL, 0, 0, 0 }, CONTROL_CR0, CR0_PAGED, 0, NULL }, /* both in one MOV */

    { { CR0_PROT, 0, CR4_PSE, EFER_LME }, CONTROL_CR0, CR0_PAGED, 0, "CR4.PAE" },
    { { CR0_PROT, 0, CR4_PAE, EFER_LME }, CONTROL_CR0, CR0_PAGED, 0, NULL },
    { { CR0_PROT, 0, CR4_PSE, EFER_LME }, CONTROL_CR0, CR0_PROT | CR0_WP, 0, NULL },
    { { CR0_PROT, 0, CR4_PSE, EFER_NXE }, CONTROL_CR0, CR0_PAGED, 0, NULL },
    { { CR0_PROT, 0, CR4_PAE, EFER_LME }, CONTROL_CR0, CR0_PAGED, CODE64, "CS.L" },
    { { CR0_PROT, 0, CR4_PAE, 0 }, CONTROL_CR0, CR0_PAGED, CODE64, NULL },
    { { LONG_STATE }, CONTROL_CR0, CR0_PAGED | CR0_WP, CODE64, NULL },
    { { CR0_PROT, 0, CR4_PAE, EFER_LME }, CONTROL_CR0, CR0_PAGED, TSS16, "16-bit TSS" },
    { { CR0_PROT, 0, CR4_PAE, 0 }, CONTROL_CR0, CR0_PAGED, TSS16, NULL },
    { { LONG_STATE }, CONTROL_CR0, CR0_PAGED | CR0_TS, TSS16, NULL },
    { { LONG_STATE }, CONTROL_CR0, CR0_PROT, CODE64, "64-bit code" },
    { { LONG_STATE }, CONTROL_CR0, CR0_PROT, 0, NULL },
    { { CR0_PAGED, 0, CR4_PAE | CR4_PCIDE, EFER_LONG }, CONTROL_CR0, CR0_PROT, 0, "PCIDE" },
    { { CR0_PAGED, 0, CR4_PAE | CR4_PCIDE, EFER_LONG }, CONTROL_CR0, CR0_PAGED | CR0_WP, 0, NULL },

    { { LONG_STATE }, CONTROL_CR3, BIT(40), CODE64, "MAXPHYADDR" },
    { { LONG_STATE }, CONTROL_CR3, BIT(63), CODE64, "MAXPHYADDR" },
    { { LONG_STATE }, CONTROL_CR3, BIT(52), CODE64 | PHYS52, "MAXPHYADDR" },
    { { LONG_STATE }, CONTROL_CR3, BITS(51, 0), CODE64 | PHYS52, NULL },
    { { LONG_STATE }, CONTROL_CR3, BITS(39, 0), CODE64, NULL },
    { { CR0_PAGED, 0, CR4_PAE, 0 }, CONTROL_CR3, UINT32_MAX, 0, NULL },
    { { CR0_PAGED, 0, CR4_PAE, 0 }, CONTROL_CR3, BIT(40), 0, NULL },

    { { CR0_PROT, 0, 0, 0 }, CONTROL_CR4, CR4_SMEP, 0, "CPUID" },
    { { CR0_PROT, 0, 0, 0 }, CONTROL_CR4, BIT(63), 0, "CPUID" },
    { { CR0_PROT, 0, 0, 0 }, CONTROL_CR4, CR4_ALLOWED & ~CR4_PCIDE, 0, NULL },
    { { LONG_STATE }, CONTROL_CR4, CR4_PGE, 0, "CR4.PAE" },
    { { LONG_STATE }, CONTROL_CR4, CR4_PGE | CR4_PAE, 0, NULL },
    { { CR0_PAGED, 0, CR4_PAE, 0 }, CONTROL_CR4, CR4_PGE, 0, NULL },
    { { CR0_PROT, 0, CR4_PAE, EFER_LME }, CONTROL_CR4, 0, 0, NULL },
    { { LONG_STATE }, CONTROL_CR4, CR4_PAE | CR4_LA57, 0, "LA57" },
    { { CR0_PAGED, 0, CR4_PAE | CR4_LA57, EFER_LONG }, CONTROL_CR4, CR4_PAE, 0, "LA57" },
    { { CR0_PAGED, 0, CR4_PAE | CR4_LA57, EFER_LONG },
      CONTROL_CR4,
      CR4_PAE | CR4_LA57 | CR4_PGE,
      0,
      NULL },
    { { CR0_PROT, 0, CR4_PAE, EFER_LME }, CONTROL_CR4, CR4_PAE | CR4_LA57, 0, NULL },
    { { CR0_PAGED, 0, CR4_PAE, 0 }, CONTROL_CR4, CR4_PAE | CR4_PCIDE, 0, "long mode" },
    { { CR0_PROT, 0, CR4_PAE, EFER_LME }, CONTROL_CR4, CR4_PAE | CR4_PCIDE, 0, "long mode" },
    { { LONG_STATE }, CONTROL_CR4, CR4_PAE | CR4_PCIDE, 0, NULL },
    { { CR0_PAGED, BIT(0), CR4_PAE, EFER_LONG },
      CONTROL_CR4,
      CR4_PAE | CR4_PCIDE,
      0,
      "CR3 bits 11:0" },
    { { CR0_PAGED, BIT(11), CR4_PAE, EFER_LONG },
      CONTROL_CR4,
      CR4_PAE | CR4_PCIDE,
      0,
      "CR3 bits 11:0" },
    { { CR0_PAGED, BIT(12), CR4_PAE, EFER_LONG }, CONTROL_CR4, CR4_PAE | CR4_PCIDE, 0, NULL },
    { { CR0_PAGED, BIT(0), CR4_PAE | CR4_PCIDE, EFER_LONG },
      CONTROL_CR4,
      CR4_PAE | CR4_PCIDE | CR4_PGE,
      0,
      NULL },
    { { CR0_PAGED, BIT(0), CR4_PAE | CR4_PCIDE, EFER_LONG }, CONTROL_CR4, CR4_PAE, 0, NULL },

    { { 0 }, CONTROL_EFER, BIT(12), 0, "CPUID" },
    { { 0 }, CONTROL_EFER, BIT(1), 0, "CPUID" },
    { { 0 }, CONTROL_EFER, BIT(63), 0, "CPUID" },
    { { CR0_PROT, 0, 0, 0 }, CONTROL_EFER, EFER_SCE | EFER_LME | EFER_NXE, 0, NULL },
    { { CR0_PAGED, 0, 0, 0 }, CONTROL_EFER, EFER_LME, 0, "LME" },
    { { LONG_STATE }, CONTROL_EFER, EFER_NXE, 0, "LME" },
    { { LONG_STATE }, CONTROL_EFER, EFER_LONG | EFER_NXE | EFER_SCE, CODE64, NULL },
    { { CR0_PAGED, 0, 0, EFER_NXE }, CONTROL_EFER, EFER_SCE, 0, NULL },
    { { CR0_PROT, 0, CR4_PAE, EFER_LME }, CONTROL_EFER, 0, 0, NULL },
};

static struct paging_regs regs_of(struct values values, unsigned flags)
{
    return (struct paging_regs){ .cr0 = values.cr0,
                                 .cr3 = values.cr3,
                                 .cr4 = values.cr4,
                                 .efer = values.efer,
                                 .maxphyaddr = flags & PHYS52 ? 52 : 40 };
}

static struct values after_write(struct values values, enum control_register target, uint64_t value)
{
    switch (target) {
    case CONTROL_CR0: values.cr0 = value; break;
    case CONTROL_CR3: values.cr3 = value; break;
    case CONTROL_CR4: values.cr4 = value; break;
    case CONTROL_EFER: values.efer = value; break;
    }
    values.efer &= ~EFER_LMA;
    if (values.cr0 & CR0_PG && values.efer & EFER_LME)
        values.efer |= EFER_LMA;
    return values;
}

static const char *broken_rule(const struct control_case *c)
{
    struct paging_regs old = regs_of(c->old, c->flags);
    struct paging_regs new = regs_of(after_write(c->old, c->target, c->value), c->flags);
    struct control_write write = {
        .target = c->target,
        .old = &old,
        .new = &new,
        .cr4_allowed = CR4_ALLOWED,
        .efer_allowed = EFER_ALLOWED,
        .code64 = c->flags &CODE64,
        .tss16 = c->flags &TSS16,
    };

    return control_broken_rule(&write);
}

static bool as_expected(const char *broken, const char *words)
{
    if (!broken || !words)
        return broken == words;
    return strstr(broken, words) != NULL;
}

static void test_each_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *broken = broken_rule(&cases[i]);

        if (!as_expected(broken, cases[i].rule))
            fail_msg("case %zu: \"%s\" in place of \"%s\"", i, broken ? broken : "accepted",
                     cases[i].rule ? cases[i].rule : "accepted");
    }
}

/* A rule about one register must not refuse writes of the others. */
static void test_rules_judge_their_register_only(void **state)
{
    static const struct control_case others[] = {
        { { CR0_PROT, BIT(41), BIT(63), BIT(63) }, CONTROL_CR0, CR0_PROT | CR0_TS, 0, NULL },
        { { BIT(40) | CR0_NW, 0, BIT(63), BIT(63) }, CONTROL_CR3, 0, 0, NULL },
        { { BIT(40) | CR0_NW, BIT(41), 0, BIT(63) }, CONTROL_CR4, CR4_PSE, 0, NULL },
        { { BIT(40) | CR0_NW, BIT(41), BIT(63), 0 }, CONTROL_EFER, EFER_SCE, 0, NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        assert_null(broken_rule(&others[i]));
}

static void test_efer_with_lma(void **state)
{
    static const uint64_t others = EFER_SCE | EFER_NXE | BIT(63);

    (void)state;
    for (unsigned bits = 0; bits < 16; bits++) {
        bool pg = bits & 1, lme = bits & 2, lma = bits & 4;
        uint64_t rest = bits & 8 ? others : 0;
        uint64_t efer = rest | (lme ? EFER_LME : 0) | (lma ? EFER_LMA : 0);
        uint64_t expected = rest | (lme ? EFER_LME : 0) | (pg && lme ? EFER_LMA : 0);

        assert_int_equal(control_efer_with_lma(efer, pg ? CR0_PAGED : ~CR0_PG), expected);
    }
}

/*
 * Outside long mode CS.L means nothing: paging can be switched off (SDM 2B "MOV - Move to/from
 * Control Registers" refuses that in 64-bit mode only).
 */
static void test_code64_outside_long_mode(void **state)
{
    static const struct control_case off = {
        { CR0_PAGED, 0, CR4_PAE, 0 }, CONTROL_CR0, CR0_PROT, CODE64, NULL
    };

    (void)state;
    assert_null(broken_rule(&off));
}

/* ------ All combinations ------ */

/* The bits that any rule looks at, with one reserved bit of each register. */
static const uint64_t swept_cr0[] = { CR0_PE, CR0_WP, CR0_NW, CR0_CD, CR0_PG, BIT(40) };
static const uint64_t swept_cr3[] = { BIT(0), BIT(11), BIT(12), BIT(39), BIT(40), BIT(62) };
static const uint64_t swept_cr4[] = { CR4_PSE, CR4_PAE, CR4_LA57, CR4_PCIDE, BIT(63) };
static const uint64_t swept_efer[] = { EFER_SCE, EFER_LME, EFER_NXE, BIT(1), BIT(62) };

static const struct {
    const uint64_t *bits;
    unsigned count;
} swept[] = {
    [CONTROL_CR0] = { swept_cr0, ARRAY_SIZE(swept_cr0) },
    [CONTROL_CR3] = { swept_cr3, ARRAY_SIZE(swept_cr3) },
    [CONTROL_CR4] = { swept_cr4, ARRAY_SIZE(swept_cr4) },
    [CONTROL_EFER] = { swept_efer, ARRAY_SIZE(swept_efer) },
};

static uint64_t combination(const uint64_t *bits, unsigned count, unsigned number)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < count; i++)
        value |= number >> i & 1 ? bits[i] : 0;
    return value;
}

/* States that a processor can be in: it refuses all ways into others. */
static bool is_possible(const struct values *v, bool code64)
{
    bool pg = v->cr0 & CR0_PG, pae = v->cr4 & CR4_PAE, lma = v->efer & EFER_LMA;

    if ((pg && !(v->cr0 & CR0_PE)) || (v->cr0 & CR0_NW && !(v->cr0 & CR0_CD)))
        return false;
    if (lma && !pae)
        return false;
    return lma || !(v->cr4 & CR4_PCIDE || code64);
}

/*
 * Is the state reached by the write one that may be, and the step to it one of the allowed ones?
 * MAXPHYADDR is 40.
 */
static bool sdm_accepts(const struct values *old, const struct values *new,
                        enum control_register target, unsigned flags)
{
    uint64_t changed_cr4 = old->cr4 ^ new->cr4;
    bool was_paged = old->cr0 & CR0_PG;
    bool was_long = old->efer & EFER_LMA, is_long = new->efer &EFER_LMA;

    if (new->cr0 >> 32 || new->cr4 & ~CR4_ALLOWED || new->efer & ~EFER_ALLOWED)
        return false;
    if (target == CONTROL_CR3)
        return !was_long || new->cr3 < BIT(40);
    if (target == CONTROL_EFER)
        return !was_paged || !((old->efer ^ new->efer) & EFER_LME);
    if (!is_possible(new, false)) /* PCIDE without long mode, long mode without PAE, ... */
        return false;
    if (was_long != is_long && flags & (is_long ? CODE64 | TSS16 : CODE64))
        return false;
    if (was_long && changed_cr4 & CR4_LA57)
        return false;
    return !(changed_cr4 & new->cr4 &CR4_PCIDE) || (old->cr3 & 0xfff) == 0;
}

struct sweep {
    unsigned long accepted, refused;
};

static void sweep_writes(const struct values *old, unsigned flags, struct sweep *sweep)
{
    for (enum control_register t = CONTROL_CR0; t <= CONTROL_EFER; t++)
        for (unsigned n = 0; n < 1u << swept[t].count; n++) {
            struct control_case c = { *old, t, combination(swept[t].bits, swept[t].count, n), flags,
                                      NULL };
            struct values new = after_write(*old, t, c.value);
            bool expected = sdm_accepts(old, &new, t, flags);
            const char *broken = broken_rule(&c);

            if (expected != !broken)
                fail_msg("register %d = 0x%lx in CR0 0x%lx CR3 0x%lx CR4 0x%lx EFER 0x%lx, "
                         "flags %u: %s",
                         t, c.value, old->cr0, old->cr3, old->cr4, old->efer, flags,
                         broken ? broken : "accepted");
            expected ? sweep->accepted++ : sweep->refused++;
        }
}

/* All possible states (reserved bits clear) times all writes. */
static void test_sweep(void **state)
{
    static const uint64_t cr0_bits[] = { CR0_PE, CR0_NW, CR0_CD, CR0_PG };
    static const uint64_t cr3_bits[] = { BIT(0), BIT(11), BIT(12) };
    static const uint64_t cr4_bits[] = { CR4_PSE, CR4_PAE, CR4_LA57, CR4_PCIDE };
    static const uint64_t efer_bits[] = { EFER_LME, EFER_NXE };
    struct sweep sweep = { 0, 0 };

    (void)state;
    for (unsigned n = 0; n < 1u << 15; n++) {
        unsigned flags = n >> 13 & 3;
        struct values old = after_write((struct values){ combination(cr0_bits, 4, n),
                                                         combination(cr3_bits, 3, n >> 4),
                                                         combination(cr4_bits, 4, n >> 7), 0 },
                                        CONTROL_EFER, combination(efer_bits, 2, n >> 11));
        if (is_possible(&old, flags & CODE64))
            sweep_writes(&old, flags, &sweep);
    }
    print_message("%lu writes accepted, %lu refused\n", sweep.accepted, sweep.refused);
    assert_true(sweep.accepted > 10000 && sweep.refused > 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_rule),
        cmocka_unit_test(test_rules_judge_their_register_only),
        cmocka_unit_test(test_efer_with_lma),
        cmocka_unit_test(test_code64_outside_long_mode),
        cmocka_unit_test(test_sweep),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
