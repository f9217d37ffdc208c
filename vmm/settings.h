/* SPDX-License-Identifier: MIT */
/* The hypervisor's own options, from its command line. */
#pragma once

#include "lib/base.h"

struct settings {
    bool audit;           /* check the shadow tables as guests run */
    const char *selftest; /* name of a self-test (vmm/selftest.c), or NULL */
    unsigned errors;      /* words that were not understood; each has been logged */
};

/* Applies the words of text: see docs/options.md. */
void settings_apply(struct settings *settings, const char *text);
