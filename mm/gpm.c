/* SPDX-License-Identifier: MIT */
/*
 * The guest-physical map: a short array of disjoint regions sorted by address, searched by halves
 * and never written to while guests run, so that lookups need no lock.
 *
 * Every access is made in two passes: the first finds out whether all of its bytes lie in regions
 * of a kind that permits it, the second touches them page by page. So an access either happens as
 * a whole or not at all, wherever it crosses pages and regions. Regions end below 2^64 (gpm_add
 * sees to it), hence an address inside one plus what is left of it cannot wrap.
 *
 * Aligned 4- and 8-byte words are read and written in one piece, as the processor does: another
 * processor may be at the same word of a guest's page table (SDM volume 3, section 9.1.1
 * "Guaranteed Atomic Operations").
 */
#include "mm/gpm.h"
#include "mm/host.h"
#include "lib/string.h"

static bool is_memory(enum gpm_kind kind)
{
    return kind == GPM_RAM || kind == GPM_ROM;
}

static bool whole_pages(uint64_t base, uint64_t size)
{
    return ((base | size) & PAGE_MASK) == 0 && base <= UINT64_MAX - size;
}

static bool well_formed(const struct gpm_region *region)
{
    if (region->kind == GPM_HOLE || region->size == 0)
        return false;
    if (!whole_pages(region->base.v, region->size))
        return false;
    return !is_memory(region->kind) || whole_pages(region->host.v, region->size);
}

static bool ends_by(const struct gpm_region *region, gpa_t address)
{
    return region->base.v + region->size <= address.v;
}

bool gpm_add(struct gpm *gpm, struct gpm_region region)
{
    struct gpm_region *all = gpm->regions;
    size_t at = gpm->count;

    if (gpm->count == GPM_REGIONS_MAX || !well_formed(&region))
        return false;
    while (at > 0 && all[at - 1].base.v > region.base.v)
        at--;
    if (at > 0 && !ends_by(&all[at - 1], region.base))
        return false;
    if (at < gpm->count && !ends_by(&region, all[at].base))
        return false;
    memmove(&all[at + 1], &all[at], (gpm->count - at) * sizeof(all[0]));
    all[at] = region;
    gpm->count++;
    return true;
}

const struct gpm_region *gpm_find(const struct gpm *gpm, gpa_t address)
{
    size_t low = 0;
    size_t high = gpm->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct gpm_region *region = &gpm->regions[middle];

        if (address.v < region->base.v)
            high = middle;
        else if (address.v - region->base.v >= region->size)
            low = middle + 1;
        else
            return region;
    }
    return NULL;
}

bool gpm_translate(const struct gpm *gpm, gpa_t address, hpa_t *host)
{
    const struct gpm_region *region = gpm_find(gpm, address);

    if (region == NULL || !is_memory(region->kind))
        return false;
    *host = hpa_add(region->host, address.v - region->base.v);
    return true;
}

/* Whether all size bytes from address on are RAM, or ROM if that is allowed too. */
static bool covered(const struct gpm *gpm, gpa_t address, uint64_t size, bool rom_too)
{
    while (size > 0) {
        const struct gpm_region *region = gpm_find(gpm, address);
        uint64_t here;

        if (region == NULL || !is_memory(region->kind))
            return false;
        if (region->kind == GPM_ROM && !rom_too)
            return false;
        here = min_u64(size, region->size - (address.v - region->base.v));
        address = gpa_add(address, here);
        size -= here;
    }
    return true;
}

/* The bytes at address up to the end of its page, at most size of them: *here says how many. */
static uint8_t *page_piece(const struct gpm *gpm, gpa_t address, uint64_t size, uint64_t *here)
{
    hpa_t host;

    ASSERT(gpm_translate(gpm, address, &host));
    *here = min_u64(size, PAGE_SIZE - (address.v & PAGE_MASK));
    return host_ptr(host);
}

static bool is_word(const void *guest, uint64_t size)
{
    return (size == 4 || size == 8) && ((uintptr_t)guest & (size - 1)) == 0;
}

static void copy_out(void *to, const void *guest, uint64_t size)
{
    uint64_t word;

    if (!is_word(guest, size)) {
        memcpy(to, guest, size);
        return;
    }
    /* x86 is little endian: the first four bytes of word are its low half. */
    word = size == 8 ? __atomic_load_n((const uint64_t *)guest, __ATOMIC_RELAXED)
                     : __atomic_load_n((const uint32_t *)guest, __ATOMIC_RELAXED);
    memcpy(to, &word, size);
}

static void copy_in(void *guest, const void *from, uint64_t size)
{
    uint64_t word = 0;

    if (!is_word(guest, size)) {
        memcpy(guest, from, size);
        return;
    }
    memcpy(&word, from, size);
    if (size == 8)
        __atomic_store_n((uint64_t *)guest, word, __ATOMIC_RELAXED);
    else
        __atomic_store_n((uint32_t *)guest, (uint32_t)word, __ATOMIC_RELAXED);
}

bool gpm_read(const struct gpm *gpm, gpa_t from, void *to, size_t size)
{
    uint8_t *bytes = to;

    if (!covered(gpm, from, size, true))
        return false;
    while (size > 0) {
        uint64_t here;
        const uint8_t *guest = page_piece(gpm, from, size, &here);

        copy_out(bytes, guest, here);
        from = gpa_add(from, here);
        bytes += here;
        size -= here;
    }
    return true;
}

static void write_checked(const struct gpm *gpm, gpa_t to, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        uint64_t here;
        uint8_t *guest = page_piece(gpm, to, size, &here);

        copy_in(guest, bytes, here);
        to = gpa_add(to, here);
        bytes += here;
        size -= here;
    }
}

bool gpm_write(const struct gpm *gpm, gpa_t to, const void *from, size_t size)
{
    if (!covered(gpm, to, size, false))
        return false;
    write_checked(gpm, to, from, size);
    return true;
}

bool gpm_load(const struct gpm *gpm, gpa_t to, const void *from, size_t size)
{
    if (!covered(gpm, to, size, true))
        return false;
    write_checked(gpm, to, from, size);
    return true;
}

bool gpm_fill(const struct gpm *gpm, gpa_t to, uint8_t value, uint64_t size)
{
    if (!covered(gpm, to, size, true))
        return false;
    while (size > 0) {
        uint64_t here;
        uint8_t *guest = page_piece(gpm, to, size, &here);

        memset(guest, value, here);
        to = gpa_add(to, here);
        size -= here;
    }
    return true;
}

static bool swap8(uint64_t *word, uint64_t expected, uint64_t desired)
{
    return __atomic_compare_exchange_n(word, &expected, desired, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

static bool swap4(uint32_t *word, uint32_t expected, uint32_t desired)
{
    return __atomic_compare_exchange_n(word, &expected, desired, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

enum gpm_swap gpm_compare_swap(const struct gpm *gpm, gpa_t where, unsigned size, uint64_t expected,
                               uint64_t desired)
{
    uint64_t here;
    void *word;
    bool swapped;

    ASSERT(size == 4 || size == 8);
    ASSERT((where.v & (size - 1)) == 0);
    if (!covered(gpm, where, size, false))
        return GPM_NOT_RAM;
    word = page_piece(gpm, where, size, &here);
    swapped = size == 8 ? swap8(word, expected, desired)
                        : swap4(word, (uint32_t)expected, (uint32_t)desired);
    return swapped ? GPM_SWAPPED : GPM_LOST;
}
