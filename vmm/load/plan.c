/* SPDX-License-Identifier: MIT */
/*
 * Checks of what a plan names against the guest's memory, the search for a gap between segments,
 * and the plan's execution.
 *
 * Guest memory is described twice: by the map (gpm), which knows what answers at an address, and by
 * the ranges of the request, which are what the guest is told. A segment has to lie in RAM of the
 * former and must not touch what the latter reserves, since something of ours lies there. The
 * information structure goes where both say RAM.
 */
#include "vmm/load/plan.h"
#include "lib/format.h"

bool plan_refuse(struct load_plan *plan, const char *fmt, ...)
{
    va_list arguments;

    va_start(arguments, fmt);
    vformat(plan->error, LOAD_ERROR_MAX, fmt, arguments);
    va_end(arguments);
    return false;
}

const uint8_t *plan_bytes(const struct load_plan *plan, uint64_t offset, uint64_t size)
{
    uint64_t end = plan->request->size;

    if (offset > end || size > end - offset)
        return NULL;
    return (const uint8_t *)plan->request->image + offset;
}

const struct load_segment *plan_segment_at(const struct load_plan *plan, gpa_t address)
{
    for (size_t i = 0; i < plan->segment_count; i++) {
        const struct load_segment *segment = &plan->segments[i];

        if (address.v >= segment->to.v && address.v - segment->to.v < segment->size)
            return segment;
    }
    return NULL;
}

/* Whether all size bytes from address on are RAM; if not, *address is the first that is not. */
static bool is_ram(const struct gpm *gpm, gpa_t *address, uint64_t size)
{
    while (size > 0) {
        const struct gpm_region *region = gpm_find(gpm, *address);
        uint64_t here;

        if (region == NULL || region->kind != GPM_RAM)
            return false;
        here = min_u64(size, region->size - (address->v - region->base.v));
        *address = gpa_add(*address, here);
        size -= here;
    }
    return true;
}

/* Of two stretches that do not wrap. */
static bool overlap(gpa_t a, uint64_t a_size, gpa_t b, uint64_t b_size)
{
    return a.v < b.v + b_size && b.v < a.v + a_size;
}

static const struct guest_memory_range *reserved_in(const struct load_plan *plan, gpa_t base,
                                                    uint64_t size)
{
    for (size_t i = 0; i < plan->request->range_count; i++) {
        const struct guest_memory_range *range = &plan->request->ranges[i];

        if (range->kind != GUEST_RAM && overlap(base, size, range->base, range->size))
            return range;
    }
    return NULL;
}

bool plan_add_segment(struct load_plan *plan, struct load_segment segment, const char *who)
{
    const struct guest_memory_range *reserved;
    gpa_t not_ram = segment.to;

    if (plan->segment_count == LOAD_SEGMENTS_MAX)
        return plan_refuse(plan, "%s: more than %d segments to load", who, LOAD_SEGMENTS_MAX);
    if (!is_ram(plan->gpm, &not_ram, segment.size))
        return plan_refuse(plan,
                           "%s: segment of 0x%lx bytes at guest-physical address 0x%lx: "
                           "there is no RAM at 0x%lx",
                           who, segment.size, segment.to.v, not_ram.v);
    reserved = reserved_in(plan, segment.to, segment.size);
    if (reserved != NULL)
        return plan_refuse(plan,
                           "%s: segment of 0x%lx bytes at guest-physical address 0x%lx: "
                           "the 0x%lx bytes at 0x%lx are reserved",
                           who, segment.size, segment.to.v, reserved->size, reserved->base.v);
    plan->segments[plan->segment_count++] = segment;
    return true;
}

static const struct load_segment *segment_in(const struct load_plan *plan, gpa_t base,
                                             uint64_t size)
{
    for (size_t i = 0; i < plan->segment_count; i++) {
        const struct load_segment *segment = &plan->segments[i];

        if (overlap(base, size, segment->to, segment->size))
            return segment;
    }
    return NULL;
}

/* Lowest page in [from, end) at which info_size bytes lie before end and on no segment. */
static bool place_between(struct load_plan *plan, uint64_t from, uint64_t end)
{
    uint64_t at = align_up(from, PAGE_SIZE);

    while (at < end && plan->info_size <= end - at) {
        const struct load_segment *segment = segment_in(plan, gpa(at), plan->info_size);
        gpa_t not_ram = gpa(at);

        if (segment == NULL) {
            plan->info = gpa(at);
            return is_ram(plan->gpm, &not_ram, plan->info_size);
        }
        at = align_up(segment->to.v + segment->size, PAGE_SIZE);
    }
    return false;
}

static bool place_within(struct load_plan *plan, uint64_t from, uint64_t end)
{
    for (size_t i = 0; i < plan->request->range_count; i++) {
        const struct guest_memory_range *range = &plan->request->ranges[i];
        uint64_t low = max_u64(range->base.v, from);
        uint64_t high = min_u64(range->base.v + range->size, end);

        if (range->kind == GUEST_RAM && place_between(plan, low, high))
            return true;
    }
    return false;
}

bool plan_place_info(struct load_plan *plan, uint64_t size)
{
    /*
     * Best at 64 KiB and above, where GRUB puts it: small kernels use the pages below without a
     * look at what lies there. Never in page 0, for a null pointer means that there is none.
     */
    static const struct {
        uint64_t from, end;
    } choices[] = {
        { 64 * KiB, 640 * KiB },
        { PAGE_SIZE, 4 * GiB },
    };

    plan->info_size = size;
    for (size_t i = 0; i < ARRAY_SIZE(choices); i++)
        if (place_within(plan, choices[i].from, choices[i].end))
            return true;
    return plan_refuse(plan,
                       "no room for the information structure and command line (0x%lx bytes): "
                       "the segments leave no such gap in guest RAM below 4 GiB",
                       size);
}

static void load_segment(const struct load_plan *plan, const struct load_segment *segment)
{
    const uint8_t *bytes = plan_bytes(plan, segment->from, segment->filled);
    gpa_t rest = gpa_add(segment->to, segment->filled);

    ASSERT(bytes != NULL && segment->filled <= segment->size);
    ASSERT(gpm_write(plan->gpm, segment->to, bytes, segment->filled));
    ASSERT(gpm_fill(plan->gpm, rest, 0, segment->size - segment->filled));
}

void plan_carry_out(const struct load_plan *plan)
{
    for (size_t i = 0; i < plan->segment_count; i++)
        load_segment(plan, &plan->segments[i]);
    ASSERT(gpm_fill(plan->gpm, plan->info, 0, plan->info_size));
}

void plan_write_info(const struct load_plan *plan, uint64_t offset, const void *from, size_t size)
{
    ASSERT(offset <= plan->info_size && size <= plan->info_size - offset);
    ASSERT(gpm_write(plan->gpm, gpa_add(plan->info, offset), from, size));
}
