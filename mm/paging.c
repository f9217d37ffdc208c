/* SPDX-License-Identifier: MIT */
/* The paging modes of mm/paging.h: SDM 3A table 4-1 "Properties of Different Paging Modes". */
#include "mm/paging.h"

/* Address bits below those of a large page, but for bit 12, which is PAT (tables 4-10, 4-18). */
#define LOW_2M BITS(20, 13)
#define LOW_1G BITS(29, 13)

static const struct paging_mode modes[MODE_COUNT] = {
    [MODE_NONE] = { "unpaged", 0, 0, 32, { { 0 } } },
    [MODE_32BIT] = { "32-bit", 2, 4, 32, { [1] = { 12, 10, 0 }, { 22, 10, 0 } } },
    [MODE_PAE] = { "PAE", 3, 8, 32, { [1] = { 12, 9, 0 }, { 21, 9, LOW_2M }, { 30, 2, 0 } } },
    [MODE_4LEVEL] = { "4-level",
                      4,
                      8,
                      48,
                      { [1] = { 12, 9, 0 }, { 21, 9, LOW_2M }, { 30, 9, LOW_1G }, { 39, 9, 0 } } },
    [MODE_5LEVEL] = { "5-level",
                      5,
                      8,
                      57,
                      { [1] = { 12, 9, 0 },
                        { 21, 9, LOW_2M },
                        { 30, 9, LOW_1G },
                        { 39, 9, 0 },
                        { 48, 9, 0 } } },
};

enum paging_mode_id paging_mode_of(const struct paging_regs *regs)
{
    if (!paging_enabled(regs))
        return MODE_NONE;
    if (!(regs->cr4 & CR4_PAE))
        return MODE_32BIT;
    if (!(regs->efer & EFER_LMA))
        return MODE_PAE;
    return regs->cr4 & CR4_LA57 ? MODE_5LEVEL : MODE_4LEVEL;
}

const struct paging_mode *paging_mode(enum paging_mode_id id)
{
    return &modes[id];
}

bool paging_canonical(const struct paging_regs *regs, gva_t address)
{
    unsigned shift = 64u - modes[paging_mode_of(regs)].linear_bits;

    if (!(regs->efer & EFER_LMA))
        return address.v <= UINT32_MAX;
    return (uint64_t)((int64_t)(address.v << shift) >> shift) == address.v;
}
