/* SPDX-License-Identifier: MIT */
/*
 * Memory and strings. Copies and fills go byte by byte until the target is aligned and then in
 * 8-byte words; the source is read at whatever alignment it has, which x86 does at full speed.
 * Strings go byte by byte, so that nothing is read behind an end.
 *
 * This file must be compiled so that no loop becomes a call of the very function it is in: see
 * its flags in the Makefile. On the host these names belong to the C library; there the Makefile
 * renames them (memcpy to umbra_memcpy), and string_copy() alone keeps its name.
 */
#include "lib/string.h"

struct word {
    uint64_t v;
} __attribute__((packed, may_alias)); /* packed: at any address */

typedef uint64_t __attribute__((may_alias)) aligned_word;

#define WORD         sizeof(uint64_t)
#define WORD_OF_ONES (~0ull / 0xff) /* 0x0101...: times a byte, that byte everywhere */

static bool is_aligned(const void *address)
{
    return (uintptr_t)address % WORD == 0;
}

/* Each step reads before it writes, so from may overlap the target if it lies above it. */
static void copy_up(uint8_t *to, const uint8_t *from, size_t size)
{
    for (; size > 0 && !is_aligned(to); size--)
        *to++ = *from++;
    for (; size >= WORD; size -= WORD, to += WORD, from += WORD)
        *(aligned_word *)to = ((const struct word *)from)->v;
    for (; size > 0; size--)
        *to++ = *from++;
}

/* The mirror image, from the ends down: from may overlap the target if it lies below it. */
static void copy_down(uint8_t *to, const uint8_t *from, size_t size)
{
    to += size;
    from += size;
    for (; size > 0 && !is_aligned(to); size--)
        *--to = *--from;
    for (; size >= WORD; size -= WORD) {
        to -= WORD;
        from -= WORD;
        *(aligned_word *)to = ((const struct word *)from)->v;
    }
    for (; size > 0; size--)
        *--to = *--from;
}

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    copy_up(to, from, size);
    return to;
}

void *memmove(void *to, const void *from, size_t size)
{
    /* Modulo 2^64: a target below the source is far above it. */
    if ((uintptr_t)to - (uintptr_t)from >= size)
        copy_up(to, from, size);
    else
        copy_down(to, from, size);
    return to;
}

void *memset(void *to, int value, size_t size)
{
    uint8_t byte = (uint8_t)value;
    uint8_t *at = to;

    for (; size > 0 && !is_aligned(at); size--)
        *at++ = byte;
    for (; size >= WORD; size -= WORD, at += WORD)
        *(aligned_word *)at = byte * WORD_OF_ONES;
    for (; size > 0; size--)
        *at++ = byte;
    return to;
}

int memcmp(const void *a, const void *b, size_t size)
{
    const uint8_t *x = a, *y = b;

    for (; size >= WORD; size -= WORD, x += WORD, y += WORD)
        if (((const struct word *)x)->v != ((const struct word *)y)->v)
            break;
    for (; size > 0; size--, x++, y++)
        if (*x != *y)
            return *x - *y;
    return 0;
}

size_t strlen(const char *text)
{
    size_t length = 0;

    while (text[length] != '\0')
        length++;
    return length;
}

int strcmp(const char *a, const char *b)
{
    return strncmp(a, b, SIZE_MAX);
}

int strncmp(const char *a, const char *b, size_t size)
{
    for (; size > 0; size--, a++, b++) {
        if (*a != *b)
            return (uint8_t)*a - (uint8_t)*b;
        if (*a == '\0')
            break;
    }
    return 0;
}

bool string_copy(char *to, size_t size, const char *text)
{
    if (size == 0)
        return false;
    for (size_t i = 0; i < size; i++) {
        to[i] = text[i];
        if (text[i] == '\0')
            return true;
    }
    to[size - 1] = '\0';
    return false;
}
