/* SPDX-License-Identifier: MIT */
/*
 * Runs a history and judges it; see history.h. From the top: the world, the registers, one access
 * and its judgement, the steps.
 *
 * Everything that may happen is decided by the reference MMU on the mirror of guest memory:
 *   RESUME    the reference allows the access; A and D are set as it says, nothing else changes
 *   INJECT    the reference faults on the tables of now with exactly this error code
 *   DEVICE    the reference allows it, and it hits no RAM (or ROM, if written)
 *   no fault  the byte is the reference's, or one that an older state of the tables allows
 */
#include "tests/host/history.h"
#include "mm/mmu.h"
#include "tests/host/history_allowed.h"
#include "tests/host/history_processor.h"
#include "tests/host/host.h"
#include <string.h>

#define VCPUS      2
#define ARENA_BASE 0x40000000ull
#define POOL_SIZE  (POOL_PAGES_MIN * PAGE_SIZE)
#define GUEST_BASE (ARENA_BASE + VCPUS * POOL_SIZE + PAGE_SIZE) /* an odd frame */
#define ARENA_SIZE (VCPUS * POOL_SIZE + PAGE_SIZE + MEMORY_BACKING * PAGE_SIZE)
#define TRIES      5

/* CR4 bits of paging that guests may set. Not PKE: protection keys are not virtualized (cpuid.c).
 */
#define CR4_OFFERED \
    (MODEL_CR4_PSE | MODEL_CR4_PAE | MODEL_CR4_PGE | MODEL_CR4_SMEP | MODEL_CR4_SMAP)

enum mode { UNPAGED, PAGED_32BIT, PAGED_PAE, PAGED_4LEVEL };

struct vcpu {
    struct pool pool;
    struct mmu mmu;
    struct processor processor;
    struct model_regs regs;
    struct past past;
    unsigned machine_width; /* the machine's MAXPHYADDR: 52 where there is no TRAP */
};

static struct {
    struct frames frames;
    uint64_t bitmap[(ARENA_BASE + ARENA_SIZE) / PAGE_SIZE / 64 + 1];
    struct vcpu vcpu[VCPUS];
    struct vcpu *now; /* the one that runs */
} world;

struct history_counts history_counts;
size_t history_position;

#define FOR_EACH_VCPU(v) for (struct vcpu *v = world.vcpu; v < world.vcpu + VCPUS; v++)

/* ---- the world ---- */

static void flush_hook(struct mmu *mmu, enum tlb_flush kind, gva_t address)
{
    processor_flush(&container_of(mmu, struct vcpu, mmu)->processor, kind, address.v);
}

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

/* A vCPU not paged, with a tag of its own: nothing is cached. */
static void start_vcpu(struct vcpu *v, struct model_regs regs, bool trap)
{
    struct paging_regs initial = paging_regs(&regs);

    v->regs = regs;
    v->machine_width = trap ? 46 : 52;
    processor_flush(&v->processor, TLB_FLUSH_ALL, 0);
    mmu_init(&v->mmu, memory_gpm(), &v->pool, &initial, spte(trap ? SPTE_TRAP : 0));
    past_event(&v->past, EVENT_ALL, 0, &v->regs);
}

static void stop_vcpu(struct vcpu *v)
{
    history_counts.recycled += v->mmu.stats.mmu_recycled;
    mmu_destroy(&v->mmu);
    if (v->pool.free_pages != POOL_PAGES_MIN)
        panic("%llu pages are lost", (unsigned long long)(POOL_PAGES_MIN - v->pool.free_pages));
}

static void begin(void)
{
    static bool arena;
    struct model_regs regs = {
        .cr0 = 1 | MODEL_CR0_WP, .cr4 = MODEL_CR4_PSE, .maxphyaddr = 40, .gib_pages = true
    };

    if (!arena)
        host_arena_init(ARENA_BASE, ARENA_SIZE);
    arena = true;
    host_flush_hook = flush_hook;
    host_log_clear();
    memory_init(GUEST_BASE);
    frames_init(&world.frames, world.bitmap, hpa(ARENA_BASE + ARENA_SIZE));
    frames_release(&world.frames, (struct extent){ hpa(ARENA_BASE), VCPUS * POOL_SIZE });
    FOR_EACH_VCPU(v)
    {
        if (!pool_init(&v->pool, &world.frames, POOL_PAGES_MIN))
            panic("no pool");
        start_vcpu(v, regs, true);
    }
    world.now = world.vcpu;
}

static void audit(void)
{
    memory_compare(true);
    FOR_EACH_VCPU(v)
    if (!mmu_audit(&v->mmu))
        panic("the audit fails: %s", host_log_text());
}

static void end(void)
{
    audit();
    FOR_EACH_VCPU(v)
    stop_vcpu(v);
}

/* Everything is flushed, so that only the present counts; when the books are full. */
static void settle(void)
{
    FOR_EACH_VCPU(v)
    {
        mmu_invpcid(&v->mmu, 2, 0, gva(0));
        past_event(&v->past, EVENT_ALL, 0, &v->regs);
    }
    memory_forget();
}

static bool crowded(void)
{
    bool full = memory_crowded();

    FOR_EACH_VCPU(v)
    full = full || past_crowded(&v->past);
    return full;
}

/* ---- registers ---- */

static enum mode mode_of(const struct model_regs *regs)
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
    bool long_mode = mode_of(&v->regs) == PAGED_4LEVEL;
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
                                    .tables_end = pool + POOL_SIZE };
}

/* The registers that an event may change are what the guest made them. */
static void check_regs(const struct vcpu *v)
{
    const struct paging_regs *is = &v->mmu.regs;
    const struct model_regs *want = &v->regs;

    if (is->cr0 != want->cr0 || is->cr3 != want->cr3 || is->cr4 != want->cr4 ||
        is->efer != want->efer)
        panic("registers are not what the guest wrote");
    if (mode_of(want) == PAGED_PAE && memcmp(is->pdpte, want->pdpte, sizeof(is->pdpte)) != 0)
        panic("PDPTEs are not what the guest loaded");
}

/* SDM 3A 4.4.1: which writes of CR0 and CR4 load the PDPTEs. */
static bool loads_pdptes(const struct model_regs *old, const struct model_regs *new)
{
    const uint64_t cr0 = 0xe0000000; /* PG, CD, NW */
    const uint64_t cr4 = MODEL_CR4_PAE | MODEL_CR4_PGE | MODEL_CR4_PSE | MODEL_CR4_SMEP;

    return mode_of(new) == PAGED_PAE &&
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

static void set_regs(struct vcpu *v, struct model_regs next)
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
        past_event(&v->past, flush, 0, &v->regs);
    }
}

static void load_cr3(struct vcpu *v, uint64_t cr3)
{
    struct model_regs next = v->regs;
    bool good = true;

    next.cr3 = cr3;
    if (mode_of(&next) == PAGED_PAE)
        good = model_load_pdptes(&next, memory_model(), next.pdpte);
    if (mmu_load_cr3(&v->mmu, cr3) != good)
        panic("MOV to CR3: expected %s", good ? "success" : "#GP");
    if (!good)
        return;
    v->regs = next;
    past_event(&v->past, EVENT_NON_GLOBALS, 0, &v->regs);
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
    past_event(&v->past, EVENT_FAULT, t->linear, &v->regs);
}

/* SDM 3A 4.6.1: only this is allowed to the guest and not to the shadow of its page. */
static bool may_step(const struct vcpu *v, const struct try *t, const struct model_result *page)
{
    return t->seen.what == MODEL_WRITE && t->seen.who != MODEL_USER && page->user &&
           !(v->regs.cr0 & MODEL_CR0_WP) && v->regs.cr4 & (MODEL_CR4_SMAP | MODEL_CR4_PKE);
}

/* What came of one #PF exit. */
enum end { AGAIN, DONE, NOT_DONE };

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
        return memory_host(page.gpa, write, &host) ? DONE : NOT_DONE;
    }
    panic("verdict %d", outcome.verdict);
}

/* The guest accesses memory. True if it got to RAM or ROM, *where. */
static bool access_once(struct vcpu *v, struct try t, uint64_t *where)
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
            return true;
        }
        end = judge_fault(
            v, &t, mmu_fault(&v->mmu, gva(t.linear), mmu_access_of(&t), result.error_code), where);
        memory_compare(false);
    }
    if (end == AGAIN)
        panic("0x%llx: livelock", (unsigned long long)t.linear);
    return end == DONE;
}

static bool guest_access(struct vcpu *v, uint64_t linear, unsigned how, unsigned choice,
                         uint64_t *where)
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
    return access_once(v, t, where);
}

/* ---- operands ---- */

/* Slots of 64-bit tables: those of a page directory first, the first 4 of them elsewhere. */
static const uint64_t slots64[] = { 0, 1, 2, 511, 3, 4, 5, 6, 7, 8, 505, 506, 507, 508, 509, 510 };
static const uint64_t slots32[] = { 0, 1, 2, 3, 0x1ff, 0x200, 0x3fe, 0x3ff };

/* The page a; with 64 of them one can fill the pool. */
static uint64_t page_of(const struct vcpu *v, unsigned a)
{
    uint64_t last = slots64[a >> 6 & 3] << 12;

    switch (mode_of(&v->regs)) {
    case UNPAGED: return (uint32_t)memory_frame(a & 31);
    case PAGED_32BIT: return slots32[a & 7] << 22 | slots32[2 * (a >> 3 & 3) + 1] << 12;
    case PAGED_PAE: return (uint64_t)(a & 3) << 30 | slots64[a >> 2 & 15] << 21 | last;
    default:
        return (a & 1 ? 0xffffff0000000000ull : 0) | (uint64_t)(a >> 1 & 1) << 39 |
               (uint64_t)(a >> 2 & 3) << 30 | slots64[a >> 4 & 3] << 21 | last;
    }
}

static uint64_t linear_of(const struct vcpu *v, unsigned a, unsigned b)
{
    static const uint64_t offsets[] = { 0, 0x123, 0xff8, 0xabc };

    return page_of(v, a) | offsets[b >> 6 & 3];
}

static unsigned entry_size(const struct vcpu *v)
{
    return v->regs.cr4 & MODEL_CR4_PAE ? 8 : 4;
}

static uint64_t slot_of(unsigned size, unsigned b)
{
    return (size == 4 ? slots32 : slots64)[b & 7] * size;
}

/* The entry that a and b select. */
static uint64_t entry_of(const struct vcpu *v, unsigned a, unsigned b)
{
    struct model_access read = { MODEL_READ, MODEL_SUPERVISOR };
    uint64_t linear = page_of(v, a);
    struct model_result walk;

    if (b & ENTRY_SLOT)
        return memory_frame(a & 31) + slot_of(entry_size(v), b);
    if (mode_of(&v->regs) == PAGED_PAE && (b & ENTRY_LEVEL) == ENTRY_LEVEL)
        return (v->regs.cr3 & 0xffffffe0) + 8 * (linear >> 30);
    walk = model_translate(&v->regs, memory_model(), linear, read);
    if (walk.used == 0)
        return memory_frame(a & 31) + slot_of(entry_size(v), b);
    return walk.use[(b & ENTRY_LEVEL) % walk.used].where;
}

static uint64_t entry_value(const struct vcpu *v, unsigned c, uint64_t value)
{
    static const uint64_t align[] = { 2 * MiB, 4 * MiB, GiB, 2 * MiB };
    const uint64_t reserved[] = { 1ull << v->regs.maxphyaddr, 1ull << 52, 1ull << 13, 1ull << 51 };
    uint64_t frame = memory_frame(c);
    uint64_t entry = value & 0x1ff;

    if (value & EDIT_ALIGN)
        frame = align_down(frame, align[value >> 26 & 3]);
    if (value & EDIT_RESERVED)
        entry |= reserved[value >> 24 & 3];
    if (entry_size(v) == 4)
        return (uint32_t)(entry | frame | frame >> 32 << 13);
    if (value & EDIT_NX)
        entry |= 1ull << 63;
    if (mode_of(&v->regs) == PAGED_4LEVEL)
        entry |= (value >> 16 & 15) << 59;
    return entry | frame;
}

/* ---- steps ---- */

/* A store by Umbra for a device: all or nothing. RAM that is not tracked stays as it is. */
static void umbra_stores(struct vcpu *v, uint64_t where, uint64_t value, unsigned size)
{
    bool ram = memory_is_ram(where) && memory_is_ram(where + size - 1);

    if (ram && where + size > MEMORY_TRACKED * PAGE_SIZE)
        return;
    if (mmu_store(&v->mmu, gpa(where), &value, size) != ram)
        panic("store of %u bytes at 0x%llx: expected %s", size, (unsigned long long)where,
              ram ? "success" : "refusal");
    if (ram)
        memory_mirror(where, &value, size);
}

static void step_access(struct vcpu *v, const struct step *s)
{
    uint64_t linear = linear_of(v, s->a, s->b);
    uint64_t where;

    if (guest_access(v, linear, s->b, s->c, &where) && s->b & HOW_REPEAT)
        (void)guest_access(v, linear, s->b, s->c, &where);
}

static void step_sweep(struct vcpu *v, const struct step *s)
{
    uint64_t where;

    for (unsigned i = 0; i < 64; i++)
        (void)guest_access(v, page_of(v, (s->a & 0xc0) | i), s->b, s->c, &where);
}

static void step_speculate(struct vcpu *v, const struct step *s)
{
    struct processor_regs regs = processor_regs(v);

    processor_speculate(&v->processor, &regs, page_of(v, s->a));
}

/* Bits of b: 1:0 size, 2 by the user, 3 with AC, 6:4 slot, 7 four bytes further. */
static void step_store(struct vcpu *v, const struct step *s)
{
    unsigned size = 1u << (s->b & 3);
    uint64_t offset = slot_of(8, s->b >> 4) + (s->b & 0x80 ? 4 : 0);
    unsigned how = MODEL_WRITE | (s->b & 4 ? 0 : 4) | (s->b & 8 ? HOW_AC : 0);
    uint64_t linear = page_of(v, s->a);
    uint64_t where;

    if (offset + size > PAGE_SIZE)
        offset = PAGE_SIZE - size;
    if (!guest_access(v, linear + offset, how, s->c, &where) ||
        where + size > MEMORY_TRACKED * PAGE_SIZE)
        return;
    memory_mirror(where, &s->value, size);
    memory_perform(where, size);
}

static void step_edit(struct vcpu *v, const struct step *s)
{
    uint64_t where = entry_of(v, s->a, s->b);
    uint64_t value = entry_value(v, s->c, s->value);

    if (!(s->value & (EDIT_LOW_HALF | EDIT_HIGH_HALF)) || entry_size(v) == 4) {
        umbra_stores(v, where, value, entry_size(v));
        return;
    }
    if (s->value & EDIT_HIGH_HALF)
        umbra_stores(v, where + 4, value >> 32, 4);
    if (s->value & EDIT_LOW_HALF)
        umbra_stores(v, where, value, 4);
}

static void step_toggle(struct vcpu *v, const struct step *s)
{
    uint64_t byte = entry_of(v, s->a, s->b) + s->c % (8 * entry_size(v)) / 8;
    uint8_t value = 0;

    if (!gpm_read(memory_gpm(), gpa(byte), &value, 1))
        return;
    umbra_stores(v, byte, value ^ 1u << s->c % 8, 1);
}

static void step_poke(struct vcpu *v, const struct step *s)
{
    uint64_t where = memory_frame(s->a) + slot_of(8, s->b) + (s->b & 8 ? 4 : 0);

    if (where < MEMORY_TRACKED * PAGE_SIZE - 8)
        umbra_stores(v, where, s->value, 1u << (s->c & 3));
}

static void step_cr0(struct vcpu *v, const struct step *s)
{
    struct model_regs next = v->regs;

    next.cr0 ^=
        (s->a & 1 ? MODEL_CR0_WP : 0) | (s->a & 2 ? 1ull << 30 : 0) | (s->a & 4 ? MODEL_CR0_PG : 0);
    set_regs(v, next);
}

static uint64_t root_of(const struct vcpu *v, enum mode mode, const struct step *s, unsigned a)
{
    static const uint64_t corners[] = { 0, 0x20, 0xfe0, 0 };
    uint64_t frame = a & 0x80 ? memory_frame(a & 31) : (1 + (a & 1)) * PAGE_SIZE;

    if (mode == PAGED_PAE)
        return (a & 0x80 ? (uint32_t)frame : frame + 2 * PAGE_SIZE) | corners[s->b & 3];
    if (mode == PAGED_4LEVEL)
        return (frame & (BIT(v->regs.maxphyaddr) - 1)) | (s->b & 0x18);
    return (uint32_t)frame | (s->b & 0x18);
}

static void step_cr3(struct vcpu *v, const struct step *s)
{
    load_cr3(v, root_of(v, mode_of(&v->regs), s, s->a));
}

static void step_cr4(struct vcpu *v, const struct step *s)
{
    static const uint64_t bits[] = { MODEL_CR4_PSE,  MODEL_CR4_PAE,  MODEL_CR4_PGE,
                                     MODEL_CR4_SMEP, MODEL_CR4_SMAP, MODEL_CR4_PKE };
    struct model_regs next = v->regs;

    for (unsigned i = 0; i < ARRAY_SIZE(bits); i++)
        if (s->a >> i & 1)
            next.cr4 ^= bits[i] & CR4_OFFERED;
    set_regs(v, next);
}

static void step_efer(struct vcpu *v, const struct step *s)
{
    struct model_regs next = v->regs;

    (void)s;
    next.efer ^= MODEL_EFER_NXE;
    set_regs(v, next);
}

static void step_pkru(struct vcpu *v, const struct step *s)
{
    v->regs.pkru = (uint32_t)s->value;
    past_event(&v->past, EVENT_REGS, 0, &v->regs);
}

static void step_mode(struct vcpu *v, const struct step *s)
{
    enum mode mode = s->a & 3;
    struct model_regs next = v->regs;

    next.cr0 &= ~MODEL_CR0_PG;
    set_regs(v, next);
    next = v->regs;
    next.cr4 &= ~MODEL_CR4_PAE;
    next.efer &= ~MODEL_EFER_LME;
    next.cr4 |= mode >= PAGED_PAE ? MODEL_CR4_PAE : 0;
    next.efer |= mode == PAGED_4LEVEL ? MODEL_EFER_LME : 0;
    set_regs(v, next);
    load_cr3(v, root_of(v, mode, s, s->b >> 4 & 1));
    next = v->regs;
    if (mode != UNPAGED)
        next.cr0 |= MODEL_CR0_PG;
    set_regs(v, next);
}

static void step_invlpg(struct vcpu *v, const struct step *s)
{
    uint64_t linear = linear_of(v, s->a, s->b);
    bool canonical = !(s->b & 1) || mode_of(&v->regs) != PAGED_4LEVEL;

    if (!canonical)
        linear ^= BIT(50);
    mmu_invlpg(&v->mmu, gva(linear));
    if (canonical)
        past_event(&v->past, EVENT_ADDRESS, linear, &v->regs);
}

static void step_invpcid(struct vcpu *v, const struct step *s)
{
    static const enum event_kind kinds[] = { EVENT_LOCAL, EVENT_NON_GLOBALS, EVENT_ALL,
                                             EVENT_NON_GLOBALS };
    unsigned type = s->a & 3, pcid = s->b & 7;
    uint64_t linear = page_of(v, s->c);

    mmu_invpcid(&v->mmu, type, (uint16_t)pcid, gva(linear));
    if (type >= 2 || pcid == 0)
        past_event(&v->past, kinds[type], linear, &v->regs);
}

static void step_map(struct vcpu *v, const struct step *s)
{
    (void)v;
    memory_set_variant(s->a);
    FOR_EACH_VCPU(each)
    {
        mmu_map_changed(&each->mmu);
        past_event(&each->past, EVENT_ALL, 0, &each->regs);
    }
}

static void step_reset(struct vcpu *v, const struct step *s)
{
    static const unsigned widths[] = { 40, 36, 32, 46, 52 };
    struct model_regs regs = { .cr0 = 1 | MODEL_CR0_WP,
                               .cr4 = MODEL_CR4_PSE,
                               .maxphyaddr = widths[s->a % ARRAY_SIZE(widths)],
                               .gib_pages = !(s->b & 1) };

    stop_vcpu(v);
    start_vcpu(v, regs, !(s->b & 2));
}

static void step_vcpu(struct vcpu *v, const struct step *s)
{
    (void)v;
    world.now = &world.vcpu[s->a % VCPUS];
}

/* Tables for mode, that name each other; leaves name any frame. Roots in pages 1 and 2 (PAE: 3 and
 * 4), then levels 3, 2 and 1 in pages 3 to 4, 5 to 6, 7 to 9. */
static void step_build(struct vcpu *v, const struct step *s)
{
    static const struct {
        unsigned first, count, level;
    } tables[] = { { 1, 2, 4 }, { 3, 2, 3 }, { 5, 2, 2 }, { 7, 3, 1 } };
    static const unsigned next_first[] = { 0, 0, 7, 5, 3 }, next_count[] = { 1, 1, 3, 2, 2 };
    enum mode mode = s->a & 3;
    unsigned size = mode == PAGED_32BIT ? 4 : 8;
    unsigned slots = size == 4 ? ARRAY_SIZE(slots32) : ARRAY_SIZE(slots64);
    uint64_t seed = s->value | 1;

    for (unsigned t = 0; t < ARRAY_SIZE(tables); t++)
        for (unsigned i = 0; i < tables[t].count * slots; i++) {
            unsigned level = size == 4 && t == 0 ? 2 : tables[t].level;
            uint64_t where = (tables[t].first + i / slots) * PAGE_SIZE;
            uint64_t entry = 7 | (seed >> 20 & 0x60), frame;

            seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
            where += (size == 4 ? slots32 : slots64)[i % slots] * size;
            frame = level == 1 ? memory_frame(seed >> 8 & (seed >> 16 & 3 ? 15 : 31))
                               : (next_first[level] + (seed >> 8) % next_count[level]) * PAGE_SIZE;
            if (seed >> 40 & 1 && level == 1)
                entry |= 0x100;
            if (level == 2 && !(seed >> 44 & 7)) {
                frame = align_down(memory_frame(seed >> 8 & 31), size == 4 ? 4 * MiB : 2 * MiB);
                entry |= 0x80 | (seed >> 30 & 0x100);
            }
            if (mode == PAGED_PAE && level == 3)
                entry = 1;
            umbra_stores(v, where, entry | (size == 4 ? (uint32_t)frame : frame), size);
        }
}

static void (*const actions[STEP_KINDS])(struct vcpu *v, const struct step *s) = {
    [STEP_ACCESS] = step_access, [STEP_SPECULATE] = step_speculate,
    [STEP_STORE] = step_store,   [STEP_EDIT] = step_edit,
    [STEP_TOGGLE] = step_toggle, [STEP_POKE] = step_poke,
    [STEP_CR0] = step_cr0,       [STEP_CR3] = step_cr3,
    [STEP_CR4] = step_cr4,       [STEP_EFER] = step_efer,
    [STEP_PKRU] = step_pkru,     [STEP_MODE] = step_mode,
    [STEP_INVLPG] = step_invlpg, [STEP_INVPCID] = step_invpcid,
    [STEP_MAP] = step_map,       [STEP_RESET] = step_reset,
    [STEP_VCPU] = step_vcpu,     [STEP_BUILD] = step_build,
    [STEP_SWEEP] = step_sweep,
};

void history_run(const struct step *steps, size_t count, unsigned audit_every)
{
    begin();
    for (history_position = 0; history_position < count; history_position++) {
        const struct step *s = &steps[history_position];

        if (crowded())
            settle();
        if (actions[s->kind % STEP_KINDS])
            actions[s->kind % STEP_KINDS](world.now, s);
        check_regs(world.now);
        history_counts.steps++;
        if (history_counts.steps % audit_every == 0)
            audit();
    }
    end();
}

bool history_fails(const struct step *steps, size_t count, unsigned audit_every)
{
    return host_expect_panic(history_run(steps, count, audit_every));
}
