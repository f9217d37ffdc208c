/* SPDX-License-Identifier: MIT */
/*
 * The test process's side of what mm/ and lib/ ask for (mm/host.h): panic(), the log's sink, fake
 * RAM, TLB flushes. The fake RAM lies at an invented host-physical address, so that code which
 * takes an hpa_t for a pointer, or the reverse, crashes; around it lie pages without access.
 *
 * Everything logged, at any level, is kept for host_log_text(); it is also shown if the
 * environment has UMBRA_TEST_VERBOSE.
 */
#pragma once

#include "mm/host.h"
#include <setjmp.h>

/*
 * Runs statement; true if it panicked (then host_panic_text() says with what), false if it came
 * to its end. A panic anywhere else is printed and aborts the process. Does not nest. Locals that
 * statement changes have to be volatile (setjmp).
 */
#define host_expect_panic(statement)          \
    ({                                        \
        volatile bool host_panicked_ = true;  \
        if (setjmp(*host_panic_arm()) == 0) { \
            statement;                        \
            host_panicked_ = false;           \
        }                                     \
        host_panic_disarm();                  \
        host_panicked_;                       \
    })

jmp_buf *host_panic_arm(void);
void host_panic_disarm(void);
const char *host_panic_text(void);

/* The newest lines of the log, at least 32 KiB of them if there were so many. */
const char *host_log_text(void);
void host_log_clear(void);

/* Replaces the fake RAM by bytes (whole pages) of zeros from base_hpa on; panics on bad sizes. */
void host_arena_init(uint64_t base_hpa, uint64_t bytes);

/* TLB flushes asked for since the last host_flushes_clear(), by kind. */
extern unsigned long host_flushes[TLB_FLUSH_ALL + 1];
void host_flushes_clear(void);

/* Called at every flush unless NULL. */
typedef void host_flush_hook_t(struct mmu *mmu, enum tlb_flush kind, gva_t address);
extern host_flush_hook_t *host_flush_hook;
