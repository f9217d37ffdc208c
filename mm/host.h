/* SPDX-License-Identifier: MIT */
/*
 * What mm/ asks of whoever hosts it, the hypervisor or a test process: panic() (lib/base.h), the
 * log (lib/log.h), access to host frames, and TLB flushes. mm/ has no other undefined symbol but
 * those of lib/; `make lint` checks it.
 */
#pragma once

#include "mm/addr.h"

struct mmu;

/* The frame's contents through the direct map. Panics if no RAM that Umbra may touch lies there. */
void *host_ptr(hpa_t address);

enum tlb_flush {
    TLB_FLUSH_ADDRESS,     /* one linear address, globals too, and all paging-structure caches */
    TLB_FLUSH_NON_GLOBALS, /* all but global translations */
    TLB_FLUSH_ALL,         /* everything that this vCPU's tag holds */
};

/* Has to take effect before mmu's vCPU next runs guest code; address for TLB_FLUSH_ADDRESS only. */
void host_tlb_flush(struct mmu *mmu, enum tlb_flush kind, gva_t address);
