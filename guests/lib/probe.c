/* SPDX-License-Identifier: MIT */
/* Ways into and out of a probe; probe.h says what one is. */
#include "guests/lib/probe.h"
#include "guests/lib/descriptors.h"
#include "guests/lib/report.h"
#include "lib/string.h"

#define VECTOR_DONE 0x30

/* Read by probe_enter, in this order. */
struct probe_start {
    const void *entry;
    unsigned long cs, flags, ss, address, value;
};

extern const void *const probe_entries[2][PROBE_OPS]; /* for CPL 0, for CPL 3 */

unsigned long probe_enter(const struct probe_start *start);
_Noreturn void probe_leave(void);
void probe_done(void);

bool (*probe_on_fault)(struct trap_frame *frame);

static struct outcome outcome;
static volatile bool running;

static void on_exception(struct trap_frame *frame)
{
    CHECK(running, "unexpected exception %lu, error code %#lx, RIP %#lx, CR2 %#lx", frame->vector,
          frame->error_code, frame->rip, frame->cr2);
    if (probe_on_fault && probe_on_fault(frame))
        return;
    outcome = (struct outcome){
        .fault = true,
        .vector = frame->vector,
        .error_code = frame->error_code,
        .cr2 = frame->cr2,
        .rip = frame->rip,
    };
    probe_leave();
}

void probe_init(void)
{
    for (unsigned vector = 0; vector < EXC_COUNT; vector++)
        guest_on_exception(vector, on_exception);
    descriptors_set_user_gate(VECTOR_DONE, probe_done);
}

struct outcome probe(enum probe_op op, unsigned flags, unsigned long address, unsigned long value)
{
    bool user = flags & PROBE_USER;
    struct probe_start start = {
        .entry = probe_entries[user][op],
        .cs = user ? SELECTOR_USER_CODE : SELECTOR_CODE,
        .flags = (unsigned long)(RFLAGS_RESERVED | (flags & PROBE_AC ? RFLAGS_AC : 0)),
        .ss = user ? SELECTOR_USER_DATA : SELECTOR_DATA,
        .address = address,
        .value = value,
    };
    unsigned long result;

    memset(&outcome, 0, sizeof(outcome));
    running = true;
    result = probe_enter(&start);
    running = false;
    outcome.value = outcome.fault ? 0 : result;
    return outcome;
}
