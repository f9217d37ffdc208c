/* SPDX-License-Identifier: MIT */
/*
 * A line is put together on the stack and given to the sink in one call, so lines of several
 * processors do not mix if the sink takes a lock. What is longer than the buffer is cut and ends
 * in "...". A line stays one line: control characters in its text, which may come from a guest or
 * a boot string, are shown as '?', so that nobody but Umbra begins a line of the log.
 *
 * Sink, clock and level are set during bring-up, before there is a second processor; the level
 * may change later, which is one store.
 */
#include "lib/log.h"
#include "lib/format.h"
#include "lib/string.h"

#define LINE_MAX 1024 /* bytes, with its "\n" */

static log_sink *current_sink;
static log_clock *current_clock;
static enum log_level current_level = LOG_INFO;

static const struct {
    const char *name;
    const char *prefix;
} levels[] = {
    [LOG_ERROR] = { "error", "error: " },
    [LOG_WARN] = { "warn", "warning: " },
    [LOG_INFO] = { "info", "" },
    [LOG_DEBUG] = { "debug", "" },
};

void log_set_sink(log_sink *sink)
{
    current_sink = sink;
}

void log_set_clock(log_clock *clock)
{
    current_clock = clock;
}

void log_set_level(enum log_level level)
{
    current_level = level;
}

bool log_level_from_name(const char *name, enum log_level *level)
{
    for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
        if (strcmp(name, levels[i].name) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

static size_t put_stamp(char *line, size_t size)
{
    if (!current_clock)
        return 0;

    uint64_t now = current_clock();
    return format(line, size, "[%5llu.%06llu] ", (unsigned long long)(now / 1000000),
                  (unsigned long long)(now % 1000000));
}

static void hide_controls(char *text)
{
    for (; *text != '\0'; text++)
        if ((*text > 0 && *text < ' ' && *text != '\t') || *text == '\x7f')
            *text = '?';
}

/* Puts "..." and an end of line behind a text that did not fit; returns the whole length. */
static size_t cut(char *line, size_t size)
{
    static const char dots[] = "...\n";

    memcpy(line + size - sizeof(dots), dots, sizeof(dots));
    return size - 1;
}

void log_printf(enum log_level level, const char *fmt, ...)
{
    char line[LINE_MAX + 1];
    va_list arguments;

    if (!current_sink || level > current_level)
        return;
    size_t start = put_stamp(line, sizeof(line));
    start += format(line + start, sizeof(line) - start, "%s", levels[level].prefix);
    va_start(arguments, fmt);
    size_t length = start + vformat(line + start, sizeof(line) - start, fmt, arguments);
    va_end(arguments);

    hide_controls(line + start);
    if (length >= LINE_MAX)
        length = cut(line, sizeof(line));
    else
        line[length++] = '\n';
    current_sink(line, length);
}

void log_raw(const char *fmt, ...)
{
    char text[LINE_MAX + 1];
    va_list arguments;

    if (!current_sink)
        return;
    va_start(arguments, fmt);
    size_t length = vformat(text, sizeof(text), fmt, arguments);
    va_end(arguments);
    if (length > LINE_MAX)
        length = cut(text, sizeof(text));
    current_sink(text, length);
}
