/* SPDX-License-Identifier: MIT */
/* The guest's voice: COM1, polled, 115200 8N1. */
#pragma once

#include "lib/base.h"
#include <stdarg.h>

void serial_init(void);
void serial_puts(const char *text);
/* As lib/format.h; what exceeds 255 characters is cut. */
void serial_printf(const char *fmt, ...) printf_like(1, 2);
void serial_vprintf(const char *fmt, va_list arguments) printf_like(1, 0);
/* Returns when the last bit has left: a machine that ends now loses nothing. */
void serial_drain(void);
