/* SPDX-License-Identifier: MIT */
/*
 * How a guest ends. It says "NAME: PASS" or "NAME: FAIL why" as its last line and then tells the
 * machine: port 0xf4 (QEMU's isa-debug-exit, and Umbra: 0 is success), and, if that did not end it,
 * the string "Shutdown" to port 0x8900 (Bochs). NAME is the guest's folder.
 *
 * A guest defines main(). It is called with the serial line and the exceptions (trap.h) ready, on
 * the page tables that start64.asm describes, or on none (32/start.asm); returning from it passes.
 */
#pragma once

#include "lib/base.h"

extern const char guest_name[];

void main(void);

_Noreturn void guest_pass(void);
/* Why, in one line, without its end. */
_Noreturn void guest_fail(const char *fmt, ...) printf_like(1, 2);

/* Fails the guest unless the condition holds; the rest says what was wrong, with the values seen.
 */
#define CHECK(condition, ...)                  \
    do {                                       \
        if (__builtin_expect(!(condition), 0)) \
            guest_fail(__VA_ARGS__);           \
    } while (0)
