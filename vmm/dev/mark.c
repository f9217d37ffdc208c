/* SPDX-License-Identifier: MIT */
/* Benchmark marks: see vmm/dev/mark.h. */
#include "vmm/dev/mark.h"
#include "lib/log.h"
#include "lib/string.h"
#include "vmm/vm.h"

#define MARK_CLOSES 0x80
#define MARK_ID     0x7f

uint8_t mark_read(struct vm *vm, uint16_t port)
{
    (void)vm;
    (void)port;
    return 0;
}

static void open_mark(struct vcpu *vcpu, uint8_t id)
{
    vcpu->mark.id = id;
    vcpu->mark.stats = vcpu->stats;
    memcpy(vcpu->mark.flushes, vcpu->engine.flushes, sizeof(vcpu->mark.flushes));
}

/* Exits count the closing mark's own. */
static void close_mark(struct vcpu *vcpu)
{
    const struct mark *mark = &vcpu->mark;
    const struct vcpu_stats *now = &vcpu->stats;
    const uint64_t *flushes = vcpu->engine.flushes;

    console_guest_flush(&vcpu->vm->console, vcpu->vm->config.name);
    log_raw("X %u exits=%lu pf=%lu cr=%lu invlpg=%lu invvpid0=%lu invvpid1=%lu invvpid2=%lu "
            "invvpid3=%lu\n",
            mark->id, now->exits - mark->stats.exits, now->page_faults - mark->stats.page_faults,
            now->by_reason[EXIT_CR_ACCESS] - mark->stats.by_reason[EXIT_CR_ACCESS],
            now->by_reason[EXIT_INVLPG] - mark->stats.by_reason[EXIT_INVLPG],
            flushes[0] - mark->flushes[0], flushes[1] - mark->flushes[1],
            flushes[2] - mark->flushes[2], flushes[3] - mark->flushes[3]);
    vcpu->mark.id = 0;
}

void mark_write(struct vm *vm, uint16_t port, uint8_t value)
{
    struct vcpu *vcpu = &vm->vcpu;
    uint8_t id = value & MARK_ID;

    (void)port;
    if (!(value & MARK_CLOSES))
        open_mark(vcpu, id);
    else if (id && vcpu->mark.id == id)
        close_mark(vcpu);
}
