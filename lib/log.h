/* SPDX-License-Identifier: MIT */
/*
 * The log: lines with a time stamp and a level, sent to whatever sink main() installs. Lines below
 * the chosen level are dropped. Before a clock is installed lines carry no time stamp.
 */
#pragma once

#include "lib/base.h"
#include <stdarg.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Receives the characters of one or more whole lines; must not log itself. */
typedef void log_sink(const char *text, size_t length);
/* Microseconds since some fixed moment. */
typedef uint64_t log_clock(void);

void log_set_sink(log_sink *sink);
void log_set_clock(log_clock *clock);
void log_set_level(enum log_level level);
/* "error", "warn", "info", "debug"; false for any other word. */
must_check bool log_level_from_name(const char *name, enum log_level *level);

/* One line: "[   12.345678] text\n"; errors and warnings say so: "[   12.345678] error: text\n". */
void log_printf(enum log_level level, const char *fmt, ...) printf_like(2, 3);
/* Text as it is, at any level: reports whose form is a contract. */
void log_raw(const char *fmt, ...) printf_like(1, 2);
