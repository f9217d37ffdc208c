/* SPDX-License-Identifier: MIT */
/* What a guest's processor may have cached; see history_allowed.h. */
#include "tests/host/history_allowed.h"
#include <string.h>

enum { P = 0, RW = 1, US = 2, A = 5, D = 6, PS = 7, G = 8, XD = 63 };

#define NEVER UINT32_MAX

/* A search along one span's walks: what is looked for, and the entry reached. */
struct search {
    const struct past *past;
    const struct event *span; /* the registers of the walk */
    uint32_t end;             /* the upper entries that it used are flushed */
    uint64_t linear;
    struct model_access access;
    uint64_t host;
};

/* What the entries so far come to. */
struct path {
    unsigned level; /* of the next entry to read */
    uint64_t table;
    uint32_t from; /* the earliest moment at which the entries so far can have been read */
    bool write, user, execute;
};

static bool has(uint64_t value, unsigned bit)
{
    return value >> bit & 1;
}

static uint64_t ones(unsigned high, unsigned low)
{
    return low > high ? 0 : (~0ull >> (63 - high)) & (~0ull << low);
}

/* ---- events ---- */

void past_event(struct past *past, enum event_kind kind, uint64_t linear,
                const struct model_regs *regs)
{
    if (kind == EVENT_ALL)
        past->count = 0;
    if (past->count == EVENTS_MAX)
        panic("no room for events");
    past->event[past->count++] = (struct event){ kind, memory_tick(), linear, *regs };
}

bool past_crowded(const struct past *past)
{
    return past->count + EVENTS_STEP > EVENTS_MAX;
}

static bool same_bytes(uint64_t a, uint64_t b, unsigned page_bits)
{
    return a >> page_bits == b >> page_bits;
}

/* The event takes a translation of linear by a page of so many bits. */
static bool takes_page(const struct event *e, uint64_t linear, unsigned page_bits, bool global)
{
    switch (e->kind) {
    case EVENT_ALL: return true;
    case EVENT_NON_GLOBALS: return !global;
    case EVENT_ADDRESS: return same_bytes(e->linear, linear, page_bits);
    case EVENT_LOCAL: return !global && same_bytes(e->linear, linear, page_bits);
    case EVENT_FAULT: return same_bytes(e->linear, linear, 12);
    default: return false;
    }
}

/* The event takes the upper entries for linear. */
static bool takes_uppers(const struct event *e, uint64_t linear)
{
    if (e->kind == EVENT_LOCAL || e->kind == EVENT_FAULT)
        return same_bytes(e->linear, linear, 12);
    return e->kind != EVENT_REGS;
}

/* A translation by such a page that is alive now was made at or after this time. */
static uint32_t page_since(const struct search *s, unsigned page_bits, bool global)
{
    const struct past *past = s->past;

    for (unsigned i = past->count; i-- > 0;)
        if (takes_page(&past->event[i], s->linear, page_bits, global))
            return past->event[i].time;
    return 0;
}

static uint32_t uppers_until(const struct past *past, unsigned span, uint64_t linear)
{
    for (unsigned i = span + 1; i < past->count; i++)
        if (takes_uppers(&past->event[i], linear))
            return past->event[i].time;
    return NEVER;
}

/* ---- rights ---- */

/* Of a page whose leaf is entry, under regs. */
static bool permits(const struct model_regs *regs, const struct path *path, uint64_t entry,
                    struct model_access access)
{
    bool keys = (regs->cr4 & MODEL_CR4_PKE) && (regs->efer & MODEL_EFER_LMA) && path->user;
    unsigned key = entry >> 59 & 15;
    bool by_user = access.who == MODEL_USER;
    bool protect = by_user || (regs->cr0 & MODEL_CR0_WP);
    bool ac = (regs->rflags & MODEL_RFLAGS_AC) && access.who != MODEL_IMPLICIT;

    if (by_user && !path->user)
        return false;
    if (access.what == MODEL_FETCH)
        return path->execute && (by_user || !path->user || !(regs->cr4 & MODEL_CR4_SMEP));
    if (!by_user && path->user && (regs->cr4 & MODEL_CR4_SMAP) && !ac)
        return false;
    if (keys && has(regs->pkru, 2 * key))
        return false;
    if (access.what == MODEL_READ)
        return true;
    if (keys && protect && has(regs->pkru, 2 * key + 1))
        return false;
    return path->write || !protect;
}

/* ---- entries ---- */

static bool wide(const struct model_regs *regs)
{
    return regs->cr4 & MODEL_CR4_PAE;
}

static bool four_level(const struct model_regs *regs)
{
    return regs->efer & MODEL_EFER_LMA;
}

static unsigned shift_of(const struct model_regs *regs, unsigned level)
{
    return wide(regs) ? 12 + 9 * (level - 1) : 12 + 10 * (level - 1);
}

static bool is_page(const struct model_regs *regs, uint64_t entry, unsigned level)
{
    if (level == 1)
        return true;
    if (!has(entry, PS))
        return false;
    return wide(regs) ? level == 2 || regs->gib_pages : (regs->cr4 & MODEL_CR4_PSE) != 0;
}

static uint64_t reserved_bits(const struct model_regs *regs, uint64_t entry, unsigned level)
{
    unsigned shift = shift_of(regs, level);
    bool large = level > 1 && is_page(regs, entry, level);
    uint64_t reserved = ones(51, regs->maxphyaddr);

    if (!wide(regs))
        return large ? ones(21, (regs->maxphyaddr < 40 ? regs->maxphyaddr : 40) - 19) : 0;
    if (!(regs->efer & MODEL_EFER_NXE))
        reserved |= 1ull << XD;
    if (!four_level(regs))
        reserved |= ones(62, 52);
    if (level == 4 || (level == 3 && !regs->gib_pages))
        reserved |= 1ull << PS;
    return reserved | (large ? ones(shift - 1, 13) : 0);
}

static uint64_t page_at(const struct model_regs *regs, uint64_t entry, unsigned level)
{
    uint64_t base = entry & ones(wide(regs) ? 51 : 31, shift_of(regs, level));

    if (!wide(regs) && level == 2)
        base |= (entry & ones(20, 13)) << 19;
    return base;
}

/* ---- the search ---- */

static bool later(uint32_t a, uint32_t b, uint32_t c, uint32_t end)
{
    return a < end && b < end && c < end;
}

/* The page that entry maps is an answer, if it was read in time. */
static bool page_answers(const struct search *s, const struct path *path,
                         const struct memory_version *leaf, bool has_flags)
{
    const struct model_regs *regs = &s->span->regs;
    unsigned shift = shift_of(regs, path->level);
    bool global = (regs->cr4 & MODEL_CR4_PGE) && has(leaf->value, G);
    uint32_t end = leaf->until < s->end ? leaf->until : s->end;
    uint64_t where = page_at(regs, leaf->value, path->level) | (s->linear & ones(shift - 1, 0));
    bool write = s->access.what == MODEL_WRITE;
    uint64_t host;

    if (!later(path->from, leaf->from, page_since(s, shift, global), end))
        return false;
    if (write && has_flags && !has(leaf->value, D))
        return false;
    if (!memory_host(where, write, &host) || host != s->host)
        return false;
    return permits(&s->past->event[s->past->count - 1].regs, path, leaf->value, s->access);
}

static bool search(const struct search *s, struct path path);

/* Goes on with one version of the entry that path has come to. */
static bool search_entry(const struct search *s, struct path path, uint64_t where,
                         const struct memory_version *entry)
{
    const struct model_regs *regs = &s->span->regs;
    uint64_t value = entry->value;
    bool has_flags = memory_is_ram(where);

    if (!has(value, P) || (value & reserved_bits(regs, value, path.level)))
        return false;
    if (has_flags && !has(value, A))
        return false;
    path.write = path.write && has(value, RW);
    path.user = path.user && has(value, US);
    path.execute = path.execute && !(wide(regs) && has(value, XD));
    if (is_page(regs, value, path.level))
        return page_answers(s, &path, entry, has_flags);
    if (path.from < entry->from)
        path.from = entry->from;
    if (path.from >= entry->until || path.from >= s->end)
        return false;
    path.table = value & ones(wide(regs) ? 51 : 31, 12);
    path.level--;
    return search(s, path);
}

static bool search(const struct search *s, struct path path)
{
    const struct model_regs *regs = &s->span->regs;
    unsigned size = wide(regs) ? 8 : 4;
    unsigned index = s->linear >> shift_of(regs, path.level) & (wide(regs) ? 511 : 1023);
    uint64_t where = path.table + (uint64_t)index * size;
    struct memory_version entry = { 0 };
    int cursor = MEMORY_FIRST;

    while (memory_next_version(where, size, &cursor, &entry)) {
        if (entry.until <= path.from)
            return false;
        if (search_entry(s, path, where, &entry))
            return true;
    }
    return false;
}

static bool search_span(const struct search *s)
{
    const struct model_regs *regs = &s->span->regs;
    struct path path = { .level = 4,
                         .table = regs->cr3 & ones(51, 12),
                         .from = s->span->time,
                         .write = true,
                         .user = true,
                         .execute = true };

    if (!(regs->cr0 & MODEL_CR0_PG))
        return false;
    if (four_level(regs))
        return search(s, path);
    path.level = 2;
    path.table = regs->cr3 & ones(31, 12);
    if (wide(regs)) {
        uint64_t pdpte = regs->pdpte[s->linear >> 30 & 3];
        if (!has(pdpte, P))
            return false;
        path.table = pdpte & ones(51, 12);
    }
    return search(s, path);
}

bool past_allows(const struct past *past, uint64_t linear, struct model_access access,
                 uint64_t host)
{
    struct search s = { .past = past, .linear = linear, .access = access, .host = host };

    for (unsigned i = past->count; i-- > 0;) {
        s.span = &past->event[i];
        s.end = uppers_until(past, i, linear);
        if (search_span(&s))
            return true;
    }
    return false;
}
