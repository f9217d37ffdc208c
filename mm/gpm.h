/* SPDX-License-Identifier: MIT */
/*
 * The guest-physical map: which guest-physical addresses are RAM, ROM or device, and where RAM and
 * ROM lie in the host. What no region covers is a hole. It is the only crossing from gpa_t to
 * hpa_t, and all of Umbra's accesses to guest memory go through its accessors, which check every
 * byte against the map and cannot fault.
 */
#pragma once

#include "mm/addr.h"

enum gpm_kind {
    GPM_HOLE,   /* nobody answers */
    GPM_RAM,    /* readable, writable, executable */
    GPM_ROM,    /* the guest's writes have no effect */
    GPM_DEVICE, /* every access goes to a virtual device */
};

struct gpm_region {
    gpa_t base;    /* page aligned */
    uint64_t size; /* bytes, whole pages, not 0 */
    enum gpm_kind kind;
    hpa_t host; /* page aligned; RAM and ROM only */
};

#define GPM_REGIONS_MAX 32

struct gpm {
    struct gpm_region regions[GPM_REGIONS_MAX]; /* sorted by base, disjoint */
    size_t count;
};

/* False if the region is a hole, misaligned, empty, wraps, overlaps another, or the map is full. */
must_check bool gpm_add(struct gpm *gpm, struct gpm_region region);

/* The region that holds address, or NULL for a hole. */
const struct gpm_region *gpm_find(const struct gpm *gpm, gpa_t address);

/* Host address of the byte at address, if that is RAM or ROM. */
must_check bool gpm_translate(const struct gpm *gpm, gpa_t address, hpa_t *host);

/* Copies size bytes out of RAM and ROM; false, and nothing copied, if a byte lies elsewhere. */
must_check bool gpm_read(const struct gpm *gpm, gpa_t from, void *to, size_t size);
/* Copies size bytes into RAM; false, and nothing copied, if a byte lies elsewhere. */
must_check bool gpm_write(const struct gpm *gpm, gpa_t to, const void *from, size_t size);
/* As gpm_write, but fills ROM too: for loaders. */
must_check bool gpm_load(const struct gpm *gpm, gpa_t to, const void *from, size_t size);
/* Sets size bytes of RAM or ROM to value; false, and nothing set, if a byte lies elsewhere. */
must_check bool gpm_fill(const struct gpm *gpm, gpa_t to, uint8_t value, uint64_t size);

/*
 * Compare-and-swap of an aligned 4- or 8-byte word of RAM, as the processor does when it sets
 * accessed and dirty flags.
 */
enum gpm_swap { GPM_SWAPPED, GPM_LOST /* the word was not as expected */, GPM_NOT_RAM };
must_check enum gpm_swap gpm_compare_swap(const struct gpm *gpm, gpa_t where, unsigned size,
                                          uint64_t expected, uint64_t desired);
