/* SPDX-License-Identifier: MIT */
/*
 * The log: form of a line, levels, one call of the sink per line, lines at and over the limit.
 * This program installs a sink of its own instead of the host's.
 */
#include "lib/log.h"
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define LINE_MAX_BYTES 1024 /* what lib/log.c says */

static char text[4096];
static size_t length;
static unsigned calls;
static uint64_t now;

static void keep(const char *bytes, size_t size)
{
    assert_true(length + size < sizeof(text));
    memcpy(text + length, bytes, size);
    length += size;
    text[length] = '\0';
    calls++;
}

static uint64_t clock_now(void)
{
    return now;
}

static int reset(void **state)
{
    (void)state;
    text[0] = '\0';
    length = 0;
    calls = 0;
    log_set_sink(keep);
    log_set_clock(NULL);
    log_set_level(LOG_DEBUG);
    return 0;
}

static void says_levels(void **state)
{
    (void)state;
    log_printf(LOG_ERROR, "no %s", "tape");
    log_printf(LOG_WARN, "%d", 2);
    log_printf(LOG_INFO, "three");
    log_printf(LOG_DEBUG, "four");
    assert_string_equal(text, "error: no tape\nwarning: 2\nthree\nfour\n");
    assert_int_equal(calls, 4);
}

static void filters(void **state)
{
    static const size_t expected[] = { 1, 2, 3, 4 };

    (void)state;
    for (int level = LOG_ERROR; level <= LOG_DEBUG; level++) {
        reset(NULL);
        log_set_level((enum log_level)level);
        for (int line = LOG_ERROR; line <= LOG_DEBUG; line++)
            log_printf((enum log_level)line, "x");
        assert_int_equal(calls, expected[level]);
    }
}

static void raw_at_any_level(void **state)
{
    (void)state;
    now = 5;
    log_set_clock(clock_now);
    log_set_level(LOG_ERROR);
    log_raw("umbra: end status=%d\n", 0);
    log_raw("part");
    assert_string_equal(text, "umbra: end status=0\npart");
    assert_int_equal(calls, 2);
}

static void check_stamp(uint64_t time, const char *expected)
{
    reset(NULL);
    now = time;
    log_set_clock(clock_now);
    log_printf(LOG_INFO, "x");
    assert_string_equal(text, expected);
}

static void stamps(void **state)
{
    (void)state;
    check_stamp(0, "[    0.000000] x\n");
    check_stamp(12345678, "[   12.345678] x\n");
    check_stamp(99999999999, "[99999.999999] x\n");
    check_stamp(123456000001, "[123456.000001] x\n");
    check_stamp(UINT64_MAX, "[18446744073709.551615] x\n");
    log_printf(LOG_ERROR, "y");
    assert_non_null(strstr(text, "] error: y\n"));
}

static void without_sink(void **state)
{
    (void)state;
    log_set_sink(NULL);
    log_printf(LOG_ERROR, "x");
    log_raw("x");
    assert_int_equal(calls, 0);
}

/* Lines around the limit: whole up to 1023 characters and the end of line, then cut. */
static void check_long(size_t size)
{
    char *line = malloc(size + 1);

    assert_non_null(line);
    reset(NULL);
    memset(line, 'x', size);
    line[size] = '\0';
    log_printf(LOG_INFO, "%s", line);
    assert_int_equal(calls, 1);
    assert_int_equal(text[length - 1], '\n');
    assert_ptr_equal(strchr(text, '\n'), text + length - 1);
    if (size < LINE_MAX_BYTES) {
        assert_int_equal(length, size + 1);
        assert_memory_equal(text, line, size);
    } else {
        assert_int_equal(length, LINE_MAX_BYTES);
        assert_memory_equal(text, line, LINE_MAX_BYTES - 4);
        assert_string_equal(text + length - 4, "...\n");
    }
    free(line);
}

static void cuts_lines(void **state)
{
    (void)state;
    for (size_t size = LINE_MAX_BYTES - 8; size < LINE_MAX_BYTES + 8; size++)
        check_long(size);
    check_long(3000);
}

static void cuts_with_stamp(void **state)
{
    char line[2000];

    (void)state;
    memset(line, 'y', sizeof(line));
    line[sizeof(line) - 1] = '\0';
    log_set_clock(clock_now);
    log_printf(LOG_ERROR, "%s", line);
    assert_int_equal(length, LINE_MAX_BYTES);
    assert_string_equal(text + length - 5, "y...\n");
}

static void cuts_raw(void **state)
{
    char line[LINE_MAX_BYTES + 2];

    (void)state;
    memset(line, 'z', sizeof(line));
    line[LINE_MAX_BYTES - 1] = '\n';
    line[LINE_MAX_BYTES] = '\0';
    log_raw("%s", line);
    assert_string_equal(text, line);

    reset(NULL);
    line[LINE_MAX_BYTES] = '\n';
    line[LINE_MAX_BYTES + 1] = '\0';
    log_raw("%s", line);
    assert_int_equal(length, LINE_MAX_BYTES);
    assert_string_equal(text + length - 5, "z...\n");
}

/* Nobody begins a line by text that he has a say in. */
static void one_line_stays_one(void **state)
{
    (void)state;
    log_printf(LOG_INFO, "name=%s", "a\numbra: end status=0\r\x1b[2J\x7f\tb\xc3\xa4");
    assert_string_equal(text, "name=a?umbra: end status=0??[2J?\tb\xc3\xa4\n");
}

static void level_names(void **state)
{
    static const char *const names[] = { "error", "warn", "info", "debug" };
    static const char *const wrong[] = { "", "Error", "errors", "err", "warning", " info" };
    enum log_level level;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        level = (enum log_level)(i ^ 1);
        assert_true(log_level_from_name(names[i], &level));
        assert_int_equal(level, i);
    }
    level = LOG_WARN;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_false(log_level_from_name(wrong[i], &level));
    assert_int_equal(level, LOG_WARN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(says_levels, reset),
        cmocka_unit_test_setup(filters, reset),
        cmocka_unit_test_setup(raw_at_any_level, reset),
        cmocka_unit_test_setup(stamps, reset),
        cmocka_unit_test_setup(without_sink, reset),
        cmocka_unit_test_setup(cuts_lines, reset),
        cmocka_unit_test_setup(cuts_with_stamp, reset),
        cmocka_unit_test_setup(cuts_raw, reset),
        cmocka_unit_test_setup(one_line_stays_one, reset),
        cmocka_unit_test_setup(level_names, reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
