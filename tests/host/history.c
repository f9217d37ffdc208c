/* SPDX-License-Identifier: MIT */
/*
 * Runs a history; see history.h. From the top: the world, what operands mean, the steps. What an
 * access comes to is judged in history_cpu.c.
 */
#include "tests/host/history.h"
#include "tests/host/history_cpu.h"
#include "tests/host/host.h"

#define VCPUS      2
#define ARENA_BASE 0x40000000ull
#define POOL_SIZE  (POOL_PAGES_MIN * PAGE_SIZE)
#define GUEST_BASE (ARENA_BASE + VCPUS * POOL_SIZE + PAGE_SIZE) /* an odd frame */
#define ARENA_SIZE (VCPUS * POOL_SIZE + PAGE_SIZE + MEMORY_BACKING * PAGE_SIZE)

/* CR4 bits of paging that guests may set: PKE too, though CPUID does not announce it yet. */
#define CR4_OFFERED                                                                    \
    (MODEL_CR4_PSE | MODEL_CR4_PAE | MODEL_CR4_PGE | MODEL_CR4_SMEP | MODEL_CR4_SMAP | \
     MODEL_CR4_PKE)

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
    processor_flush(&vcpu_of(mmu)->processor, kind, address.v);
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
        cpu_start(v, regs, true);
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
    cpu_stop(v);
}

/* Everything is flushed, so that only the present counts; when the books are full. */
static void settle(void)
{
    FOR_EACH_VCPU(v)
    {
        mmu_invpcid(&v->mmu, 2, 0, gva(0));
        cpu_event(v, EVENT_ALL, 0);
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

/* ---- operands ---- */

/* Slots of 64-bit tables: those of a page directory first, the first 4 of them elsewhere. */
static const uint64_t slots64[] = { 0, 1, 2, 511, 3, 4, 5, 6, 7, 8, 505, 506, 507, 508, 509, 510 };
static const uint64_t slots32[] = { 0, 1, 2, 3, 0x1ff, 0x200, 0x3fe, 0x3ff };

/* The page a; with 64 of them one can fill the pool. */
static uint64_t page_of(const struct vcpu *v, unsigned a)
{
    uint64_t last = slots64[a >> 6 & 3] << 12;

    switch (cpu_mode(&v->regs)) {
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
    if (cpu_mode(&v->regs) == PAGED_PAE && (b & ENTRY_LEVEL) == ENTRY_LEVEL)
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
    if (cpu_mode(&v->regs) == PAGED_4LEVEL)
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

    if (cpu_access(v, linear, s->b, s->c, &where) >= DONE && s->b & HOW_REPEAT)
        (void)cpu_access(v, linear, s->b, s->c, &where);
}

static void step_sweep(struct vcpu *v, const struct step *s)
{
    uint64_t where;

    for (unsigned i = 0; i < 64; i++)
        (void)cpu_access(v, page_of(v, (s->a & 0xc0) | i), s->b, s->c, &where);
}

static void step_speculate(struct vcpu *v, const struct step *s)
{
    cpu_speculate(v, page_of(v, s->a));
}

/* Bits of b: 1:0 size, 2 by the user, 3 with AC, 6:4 slot, 7 four bytes further. */
static void step_store(struct vcpu *v, const struct step *s)
{
    unsigned size = 1u << (s->b & 3);
    uint64_t offset = slot_of(8, s->b >> 4) + (s->b & 0x80 ? 4 : 0);
    unsigned how = MODEL_WRITE | (s->b & 4 ? 0 : 4) | (s->b & 8 ? HOW_AC : 0);
    uint64_t linear = page_of(v, s->a);
    uint64_t where;
    enum end end;

    if (offset + size > PAGE_SIZE)
        offset = PAGE_SIZE - size;
    end = cpu_access(v, linear + offset, how, s->c, &where);
    if (end < DONE || where + size > MEMORY_TRACKED * PAGE_SIZE)
        return;
    if (end == DONE_BY_UMBRA) {
        umbra_stores(v, where, s->value, size);
        return;
    }
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
    cpu_set_regs(v, next);
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
    cpu_load_cr3(v, root_of(v, cpu_mode(&v->regs), s, s->a));
}

static void step_cr4(struct vcpu *v, const struct step *s)
{
    static const uint64_t bits[] = { MODEL_CR4_PSE,  MODEL_CR4_PAE,  MODEL_CR4_PGE,
                                     MODEL_CR4_SMEP, MODEL_CR4_SMAP, MODEL_CR4_PKE };
    struct model_regs next = v->regs;

    for (unsigned i = 0; i < ARRAY_SIZE(bits); i++)
        if (s->a >> i & 1)
            next.cr4 ^= bits[i] & CR4_OFFERED;
    cpu_set_regs(v, next);
}

static void step_efer(struct vcpu *v, const struct step *s)
{
    struct model_regs next = v->regs;

    (void)s;
    next.efer ^= MODEL_EFER_NXE;
    cpu_set_regs(v, next);
}

static void step_pkru(struct vcpu *v, const struct step *s)
{
    v->regs.pkru = (uint32_t)s->value;
    cpu_event(v, EVENT_REGS, 0);
}

static void step_mode(struct vcpu *v, const struct step *s)
{
    enum mode mode = s->a & 3;
    struct model_regs next = v->regs;

    next.cr0 &= ~MODEL_CR0_PG;
    cpu_set_regs(v, next);
    next = v->regs;
    next.cr4 &= ~MODEL_CR4_PAE;
    next.efer &= ~MODEL_EFER_LME;
    next.cr4 |= mode >= PAGED_PAE ? MODEL_CR4_PAE : 0;
    next.efer |= mode == PAGED_4LEVEL ? MODEL_EFER_LME : 0;
    cpu_set_regs(v, next);
    cpu_load_cr3(v, root_of(v, mode, s, s->b >> 4 & 1));
    next = v->regs;
    if (mode != UNPAGED)
        next.cr0 |= MODEL_CR0_PG;
    cpu_set_regs(v, next);
}

static void step_invlpg(struct vcpu *v, const struct step *s)
{
    uint64_t linear = linear_of(v, s->a, s->b);
    bool canonical = !(s->b & 1) || cpu_mode(&v->regs) != PAGED_4LEVEL;

    if (!canonical)
        linear ^= BIT(50);
    mmu_invlpg(&v->mmu, gva(linear));
    if (canonical)
        cpu_event(v, EVENT_ADDRESS, linear);
}

static void step_invpcid(struct vcpu *v, const struct step *s)
{
    static const enum event_kind kinds[] = { EVENT_LOCAL, EVENT_NON_GLOBALS, EVENT_ALL,
                                             EVENT_NON_GLOBALS };
    unsigned type = s->a & 3, pcid = s->b & 7;
    uint64_t linear = page_of(v, s->c);

    mmu_invpcid(&v->mmu, type, (uint16_t)pcid, gva(linear));
    if (type >= 2 || pcid == 0)
        cpu_event(v, kinds[type], linear);
}

static void step_map(struct vcpu *v, const struct step *s)
{
    (void)v;
    memory_set_variant(s->a);
    FOR_EACH_VCPU(each)
    {
        mmu_map_changed(&each->mmu);
        cpu_event(each, EVENT_ALL, 0);
    }
}

static void step_reset(struct vcpu *v, const struct step *s)
{
    static const unsigned widths[] = { 40, 36, 32, 46, 52 };
    struct model_regs regs = { .cr0 = 1 | MODEL_CR0_WP,
                               .cr4 = MODEL_CR4_PSE,
                               .maxphyaddr = widths[s->a % ARRAY_SIZE(widths)],
                               .gib_pages = !(s->b & 1) };

    cpu_stop(v);
    cpu_start(v, regs, !(s->b & 2));
}

static void step_vcpu(struct vcpu *v, const struct step *s)
{
    (void)v;
    world.now = &world.vcpu[s->a % VCPUS];
}

/* Where plausible tables lie, for all modes: those of level 3 hold PDPTEs in PAE paging, those of
 * level 4 are page directories in 32-bit paging. */
static const struct tables {
    unsigned first, count; /* pages */
    unsigned level;
    unsigned below, below_count; /* pages of the next level */
} tables[] = { { 1, 2, 4, 3, 2 }, { 3, 2, 3, 5, 2 }, { 5, 2, 2, 7, 3 }, { 7, 3, 1, 0, 1 } };

/* An entry as random as lot: mostly a table of the next level or, at the end, RAM. */
static uint64_t plausible(enum mode mode, const struct tables *t, uint64_t lot)
{
    unsigned level = mode == PAGED_32BIT && t->level == 4 ? 2 : t->level;
    uint64_t flags = 7 | (lot >> 20 & 0x60);
    uint64_t frame = memory_frame(lot >> 8 & 31);

    if (level == 1)
        return flags | (lot >> 40 & 1) << 8 | (lot >> 16 & 3 ? memory_frame(lot >> 8 & 15) : frame);
    if (level == 2 && !(lot >> 44 & 7))
        return flags | 0x80 | (lot >> 30 & 0x100) |
               align_down(frame, mode == PAGED_32BIT ? 4 * MiB : 2 * MiB);
    if (mode == PAGED_PAE && level == 3)
        flags = 1;
    if (mode == PAGED_32BIT)
        return flags | (7 + (lot >> 8) % 3) * PAGE_SIZE;
    return flags | (t->below + (lot >> 8) % t->below_count) * PAGE_SIZE;
}

static void step_build(struct vcpu *v, const struct step *s)
{
    enum mode mode = s->a & 3;
    unsigned size = mode == PAGED_32BIT ? 4 : 8;
    unsigned slots = size == 4 ? ARRAY_SIZE(slots32) : ARRAY_SIZE(slots64);
    uint64_t lot = s->value | 1;

    for (const struct tables *t = tables; t < tables + ARRAY_SIZE(tables); t++)
        for (unsigned i = 0; i < t->count * slots; i++) {
            uint64_t where = (t->first + i / slots) * PAGE_SIZE +
                             (size == 4 ? slots32 : slots64)[i % slots] * size;

            lot ^= lot << 13;
            lot ^= lot >> 7;
            lot ^= lot << 17;
            umbra_stores(v, where, plausible(mode, t, lot), size);
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
        cpu_check_regs(world.now);
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
