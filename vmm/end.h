/* SPDX-License-Identifier: MIT */
/* How Umbra ends: the last line that the runner reads, and every known way to stop a machine. */
#pragma once

#include "lib/base.h"

/* The runner's exit statuses: DESIGN section 5. */
enum end_status {
    END_SUCCESS = 0,       /* every guest succeeded */
    END_GUEST_FAILED = 1,  /* one did not */
    END_BAD_USAGE = 2,     /* an option that Umbra does not know, or no guest at all */
    END_UMBRA_STOPPED = 3, /* panic, or the machine lacks something */
};

/* Prints "umbra: end status=N reason=...", then powers off, or halts where that cannot be. */
_Noreturn void end_machine(enum end_status status, const char *fmt, ...) printf_like(2, 3);
