/* SPDX-License-Identifier: MIT */
/* The measured #PF handler: fault.h. */
#include "guests/bench/fault.h"
#include "guests/bench/memory.h"
#include "guests/lib/report.h"
#include "guests/lib/trap.h"
#include "guests/lib/x86.h"

struct fault_plan fault;

void fault_entry(void);
void fault_handle(uint64_t address, uint64_t error_code);

/* Out of line: a second call in fault_handle() would make it align the stack for every fault. */
static _Noreturn __attribute__((noinline)) void unexpected(uint64_t address, uint64_t error_code)
{
    guest_fail("unexpected page fault at %#lx, error code %#lx", address, error_code);
}

static inline void copy_page(uint64_t i)
{
    uint64_t to = fault.copy_to;

    fault.copy_to += PAGE_SIZE;
    rep_movsq((void *)to, (void *)(fault.table[i] & ~PAGE_MASK), PAGE_SIZE / 8);
    set_entry(&fault.table[i], to | PWAD);
}

/* Called by fault_entry. */
void fault_handle(uint64_t address, uint64_t error_code)
{
    uint64_t i = (address - fault.region) / PAGE_SIZE;

    fault.count++;
    if (i >= fault.pages)
        unexpected(address, error_code);
    if (fault.mode == FAULT_MAP && error_code == PF_W) {
        set_entry(&fault.table[i], frame(i) | PWAD);
        return;
    }
    if (fault.mode == FAULT_COPY && error_code == (PF_P | PF_W)) {
        copy_page(i);
        invlpg(address);
        return;
    }
    if (fault.mode == FAULT_REUSE && error_code == (PF_P | PF_W)) {
        set_entry(&fault.table[i], fault.table[i] | PTE_W);
        invlpg(address);
        return;
    }
    unexpected(address, error_code);
}

void fault_init(void)
{
    guest_set_gate(EXC_PF, fault_entry);
}
