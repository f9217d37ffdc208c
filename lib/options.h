/* SPDX-License-Identifier: MIT */
/*
 * Boot strings: words of the form key=value, as GRUB hands them over. GRUB drops file names,
 * moves quotes (cmdline="x y" arrives as "cmdline=x y"), puts a backslash before quotes and
 * backslashes, and some tools add a bare first word. So a quote may open anywhere in a word, a
 * backslash takes the next of  \ " '  literally, and bare words are handed over with an empty key.
 */
#pragma once

#include "lib/base.h"

#define OPTION_WORD_MAX 2048 /* bytes of one word, quotes removed, with its end */

struct option {
    const char *key;   /* "" for a bare word without '=' */
    const char *value; /* "" if nothing follows '=' */
};

enum option_next {
    OPTION_WORD, /* *option is valid until the next call with the same buffer */
    OPTION_END,
    OPTION_TOO_LONG,   /* did not fit OPTION_WORD_MAX: skipped, its start is in value */
    OPTION_OPEN_QUOTE, /* the text ended inside quotes: what there was is in *option */
};

/* Takes the next word off *text, unquoted into buffer (OPTION_WORD_MAX bytes). */
enum option_next option_next(const char **text, char *buffer, struct option *option);

/* "16M", "2G", "64K", "4096": bytes. False on anything else or on overflow. */
must_check bool option_size(const char *value, uint64_t *bytes);
/* Decimal or 0x-hexadecimal. False on anything else or on overflow. */
must_check bool option_number(const char *value, uint64_t *number);
/* "on"/"off". */
must_check bool option_switch(const char *value, bool *on);
