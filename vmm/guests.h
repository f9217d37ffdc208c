/* SPDX-License-Identifier: MIT */
/* From modules to guests: who they are, running them, and what came of it. */
#pragma once

#include "boot/boot_info.h"
#include "vmm/settings.h"
#include "vmm/vm.h"

#define GUESTS_MAX 16

struct guest {
    struct vm vm;
    const struct boot_module *image;
};

struct guests {
    struct guest items[GUESTS_MAX];
    size_t count;
    unsigned errors; /* modules that could not become guests; each has been logged */
};

/* Reads the modules' strings: see docs/options.md. A guest with a bad option is refused by name. */
void guests_configure(struct guests *guests, const struct boot_info *info,
                      const struct settings *settings);
/* Runs them one after another. */
void guests_run(struct guests *guests, struct frames *frames);
/* How many did not end as they should. */
size_t guests_failed(const struct guests *guests);
