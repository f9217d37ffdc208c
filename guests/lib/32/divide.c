/* SPDX-License-Identifier: MIT */
/*
 * What GCC calls to divide 64-bit numbers in 32-bit code (GCC Internals, "Integer library
 * routines"), by long division: libgcc for 32 bits is not installed where this is built.
 */
#include "lib/base.h"

uint64_t __udivmoddi4(uint64_t a, uint64_t b, uint64_t *rest);
uint64_t __udivdi3(uint64_t a, uint64_t b);
uint64_t __umoddi3(uint64_t a, uint64_t b);

uint64_t __udivmoddi4(uint64_t a, uint64_t b, uint64_t *rest)
{
    uint64_t quotient = 0, r = 0;

    for (int bit = 63; bit >= 0; bit--) {
        r = r << 1 | (a >> bit & 1);
        if (r < b)
            continue;
        r -= b;
        quotient |= BIT(bit);
    }
    if (rest)
        *rest = r;
    return quotient;
}

uint64_t __udivdi3(uint64_t a, uint64_t b)
{
    return __udivmoddi4(a, b, NULL);
}

uint64_t __umoddi3(uint64_t a, uint64_t b)
{
    uint64_t rest;

    __udivmoddi4(a, b, &rest);
    return rest;
}
