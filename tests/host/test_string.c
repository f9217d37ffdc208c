/* SPDX-License-Identifier: MIT */
/*
 * lib/string.c against the C library, over all alignments of both sides and all small sizes. The
 * Makefile compiles lib/string.c for the host with memcpy renamed to umbra_memcpy and so on; only
 * string_copy() keeps its name. Buffers that are read up to their very end are allocated exactly,
 * so that the address sanitizer sees a byte too many.
 */
#include "lib/string.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

void *umbra_memcpy(void *restrict to, const void *restrict from, size_t size);
void *umbra_memmove(void *to, const void *from, size_t size);
void *umbra_memset(void *to, int value, size_t size);
int umbra_memcmp(const void *a, const void *b, size_t size);
size_t umbra_strlen(const char *text);
int umbra_strcmp(const char *a, const char *b);
int umbra_strncmp(const char *a, const char *b, size_t size);

#define SPAN  128
#define SIZES 48
#define ALIGN 17

static uint8_t ours[SPAN], theirs[SPAN], source[SPAN];

static void refill(void)
{
    for (unsigned i = 0; i < SPAN; i++) {
        source[i] = (uint8_t)(i * 7 + 1);
        ours[i] = theirs[i] = (uint8_t)(200 - i);
    }
}

static int sign(int value)
{
    return (value > 0) - (value < 0);
}

/* A copy of size bytes that nothing readable follows. */
static void *exact(const void *bytes, size_t size)
{
    void *copy = malloc(size ? size : 1);

    assert_non_null(copy);
    memcpy(copy, bytes, size);
    return copy;
}

static void check_copy(size_t to, size_t from, size_t size)
{
    refill();
    memcpy(theirs + to, source + from, size);
    assert_ptr_equal(umbra_memcpy(ours + to, source + from, size), ours + to);
    assert_memory_equal(ours, theirs, SPAN);
}

static void check_move(size_t to, size_t from, size_t size)
{
    refill();
    memmove(theirs + to, theirs + from, size);
    assert_ptr_equal(umbra_memmove(ours + to, ours + from, size), ours + to);
    assert_memory_equal(ours, theirs, SPAN);
}

static void check_set(size_t to, int value, size_t size)
{
    refill();
    memset(theirs + to, value, size);
    assert_ptr_equal(umbra_memset(ours + to, value, size), ours + to);
    assert_memory_equal(ours, theirs, SPAN);
}

static void copies(void **state)
{
    (void)state;
    for (size_t to = 0; to < ALIGN; to++)
        for (size_t from = 0; from < ALIGN; from++)
            for (size_t size = 0; size < SIZES; size++)
                check_copy(to, from, size);
}

static void moves_with_overlap(void **state)
{
    (void)state;
    for (size_t to = 0; to < 2 * ALIGN; to++)
        for (size_t from = 0; from < 2 * ALIGN; from++)
            for (size_t size = 0; size < SIZES; size++)
                check_move(to, from, size);
}

static void sets(void **state)
{
    static const int values[] = { 0, 1, 0x80, 0xff, 0x1ab, -1, -2 };

    (void)state;
    for (size_t to = 0; to < ALIGN; to++)
        for (size_t size = 0; size < SIZES; size++)
            for (size_t i = 0; i < ARRAY_SIZE(values); i++)
                check_set(to, values[i], size);
}

static void copies_exact_buffers(void **state)
{
    (void)state;
    refill();
    for (size_t size = 0; size < SIZES; size++) {
        uint8_t *from = exact(source, size), *to = exact(ours, size);
        umbra_memcpy(to, from, size);
        assert_memory_equal(to, source, size);
        umbra_memset(to, 9, size);
        umbra_memmove(to, from, size);
        assert_memory_equal(to, source, size);
        assert_int_equal(umbra_memcmp(to, from, size), 0);
        free(from);
        free(to);
    }
}

static void check_difference(size_t size, size_t at, int change)
{
    uint8_t *a = exact(source, size), *b = exact(source, size);

    b[at] = (uint8_t)(b[at] + change);
    assert_int_equal(sign(umbra_memcmp(a, b, size)), sign(memcmp(a, b, size)));
    assert_int_equal(sign(umbra_memcmp(b, a, size)), sign(memcmp(b, a, size)));
    assert_int_equal(umbra_memcmp(a, b, at), 0);
    if (size > 1) /* a second difference behind the first has no say */
        b[size - 1] = (uint8_t)(b[size - 1] - change);
    assert_int_equal(sign(umbra_memcmp(a, b, size)), sign(memcmp(a, b, size)));
    free(a);
    free(b);
}

static void compares_memory(void **state)
{
    (void)state;
    refill();
    for (size_t size = 1; size < SIZES; size++)
        for (size_t at = 0; at < size; at++)
            for (int change = 1; change < 256; change += 51)
                check_difference(size, at, change);
    assert_int_equal(umbra_memcmp("\x7f", "\x80", 1) < 0, 1); /* unsigned */
}

static const char *const words[] = {
    "",      "a",      "b",       "ab",       "abc",      "abd",      "A",
    "\x80",  "\x7f",   "a\xff",   "a\x01",    "abcdefgh", "abcdefgi", "abcdefghi",
    "umbra", "umbral", "console", "console=", "conso",
};

static void compares_strings(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        for (size_t j = 0; j < ARRAY_SIZE(words); j++) {
            char *a = exact(words[i], strlen(words[i]) + 1);
            char *b = exact(words[j], strlen(words[j]) + 1);
            assert_int_equal(sign(umbra_strcmp(a, b)), sign(strcmp(a, b)));
            for (size_t size = 0; size < 12; size++)
                assert_int_equal(sign(umbra_strncmp(a, b, size)), sign(strncmp(a, b, size)));
            free(a);
            free(b);
        }
    }
}

static void compares_unterminated(void **state)
{
    char *a = exact("abcd", 4), *b = exact("abcd", 4);

    (void)state;
    assert_int_equal(umbra_strncmp(a, b, 4), 0);
    free(a);
    free(b);
}

static void measures(void **state)
{
    char text[64];

    (void)state;
    for (size_t length = 0; length < sizeof(text); length++) {
        memset(text, 'x', sizeof(text));
        text[length] = '\0';
        char *copy = exact(text, length + 1);
        assert_int_equal(umbra_strlen(copy), length);
        free(copy);
    }
}

static void check_string_copy(const char *text, size_t size)
{
    size_t length = strlen(text);
    char to[16];

    memset(to, '#', sizeof(to));
    assert_int_equal(string_copy(to, size, text), length < size);
    if (size == 0) {
        assert_int_equal(to[0], '#');
        return;
    }
    size_t kept = length < size ? length : size - 1;
    assert_memory_equal(to, text, kept);
    assert_int_equal(to[kept], '\0');
    for (size_t i = kept + 1; i < sizeof(to); i++)
        assert_int_equal(to[i], '#');
}

static void copies_strings(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        for (size_t size = 0; size < 14; size++)
            check_string_copy(words[i], size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies),
        cmocka_unit_test(moves_with_overlap),
        cmocka_unit_test(sets),
        cmocka_unit_test(copies_exact_buffers),
        cmocka_unit_test(compares_memory),
        cmocka_unit_test(compares_strings),
        cmocka_unit_test(measures),
        cmocka_unit_test(compares_unterminated),
        cmocka_unit_test(copies_strings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
