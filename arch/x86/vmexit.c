/* SPDX-License-Identifier: MIT */
/* Names of exit reasons. */
#include "arch/x86/vmexit.h"
#include "lib/base.h"

static const char *const names[EXIT_REASON_COUNT] = {
#define X(number, name, text) [number] = text,
    EXIT_REASONS(X)
#undef X
};

const char *exit_reason_name(unsigned reason)
{
    unsigned basic = reason & EXIT_REASON_BASIC;

    return basic < EXIT_REASON_COUNT && names[basic] ? names[basic] : "reserved exit reason";
}
