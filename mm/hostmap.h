/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's own page tables (4-level). Nothing is both writable and executable, page 0 and
 * the guard pages are absent, the direct map covers RAM only and is never executable, and the
 * image's frames are not in it, so that text has no writable alias. Built here so that a host test
 * can check exactly these properties on the very same code.
 */
#pragma once

#include "mm/frames.h"

enum host_rights {
    HOST_READ = 0,
    HOST_WRITE = 1,
    HOST_EXECUTE = 2,
    HOST_UNCACHED = 4, /* device registers */
};

struct hostmap {
    hpa_t root; /* for CR3 */
    struct frames *frames;
    bool gib_pages; /* the processor maps 1 GiB pages (CPUID 80000001h EDX bit 26) */
};

/* A part of the image in linear addresses, whole pages. */
struct image_part {
    uint64_t start, end;
    unsigned rights; /* enum host_rights */
};

struct image_layout {
    struct image_part parts[3]; /* text, constants, data with bss and stacks */
    uint64_t guards[4];         /* pages inside the last part that stay unmapped */
};

/* Empty tables. Panics if there is no frame: without own tables nothing can go on. */
void hostmap_init(struct hostmap *map, struct frames *frames, bool gib_pages);
/*
 * Maps size bytes at linear address va to base, with the largest pages that fit. All page aligned;
 * panics on an address that is mapped already, or when frames run out.
 */
void hostmap_map(struct hostmap *map, uint64_t va, struct extent extent, unsigned rights);
/* The image's parts without its guards, at IMAGE_BASE. */
void hostmap_add_image(struct hostmap *map, const struct image_layout *layout);
/* The direct map of ram, less the image's own frames. */
void hostmap_add_direct(struct hostmap *map, struct extent_list ram, struct extent image);
/* What va translates to; false if it is not mapped. */
must_check bool hostmap_lookup(const struct hostmap *map, uint64_t va, hpa_t *to, unsigned *rights);
