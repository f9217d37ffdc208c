/* SPDX-License-Identifier: MIT */
/*
 * torture: a random history of table edits, accesses, INVLPG, MOV CR3 and mode bits, each access
 * judged by the model (guests/lib/model.h) to the last bit. torture32, torturepae and torture64 are
 * this source in three modes. Options on the command line: seed=N and steps=N; a failure names the
 * step and shows the steps before it, and the same seed plays it again. Needs 16 MiB.
 *
 * The architecture lets a processor use what it has cached, so an address is judged only where that
 * cannot differ from memory (SDM Vol. 3A, section 4.10.4 "Invalidation of TLBs and
 * Paging-Structure Caches"):
 *
 * - an entry that was not present, or had a reserved bit, is not cached: no flush needed;
 * - setting A or D, or an ignored bit, needs none either;
 * - rights that are only added may cost one fault, and the retry must be exact (slot.raised_at);
 * - after any other change (slot.changed_at) INVLPG of the address, MOV CR3 or CR4.PGE must come
 *   first; before that, an address may be read, but what comes of it is not judged;
 * - a global translation outlives MOV CR3: in another space its address needs INVLPG first.
 */
#include "guests/torture/graph.h"
#include "guests/lib/cmdline.h"
#include "guests/lib/report.h"
#include "guests/lib/serial.h"
#include "guests/lib/x86.h"

#define SEED    1
#define STEPS   4000
#define HISTORY 24

enum { NOT_GLOBAL = -1, UNKNOWN_SPACE = SPACES };

/* What may be cached of an address. */
static struct {
    unsigned flushed_at;
    int global_in; /* the space whose global translation may be cached, or an enum above */
} cache[ADDRESSES_MAX];

static unsigned now; /* the step; the first is 1 */
static unsigned space;
static unsigned cr3_at, pge_at;
static bool wp0smap;

static struct {
    unsigned accesses, faults, spurious, edits, flushes, unjudged, pdpte_faults;
} count;

/* ---- history ---- */

static struct note {
    unsigned step;
    const char *what;
    unsigned long address;
    uint64_t from, to;
} history[HISTORY];
static unsigned noted;

static void note(const char *what, unsigned long address, uint64_t from, uint64_t to)
{
    history[noted++ % HISTORY] = (struct note){ now, what, address, from, to };
}

static _Noreturn void fail(const char *wrong, unsigned access)
{
    serial_puts("\n");
    for (unsigned i = noted > HISTORY ? noted - HISTORY : 0; i < noted; i++) {
        const struct note *n = &history[i % HISTORY];

        serial_printf("  step %u: %s %#lx: %#llx -> %#llx\n", n->step, n->what, n->address,
                      (unsigned long long)n->from, (unsigned long long)n->to);
    }
    guest_fail("step %u, space %u, CR0 %#lx, CR3 %#lx, CR4 %#lx, access %#x: %s", now, space,
               (unsigned long)model.cr0, (unsigned long)model.cr3, (unsigned long)model.cr4, access,
               wrong);
}

/* ---- what may be cached ---- */

static void forget_globals(int what)
{
    for (unsigned i = 0; i < address_count; i++)
        if (cache[i].global_in != NOT_GLOBAL)
            cache[i].global_in = what;
}

/* A translation was used: it may be cached for all addresses of its page, beside another one. */
static void remember_global(unsigned i, const struct prediction *p)
{
    unsigned shift = paging->level[p->leaf].shift;

    if (!p->global)
        return;
    for (unsigned k = 0; k < address_count; k++) {
        if ((uint64_t)addresses[k] >> shift != (uint64_t)addresses[i] >> shift)
            continue;
        if (cache[k].global_in == NOT_GLOBAL || k == i)
            cache[k].global_in = (int)space;
        else if (cache[k].global_in != (int)space)
            cache[k].global_in = UNKNOWN_SPACE;
    }
}

/* The last moment at which nothing was cached of the address. */
static unsigned clean_since(unsigned i)
{
    unsigned since = cache[i].flushed_at > pge_at ? cache[i].flushed_at : pge_at;

    if (cache[i].global_in == NOT_GLOBAL && cr3_at > since)
        since = cr3_at;
    return since;
}

struct freshness {
    bool stale, raised;
};

static struct freshness freshness(unsigned i, const struct prediction *p)
{
    unsigned since = clean_since(i);
    struct freshness f = { .stale = cache[i].global_in != NOT_GLOBAL &&
                                    cache[i].global_in != (int)space };

    for (unsigned level = p->leaf; level <= p->top; level++) {
        const struct slot *slot = graph_slot(p->entry[level]);

        if (!slot)
            continue;
        f.stale |= slot->changed_at > since;
        f.raised |= slot->raised_at > since;
    }
    return f;
}

/* ---- steps ---- */

static void flush_address(unsigned i)
{
    note("INVLPG", addresses[i], 0, 0);
    invlpg(addresses[i] + random_below((unsigned)PAGE_SIZE));
    cache[i].flushed_at = now;
    cache[i].global_in = NOT_GLOBAL;
    count.flushes++;
}

static void load_cr3(unsigned next)
{
    note("MOV CR3", (unsigned long)spaces[next], space, next);
    if (!model_set_cr3(spaces[next] | (random_below(4) * CR3_PWT))) {
        count.pdpte_faults++;
        graph_mend_pdptes(spaces[next]);
        return;
    }
    space = next;
    cr3_at = now;
    if (paging_is(PAGING_PAE)) /* the way to an address may have changed in a register */
        forget_globals(UNKNOWN_SPACE);
}

/* A read whose outcome may be the old one or the new one. */
static void read_unjudged(unsigned i)
{
    note("unjudged read", addresses[i], 0, 0);
    probe(PROBE_READ, one_in(2) ? PROBE_USER : 0, addresses[i] + FRAME_DATA, 0);
    count.unjudged++;
    if (!(model.cr4 & CR4_PGE))
        return;
    for (unsigned k = 0; k < address_count; k++)
        cache[k].global_in = UNKNOWN_SPACE;
}

static unsigned random_access(void)
{
    static const unsigned kinds[] = { 0, ACCESS_WRITE, ACCESS_FETCH, 0, ACCESS_WRITE };

    return kinds[random_below(ARRAY_SIZE(kinds))] | (one_in(2) ? ACCESS_USER : 0) |
           (one_in(4) ? (unsigned)ACCESS_AC : 0);
}

/* wp0smap=0 on the command line leaves out what one hypervisor does not do yet. */
static bool is_left_out(const struct prediction *p, unsigned access)
{
    return !wp0smap && !(model.cr0 & CR0_WP) && model.cr4 & CR4_SMAP && !p->fault &&
           access & ACCESS_WRITE && !(access & ACCESS_USER) && !p->write && p->user;
}

/* Rights were added and not flushed: the old ones may be cached, once. */
static bool is_spurious(const struct prediction *p, const struct outcome *seen, unsigned access)
{
    unsigned kinds = access & (PF_W | PF_U | (model.nxe || model.cr4 & CR4_SMEP ? PF_ID : 0));

    return !p->fault && seen->fault && seen->vector == EXC_PF && seen->error_code == (PF_P | kinds);
}

static void judge(unsigned i, unsigned access)
{
    unsigned long address = addresses[i] + (access & ACCESS_FETCH ? 0 : FRAME_DATA);
    struct prediction p = model_predict(address, access);
    struct freshness f = freshness(i, &p);
    uint32_t value = 0x10000000 + now;
    struct outcome seen;
    const char *wrong;

    if (is_left_out(&p, access) ||
        (access & ACCESS_FETCH && !p.fault && p.physical < PAGING_FRAMES))
        return;
    if (f.stale && one_in(8)) {
        read_unjudged(i);
        return;
    }
    if (f.stale)
        flush_address(i);
    note("access", address, access, p.fault ? p.error_code | BIT(32) : p.physical);
    wrong = model_judge(address, access, value, &seen);
    if (wrong && f.raised && !f.stale && is_spurious(&p, &seen, access)) {
        count.spurious++;
        wrong = model_judge(address, access, value, &seen);
    }
    if (wrong)
        fail(wrong, access);
    count.accesses++;
    count.faults += seen.fault;
    if (!seen.fault)
        remember_global(i, &p);
}

static void store_entry(void *entry, uint64_t from, uint64_t to)
{
    bool one_byte = !((from ^ to) & ~BITS(7, 0)) && one_in(2);

    if (one_byte)
        *(volatile uint8_t *)entry = (uint8_t)to;
    else
        entry_set(entry, to);
}

/* U is a right and, with SMEP and SMAP, the loss of one: it needs a flush. */
static bool only_adds(uint64_t from, uint64_t to)
{
    const uint64_t more = PTE_W | PAGING_MARKED, ignored = BITS(11, 9);

    return !((from ^ to) & ~(more | ignored | PTE_NX)) && !(from & ~to & more) &&
           !(to & ~from & PTE_NX);
}

static void edit(struct slot *slot)
{
    uint64_t from = entry_get(slot->entry), to = graph_next_entry(slot);
    bool is_register = paging_is(PAGING_PAE) && slot->level == 3;

    if (paging->entry_size == 4)
        to = (uint32_t)to;
    note("entry", (unsigned long)slot->entry, from, to);
    store_entry(slot->entry, from, to);
    count.edits++;
    if (is_register || !model_is_usable(slot->level, from))
        return;
    if (!only_adds(from, to))
        slot->changed_at = now;
    else if ((from ^ to) & (PTE_W | PTE_NX))
        slot->raised_at = now;
}

/* A slot on the way to some address, or any. */
static struct slot *choose_slot(void)
{
    struct prediction p = model_predict(addresses[random_below(address_count)], 0);
    unsigned levels = p.top + 1 - p.leaf; /* none if a PDPTE is not present */
    struct slot *slot = levels ? graph_slot(p.entry[p.leaf + random_below(levels)]) : NULL;

    return slot && one_in(2) ? slot : &slots[random_below(slot_count)];
}

/*
 * Changes of CR0.WP and CR4.SMAP load no PDPTEs (SDM Vol. 3A, section 4.4.1), but in Bochs 2.7
 * every MOV to CR0 or CR4 does: these bits change only while that makes no difference.
 */
static bool pdptes_are_loaded(void)
{
    for (unsigned i = 0; paging_is(PAGING_PAE) && i < ARRAY_SIZE(model.pdpte); i++)
        if (entry_get(paging_entry_at(spaces[space], i)) != model.pdpte[i])
            return false;
    return true;
}

/*
 * PDPTEs may be loaded by this: then the new ones count, and MOV CR3 drops what came of the old. It
 * is not said what becomes of rights that are cached when SMAP changes: nothing is left cached.
 */
static void change_cr4(uint64_t bit)
{
    note("CR4", 0, model.cr4, model.cr4 ^ bit);
    if (!model_set_cr4(model.cr4 ^ bit)) {
        count.pdpte_faults++;
        graph_mend_pdptes(spaces[space]);
        return;
    }
    if (bit == CR4_PGE) {
        pge_at = now;
        forget_globals(NOT_GLOBAL);
    } else {
        load_cr3(space);
        forget_globals(UNKNOWN_SPACE);
    }
}

static void change_wp(void)
{
    if (!pdptes_are_loaded())
        return;
    note("CR0", 0, model.cr0, model.cr0 ^ CR0_WP);
    model_set_cr0(model.cr0 ^ CR0_WP);
}

static void change_mode(void)
{
    switch (random_below(4)) {
    case 0:
        if (model.has_pge)
            change_cr4(CR4_PGE);
        break;
    case 1:
        if (model.has_smep)
            change_cr4(CR4_SMEP);
        break;
    case 2:
        if (model.has_smap && pdptes_are_loaded())
            change_cr4(CR4_SMAP);
        break;
    default: change_wp();
    }
}

static void play_step(void)
{
    unsigned choice = random_below(100);

    if (choice < 55)
        judge(random_below(address_count), random_access());
    else if (choice < 86)
        edit(choose_slot());
    else if (choice < 90)
        flush_address(random_below(address_count));
    else if (choice < 97)
        load_cr3(random_below(SPACES));
    else
        change_mode();
}

void main(void)
{
    unsigned seed = (unsigned)cmdline_number("seed", SEED);
    unsigned steps = (unsigned)cmdline_number("steps", STEPS);

    wp0smap = cmdline_number("wp0smap", 1);
    probe_init();
    model_init();
    paging_init(GUEST_PAGING);
    model_start(paging_memory_space(), paging_is(PAGING_32BIT) ? CR4_PSE : CR4_PAE);
    random_seed(seed);
    graph_init();
    for (unsigned i = 0; i < address_count; i++)
        cache[i].global_in = NOT_GLOBAL;
    serial_printf("%s: seed=%u steps=%u\n", guest_name, seed, steps);
    load_cr3(0);
    for (now = 1; now <= steps; now++)
        play_step();
    serial_printf("%s: %u accesses judged, %u of them faults, %u after a spurious one; %u not "
                  "judged\n",
                  guest_name, count.accesses, count.faults, count.spurious, count.unjudged);
    serial_printf("%s: %u edits, %u INVLPG, %u times #GP for PDPTEs\n", guest_name, count.edits,
                  count.flushes, count.pdpte_faults);
    guest_pass();
}
