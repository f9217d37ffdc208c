/* SPDX-License-Identifier: MIT */
/* Kernels of the Multiboot2 Specification, version 2.0, for i386, in ELF format. */
#pragma once

#include "vmm/load/plan.h"

must_check bool multiboot2_recognize(struct load_plan *plan);
must_check bool multiboot2_load(struct load_plan *plan, struct start_state *start);

/* A header that is almost one: what is wrong with it becomes the error. */
must_check bool multiboot2_resembles(struct load_plan *plan);
must_check bool multiboot2_explain(struct load_plan *plan, struct start_state *start);
