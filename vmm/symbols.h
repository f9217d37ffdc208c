/* SPDX-License-Identifier: MIT */
/* Names of the hypervisor's own functions, from a table made at build time by tools/symtab.py. */
#pragma once

#include "lib/base.h"

/* The function that holds address, and the offset into it; NULL if address is not in the text. */
const char *symbol_name(uint64_t address, uint64_t *offset);
