/* SPDX-License-Identifier: MIT */
/* What the two multiboot specifications have in common: the search for the header, memory sizes. */
#pragma once

#include "vmm/load/plan.h"

#define MULTIBOOT_LOADER_NAME "Umbra"

struct multiboot_version {
    unsigned number;
    uint32_t magic;
    uint32_t limit;     /* the header lies within that many first bytes of the file */
    uint32_t alignment; /* of the header, bytes */
    uint32_t words;     /* so many first words of the header, 32 bits each, add up to 0 */
};

/* Offset of the first header whose words add up to 0; false if there is none. */
must_check bool multiboot_find(const struct load_plan *plan,
                               const struct multiboot_version *version, uint64_t *offset);

/* Whether there is a magic number at least; multiboot_explain says what is wrong after it. */
must_check bool multiboot_resembles(const struct load_plan *plan,
                                    const struct multiboot_version *version);
must_check bool multiboot_explain(struct load_plan *plan, const struct multiboot_version *version);

/* RAM from address 0 to the first hole, at most 640; and from 1 MiB to the first hole. In KiB. */
uint32_t multiboot_lower_memory(const struct load_request *request);
uint32_t multiboot_upper_memory(const struct load_request *request);
