/* SPDX-License-Identifier: MIT */
/*
 * A word is everything up to a blank outside quotes. Quotes of either kind open and close
 * anywhere in it and do not belong to it; a backslash before a quote or a backslash makes that an
 * ordinary character, before anything else it is one itself. The first '=' of the unquoted word
 * ends the key; a word that has none, or nothing before it, is bare.
 */
#include "lib/options.h"
#include "lib/string.h"

struct word {
    char *bytes; /* OPTION_WORD_MAX */
    size_t length;
    bool cut;  /* there was more than fits */
    bool open; /* the text ended inside quotes */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_quote(char c)
{
    return c == '"' || c == '\'';
}

static void put(struct word *word, char c)
{
    if (word->length < OPTION_WORD_MAX - 1)
        word->bytes[word->length++] = c;
    else
        word->cut = true;
}

/* Unquotes the word at text; returns what follows it. */
static const char *take_word(const char *at, struct word *word)
{
    char quote = '\0';

    for (; *at != '\0' && (quote || !is_blank(*at)); at++) {
        if (*at == '\\' && (is_quote(at[1]) || at[1] == '\\'))
            put(word, *++at);
        else if (*at == quote)
            quote = '\0';
        else if (!quote && is_quote(*at))
            quote = *at;
        else
            put(word, *at);
    }
    word->bytes[word->length] = '\0';
    word->open = quote != '\0';
    return at;
}

/* Divides word at its first '='. */
static struct option split(char *word)
{
    char *at = word;

    while (*at != '\0' && *at != '=')
        at++;
    if (*at == '\0' || at == word)
        return (struct option){ .key = "", .value = word };
    *at = '\0';
    return (struct option){ .key = word, .value = at + 1 };
}

enum option_next option_next(const char **text, char *buffer, struct option *option)
{
    struct word word = { .bytes = buffer };
    const char *at = *text;

    *option = (struct option){ .key = "", .value = "" };
    while (is_blank(*at))
        at++;
    if (*at == '\0') {
        *text = at;
        return OPTION_END;
    }
    *text = take_word(at, &word);
    if (word.cut) {
        option->value = buffer;
        return OPTION_TOO_LONG;
    }
    *option = split(buffer);
    return word.open ? OPTION_OPEN_QUOTE : OPTION_WORD;
}

/* The value of c in base 10 or 16; base if it is no digit there. */
static unsigned digit_value(char c, unsigned base)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    if (base == 16 && c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a') + 10;
    if (base == 16 && c >= 'A' && c <= 'F')
        return (unsigned)(c - 'A') + 10;
    return base;
}

/* Takes digits off *text; false if there are none or they overflow. */
static bool take_digits(const char **text, unsigned base, uint64_t *number)
{
    const char *at = *text;
    uint64_t value = 0;

    for (; digit_value(*at, base) < base; at++) {
        if (__builtin_mul_overflow(value, base, &value) ||
            __builtin_add_overflow(value, digit_value(*at, base), &value))
            return false;
    }
    if (at == *text)
        return false;
    *text = at;
    *number = value;
    return true;
}

bool option_number(const char *value, uint64_t *number)
{
    unsigned base = strncmp(value, "0x", 2) == 0 ? 16 : 10;
    uint64_t parsed;

    if (base == 16)
        value += 2;
    if (!take_digits(&value, base, &parsed) || *value != '\0')
        return false;
    *number = parsed;
    return true;
}

/* The unit that suffix names, 0 if none. */
static uint64_t unit_of(const char *suffix)
{
    static const struct {
        const char *suffix;
        uint64_t bytes;
    } units[] = { { "", 1 }, { "K", KiB }, { "M", MiB }, { "G", GiB } };

    for (size_t i = 0; i < ARRAY_SIZE(units); i++)
        if (strcmp(suffix, units[i].suffix) == 0)
            return units[i].bytes;
    return 0;
}

bool option_size(const char *value, uint64_t *bytes)
{
    uint64_t count, size;

    if (!take_digits(&value, 10, &count))
        return false;
    uint64_t unit = unit_of(value);
    if (unit == 0 || __builtin_mul_overflow(count, unit, &size))
        return false;
    *bytes = size;
    return true;
}

bool option_switch(const char *value, bool *on)
{
    bool is_on = strcmp(value, "on") == 0;

    if (!is_on && strcmp(value, "off") != 0)
        return false;
    *on = is_on;
    return true;
}
