/* SPDX-License-Identifier: MIT */
/*
 * Address and entry types. They are one-word structs, so that a guest-physical address in a
 * hardware table, or a host address in a guest's, does not compile. Two crossings are lawful: the
 * guest-physical map (gpa_t to hpa_t, mm/gpm.h) and the direct map (hpa_t to pointer, host_ptr()
 * in mm/host.h).
 */
#pragma once

#include "lib/base.h"

typedef struct {
    uint64_t v;
} gva_t; /* guest linear address */
typedef struct {
    uint64_t v;
} gpa_t; /* guest-physical address */
typedef struct {
    uint64_t v;
} hpa_t; /* host-physical address */
typedef struct {
    uint64_t v;
} gpte_t; /* entry of a guest paging structure: names a gpa; 32-bit entries are widened */
typedef struct {
    uint64_t v;
} spte_t; /* entry of a table that the processor uses: names an hpa */

#define PAGE_SHIFT 12
#define PAGE_SIZE  ((uint64_t)1 << PAGE_SHIFT)
#define PAGE_MASK  (PAGE_SIZE - 1)

static inline gva_t gva(uint64_t v)
{
    return (gva_t){ v };
}

static inline gpa_t gpa(uint64_t v)
{
    return (gpa_t){ v };
}

static inline hpa_t hpa(uint64_t v)
{
    return (hpa_t){ v };
}

static inline hpa_t hpa_add(hpa_t base, uint64_t bytes)
{
    return (hpa_t){ base.v + bytes };
}

static inline gpa_t gpa_add(gpa_t base, uint64_t bytes)
{
    return (gpa_t){ base.v + bytes };
}
