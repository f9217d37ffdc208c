/* SPDX-License-Identifier: MIT */
/*
 * Host frames: a bitmap over all physical memory below the end of RAM, one bit a frame, set when
 * the frame may not be handed out. It begins full; releasing the RAM ranges and reserving what
 * lies in them makes it true. Guests take large aligned blocks, tables take single frames.
 */
#pragma once

#include "mm/addr.h"

struct extent {
    hpa_t base;
    uint64_t size; /* bytes */
};

struct extent_list {
    const struct extent *items;
    size_t count;
};

/*
 * Sorts extents, shrinks each to whole pages, and merges those that touch or overlap; empty ones
 * vanish. Returns how many are left.
 */
size_t extents_normalize(struct extent *extents, size_t count);

struct frames {
    uint64_t *bitmap;
    uint64_t count; /* frames covered: 0 to count - 1 */
    uint64_t free;  /* frames that can be handed out */
    uint64_t next;  /* where the search for a single frame goes on */
};

struct frame_request {
    uint64_t count;     /* frames, contiguous */
    uint64_t alignment; /* bytes, a power of two, at least PAGE_SIZE */
    hpa_t limit;        /* the block ends at or below; hpa(0) for no limit */
};

/* Bytes of bitmap for frames below end. */
uint64_t frames_bitmap_size(hpa_t end);
/* All frames below end, none free yet; bitmap has frames_bitmap_size(end) bytes. */
void frames_init(struct frames *frames, void *bitmap, hpa_t end);
/* The whole frames inside extent become free. */
void frames_release(struct frames *frames, struct extent extent);
/* Every frame that extent touches is taken out; those already taken stay so. */
void frames_reserve(struct frames *frames, struct extent extent);

/* False if there is no such block. Contents are whatever was there. */
must_check bool frames_alloc(struct frames *frames, struct frame_request request, hpa_t *base);
/* One frame, zeroed; false if there is none. */
must_check bool frames_alloc_zeroed(struct frames *frames, hpa_t *frame);
/* Gives back frames that were allocated; panics if one of them is free already. */
void frames_free(struct frames *frames, hpa_t base, uint64_t count);

/*
 * Before there is a bitmap: the first page-aligned place of size bytes inside one of ram, outside
 * all of used, at or above 1 MiB and below limit. False if there is none.
 */
must_check bool frames_find_gap(struct extent_list ram, struct extent_list used, uint64_t size,
                                hpa_t limit, hpa_t *base);
