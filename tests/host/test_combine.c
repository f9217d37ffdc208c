/* SPDX-License-Identifier: MIT */
/*
 * How two events combine, for every pair of (type, vector), against SDM 3A 6.15 "Exception and
 * Interrupt Reference", tables 6-4 "Interrupt and Exception Classes" and 6-5 "Conditions for
 * Generating a Double Fault", written out below as a string a class and a matrix.
 */
#include "vmm/event.h"
#include "tests/host/host.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

/* Vectors 0 to 31 as exceptions: Benign, Contributory, Page fault, Double fault. */
static const char class_of_exception[] = "CBBBBBBB"  /* DE DB NMI BP OF BR UD NM */
                                         "DBCCCCPB"  /* DF 9 TS NP SS GP PF 15 */
                                         "BBBBPCBB"  /* MF AC MC XM VE CP 22 23 */
                                         "BBBBBBBB"; /* reserved */

static const char classes[] = "BCPD";

/* Row: first event, column: second; '2' the second is delivered, 'D' #DF, 'T' triple fault. */
static const char table_6_5[4][5] = {
    /*   BCPD */
    "2222", /* benign: handled serially */
    "2D2D", /* contributory; "C then D" cannot come about in a processor */
    "2DDD", /* page fault */
    "2TTT", /* double fault: the processor shuts down */
};

static const enum event_type types[] = {
    EVENT_INTERRUPT,
    EVENT_NMI,
    EVENT_EXCEPTION,
    EVENT_SOFTWARE_INTERRUPT,
    EVENT_PRIVILEGED_SOFTWARE_EXCEPTION,
    EVENT_SOFTWARE_EXCEPTION,
};

#define EVENTS (ARRAY_SIZE(types) * 256)

static struct event numbered(unsigned number)
{
    enum event_type type = types[number / 256];

    return (struct event){ .valid = true,
                           .type = type,
                           .vector = (uint8_t)number,
                           .has_error_code = type == EVENT_EXCEPTION && number % 2,
                           .error_code = 0x1000 + number,
                           .instruction_length = (uint8_t)(number % 16) };
}

static bool same(struct event a, struct event b)
{
    return a.valid == b.valid && a.type == b.type && a.vector == b.vector &&
           a.has_error_code == b.has_error_code && a.error_code == b.error_code &&
           a.instruction_length == b.instruction_length;
}

/* INT n, INTn instructions, NMI and external interrupts are benign whatever their vector. */
static size_t class_index(struct event event)
{
    if (event.type != EVENT_EXCEPTION || event.vector >= EXC_COUNT)
        return 0;
    return (size_t)(strchr(classes, class_of_exception[event.vector]) - classes);
}

static bool is_double_fault(struct event event)
{
    return event.valid && event.type == EVENT_EXCEPTION && event.vector == EXC_DF &&
           event.has_error_code && event.error_code == 0;
}

static bool is_right(struct event first, struct event second)
{
    struct event result = event_combine(first, second);

    switch (table_6_5[class_index(first)][class_index(second)]) {
    case '2': return same(result, second);
    case 'D': return is_double_fault(result);
    default: return !result.valid;
    }
}

static bool is_virtualization(struct event event)
{
    return event.type == EVENT_EXCEPTION && event.vector == EXC_VE;
}

/* Checks all pairs of which any has a #VE (or has not); returns how many are wrong. */
static unsigned count_wrong(bool with_virtualization)
{
    unsigned wrong = 0;

    for (unsigned i = 0; i < EVENTS; i++)
        for (unsigned j = 0; j < EVENTS; j++) {
            struct event first = numbered(i), second = numbered(j);
            bool has = is_virtualization(first) || is_virtualization(second);

            if (has != with_virtualization || is_right(first, second))
                continue;
            if (!wrong++)
                print_error("type %d vector %u, then type %d vector %u\n", first.type, first.vector,
                            second.type, second.vector);
        }
    return wrong;
}

static void test_every_pair(void **state)
{
    (void)state;
    assert_int_equal(count_wrong(false), 0);
}

/* A #VE counts as a page fault (SDM 3A table 6-4). */
static void test_every_pair_with_virtualization_exceptions(void **state)
{
    (void)state;
    assert_int_equal(count_wrong(true), 0);
}

static void test_nothing_first(void **state)
{
    struct event nothing = { .valid = false, .type = EVENT_EXCEPTION, .vector = EXC_DF };

    (void)state;
    for (unsigned i = 0; i < EVENTS; i++)
        assert_true(same(event_combine(nothing, numbered(i)), numbered(i)));
}

/* SDM 3A 6.13 "Error Code" and table 6-1: 8, 10 to 14, 17, 21. */
static void test_which_exceptions_push_an_error_code(void **state)
{
    static const char pushes[] = "........e.eeeee..e...e..........";

    (void)state;
    for (unsigned vector = 0; vector < EXC_COUNT; vector++) {
        struct event event = event_exception((uint8_t)vector, 0x1234);

        assert_true(event.valid);
        assert_int_equal(event.type, EVENT_EXCEPTION);
        assert_int_equal(event.vector, vector);
        assert_int_equal(event.has_error_code, pushes[vector] == 'e');
        assert_true(!event.has_error_code || event.error_code == 0x1234);
        assert_int_equal(event.instruction_length, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_pair),
        cmocka_unit_test(test_every_pair_with_virtualization_exceptions),
        cmocka_unit_test(test_nothing_first),
        cmocka_unit_test(test_which_exceptions_push_an_error_code),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
