/* SPDX-License-Identifier: MIT */
/* Finds the command line: Multiboot2 Specification 2.0, section 3.6 "Boot information format". */
#include "guests/lib/cmdline.h"
#include "guests/lib/report.h"
#include "lib/string.h"

#define TAG_END       0
#define TAG_CMDLINE   1
#define TAG_ALIGNMENT 8

struct tag {
    uint32_t type, size;
    char content[];
};

static char line[256];

void cmdline_init(unsigned long boot_information)
{
    unsigned long at = boot_information + 8; /* total size, reserved */

    for (const struct tag *tag = (void *)at; tag->type != TAG_END; tag = (void *)at) {
        if (tag->type == TAG_CMDLINE)
            string_copy(line, sizeof(line), tag->content);
        at += (unsigned long)align_up(tag->size, TAG_ALIGNMENT);
    }
}

/* GRUB puts a line that has spaces into double quotes. */
static bool is_separator(char c)
{
    return c == ' ' || c == '"' || c == '\0';
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

static uint64_t parse(const char *word)
{
    int base = word[0] == '0' && word[1] == 'x' ? 16 : 10;
    uint64_t value = 0;

    for (const char *at = base == 16 ? word + 2 : word; !is_separator(*at); at++) {
        int digit = digit_value(*at);

        CHECK(digit >= 0 && digit < base, "command line: '%s' is not a number", word);
        value = value * (unsigned)base + (unsigned)digit;
    }
    return value;
}

uint64_t cmdline_number(const char *key, uint64_t otherwise)
{
    size_t length = strlen(key);

    for (const char *at = line; *at; at++)
        if ((at == line || is_separator(at[-1])) && !strncmp(at, key, length) && at[length] == '=')
            otherwise = parse(at + length + 1);
    return otherwise;
}
