/* SPDX-License-Identifier: MIT */
/*
 * What Umbra makes of the VMX capability MSRs (SDM 3D appendix A). Machines are tables of MSRs
 * behind a fake reader, which fails the test where an MSR is read that such a machine lacks: a
 * recent one, an old one, and both with one thing after the other taken away.
 */
#include "arch/x86/vmx/caps.h"
#include "arch/x86/cpuid.h"
#include "arch/x86/vmx/controls.h"
#include "tests/host/host.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

struct msr_value {
    uint32_t msr;
    uint64_t value;
};

#define MSRS_MAX 24

struct machine {
    struct msr_value msrs[MSRS_MAX]; /* a zero MSR ends them */
};

#define CONTROLS(may, must) ((uint64_t)(may) << 32 | (must))

/* The bits that are 1 in every processor (SDM 3D A.3 to A.5), and their relaxed "true" sets. */
#define PIN_MUST        0x00000016u
#define PROC_MUST       0x0401e172u
#define PROC_TRUE_MUST  0x04006172u
#define EXIT_MUST       0x00036dffu
#define EXIT_TRUE_MUST  0x00036dfbu
#define ENTRY_MUST      0x000011ffu
#define ENTRY_TRUE_MUST 0x000011fbu

#define VPID_CAP_FULL (BIT(32) | BITS(43, 40))

/* As Bochs' corei7_skylake_x; the old MSRs demand CR3-load and CR3-store exiting. */
static const struct machine skylake = { {
    { MSR_VMX_BASIC, CONTROLS(0x00d81000u, 0x2b) },
    { MSR_VMX_PINBASED_CTLS, CONTROLS(0x7f, PIN_MUST) },
    { MSR_VMX_PROCBASED_CTLS, CONTROLS(0xfff9fffeu, PROC_MUST) },
    { MSR_VMX_EXIT_CTLS, CONTROLS(0x007fffffu, EXIT_MUST) },
    { MSR_VMX_ENTRY_CTLS, CONTROLS(0x0000ffffu, ENTRY_MUST) },
    { MSR_VMX_CR0_FIXED0, 0x80000021 },
    { MSR_VMX_CR0_FIXED1, 0xffffffff },
    { MSR_VMX_CR4_FIXED0, 0x2000 },
    { MSR_VMX_CR4_FIXED1, 0x3727ff },
    { MSR_VMX_PROCBASED_CTLS2, CONTROLS(0x001ffcffu, 0) },
    { MSR_VMX_EPT_VPID_CAP, VPID_CAP_FULL | 0x06334141 },
    { MSR_VMX_TRUE_PINBASED_CTLS, CONTROLS(0x7f, PIN_MUST) },
    { MSR_VMX_TRUE_PROCBASED_CTLS, CONTROLS(0xfff9fffeu, PROC_TRUE_MUST) },
    { MSR_VMX_TRUE_EXIT_CTLS, CONTROLS(0x007fffffu, EXIT_TRUE_MUST) },
    { MSR_VMX_TRUE_ENTRY_CTLS, CONTROLS(0x0000ffffu, ENTRY_TRUE_MUST) },
} };

/* As Bochs' core2_penryn_t9600: no true controls, no VPID, no load of EFER, no preemption timer. */
static const struct machine penryn = { {
    { MSR_VMX_BASIC, CONTROLS(0x00180400u, 0x0d) },
    { MSR_VMX_PINBASED_CTLS, CONTROLS(0x3f, PIN_MUST) },
    { MSR_VMX_PROCBASED_CTLS, CONTROLS(0xf7f9fffeu, PROC_MUST) },
    { MSR_VMX_EXIT_CTLS, CONTROLS(0x0003ffffu, EXIT_MUST) },
    { MSR_VMX_ENTRY_CTLS, CONTROLS(0x00003fffu, ENTRY_MUST) },
    { MSR_VMX_CR0_FIXED0, 0x80000021 },
    { MSR_VMX_CR0_FIXED1, 0xffffffff },
    { MSR_VMX_CR4_FIXED0, 0x2000 },
    { MSR_VMX_CR4_FIXED1, 0x67ff },
    { MSR_VMX_PROCBASED_CTLS2, CONTROLS(0x00000041u, 0) },
} };

static struct machine machine; /* that read_msr() plays */

static uint64_t *msr_of(uint32_t msr)
{
    for (size_t i = 0; i < MSRS_MAX; i++)
        if (machine.msrs[i].msr == msr)
            return &machine.msrs[i].value;
    fail_msg("MSR 0x%x is not there", msr);
    return NULL;
}

static uint64_t read_msr(uint32_t msr)
{
    return *msr_of(msr);
}

static struct vmx_caps computed(const struct machine *played)
{
    struct vmx_caps caps;
    char error[CAPS_ERROR_MAX] = "";

    machine = *played;
    if (!vmx_caps_compute(read_msr, &caps, error))
        fail_msg("%s", error);
    return caps;
}

/* Of the machine as it is after changes. */
static struct vmx_caps computed_again(void)
{
    struct machine changed = machine;

    return computed(&changed);
}

static void test_recent_machine(void **state)
{
    struct vmx_caps caps = computed(&skylake);

    (void)state;
    assert_int_equal(caps.revision, 0x2b);
    assert_true(caps.true_controls);
    assert_true(caps.vpid);
    assert_true(caps.load_efer);
    assert_int_equal(caps.invvpid_types, 0xf);
    assert_int_equal(caps.base[WORD_PIN], PIN_MUST | PIN_EXTERNAL_INTERRUPT | PIN_NMI);
    assert_int_equal(caps.base[WORD_PROC], PROC_TRUE_MUST | PROC_HLT | PROC_INVLPG | PROC_MWAIT |
                                               PROC_RDPMC | PROC_CR3_LOAD | PROC_CR3_STORE |
                                               PROC_CR8_LOAD | PROC_CR8_STORE | PROC_IO_BITMAPS |
                                               PROC_MSR_BITMAPS | PROC_MONITOR | PROC_SECONDARY);
    assert_int_equal(caps.base[WORD_PROC2], PROC2_VPID | PROC2_WBINVD);
    assert_int_equal(caps.base[WORD_EXIT],
                     EXIT_TRUE_MUST | EXIT_CTL_HOST_64 | EXIT_CTL_SAVE_DEBUG | EXIT_CTL_LOAD_EFER);
    assert_int_equal(caps.base[WORD_ENTRY],
                     ENTRY_TRUE_MUST | ENTRY_CTL_LOAD_DEBUG | ENTRY_CTL_LOAD_EFER);
    assert_int_equal(caps.allowed[WORD_PIN], 0x7f);
    assert_int_equal(caps.allowed[WORD_PROC], 0xfff9fffeu);
    assert_int_equal(caps.allowed[WORD_PROC2], 0x001ffcffu);
    assert_int_equal(caps.allowed[WORD_EXIT], 0x007fffffu);
    assert_int_equal(caps.allowed[WORD_ENTRY], 0x0000ffffu);
    assert_int_equal(caps.cr0_fixed0, 0x80000021);
    assert_int_equal(caps.cr0_fixed1, 0xffffffff);
    assert_int_equal(caps.cr4_fixed0, 0x2000);
    assert_int_equal(caps.cr4_fixed1, 0x3727ff);
}

static void test_old_machine(void **state)
{
    struct vmx_caps caps = computed(&penryn);

    (void)state;
    assert_int_equal(caps.revision, 0x0d);
    assert_false(caps.true_controls);
    assert_false(caps.vpid);
    assert_false(caps.load_efer);
    assert_int_equal(caps.invvpid_types, 0);
    assert_int_equal(caps.base[WORD_PIN], PIN_MUST | PIN_EXTERNAL_INTERRUPT | PIN_NMI);
    assert_int_equal(caps.base[WORD_PROC] & PROC_MUST, PROC_MUST);
    assert_int_equal(caps.base[WORD_PROC2], PROC2_WBINVD);
    assert_int_equal(caps.base[WORD_EXIT], EXIT_MUST | EXIT_CTL_HOST_64);
    assert_int_equal(caps.base[WORD_ENTRY], ENTRY_MUST);
    assert_false(caps.allowed[WORD_PROC] & PROC_MTF);
    assert_false(caps.allowed[WORD_PIN] & PIN_PREEMPTION_TIMER);
}

/* Without secondary controls their MSR does not exist: read_msr() would fail. */
static void test_no_secondary_controls(void **state)
{
    struct vmx_caps caps;

    (void)state;
    machine = penryn;
    *msr_of(MSR_VMX_PROCBASED_CTLS) &= ~(PROC_SECONDARY << 32);
    msr_of(MSR_VMX_PROCBASED_CTLS2);
    machine.msrs[9] = (struct msr_value){ 0, 0 };
    caps = computed_again();
    assert_false(caps.base[WORD_PROC] & PROC_SECONDARY);
    assert_int_equal(caps.base[WORD_PROC2], 0);
    assert_int_equal(caps.allowed[WORD_PROC2], 0);
    assert_false(caps.vpid);
}

/* ------ What cannot be done without ------ */

static const struct {
    uint32_t msr, true_msr;
    const char *msr_name;
    uint64_t bit;
    const char *name;
} needed[] = {
#define PIN(bit, name)                                    \
    {                                                     \
        0x481, 0x48d, "IA32_VMX_PINBASED_CTLS", bit, name \
    }
#define PROC(bit, name)                                    \
    {                                                      \
        0x482, 0x48e, "IA32_VMX_PROCBASED_CTLS", bit, name \
    }
#define EXIT(bit, name)                               \
    {                                                 \
        0x483, 0x48f, "IA32_VMX_EXIT_CTLS", bit, name \
    }
#define ENTRY(bit, name)                               \
    {                                                  \
        0x484, 0x490, "IA32_VMX_ENTRY_CTLS", bit, name \
    }
    PIN(BIT(0), "external-interrupt exiting"),
    PIN(BIT(3), "NMI exiting"),
    PROC(BIT(2), "interrupt-window exiting"),
    PROC(BIT(7), "HLT exiting"),
    PROC(BIT(9), "INVLPG exiting"),
    PROC(BIT(10), "MWAIT exiting"),
    PROC(BIT(11), "RDPMC exiting"),
    PROC(BIT(15), "CR3-load exiting"),
    PROC(BIT(16), "CR3-store exiting"),
    PROC(BIT(19), "CR8-load exiting"),
    PROC(BIT(20), "CR8-store exiting"),
    PROC(BIT(25), "use I/O bitmaps"),
    PROC(BIT(28), "use MSR bitmaps"),
    PROC(BIT(29), "MONITOR exiting"),
    EXIT(BIT(2), "save debug controls"),
    EXIT(BIT(9), "host address-space size"),
    ENTRY(BIT(2), "load debug controls"),
    ENTRY(BIT(9), "IA-32e mode guest"),
};

/* Takes needed[i] away, in the MSR that counts; the error must name it and where it is missing. */
static void check_missing(const struct machine *played, bool true_controls, size_t i)
{
    uint32_t msr = true_controls ? needed[i].true_msr : needed[i].msr;
    struct vmx_caps caps;
    char error[CAPS_ERROR_MAX] = "", name[64], bit[32], number[16];

    machine = *played;
    *msr_of(msr) &= ~(needed[i].bit << 32 | needed[i].bit);
    assert_false(vmx_caps_compute(read_msr, &caps, error));
    snprintf(name, sizeof(name), "\"%s\"", needed[i].name);
    snprintf(bit, sizeof(bit), "bit %d of %s ", 32 + __builtin_ctzll(needed[i].bit),
             needed[i].msr_name);
    snprintf(number, sizeof(number), "MSR 0x%x)", msr);
    if (!strstr(error, name) || !strstr(error, bit) || !strstr(error, number))
        fail_msg("no %s, but the error is: %s", name, error);
    assert_null(strchr(error, '\n'));
    assert_true(strlen(error) < CAPS_ERROR_MAX - 1); /* nothing cut off */
}

static void test_each_needed_control_missing(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
        check_missing(&skylake, true, i);
        check_missing(&penryn, false, i);
    }
}

/* Where there are true MSRs the old ones are not asked. */
static void test_true_controls_win(void **state)
{
    struct vmx_caps caps;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
        machine = skylake;
        *msr_of(needed[i].msr) = 0;
        caps = computed_again();
        assert_true(caps.true_controls);
    }
}

/* Control words that boot on a machine with nothing but what is needed. */
static void test_needed_controls_suffice(void **state)
{
    struct vmx_caps caps;
    uint64_t kept[2] = { 0, 0 };

    (void)state;
    machine = penryn;
    for (uint32_t msr = MSR_VMX_PINBASED_CTLS; msr <= MSR_VMX_ENTRY_CTLS; msr++) {
        uint64_t may = *msr_of(msr) & UINT32_MAX;

        for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
            may |= needed[i].msr == msr ? needed[i].bit : 0;
        *msr_of(msr) = may << 32 | (*msr_of(msr) & UINT32_MAX);
        kept[msr == MSR_VMX_PROCBASED_CTLS] = may;
    }
    caps = computed_again();
    assert_int_equal(caps.base[WORD_PROC], kept[1] & ~PROC_INTERRUPT_WINDOW);
    for (enum control_word w = 0; w < CONTROL_WORDS; w++)
        assert_int_equal(caps.base[w] & ~caps.allowed[w], 0);
}

/* ------ What can ------ */

static const struct {
    uint32_t msr;
    enum control_word word;
    uint64_t bit;
    const char *logged;
} optional[] = {
    { MSR_VMX_TRUE_PINBASED_CTLS, WORD_PIN, PIN_PREEMPTION_TIMER,
      "no VMX-preemption timer; instead: host APIC timer" },
    { MSR_VMX_TRUE_PROCBASED_CTLS, WORD_PROC, PROC_MTF,
      "no monitor trap flag; instead: RFLAGS.TF" },
    { MSR_VMX_TRUE_PROCBASED_CTLS, WORD_PROC, PROC_SECONDARY, "no secondary controls" },
    { MSR_VMX_PROCBASED_CTLS2, WORD_PROC2, PROC2_VPID, "no VPID; instead: every VM entry" },
    { MSR_VMX_PROCBASED_CTLS2, WORD_PROC2, PROC2_WBINVD, "no WBINVD exiting" },
    { MSR_VMX_TRUE_EXIT_CTLS, WORD_EXIT, EXIT_CTL_LOAD_EFER, "no load IA32_EFER at exit" },
    { MSR_VMX_TRUE_ENTRY_CTLS, WORD_ENTRY, ENTRY_CTL_LOAD_EFER, "no load IA32_EFER at entry" },
};

static void test_each_optional_control_missing(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(optional); i++) {
        struct vmx_caps caps;
        bool efer;

        machine = skylake;
        *msr_of(optional[i].msr) &= ~(optional[i].bit << 32);
        caps = computed_again();
        assert_false(caps.base[optional[i].word] & optional[i].bit);
        assert_false(caps.allowed[optional[i].word] & optional[i].bit);
        efer = strstr(optional[i].logged, "EFER") == NULL;
        assert_int_equal(caps.load_efer, efer);
        assert_int_equal((caps.base[WORD_EXIT] & EXIT_CTL_LOAD_EFER) != 0, efer);
        assert_int_equal((caps.base[WORD_ENTRY] & ENTRY_CTL_LOAD_EFER) != 0, efer);
        host_log_clear();
        vmx_caps_log(&caps);
        if (!strstr(host_log_text(), optional[i].logged))
            fail_msg("\"%s\" is not in: %s", optional[i].logged, host_log_text());
    }
}

/* Nothing is missing: nothing is said to be. */
static void test_log_of_a_full_machine(void **state)
{
    struct vmx_caps caps = computed(&skylake);

    (void)state;
    host_log_clear();
    vmx_caps_log(&caps);
    assert_null(strstr(host_log_text(), "instead"));
    assert_non_null(strstr(host_log_text(), "revision 0x2b, true controls, VPID on"));
    assert_non_null(strstr(host_log_text(), "address single all non-global"));
}

/* Every combination of the INVVPID instruction and its types (SDM 3D A.10). */
static void test_invvpid(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 32; bits++) {
        bool instruction = bits & 16, single = bits & 2, all = bits & 4;
        struct vmx_caps caps;

        machine = skylake;
        *msr_of(MSR_VMX_EPT_VPID_CAP) = (instruction ? BIT(32) : 0) | (uint64_t)(bits & 15) << 40;
        caps = computed_again();
        assert_int_equal(caps.vpid, instruction && (single || all));
        assert_int_equal((caps.base[WORD_PROC2] & PROC2_VPID) != 0, caps.vpid);
        assert_true(caps.base[WORD_PROC2] & PROC2_WBINVD);
        if (caps.vpid)
            assert_int_equal(caps.invvpid_types, bits & 15);
    }
}

static const uint32_t true_msrs[CONTROL_WORDS] = {
    MSR_VMX_TRUE_PINBASED_CTLS, MSR_VMX_TRUE_PROCBASED_CTLS, MSR_VMX_PROCBASED_CTLS2,
    MSR_VMX_TRUE_EXIT_CTLS,     MSR_VMX_TRUE_ENTRY_CTLS,
};

static const uint32_t optional_bits[CONTROL_WORDS] = {
    [WORD_PROC] = (uint32_t)PROC_SECONDARY,
    [WORD_PROC2] = (uint32_t)(PROC2_VPID | PROC2_WBINVD),
    [WORD_EXIT] = (uint32_t)EXIT_CTL_LOAD_EFER,
    [WORD_ENTRY] = (uint32_t)ENTRY_CTL_LOAD_EFER,
};

static uint32_t needed_bits(enum control_word word)
{
    uint32_t bits = 0;

    for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
        if (needed[i].true_msr == true_msrs[word])
            bits |= (uint32_t)needed[i].bit;
    return bits;
}

/*
 * Each bit that a machine demands stays set, and a bit that it neither demands nor Umbra needs or
 * wants stays clear: among them EPT and unrestricted guest, whatever the machine offers.
 */
static void test_every_bit_of_every_word(void **state)
{
    (void)state;
    for (enum control_word w = 0; w < CONTROL_WORDS; w++)
        for (unsigned b = 0; b < 32; b++) {
            uint32_t bit = 1u << b, wanted = needed_bits(w) | optional_bits[w];
            struct vmx_caps caps;

            machine = skylake;
            *msr_of(true_msrs[w]) |= CONTROLS(bit, bit);
            caps = computed_again();
            assert_true(caps.base[w] & bit);

            *msr_of(true_msrs[w]) = CONTROLS(UINT32_MAX, 0);
            caps = computed_again();
            assert_true(!(caps.base[w] & bit) || wanted & bit);
        }
}

static void test_ept_is_never_set(void **state)
{
    const struct machine *machines[] = { &skylake, &penryn };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(machines); i++) {
        struct vmx_caps caps;

        machine = *machines[i];
        *msr_of(MSR_VMX_PROCBASED_CTLS2) |= CONTROLS(PROC2_EPT | PROC2_UNRESTRICTED_GUEST, 0);
        caps = computed_again();
        assert_false(caps.base[WORD_PROC2] & (PROC2_EPT | PROC2_UNRESTRICTED_GUEST));
    }
}

static void test_memory_type(void **state)
{
    (void)state;
    for (uint64_t type = 0; type < 16; type++) {
        struct vmx_caps caps;
        char error[CAPS_ERROR_MAX] = "", words[16];

        machine = skylake;
        *msr_of(MSR_VMX_BASIC) = (*msr_of(MSR_VMX_BASIC) & ~BITS(53, 50)) | type << 50;
        assert_int_equal(vmx_caps_compute(read_msr, &caps, error), type == 6);
        if (type == 6)
            continue;
        snprintf(words, sizeof(words), "type %d:", (int)type);
        assert_non_null(strstr(error, words));
        assert_non_null(strstr(error, "bits 53:50 of IA32_VMX_BASIC (MSR 0x480)"));
        assert_true(strlen(error) < CAPS_ERROR_MAX - 1);
    }
}

/* Bit 31 of the revision is always 0, and not part of it (SDM 3D A.1). */
static void test_revision(void **state)
{
    (void)state;
    machine = skylake;
    *msr_of(MSR_VMX_BASIC) |= UINT32_MAX;
    assert_int_equal(computed_again().revision, INT32_MAX);
}

/* ------ IA32_FEATURE_CONTROL ------ */

static enum vmx_availability expected_availability(bool vmx, bool lock, bool outside_smx)
{
    if (!vmx)
        return VMX_ABSENT;
    if (!lock)
        return VMX_MUST_ENABLE;
    return outside_smx ? VMX_READY : VMX_LOCKED_OFF;
}

/* All combinations of lock, VMX in SMX, VMX outside SMX and SENTER bits, with VMX and without. */
static void test_availability(void **state)
{
    (void)state;
    for (unsigned noise = 0; noise < 2; noise++)
        for (unsigned bits = 0; bits < 32; bits++) {
            uint32_t ecx = (noise ? ~(uint32_t)BIT(5) : 0) | (bits & 16 ? (uint32_t)BIT(5) : 0);
            uint64_t control = (noise ? ~(uint64_t)7 : 0) | (bits & 7);

            assert_int_equal(vmx_availability(ecx, control),
                             expected_availability(bits & 16, control & 1, control & 4));
        }
}

static void test_enabling(void **state)
{
    (void)state;
    for (uint64_t control = 0; control < 1ull << 21; control += 2) {
        uint64_t enabled = vmx_feature_control_enabled(control);

        assert_int_equal(enabled, control | 1 | 4);
        assert_int_equal(vmx_availability((uint32_t)CPUID_1_ECX_VMX, enabled), VMX_READY);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recent_machine),
        cmocka_unit_test(test_old_machine),
        cmocka_unit_test(test_no_secondary_controls),
        cmocka_unit_test(test_each_needed_control_missing),
        cmocka_unit_test(test_true_controls_win),
        cmocka_unit_test(test_needed_controls_suffice),
        cmocka_unit_test(test_each_optional_control_missing),
        cmocka_unit_test(test_log_of_a_full_machine),
        cmocka_unit_test(test_invvpid),
        cmocka_unit_test(test_every_bit_of_every_word),
        cmocka_unit_test(test_ept_is_never_set),
        cmocka_unit_test(test_memory_type),
        cmocka_unit_test(test_revision),
        cmocka_unit_test(test_availability),
        cmocka_unit_test(test_enabling),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
