/* SPDX-License-Identifier: MIT */
/* What the steps share: steps.h. */
#include "guests/paging/steps.h"

uint64_t space;

unsigned long page(unsigned n)
{
    return paging->window + n * PAGE_SIZE;
}

void *entry_of(unsigned long address, unsigned level)
{
    return paging_entry(space, address, level);
}

void map(unsigned long address, unsigned frame, uint64_t bits)
{
    entry_set(entry_of(address, 1), frame_address(frame) | bits);
}

void set_bits(void *entry, uint64_t set, uint64_t clear)
{
    entry_set(entry, (entry_get(entry) | set) & ~clear);
}

static struct outcome judged(unsigned long address, unsigned access)
{
    static uint32_t value;
    struct outcome seen;
    const char *wrong = model_judge(address, access, ++value, &seen);

    CHECK(!wrong, "access %#x: %s", access, wrong);
    return seen;
}

void expect_done(unsigned long address, unsigned access)
{
    struct outcome seen = judged(address, access);

    CHECK(!seen.fault, "access %#x at %#lx: #PF with error code %#lx, expected none", access,
          address, seen.error_code);
}

void expect_frame(unsigned long address, unsigned access, unsigned frame)
{
    uint64_t physical = model_predict(address, access).physical;

    expect_done(address, access);
    CHECK((physical & ~(PAGE_SIZE - 1)) == frame_address(frame), "%#lx is at %#lx, not in frame %u",
          address, (unsigned long)physical, frame);
}

void expect_fault(unsigned long address, unsigned access, unsigned error_code)
{
    struct outcome seen = judged(address, access);

    CHECK(seen.fault, "access %#x at %#lx: no #PF, expected error code %#x", access, address,
          error_code);
    CHECK(seen.error_code == error_code, "access %#x at %#lx: error code %#lx, expected %#x",
          access, address, seen.error_code, error_code);
}

void expect_marks(void *entry, uint64_t marks, const char *when)
{
    uint64_t seen = entry_get(entry) & PAGING_MARKED;

    CHECK(seen == marks, "%s: A and D are %#lx, expected %#lx", when, (unsigned long)seen,
          (unsigned long)marks);
}

void flush(void)
{
    model_set_cr3(model.cr3);
}

const unsigned *large_levels(void)
{
    static const unsigned none[] = { 0 }, directory[] = { 2, 0 }, both[] = { 2, 3, 0 };

    if (paging_is(PAGING_32BIT) && !(model.cr4 & CR4_PSE))
        return none;
    return paging_is(PAGING_4LEVEL) && model.has_gib_pages ? both : directory;
}

uint64_t page_size(unsigned level)
{
    return BIT(paging->level[level].shift);
}
