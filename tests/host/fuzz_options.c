/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer target: any text as a boot string. Words stay inside their buffer and the text, every
 * call moves on, and the values of numbers and sizes agree with the C library's.
 */
#include "lib/options.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_inside(const char *text, const char *buffer)
{
    if (*text == '\0')
        return; /* may be a constant */
    require(text >= buffer && text < buffer + OPTION_WORD_MAX);
    require(memchr(text, '\0', (size_t)(buffer + OPTION_WORD_MAX - text)) != NULL);
}

static void check_number(const char *value)
{
    bool hexadecimal = strncmp(value, "0x", 2) == 0;
    const char *digits = value + (hexadecimal ? 2 : 0);
    const char *set = hexadecimal ? "0123456789abcdefABCDEF" : "0123456789";
    bool valid = *digits != '\0' && strspn(digits, set) == strlen(digits);
    uint64_t number;

    errno = 0;
    unsigned long long expected = strtoull(digits, NULL, hexadecimal ? 16 : 10);
    valid = valid && errno == 0;
    require(option_number(value, &number) == valid);
    require(!valid || number == expected);
}

static void check_size(const char *value)
{
    size_t digits = strspn(value, "0123456789");
    const char *unit = value + digits;
    unsigned shift = *unit == 'K' ? 10 : *unit == 'M' ? 20 : *unit == 'G' ? 30 : 0;
    bool valid = digits > 0 && (*unit == '\0' || (shift && unit[1] == '\0'));
    uint64_t size;

    errno = 0;
    unsigned long long count = strtoull(value, NULL, 10);
    valid = valid && errno == 0 && count <= UINT64_MAX >> shift;
    require(option_size(value, &size) == valid);
    require(!valid || size == count << shift);
}

static void check_values(const char *value)
{
    bool on, valid = strcmp(value, "on") == 0 || strcmp(value, "off") == 0;

    require(option_switch(value, &on) == valid);
    require(!valid || on == (value[1] == 'n'));
    check_number(value);
    check_size(value);
}

static enum option_next check_word(const char **at, char *buffer)
{
    const char *before = *at;
    struct option option;
    enum option_next next = option_next(at, buffer, &option);

    check_inside(option.key, buffer);
    check_inside(option.value, buffer);
    require(strchr(option.key, '=') == NULL);
    require(next == OPTION_END ? **at == '\0' : *at > before);
    require(next != OPTION_OPEN_QUOTE || **at == '\0');
    require(next != OPTION_TOO_LONG || strlen(option.value) == OPTION_WORD_MAX - 1);
    if (next != OPTION_END)
        check_values(option.value);
    return next;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), *buffer = malloc(OPTION_WORD_MAX);
    const char *at = text;

    require(text && buffer);
    memcpy(text, data, size);
    text[size] = '\0';
    while (check_word(&at, buffer) != OPTION_END)
        require(at <= text + size);
    require(at == text + strlen(text));
    free(text);
    free(buffer);
    return 0;
}
