/* SPDX-License-Identifier: MIT */
/*
 * ELF executables for x86, of 32 and 64 bits: what a loader needs of them, which is the segments
 * to load and the entry point.
 */
#pragma once

#include "vmm/load/plan.h"

/* Whether the image begins as ELF files do; all else is elf_plan's to judge. */
must_check bool elf_recognize(struct load_plan *plan);

/* Plans to load every PT_LOAD segment at its physical address. */
must_check bool elf_plan(struct load_plan *plan);

/* The guest-physical address of the entry point, once elf_plan has succeeded. */
must_check bool elf_entry(struct load_plan *plan, uint32_t *entry);

/* Whether a note of this owner and type is in the image; false for a malformed image. */
must_check bool elf_has_note(struct load_plan *plan, const char *owner, uint32_t type);
