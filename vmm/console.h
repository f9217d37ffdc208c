/* SPDX-License-Identifier: MIT */
/*
 * The console: one serial line that the log and all guests share. Guest output is shown in whole
 * lines marked with the guest's name.
 */
#pragma once

#include "lib/base.h"

/* Opens COM1 at 115200 8n1 and sends the log there. Survives an absent port: the log is lost. */
void console_init(void);
/* Moves to the port that an option names; false if the name is unknown. */
must_check bool console_select(const char *name);
/* Waits, for a bounded time, until everything has left the port. */
void console_drain(void);

#define CONSOLE_LINE_MAX 256

/* A guest's unfinished line. */
struct console_line {
    char text[CONSOLE_LINE_MAX];
    size_t length;
};

/* Adds one character of the guest called name; prints the line when it ends or is full. */
void console_guest_put(struct console_line *line, const char *name, char c);
/* Prints what there is of an unfinished line. */
void console_guest_flush(struct console_line *line, const char *name);
