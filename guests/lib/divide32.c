/* SPDX-License-Identifier: MIT */
/*
 * What GCC calls to divide 64-bit numbers in 32-bit code (GCC Internals, "Integer library
 * routines"), by long division: libgcc for 32 bits is not installed where this is built.
 */
#include "lib/base.h"

uint64_t __udivdi3(uint64_t a, uint64_t b);
uint64_t __umoddi3(uint64_t a, uint64_t b);

static uint64_t divide(uint64_t a, uint64_t b, uint64_t *rest)
{
    uint64_t quotient = 0;

    *rest = 0;
    for (int bit = 63; bit >= 0; bit--) {
        *rest = *rest << 1 | (a >> bit & 1);
        if (*rest < b)
            continue;
        *rest -= b;
        quotient |= BIT(bit);
    }
    return quotient;
}

uint64_t __udivdi3(uint64_t a, uint64_t b)
{
    uint64_t rest;

    return divide(a, b, &rest);
}

uint64_t __umoddi3(uint64_t a, uint64_t b)
{
    uint64_t rest;

    divide(a, b, &rest);
    return rest;
}
