/* SPDX-License-Identifier: MIT */
/* The table of the hypervisor's options. A word that is not understood is named and passed over. */
#include "vmm/settings.h"
#include "lib/log.h"
#include "lib/options.h"
#include "lib/string.h"
#include "vmm/console.h"
#include "vmm/selftest.h"

typedef bool apply_setting(struct settings *settings, const char *value);

static bool apply_console(struct settings *settings, const char *value)
{
    (void)settings;
    return console_select(value);
}

static bool apply_log_level(struct settings *settings, const char *value)
{
    enum log_level level;

    (void)settings;
    if (!log_level_from_name(value, &level))
        return false;
    log_set_level(level);
    return true;
}

static bool apply_audit(struct settings *settings, const char *value)
{
    return option_switch(value, &settings->audit);
}

static bool apply_selftest(struct settings *settings, const char *value)
{
    settings->selftest = selftest_name(value);
    return settings->selftest;
}

static const struct {
    const char *key;
    apply_setting *apply;
    const char *expected;
} rows[] = {
    { "console", apply_console, "com1, com2, com3 or com4" },
    { "loglvl", apply_log_level, "error, warn, info or debug" },
    { "audit", apply_audit, "on or off" },
    { "selftest", apply_selftest, "a self-test of docs/testing.md" },
};

static bool apply_word(struct settings *settings, const struct option *word)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (strcmp(word->key, rows[i].key))
            continue;
        if (rows[i].apply(settings, word->value))
            return true;
        log_printf(LOG_ERROR, "hypervisor option %s=%s: expected %s", word->key, word->value,
                   rows[i].expected);
        return false;
    }
    log_printf(LOG_ERROR, "hypervisor option \"%s=%s\" is unknown; known: console loglvl audit",
               word->key, word->value);
    return false;
}

void settings_apply(struct settings *settings, const char *text)
{
    static char buffer[OPTION_WORD_MAX]; /* too large for the stack; used at boot only */
    struct option word;
    enum option_next next;

    while ((next = option_next(&text, buffer, &word)) != OPTION_END) {
        if (next == OPTION_TOO_LONG || next == OPTION_OPEN_QUOTE) {
            log_printf(LOG_ERROR, "hypervisor options: \"%s\" %s", word.value,
                       next == OPTION_TOO_LONG ? "is too long" : "has no closing quote");
            settings->errors++;
        } else if (*word.key && !apply_word(settings, &word)) {
            settings->errors++;
        }
    }
}
