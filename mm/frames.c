/* SPDX-License-Identifier: MIT */
/* The frame bitmap of mm/frames.h. Searches skip whole words of 64 frames where they can. */
#include "mm/frames.h"
#include "lib/string.h"
#include "mm/host.h"

#define WORD 64

static void sort_by_base(struct extent *extents, size_t count)
{
    for (size_t i = 1; i < count; i++)
        for (size_t j = i; j > 0 && extents[j].base.v < extents[j - 1].base.v; j--) {
            struct extent swapped = extents[j];
            extents[j] = extents[j - 1];
            extents[j - 1] = swapped;
        }
}

static struct extent whole_pages(struct extent extent)
{
    uint64_t skipped = -extent.base.v & PAGE_MASK; /* up to the next page: cannot wrap */

    if (extent.size <= skipped)
        return (struct extent){ extent.base, 0 };
    return (struct extent){ hpa_add(extent.base, skipped),
                            align_down(extent.size - skipped, PAGE_SIZE) };
}

size_t extents_normalize(struct extent *extents, size_t count)
{
    size_t kept = 0;

    sort_by_base(extents, count);
    for (size_t i = 0; i < count; i++) {
        struct extent e = whole_pages(extents[i]);
        struct extent *last = kept ? &extents[kept - 1] : NULL;
        if (!e.size)
            continue;
        if (last && e.base.v <= last->base.v + last->size)
            last->size = max_u64(last->size, e.base.v + e.size - last->base.v);
        else
            extents[kept++] = e;
    }
    return kept;
}

static bool is_taken(const struct frames *frames, uint64_t frame)
{
    return frames->bitmap[frame / WORD] >> (frame % WORD) & 1;
}

static void set_taken(struct frames *frames, uint64_t frame, bool taken)
{
    if (is_taken(frames, frame) == taken)
        return;
    frames->bitmap[frame / WORD] ^= BIT(frame % WORD);
    frames->free += taken ? -1ull : 1ull;
}

static void set_range(struct frames *frames, uint64_t first, uint64_t end, bool taken)
{
    for (uint64_t f = first; f < min_u64(end, frames->count); f++)
        set_taken(frames, f, taken);
}

uint64_t frames_bitmap_size(hpa_t end)
{
    uint64_t count = end.v >> PAGE_SHIFT;

    return (count + WORD - 1) / WORD * sizeof(uint64_t);
}

void frames_init(struct frames *frames, void *bitmap, hpa_t end)
{
    *frames = (struct frames){ .bitmap = bitmap, .count = end.v >> PAGE_SHIFT };
    memset(bitmap, 0xff, frames_bitmap_size(end));
}

void frames_release(struct frames *frames, struct extent extent)
{
    struct extent whole = whole_pages(extent);
    uint64_t first = whole.base.v >> PAGE_SHIFT;

    set_range(frames, first, first + (whole.size >> PAGE_SHIFT), false);
}

void frames_reserve(struct frames *frames, struct extent extent)
{
    uint64_t last = (extent.base.v + extent.size - 1) >> PAGE_SHIFT;

    if (extent.size)
        set_range(frames, extent.base.v >> PAGE_SHIFT, last + 1, true);
}

/* The first taken frame in [first, end), or end. */
static uint64_t first_taken(const struct frames *frames, uint64_t first, uint64_t end)
{
    uint64_t f = first;

    while (f < end) {
        uint64_t rest = frames->bitmap[f / WORD] >> (f % WORD);
        if (rest)
            return min_u64(f + (uint64_t)__builtin_ctzll(rest), end);
        f += WORD - f % WORD;
    }
    return end;
}

/* The first free frame at or after first, or count. */
static uint64_t first_free(const struct frames *frames, uint64_t first)
{
    uint64_t f = first;

    while (f < frames->count) {
        uint64_t rest = ~frames->bitmap[f / WORD] >> (f % WORD);
        if (rest)
            return min_u64(f + (uint64_t)__builtin_ctzll(rest), frames->count);
        f += WORD - f % WORD;
    }
    return frames->count;
}

/* The lowest fitting block at or after frame from; frames->count if there is none. */
static uint64_t find_block(const struct frames *frames, struct frame_request request, uint64_t from)
{
    uint64_t step = request.alignment >> PAGE_SHIFT;
    uint64_t end = frames->count;
    uint64_t f = from;

    if (request.limit.v)
        end = min_u64(end, request.limit.v >> PAGE_SHIFT);
    while ((f = align_up(first_free(frames, f), step)) < end && request.count <= end - f) {
        uint64_t taken = first_taken(frames, f, f + request.count);
        if (taken == f + request.count)
            return f;
        f = taken + 1;
    }
    return frames->count;
}

bool frames_alloc(struct frames *frames, struct frame_request request, hpa_t *base)
{
    bool single = request.count == 1 && request.alignment == PAGE_SIZE;
    uint64_t found = frames->count;

    ASSERT(request.count > 0 && request.alignment >= PAGE_SIZE);
    if (single)
        found = find_block(frames, request, frames->next);
    if (found == frames->count)
        found = find_block(frames, request, 0);
    if (found == frames->count)
        return false;
    set_range(frames, found, found + request.count, true);
    if (single)
        frames->next = found + 1;
    *base = hpa(found << PAGE_SHIFT);
    return true;
}

bool frames_alloc_zeroed(struct frames *frames, hpa_t *frame)
{
    if (!frames_alloc(frames, (struct frame_request){ 1, PAGE_SIZE, hpa(0) }, frame))
        return false;
    memset(host_ptr(*frame), 0, PAGE_SIZE);
    return true;
}

void frames_free(struct frames *frames, hpa_t base, uint64_t count)
{
    uint64_t first = base.v >> PAGE_SHIFT;

    ASSERT(!(base.v & PAGE_MASK) && first + count <= frames->count);
    for (uint64_t f = first; f < first + count; f++) {
        ASSERT(is_taken(frames, f));
        set_taken(frames, f, false);
    }
    frames->next = min_u64(frames->next, first);
}

/* The end of a used extent that overlaps [base, base + size), or 0. */
static uint64_t end_of_overlap(struct extent_list used, uint64_t base, uint64_t size)
{
    for (size_t i = 0; i < used.count; i++) {
        struct extent u = used.items[i];
        if (u.size && u.base.v < base + size && base < u.base.v + u.size)
            return u.base.v + u.size;
    }
    return 0;
}

bool frames_find_gap(struct extent_list ram, struct extent_list used, uint64_t size, hpa_t limit,
                     hpa_t *base)
{
    for (size_t i = 0; i < ram.count; i++) {
        uint64_t end = min_u64(ram.items[i].base.v + ram.items[i].size, limit.v);
        uint64_t at = align_up(max_u64(ram.items[i].base.v, MiB), PAGE_SIZE);
        uint64_t next;

        while ((next = end_of_overlap(used, at, size)) != 0)
            at = align_up(next, PAGE_SIZE);
        if (at < end && size <= end - at) {
            *base = hpa(at);
            return true;
        }
    }
    return false;
}
