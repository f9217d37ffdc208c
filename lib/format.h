/* SPDX-License-Identifier: MIT */
/*
 * printf into a buffer: %c %s %d %i %u %x %X %p %%, with flags '-', '0', '+', ' ', '#', width and
 * precision (also '*'), and the length modifiers hh, h, l, ll, z, j, t. What ISO C says, no more:
 * the host test compares it with the C library's.
 */
#pragma once

#include "lib/base.h"
#include <stdarg.h>

/* Returns the length the whole text needs, without its end; writes what fits and terminates it. */
size_t format(char *buffer, size_t size, const char *fmt, ...) printf_like(3, 4);
size_t vformat(char *buffer, size_t size, const char *fmt, va_list arguments) printf_like(3, 0);
