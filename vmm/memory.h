/* SPDX-License-Identifier: MIT */
/* The hypervisor's memory: host frames and its own page tables, from what the loader said. */
#pragma once

#include "boot/boot_info.h"
#include "mm/frames.h"
#include "mm/hostmap.h"

struct memory {
    struct frames frames;
    struct hostmap map;
    uint64_t ram_bytes; /* usable RAM that the loader reported */
};

/*
 * Makes frames and tables out of info, and switches to the tables. Everything that info names, and
 * the image, stays reserved. Panics if there is no room: the reason is named.
 */
void memory_init(struct memory *memory, const struct boot_info *info);
