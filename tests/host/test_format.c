/* SPDX-License-Identifier: MIT */
/*
 * lib/format.c against the C library's snprintf: all combinations of flags, a list of widths and
 * precisions, all length modifiers, and values at every edge, as far as ISO C defines them (a
 * flag that a conversion does not know is undefined, so it is not generated). Then what ISO C
 * does not say, and what a buffer that is too small gets.
 */
#include "lib/format.h"
#include <limits.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ROOM 128

/* Without the format attribute: the compiler would refuse half of what is tried here. */
static size_t (*volatile our_format)(char *, size_t, const char *, ...) = format;
static int (*volatile their_format)(char *, size_t, const char *, ...) = snprintf;

static unsigned long compared;

static const char *const widths[] = { "", "1", "2", "9", "24" };
static const char *const precisions[] = { "", ".", ".0", ".1", ".3", ".22" };
static const char *const lengths[] = { "hh", "h", "", "l", "ll", "z", "j", "t" };

static const uint64_t values[] = {
    0,         1,          9,          10,         0x7f,       0x80,       0xff,
    0x7fff,    0x8000,     0xffff,     0x7fffffff, 0x80000000, 0xffffffff, 0x123456789abcdef0,
    INT64_MAX, 1ull << 63, UINT64_MAX,
};

/* All arguments of one type go through here, so that both sides get the very same ones. */
#define COMPARE(fmt, ...)                                                                      \
    do {                                                                                       \
        char ours_[ROOM], theirs_[ROOM];                                                       \
        memset(ours_, '#', ROOM);                                                              \
        memset(theirs_, '#', ROOM);                                                            \
        size_t length_ = our_format(ours_, ROOM, fmt, __VA_ARGS__);                            \
        int expected_ = their_format(theirs_, ROOM, fmt, __VA_ARGS__);                         \
        if (length_ != (size_t)expected_ || memcmp(ours_, theirs_, ROOM) != 0)                 \
            fail_msg("format \"%s\": \"%s\" (%zu), expected \"%s\" (%d)", fmt, ours_, length_, \
                     theirs_, expected_);                                                      \
        compared++;                                                                            \
    } while (0)

static void compare_value(const char *fmt, size_t length, uint64_t v)
{
    if (length < 3)
        COMPARE(fmt, (int)v);
    else
        COMPARE(fmt, (long long)v); /* l, ll, z, j, t: all 64 bits wide */
}

/* The flags of the bits of mask, one after the other. */
static void put_flags(char *to, const char *flags, unsigned mask)
{
    for (; *flags != '\0'; flags++, mask >>= 1)
        if (mask & 1)
            *to++ = *flags;
    *to = '\0';
}

static void compare_widths(const char *flags, size_t length, char conversion)
{
    char fmt[32];

    for (size_t w = 0; w < ARRAY_SIZE(widths); w++) {
        for (size_t p = 0; p < ARRAY_SIZE(precisions); p++) {
            snprintf(fmt, sizeof(fmt), "%%%s%s%s%s%c", flags, widths[w], precisions[p],
                     lengths[length], conversion);
            for (size_t i = 0; i < ARRAY_SIZE(values); i++)
                compare_value(fmt, length, values[i]);
        }
    }
}

static void compare_conversion(char conversion, const char *flags)
{
    char text[8];

    for (unsigned mask = 0; mask < 1u << strlen(flags); mask++) {
        put_flags(text, flags, mask);
        for (size_t length = 0; length < ARRAY_SIZE(lengths); length++)
            compare_widths(text, length, conversion);
    }
}

static void numbers(void **state)
{
    (void)state;
    compare_conversion('d', "-0+ ");
    compare_conversion('i', "0");
    compare_conversion('u', "-0");
    compare_conversion('x', "-0#");
    compare_conversion('X', "#0-");
    print_message("%lu formats of numbers compared\n", compared);
}

static void stars(void **state)
{
    static const int counts[] = { -30, -5, -1, 0, 1, 4, 30 };

    (void)state;
    for (size_t w = 0; w < ARRAY_SIZE(counts); w++) {
        for (size_t p = 0; p < ARRAY_SIZE(counts); p++) {
            COMPARE("%*.*d|", counts[w], counts[p], -12345);
            COMPARE("%0*.*x|", counts[w], counts[p], 0xbeef);
            COMPARE("%-*.*s|", counts[w], counts[p], "some text");
        }
        COMPARE("%*u|%0*d", counts[w], 77u, counts[w], -1);
        COMPARE("%.*d|%.*s", counts[w], 0, counts[w], "abcdefgh");
        COMPARE("%*c|%*p", counts[w], 'q', counts[w], (void *)&compared);
    }
}

static void strings(void **state)
{
    static const char *const texts[] = { "", "a", "text", "a longer text, 29 bytes of it" };
    char fmt[32];

    (void)state;
    for (size_t w = 0; w < ARRAY_SIZE(widths); w++) {
        for (size_t p = 0; p < ARRAY_SIZE(precisions); p++) {
            for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                snprintf(fmt, sizeof(fmt), "<%%%s%ss>", widths[w], precisions[p]);
                COMPARE(fmt, texts[i]);
                snprintf(fmt, sizeof(fmt), "<%%-%s%ss>", widths[w], precisions[p]);
                COMPARE(fmt, texts[i]);
            }
        }
    }
}

static void string_without_end(void **state)
{
    char *text = malloc(5);

    (void)state;
    assert_non_null(text);
    memcpy(text, "abcde", 5);
    COMPARE("%.5s", text);
    COMPARE("%8.3s", text);
    free(text);
}

static void characters(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++)
        COMPARE("<%c|%3c|%-3c>", c, c, c);
}

static void pointers(void **state)
{
    char text[32];

    (void)state;
    for (size_t i = 1; i < ARRAY_SIZE(values); i++)
        COMPARE("%p|%20p|%-20p|", (void *)values[i], (void *)values[i], (void *)values[i]);
    our_format(text, sizeof(text), "%p|%5p", NULL, NULL);
    assert_string_equal(text, "0x0|  0x0");
}

static void mixtures(void **state)
{
    (void)state;
    COMPARE("%s", "");
    COMPARE("100%%%s", "");
    COMPARE("%d%%|%s=%#llx, %zu of %zu (%c)", 50, "cr3", 0x1234000ull, (size_t)3, (size_t)4, 'k');
    COMPARE("%hhd %hd %d %ld %lld %jd %td", -1, -1, -1, -1l, -1ll, (intmax_t)-1, (ptrdiff_t)-1);
    COMPARE("%d %d %d %d %d %d %d %d %s", 1, 2, 3, 4, 5, 6, 7, 8, "nine");
    COMPARE("%0-5d|% +d|%+ d", 3, 4, 5);
}

/* Every size of buffer, each allocated exactly. */
static void cut_to_size(void **state)
{
    char whole[ROOM];
    int length = snprintf(whole, ROOM, "a=%5d b=%-6s|%#010x", -7, "xyz", 0xabc);

    (void)state;
    for (size_t size = 0; size < (size_t)length + 4; size++) {
        char *buffer = size ? malloc(size) : NULL;
        size_t kept = size > (size_t)length ? (size_t)length : size - 1;
        size_t said = format(buffer, size, "a=%5d b=%-6s|%#010x", -7, "xyz", 0xabc);
        assert_int_equal(said, length);
        if (size > 0) {
            assert_memory_equal(buffer, whole, kept);
            assert_int_equal(buffer[kept], '\0');
        }
        free(buffer);
    }
}

static void huge_counts(void **state)
{
    char text[8];

    (void)state;
    assert_int_equal(our_format(text, sizeof(text), "%1000000d", 5), 1000000);
    assert_string_equal(text, "       ");
    assert_int_equal(our_format(text, sizeof(text), "%.1000000d", 5), 1000000);
    assert_string_equal(text, "0000000");
    assert_int_equal(our_format(text, sizeof(text), "%*d", INT_MIN, 5), 1ull << 31);
    assert_string_equal(text, "5      ");
    assert_int_equal(our_format(text, sizeof(text), "%-*d", INT_MAX, 5), INT_MAX);
    /* Digits beyond any sense are dropped, not wrapped. */
    assert_true(our_format(text, sizeof(text), "%99999999999999999999999d", 5) > 100000000);
}

struct odd_case {
    const char *fmt;
    const char *expected; /* for the arguments 5, 6 */
};

static void beyond_iso_c(void **state)
{
    static const struct odd_case cases[] = {
        { "%", "%" },         { "a%", "a%" },      { "%5", "%5" },      { "%-08.3l", "%-08.3l" },
        { "%q|%d", "%q|5" },  { "%n|%d", "%n|5" }, { "%5y%d", "%5y5" }, { "%f %d", "%f 5" },
        { "%hhhd", "%hhhd" }, { "%%%d", "%5" },    { "%d%", "5%" },     { "%ll", "%ll" },
    };
    char text[64];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        our_format(text, sizeof(text), cases[i].fmt, 5, 6);
        assert_string_equal(text, cases[i].expected);
    }
    our_format(text, sizeof(text), "%s|%8s|%.2s", NULL, NULL, NULL);
    assert_string_equal(text, "(null)|  (null)|(n");
}

/* The caller's va_list stays usable by its own rules. */
static size_t printf_like(3, 4) through_list(char *to, size_t size, const char *fmt, ...)
{
    va_list arguments;

    va_start(arguments, fmt);
    size_t first = vformat(to, size, fmt, arguments);
    size_t second = vformat(to, size, fmt, arguments);
    va_end(arguments);
    assert_int_equal(first, second);
    return first;
}

static void lists(void **state)
{
    char text[64];

    (void)state;
    assert_int_equal(through_list(text, sizeof(text), "%d %s %llx", 1, "two", 3ull), 7);
    assert_string_equal(text, "1 two 3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),     cmocka_unit_test(stars),
        cmocka_unit_test(strings),     cmocka_unit_test(string_without_end),
        cmocka_unit_test(characters),  cmocka_unit_test(pointers),
        cmocka_unit_test(mixtures),    cmocka_unit_test(cut_to_size),
        cmocka_unit_test(huge_counts), cmocka_unit_test(beyond_iso_c),
        cmocka_unit_test(lists),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
