/* SPDX-License-Identifier: MIT */
/*
 * What loading an image will do, before anything is done. A loader first reads the whole image into
 * a plan, and may refuse at any moment: the guest's memory is untouched then. A plan that is
 * complete can be carried out without a further question, since all it names has been checked:
 *
 * - every segment's bytes lie in the file, and the segment lies in guest RAM outside of reserved
 *   ranges;
 * - the information structure lies in guest RAM that the guest knows of, and on no segment.
 */
#pragma once

#include "vmm/load/load.h"

#define LOAD_SEGMENTS_MAX 16

struct load_segment {
    uint64_t from;         /* file offset */
    uint64_t filled;       /* bytes that come from the file, at most size; the rest is zeroed */
    gpa_t to;              /* where it is loaded */
    uint64_t size;         /* bytes in memory, not 0 */
    uint64_t virtual_base; /* where the image believes it to be */
};

struct load_plan {
    const struct load_request *request;
    const struct gpm *gpm;
    char *error; /* LOAD_ERROR_MAX bytes */
    struct load_segment segments[LOAD_SEGMENTS_MAX];
    size_t segment_count;
    uint64_t virtual_entry; /* of the ELF header */
    gpa_t info;             /* the information structure, page aligned */
    uint64_t info_size;
};

/* Writes the plan's error, for `return plan_refuse(...)`: always false. */
must_check bool plan_refuse(struct load_plan *plan, const char *fmt, ...) printf_like(2, 3);

/* The size bytes at offset of the image, or NULL if they are not all in the file. */
const uint8_t *plan_bytes(const struct load_plan *plan, uint64_t offset, uint64_t size);

/* The segment that holds the guest-physical address, or NULL. */
const struct load_segment *plan_segment_at(const struct load_plan *plan, gpa_t address);

/* Checks segment's place in guest memory and adds it; who names it in errors. */
must_check bool plan_add_segment(struct load_plan *plan, struct load_segment segment,
                                 const char *who);

/* Finds room for an information structure of size bytes: call it after the last segment. */
must_check bool plan_place_info(struct load_plan *plan, uint64_t size);

/* Loads the segments and clears the information structure. */
void plan_carry_out(const struct load_plan *plan);

/* Writes a part of the information structure of a plan that has been carried out. */
void plan_write_info(const struct load_plan *plan, uint64_t offset, const void *from, size_t size);

static inline uint32_t le16_at(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8;
}

static inline uint32_t le32_at(const uint8_t *bytes)
{
    return le16_at(bytes) | le16_at(bytes + 2) << 16;
}
