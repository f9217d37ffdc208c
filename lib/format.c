/* SPDX-License-Identifier: MIT */
/*
 * printf into a buffer (ISO C17, section 7.21.6.1 "The fprintf function"). The text is made in
 * one pass: what fits is stored, everything is counted. A conversion is parsed into a struct
 * spec, its argument is turned into a struct field, and one function lays out every field.
 *
 * Where ISO C leaves it open: an unknown conversion is shown as it stands and takes no argument,
 * %s of NULL is "(null)", and %p is the address as %#lx gives it, but NULL is "0x0".
 */
#include "lib/format.h"
#include "lib/string.h"

#define COUNT_MAX (1ll << 30) /* of a width or precision written in digits: plenty, no overflow */

struct out {
    char *buffer;
    size_t size;   /* of the buffer; the last byte is kept for the end */
    size_t length; /* of the text so far, stored or not */
};

enum length { LENGTH_NONE, LENGTH_HH, LENGTH_H, LENGTH_L, LENGTH_LL, LENGTH_Z, LENGTH_J, LENGTH_T };

struct spec {
    bool left, zero, plus, space, alternate; /* flags '-' '0' '+' ' ' '#' */
    size_t width;
    size_t precision;
    bool has_precision;
    enum length length;
    char conversion;
};

/* What a conversion shows: padding, prefix, zeros, body, padding. */
struct field {
    const char *prefix; /* sign or 0x */
    size_t zeros;
    const char *body;
    size_t size; /* of the body */
};

struct arguments { /* so that a pointer to it can be passed on, which va_list does not promise */
    va_list list;
};

/* How many of size more characters fit; 0 makes the buffer untouchable. */
static size_t fitting(const struct out *out, size_t size)
{
    size_t room = out->length + 1 < out->size ? out->size - 1 - out->length : 0;

    return size < room ? size : room;
}

static void put(struct out *out, const char *text, size_t size)
{
    size_t stored = fitting(out, size);

    if (stored > 0)
        memcpy(out->buffer + out->length, text, stored);
    out->length += size;
}

static void put_many(struct out *out, char c, size_t count)
{
    size_t stored = fitting(out, count);

    if (stored > 0)
        memset(out->buffer + out->length, c, stored);
    out->length += count;
}

static void put_field(struct out *out, const struct spec *spec, struct field field)
{
    size_t prefix = strlen(field.prefix);
    size_t used = prefix + field.zeros + field.size;
    size_t padding = spec->width > used ? spec->width - used : 0;

    if (!spec->left)
        put_many(out, ' ', padding);
    put(out, field.prefix, prefix);
    put_many(out, '0', field.zeros);
    put(out, field.body, field.size);
    if (spec->left)
        put_many(out, ' ', padding);
}

/* The digits in front of which zeros are needed: for the precision, else for flag '0'. */
static size_t zeros_wanted(const struct spec *spec, size_t prefix, size_t digits)
{
    size_t filled = 0;

    if (spec->has_precision)
        filled = spec->precision;
    else if (spec->zero && !spec->left && spec->width > prefix)
        filled = spec->width - prefix;
    return filled > digits ? filled - digits : 0;
}

static void put_number(struct out *out, const struct spec *spec, const char *prefix, uintmax_t v)
{
    const char *figures = spec->conversion == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    bool decimal = spec->conversion != 'x' && spec->conversion != 'X';
    uintmax_t base = decimal ? 10 : 16;
    bool nothing = v == 0 && spec->has_precision && spec->precision == 0;
    char digits[20]; /* of 2^64 - 1 */
    char *first = digits + sizeof(digits);

    do
        *--first = figures[v % base];
    while ((v /= base) != 0);
    if (nothing)
        first++;

    size_t size = (size_t)(digits + sizeof(digits) - first);
    size_t zeros = zeros_wanted(spec, strlen(prefix), size);
    put_field(out, spec, (struct field){ prefix, zeros, first, size });
}

static intmax_t take_signed(struct arguments *arguments, enum length length)
{
    switch (length) {
    case LENGTH_HH: return (signed char)va_arg(arguments->list, int);
    case LENGTH_H: return (short)va_arg(arguments->list, int);
    case LENGTH_L: return va_arg(arguments->list, long);
    case LENGTH_LL: return va_arg(arguments->list, long long);
    case LENGTH_Z: return (intmax_t)va_arg(arguments->list, size_t);
    case LENGTH_J: return va_arg(arguments->list, intmax_t);
    case LENGTH_T: return va_arg(arguments->list, ptrdiff_t);
    default: return va_arg(arguments->list, int);
    }
}

static uintmax_t take_unsigned(struct arguments *arguments, enum length length)
{
    switch (length) {
    case LENGTH_HH: return (unsigned char)va_arg(arguments->list, unsigned);
    case LENGTH_H: return (unsigned short)va_arg(arguments->list, unsigned);
    case LENGTH_L: return va_arg(arguments->list, unsigned long);
    case LENGTH_LL: return va_arg(arguments->list, unsigned long long);
    case LENGTH_Z: return va_arg(arguments->list, size_t);
    case LENGTH_J: return va_arg(arguments->list, uintmax_t);
    case LENGTH_T: return (uintmax_t)va_arg(arguments->list, ptrdiff_t);
    default: return va_arg(arguments->list, unsigned);
    }
}

static void put_signed(struct out *out, const struct spec *spec, intmax_t v)
{
    const char *prefix = v < 0 ? "-" : spec->plus ? "+" : spec->space ? " " : "";

    put_number(out, spec, prefix, v < 0 ? 0 - (uintmax_t)v : (uintmax_t)v);
}

static void put_unsigned(struct out *out, const struct spec *spec, uintmax_t v)
{
    bool hexadecimal = spec->conversion == 'x' || spec->conversion == 'X';
    const char *prefix = "";

    if (hexadecimal && spec->alternate && v != 0)
        prefix = spec->conversion == 'X' ? "0X" : "0x";
    put_number(out, spec, prefix, v);
}

static void put_pointer(struct out *out, const struct spec *spec, const void *pointer)
{
    struct spec hexadecimal = *spec;

    hexadecimal.conversion = 'x';
    put_number(out, &hexadecimal, "0x", (uintptr_t)pointer);
}

static void put_string(struct out *out, const struct spec *spec, const char *text)
{
    size_t most = spec->has_precision ? spec->precision : SIZE_MAX;
    size_t size = 0;

    if (text == NULL)
        text = "(null)";
    while (size < most && text[size] != '\0')
        size++;
    put_field(out, spec, (struct field){ "", 0, text, size });
}

/* False if there is no such conversion. */
static bool put_conversion(struct out *out, const struct spec *spec, struct arguments *arguments)
{
    char c;

    switch (spec->conversion) {
    case 'd':
    case 'i': put_signed(out, spec, take_signed(arguments, spec->length)); return true;
    case 'u':
    case 'x':
    case 'X': put_unsigned(out, spec, take_unsigned(arguments, spec->length)); return true;
    case 'p': put_pointer(out, spec, va_arg(arguments->list, const void *)); return true;
    case 's': put_string(out, spec, va_arg(arguments->list, const char *)); return true;
    case 'c':
        c = (char)va_arg(arguments->list, int);
        put_field(out, spec, (struct field){ "", 0, &c, 1 });
        return true;
    case '%': put(out, "%", 1); return true;
    default: return false;
    }
}

static const char *parse_flags(const char *at, struct spec *spec)
{
    for (;; at++) {
        switch (*at) {
        case '-': spec->left = true; break;
        case '0': spec->zero = true; break;
        case '+': spec->plus = true; break;
        case ' ': spec->space = true; break;
        case '#': spec->alternate = true; break;
        default: return at;
        }
    }
}

/* Digits, or '*' for an argument, which may be negative. Nothing at all is 0. */
static const char *parse_count(const char *at, struct arguments *arguments, long long *count)
{
    *count = 0;
    if (*at == '*') {
        *count = va_arg(arguments->list, int);
        return at + 1;
    }
    for (; *at >= '0' && *at <= '9'; at++)
        if (*count < COUNT_MAX / 10)
            *count = *count * 10 + (*at - '0');
    return at;
}

static const char *parse_width(const char *at, struct arguments *arguments, struct spec *spec)
{
    long long count;

    at = parse_count(at, arguments, &count);
    spec->left |= count < 0;
    spec->width = (size_t)(count < 0 ? -count : count);
    return at;
}

static const char *parse_precision(const char *at, struct arguments *arguments, struct spec *spec)
{
    long long count;

    if (*at != '.')
        return at;
    at = parse_count(at + 1, arguments, &count);
    spec->has_precision = count >= 0;
    spec->precision = (size_t)count;
    return at;
}

static const char *parse_length(const char *at, struct spec *spec)
{
    bool twice = at[0] != '\0' && at[1] == at[0];

    switch (*at) {
    case 'h': spec->length = twice ? LENGTH_HH : LENGTH_H; return at + 1 + twice;
    case 'l': spec->length = twice ? LENGTH_LL : LENGTH_L; return at + 1 + twice;
    case 'z': spec->length = LENGTH_Z; return at + 1;
    case 'j': spec->length = LENGTH_J; return at + 1;
    case 't': spec->length = LENGTH_T; return at + 1;
    default: return at;
    }
}

/* The conversion that begins with the '%' at start; returns what follows it. */
static const char *convert(const char *start, struct arguments *arguments, struct out *out)
{
    struct spec spec = { 0 };
    const char *at = parse_flags(start + 1, &spec);

    at = parse_width(at, arguments, &spec);
    at = parse_precision(at, arguments, &spec);
    at = parse_length(at, &spec);
    spec.conversion = *at;
    if (*at != '\0')
        at++;
    if (!put_conversion(out, &spec, arguments))
        put(out, start, (size_t)(at - start));
    return at;
}

size_t vformat(char *buffer, size_t size, const char *fmt, va_list arguments)
{
    struct out out = { buffer, size, 0 };
    struct arguments copy;

    va_copy(copy.list, arguments);
    while (*fmt != '\0') {
        size_t literal = 0;

        while (fmt[literal] != '\0' && fmt[literal] != '%')
            literal++;
        put(&out, fmt, literal);
        fmt += literal;
        if (*fmt == '%')
            fmt = convert(fmt, &copy, &out);
    }
    va_end(copy.list);
    if (size > 0)
        buffer[out.length < size ? out.length : size - 1] = '\0';
    return out.length;
}

size_t format(char *buffer, size_t size, const char *fmt, ...)
{
    va_list arguments;

    va_start(arguments, fmt);
    size_t length = vformat(buffer, size, fmt, arguments);
    va_end(arguments);
    return length;
}
