/* SPDX-License-Identifier: MIT */
/*
 * Guest images: recognizes what kind of kernel a module is, puts it into guest memory, builds the
 * information structure its boot protocol asks for, and says in which state the vCPU starts.
 * Pure code over the guest-physical map: it runs in host tests and fuzzers too. An image is
 * hostile input; whatever is wrong with it comes back as one sentence that says what, where in the
 * file, and what was expected.
 */
#pragma once

#include "mm/gpm.h"

enum guest_memory_kind { GUEST_RAM = 1, GUEST_RESERVED = 2 }; /* e820 numbers */

struct guest_memory_range {
    gpa_t base;
    uint64_t size; /* bytes */
    enum guest_memory_kind kind;
};

struct load_request {
    const void *image;
    uint64_t size; /* bytes */
    const char *cmdline;
    const char *name;                        /* of the guest: GRUB drops the file name */
    const struct guest_memory_range *ranges; /* the map the guest is told: sorted, disjoint */
    size_t range_count;
};

/*
 * The vCPU starts in 32-bit protected mode with paging off and flat segments (multiboot 1, section
 * 3.2 "Machine state"; multiboot2, section 3.3 "I386 machine state").
 */
struct start_state {
    uint32_t eip;
    uint32_t eax;
    uint32_t ebx;
};

#define LOAD_ERROR_MAX 256

/*
 * Loads request into gpm. On failure returns false with one line of text, without end of line, in
 * error (LOAD_ERROR_MAX bytes).
 */
must_check bool load_guest(const struct load_request *request, const struct gpm *gpm,
                           struct start_state *start, char *error);
