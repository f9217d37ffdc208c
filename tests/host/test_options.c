/* SPDX-License-Identifier: MIT */
/*
 * Boot strings: words, quotes and backslashes by table; then words at random, quoted as GRUB does
 * it (grub-core/lib/cmdline.c, grub_create_loader_cmdline()), have to come back as they were.
 */
#include "lib/options.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define WORDS_MAX 5

struct word_case {
    const char *text;
    struct option words[WORDS_MAX]; /* up to the first without key */
    enum option_next last;          /* what the last of them gives */
};

static const struct word_case cases[] = {
    { "", { { NULL, NULL } }, OPTION_END },
    { " \t\r\n  ", { { NULL, NULL } }, OPTION_END },
    { "a=1", { { "a", "1" } }, OPTION_WORD },
    { "  a=1   b=2\tc=3 ", { { "a", "1" }, { "b", "2" }, { "c", "3" } }, OPTION_WORD },
    { "bare", { { "", "bare" } }, OPTION_WORD },
    { "/boot/a.elf mem=16M", { { "", "/boot/a.elf" }, { "mem", "16M" } }, OPTION_WORD },
    { "a=", { { "a", "" } }, OPTION_WORD },
    { "a=b=c", { { "a", "b=c" } }, OPTION_WORD },
    { "=x", { { "", "=x" } }, OPTION_WORD },
    { "=", { { "", "=" } }, OPTION_WORD },
    { "cmdline=\"x y\"", { { "cmdline", "x y" } }, OPTION_WORD },
    { "\"cmdline=x y\"", { { "cmdline", "x y" } }, OPTION_WORD },
    { "\"cmdline=x y\" b=1", { { "cmdline", "x y" }, { "b", "1" } }, OPTION_WORD },
    { "cmd\"line=x\"\" y\"z", { { "cmdline", "x yz" } }, OPTION_WORD },
    { "cmdline='x y'", { { "cmdline", "x y" } }, OPTION_WORD },
    { "a='say \"x\"' b=\"it's\"", { { "a", "say \"x\"" }, { "b", "it's" } }, OPTION_WORD },
    { "a=\\\"x\\\"", { { "a", "\"x\"" } }, OPTION_WORD },
    { "a=it\\'s", { { "a", "it's" } }, OPTION_WORD },
    { "a=c:\\\\dir", { { "a", "c:\\dir" } }, OPTION_WORD },
    { "a=c:\\dir\\", { { "a", "c:\\dir\\" } }, OPTION_WORD },
    { "a=\\ b", { { "a", "\\" }, { "", "b" } }, OPTION_WORD },
    { "\"a=\\\"x y\\\"\"", { { "a", "\"x y\"" } }, OPTION_WORD },
    { "\"\"", { { "", "" } }, OPTION_WORD },
    { "a=\"\" b", { { "a", "" }, { "", "b" } }, OPTION_WORD },
    { "x \"a=1 b=2", { { "", "x" }, { "a", "1 b=2" } }, OPTION_OPEN_QUOTE },
    { "a='", { { "a", "" } }, OPTION_OPEN_QUOTE },
    { "\"", { { "", "" } }, OPTION_OPEN_QUOTE },
    { "a=\"x\\\"", { { "a", "x\"" } }, OPTION_OPEN_QUOTE },
};

static char buffer[OPTION_WORD_MAX];

static void check_end(const char *text)
{
    const char *before = text;
    struct option option;

    assert_int_equal(option_next(&text, buffer, &option), OPTION_END);
    assert_string_equal(option.key, "");
    assert_string_equal(option.value, "");
    assert_int_equal(option_next(&text, buffer, &option), OPTION_END);
    assert_int_equal(strspn(before, " \t\r\n"), strlen(before));
}

static void check_case(const struct word_case *word_case)
{
    char *copy = strdup(word_case->text); /* exact: the address sanitizer watches its end */
    const char *text = copy;
    struct option option;

    for (size_t i = 0; i < WORDS_MAX && word_case->words[i].key; i++) {
        bool last = i + 1 == WORDS_MAX || !word_case->words[i + 1].key;
        enum option_next got = option_next(&text, buffer, &option);
        assert_int_equal(got, last ? word_case->last : OPTION_WORD);
        assert_string_equal(option.key, word_case->words[i].key);
        assert_string_equal(option.value, word_case->words[i].value);
    }
    check_end(text);
    free(copy);
}

static void words_by_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        check_case(&cases[i]);
}

/* A word of size characters and a second one; quoted or not makes no difference. */
static void check_long(size_t size, bool quoted)
{
    char *line = calloc(1, size + 16), *at = line;
    char *exact_buffer = malloc(OPTION_WORD_MAX);
    const char *text = line;
    struct option option;

    assert_true(line && exact_buffer);
    at += sprintf(at, "%s", quoted ? "\"k= " : "k=x");
    memset(at, 'v', size - 3);
    sprintf(at + size - 3, "%s b=2", quoted ? "\"" : "");

    enum option_next got = option_next(&text, exact_buffer, &option);
    assert_int_equal(got, size < OPTION_WORD_MAX ? OPTION_WORD : OPTION_TOO_LONG);
    if (got == OPTION_WORD) {
        assert_string_equal(option.key, "k");
        assert_int_equal(strlen(option.value), size - 2);
    } else {
        assert_string_equal(option.key, "");
        assert_memory_equal(option.value, quoted ? "k= vvv" : "k=xvvv", 6);
        assert_int_equal(strlen(option.value), OPTION_WORD_MAX - 1);
    }
    assert_int_equal(option_next(&text, exact_buffer, &option), OPTION_WORD);
    assert_string_equal(option.key, "b");
    assert_string_equal(option.value, "2");
    free(line);
    free(exact_buffer);
}

static void long_words(void **state)
{
    (void)state;
    for (size_t size = OPTION_WORD_MAX - 4; size < OPTION_WORD_MAX + 4; size++) {
        check_long(size, false);
        check_long(size, true);
    }
    check_long(3 * OPTION_WORD_MAX, true);
}

/* As GRUB hands a word over: quotes around one with a blank, backslash before \ ' ". */
static char *grub_quote(char *to, const char *word)
{
    bool blank = strchr(word, ' ') != NULL;

    if (blank)
        *to++ = '"';
    for (; *word != '\0'; word++) {
        if (strchr("\\'\"", *word))
            *to++ = '\\';
        *to++ = *word;
    }
    if (blank)
        *to++ = '"';
    *to++ = ' ';
    *to = '\0';
    return to;
}

static void random_word(char *to)
{
    static const char letters[] = "ab\\\"' =x/,";
    int length = 1 + rand() % 12;

    for (int i = 0; i < length; i++)
        *to++ = letters[rand() % (int)(sizeof(letters) - 1)];
    *to = '\0';
}

static void check_word(const struct option *option, const char *word)
{
    char joined[64];

    snprintf(joined, sizeof(joined), "%s%s%s", option->key, *option->key ? "=" : "", option->value);
    assert_string_equal(joined, word);
    assert_null(strchr(option->key, '='));
}

static void grub_round_trip(void **state)
{
    char words[4][16], line[256], *at;
    struct option option;

    (void)state;
    srand(1);
    for (unsigned round = 0; round < 20000; round++) {
        at = line;
        for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
            random_word(words[i]);
            at = grub_quote(at, words[i]);
        }
        const char *text = line;
        for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
            assert_int_equal(option_next(&text, buffer, &option), OPTION_WORD);
            check_word(&option, words[i]);
        }
        check_end(text);
    }
}

struct number_case {
    const char *text;
    bool valid;
    uint64_t value;
};

static void sizes(void **state)
{
    static const struct number_case size_cases[] = {
        { "0", true, 0 },
        { "4096", true, 4096 },
        { "64K", true, 64 * KiB },
        { "16M", true, 16 * MiB },
        { "2G", true, 2 * GiB },
        { "007M", true, 7 * MiB },
        { "18446744073709551615", true, UINT64_MAX },
        { "18446744073709551616", false, 0 },
        { "99999999999999999999999", false, 0 },
        { "17179869183G", true, 17179869183 * GiB },
        { "17179869184G", false, 0 },
        { "18014398509481983K", true, 18014398509481983 * KiB },
        { "18014398509481984K", false, 0 },
        { "17592186044416M", false, 0 },
        { "", false, 0 },
        { "M", false, 0 },
        { "16m", false, 0 },
        { "16MB", false, 0 },
        { "16 M", false, 0 },
        { " 16M", false, 0 },
        { "16M ", false, 0 },
        { "-1", false, 0 },
        { "+1", false, 0 },
        { "0x10", false, 0 },
        { "1.5G", false, 0 },
        { "16T", false, 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(size_cases); i++) {
        uint64_t bytes = 0xdead;
        assert_int_equal(option_size(size_cases[i].text, &bytes), size_cases[i].valid);
        assert_int_equal(bytes, size_cases[i].valid ? size_cases[i].value : 0xdead);
    }
}

static void numbers(void **state)
{
    static const struct number_case number_cases[] = {
        { "0", true, 0 },
        { "42", true, 42 },
        { "010", true, 10 },
        { "18446744073709551615", true, UINT64_MAX },
        { "18446744073709551616", false, 0 },
        { "18446744073709551620", false, 0 },
        { "184467440737095516150", false, 0 },
        { "0x0", true, 0 },
        { "0x1F", true, 31 },
        { "0xabcdef", true, 0xabcdef },
        { "0xABCDEF", true, 0xabcdef },
        { "0x00000000000000000001", true, 1 },
        { "0xffffffffffffffff", true, UINT64_MAX },
        { "0x10000000000000000", false, 0 },
        { "0x", false, 0 },
        { "0xg", false, 0 },
        { "0X1", false, 0 },
        { "1f", false, 0 },
        { "x1", false, 0 },
        { "", false, 0 },
        { "-1", false, 0 },
        { "1 ", false, 0 },
        { " 1", false, 0 },
        { "1K", false, 0 },
        { "/", false, 0 },
        { ":", false, 0 },
        { "0x@", false, 0 },
        { "0x`", false, 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(number_cases); i++) {
        uint64_t number = 0xdead;
        assert_int_equal(option_number(number_cases[i].text, &number), number_cases[i].valid);
        assert_int_equal(number, number_cases[i].valid ? number_cases[i].value : 0xdead);
    }
}

static void switches(void **state)
{
    static const char *const wrong[] = { "", "On", "ON", "of", "offf", "onn", "1", "yes", " on" };
    bool on = false;

    (void)state;
    assert_true(option_switch("on", &on));
    assert_true(on);
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_false(option_switch(wrong[i], &on));
    assert_true(on);
    assert_true(option_switch("off", &on));
    assert_false(on);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_by_table),  cmocka_unit_test(long_words),
        cmocka_unit_test(grub_round_trip), cmocka_unit_test(sizes),
        cmocka_unit_test(numbers),         cmocka_unit_test(switches),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
