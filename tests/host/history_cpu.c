/* SPDX-License-Identifier: MIT */
/* One vCPU of a history and its judge; see history_cpu.h. */
#include "tests/host/history_cpu.h"
#include "tests/host/history.h"
#include <string.h>

#define TRIES 5 /* faults of one access; more are a livelock */

static struct paging_regs paging_regs(const struct model_regs *regs)
{
    struct paging_regs out = { .cr0 = regs->cr0,
                               .cr3 = regs->cr3,
                               .cr4 = regs->cr4,
                               .efer = regs->efer,
                               .pkru = regs->pkru,
                               .ac = regs->rflags & MODEL_RFLAGS_AC,
                               .maxphyaddr = (uint8_t)regs->maxphyaddr,
                               .gib_pages = regs->gib_pages };

    memcpy(out.pdpte, regs->pdpte, sizeof(out.pdpte));
    return out;
}

void cpu_start(struct vcpu *v, struct model_regs regs, bool trap)
{
    struct paging_regs initial = paging_regs(&regs);

    v->regs = regs;
    v->machine_width = trap ? 46 : 52;
    processor_flush(&v->processor, TLB_FLUSH_ALL, 0);
    mmu_init(&v->mmu, memory_gpm(), &v->pool, &initial, spte(trap ? SPTE_TRAP : 0));
    cpu_event(v, EVENT_ALL, 0);
}

void cpu_stop(struct vcpu *v)
{
    history_counts.recycled += v->mmu.stats.mmu_recycled;
    mmu_destroy(&v->mmu);
    if (v->pool.free_pages != v->pool.pages)
        panic("%llu pages are lost", (unsigned long long)(v->pool.pages - v->pool.free_pages));
}

/* ---- registers ---- */

enum mode cpu_mode(const struct model_regs *regs)
{
    if (!(regs->cr0 & MODEL_CR0_PG))
        return UNPAGED;
    if (!(regs->cr4 & MODEL_CR4_PAE))
        return PAGED_32BIT;
    return regs->efer & MODEL_EFER_LMA ? PAGED_4LEVEL : PAGED_PAE;
}

/* What the processor runs with, as the monitor sets it. */
static struct processor_regs processor_regs(const struct vcpu *v)
{
    uint64_t cr4 = v->regs.cr0 & MODEL_CR0_PG ? v->regs.cr4 : 0;
    bool long_mode = cpu_mode(&v->regs) == PAGED_4LEVEL;
    uint64_t pool = v->pool.base.v;

    if (long_mode != (mmu_format(&v->mmu) == SHADOW_4LEVEL))
        panic("the shadow's format does not suit the mode");
    return (struct processor_regs){ .root = mmu_root(&v->mmu).v,
                                    .long_mode = long_mode,
                                    .pge = cr4 & MODEL_CR4_PGE,
                                    .smep = cr4 & MODEL_CR4_SMEP,
                                    .smap = cr4 & MODEL_CR4_SMAP,
                                    .pke = long_mode && cr4 & MODEL_CR4_PKE,
                                    .ac = v->regs.rflags & MODEL_RFLAGS_AC,
                                    .pkru = v->regs.pkru,
                                    .maxphyaddr = v->machine_width,
                                    .tables_base = pool,
                                    .tables_end = pool + v->pool.pages * PAGE_SIZE };
}

void cpu_check_regs(const struct vcpu *v)
{
    const struct paging_regs *is = &v->mmu.regs;
    const struct model_regs *want = &v->regs;

    if (is->cr0 != want->cr0 || is->cr3 != want->cr3 || is->cr4 != want->cr4 ||
        is->efer != want->efer)
        panic("registers are not what the guest wrote");
    if (cpu_mode(want) == PAGED_PAE && memcmp(is->pdpte, want->pdpte, sizeof(is->pdpte)) != 0)
        panic("PDPTEs are not what the guest loaded");
}

void cpu_event(struct vcpu *v, enum event_kind kind, uint64_t linear)
{
    past_event(&v->past, kind, linear, &v->regs);
}

/* SDM 3A 4.4.1: which writes of CR0 and CR4 load the PDPTEs. */
static bool loads_pdptes(const struct model_regs *old, const struct model_regs *new)
{
    const uint64_t cr0 = 0xe0000000; /* PG, CD, NW */
    const uint64_t cr4 = MODEL_CR4_PAE | MODEL_CR4_PGE | MODEL_CR4_PSE | MODEL_CR4_SMEP;

    return cpu_mode(new) == PAGED_PAE &&
           ((old->cr0 ^ new->cr0) & cr0 || (old->cr4 ^ new->cr4) & cr4);
}

/* SDM 3A 4.10.4.1: what the write flushes. */
static enum event_kind flush_of(const struct model_regs *old, const struct model_regs *new)
{
    if ((old->cr0 ^ new->cr0) & MODEL_CR0_PG || (old->cr4 ^ new->cr4) & MODEL_CR4_PGE)
        return EVENT_ALL;
    if ((old->cr4 ^ new->cr4) & MODEL_CR4_PAE || (new->cr4 & ~old->cr4) & MODEL_CR4_SMEP)
        return EVENT_NON_GLOBALS;
    return EVENT_REGS;
}

/* #GP that the monitor finds by itself. */
static bool refused(const struct model_regs *old, const struct model_regs *new)
{
    bool paged = new->cr0 &MODEL_CR0_PG;
    bool long_mode = paged && new->efer &MODEL_EFER_LME;

    if (long_mode && !(new->cr4 &MODEL_CR4_PAE))
        return true;
    return (old->efer ^ new->efer) & MODEL_EFER_LME && old->cr0 & MODEL_CR0_PG;
}

void cpu_set_regs(struct vcpu *v, struct model_regs next)
{
    struct paging_regs regs;
    bool good = true;

    next.efer &= ~MODEL_EFER_LMA;
    if (next.cr0 & MODEL_CR0_PG && next.efer & MODEL_EFER_LME)
        next.efer |= MODEL_EFER_LMA;
    if (refused(&v->regs, &next))
        return;
    regs = paging_regs(&next);
    if (loads_pdptes(&v->regs, &next))
        good = model_load_pdptes(&next, memory_model(), next.pdpte);
    if (mmu_set_regs(&v->mmu, &regs) != good)
        panic("control registers: expected %s", good ? "success" : "#GP");
    if (good) {
        enum event_kind flush = flush_of(&v->regs, &next);
        v->regs = next;
        cpu_event(v, flush, 0);
    }
}

void cpu_load_cr3(struct vcpu *v, uint64_t cr3)
{
    struct model_regs next = v->regs;
    bool good = true;

    next.cr3 = cr3;
    if (cpu_mode(&next) == PAGED_PAE)
        good = model_load_pdptes(&next, memory_model(), next.pdpte);
    if (mmu_load_cr3(&v->mmu, cr3) != good)
        panic("MOV to CR3: expected %s", good ? "success" : "#GP");
    if (!good)
        return;
    v->regs = next;
    cpu_event(v, EVENT_NON_GLOBALS, 0);
}

/* ---- one access ---- */

struct
try {
    uint64_t linear;
    struct model_access access; /* what it is */
    struct model_access seen;   /* what the monitor takes it for */
    unsigned choice;
};

static struct processor_access processor_access_of(const struct try *t)
{
    return (struct processor_access){ .linear = t->linear,
                                      .write = t->access.what == MODEL_WRITE,
                                      .fetch = t->access.what == MODEL_FETCH,
                                      .user = t->access.who == MODEL_USER,
                                      .implicit = t->access.who == MODEL_IMPLICIT };
}

static unsigned mmu_access_of(const struct try *t)
{
    return (t->seen.what == MODEL_WRITE ? ACCESS_WRITE : 0) |
           (t->seen.what == MODEL_FETCH ? ACCESS_FETCH : 0) |
           (t->seen.who == MODEL_USER ? ACCESS_USER : 0) |
           (t->seen.who == MODEL_IMPLICIT ? ACCESS_IMPLICIT : 0);
}

static bool flags_complete(const struct model_result *result)
{
    for (unsigned i = 0; i < result->used; i++)
        if (result->use[i].ram && result->use[i].becomes != result->use[i].was)
            return false;
    return true;
}

static void judge_allowed(const struct vcpu *v, const struct try *t, uint64_t host)
{
    struct model_result now = model_translate(&v->regs, memory_model(), t->linear, t->access);
    bool write = t->access.what == MODEL_WRITE;
    uint64_t expected;

    history_counts.allowed++;
    if (now.ok && flags_complete(&now) && memory_host(now.gpa, write, &expected) &&
        host == expected)
        return;
    if (!past_allows(&v->past, t->linear, t->access, host))
        panic("0x%llx: the processor got to host 0x%llx, which no state of the tables allows",
              (unsigned long long)t->linear, (unsigned long long)host);
    history_counts.by_past++;
}

/* The translation that the reference finds, with its flags, is what the verdict must rest on. */
static void judge_translation(const struct vcpu *v, const struct try *t, const char *verdict,
                              struct model_result *result)
{
    *result = model_translate(&v->regs, memory_model(), t->linear, t->seen);
    if (!result->ok)
        panic("0x%llx: %s, expected a fault 0x%x", (unsigned long long)t->linear, verdict,
              result->error_code);
    memory_mirror_flags(result);
}

static void judge_inject(struct vcpu *v, const struct try *t, uint32_t error_code)
{
    struct model_result now = model_translate(&v->regs, memory_model(), t->linear, t->access);

    history_counts.faults++;
    if (now.ok)
        panic("0x%llx: fault 0x%x, expected none", (unsigned long long)t->linear, error_code);
    if (now.error_code != error_code)
        panic("0x%llx: fault 0x%x, expected 0x%x", (unsigned long long)t->linear, error_code,
              now.error_code);
    cpu_event(v, EVENT_FAULT, t->linear);
}

/* SDM 3A 4.6.1: only this is allowed to the guest and not to the shadow of its page. */
static bool may_step(const struct vcpu *v, const struct try *t, const struct model_result *page)
{
    return t->seen.what == MODEL_WRITE && t->seen.who != MODEL_USER && page->user &&
           !(v->regs.cr0 & MODEL_CR0_WP) && v->regs.cr4 & (MODEL_CR4_SMAP | MODEL_CR4_PKE);
}

static enum end judge_fault(struct vcpu *v, const struct try *t, struct mmu_outcome outcome,
                            uint64_t *where)
{
    bool write = t->access.what == MODEL_WRITE;
    struct model_result page;
    uint64_t host;

    switch (outcome.verdict) {
    case MMU_RESUME:
        judge_translation(v, t, "resumed", &page);
        if (!memory_host(page.gpa, write, &host))
            panic("0x%llx: resumed, expected a device", (unsigned long long)t->linear);
        history_counts.fills++;
        return AGAIN;
    case MMU_INJECT: judge_inject(v, t, outcome.error_code); return NOT_DONE;
    case MMU_DEVICE:
        judge_translation(v, t, "device", &page);
        if (outcome.gpa.v != page.gpa || memory_host(page.gpa, write, &host))
            panic("0x%llx: device at 0x%llx, expected 0x%llx", (unsigned long long)t->linear,
                  (unsigned long long)outcome.gpa.v, (unsigned long long)page.gpa);
        history_counts.devices++;
        return NOT_DONE;
    case MMU_STORE:
    case MMU_STEP:
        judge_translation(v, t, "performed", &page);
        if (outcome.verdict == MMU_STEP && !may_step(v, t, &page))
            panic("0x%llx: a single step for nothing", (unsigned long long)t->linear);
        history_counts.single_steps++;
        *where = page.gpa;
        if (!memory_host(page.gpa, write, &host))
            return NOT_DONE;
        return outcome.verdict == MMU_STORE ? DONE_BY_UMBRA : DONE;
    }
    panic("verdict %d", outcome.verdict);
}

static enum end access_until_done(struct vcpu *v, struct try t, uint64_t *where)
{
    enum end end = AGAIN;

    for (unsigned i = 0; i < TRIES && end == AGAIN; i++) {
        struct processor_regs regs = processor_regs(v);
        struct processor_result result =
            processor_access(&v->processor, &regs, processor_access_of(&t), t.choice);

        v->mmu.regs.ac = regs.ac;
        v->mmu.regs.pkru = regs.pkru;
        if (result.ok) {
            judge_allowed(v, &t, result.host);
            *where = memory_guest(result.host);
            return DONE;
        }
        end = judge_fault(
            v, &t, mmu_fault(&v->mmu, gva(t.linear), mmu_access_of(&t), result.error_code), where);
        memory_compare(false);
    }
    if (end == AGAIN)
        panic("0x%llx: livelock", (unsigned long long)t.linear);
    return end;
}

enum end cpu_access(struct vcpu *v, uint64_t linear, unsigned how, unsigned choice, uint64_t *where)
{
    static const enum model_what what[] = { MODEL_READ, MODEL_WRITE, MODEL_FETCH, MODEL_WRITE };
    static const enum model_who who[] = { MODEL_USER, MODEL_SUPERVISOR, MODEL_IMPLICIT,
                                          MODEL_IMPLICIT };
    struct try t = { linear, { what[how & HOW_WHAT], who[(how & HOW_WHO) / 4] }, { 0 }, choice };

    if (t.access.what == MODEL_FETCH && t.access.who == MODEL_IMPLICIT)
        t.access.who = MODEL_SUPERVISOR;
    t.seen = t.access;
    if (t.access.who == MODEL_IMPLICIT && (how & HOW_WHO) == HOW_WHO)
        t.seen.who = MODEL_SUPERVISOR;
    v->regs.rflags = how & HOW_AC ? MODEL_RFLAGS_AC : 0;
    v->past.event[v->past.count - 1].regs.rflags = v->regs.rflags;
    history_counts.accesses++;
    return access_until_done(v, t, where);
}

void cpu_speculate(struct vcpu *v, uint64_t linear)
{
    struct processor_regs regs = processor_regs(v);

    processor_speculate(&v->processor, &regs, linear);
}
