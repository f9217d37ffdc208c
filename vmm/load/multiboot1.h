/* SPDX-License-Identifier: MIT */
/* Kernels of the Multiboot Specification, version 0.6.96, in ELF format. */
#pragma once

#include "vmm/load/plan.h"

must_check bool multiboot1_recognize(struct load_plan *plan);
must_check bool multiboot1_load(struct load_plan *plan, struct start_state *start);

/* A header that is almost one: what is wrong with it becomes the error. */
must_check bool multiboot1_resembles(struct load_plan *plan);
must_check bool multiboot1_explain(struct load_plan *plan, struct start_state *start);
