/* SPDX-License-Identifier: MIT */
/* The guest's command line: words KEY=NUMBER (decimal, or hexadecimal after 0x). */
#pragma once

#include "lib/base.h"

/* Keeps a copy of the line in the boot information (multiboot 2); done before main(). */
void cmdline_init(unsigned long boot_information);

/* The last KEY= on the line, or otherwise. A value that is no number fails the guest. */
uint64_t cmdline_number(const char *key, uint64_t otherwise);
