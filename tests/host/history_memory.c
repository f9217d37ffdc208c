/* SPDX-License-Identifier: MIT */
/* Guest memory of a history; see history_memory.h. */
#include "tests/host/history_memory.h"
#include "tests/host/host.h"
#include <string.h>

#define PIECES_MAX 16
#define WORDS      (MEMORY_TRACKED * 512)
#define VERSIONS   16384
#define CROWDED    (VERSIONS - 4096)

/* Pages first to first + count - 1; backing is an index into the guest's pages in the host. */
struct piece {
    uint64_t first, count;
    enum gpm_kind kind;
    unsigned backing;
};

/* What all variants have: pieces across 2M, 4M, 1G and 4G. */
#define FAR_PIECES                                                                           \
    { 0x1f8, 8, GPM_RAM, 60 }, { 0x200, 8, GPM_RAM, 72 }, { 0x210, 1, GPM_ROM, 15 },         \
        { 0x211, 1, GPM_DEVICE, 0 }, { 0x3ff, 2, GPM_RAM, 13 }, { 0x3fffe, 4, GPM_RAM, 82 }, \
    {                                                                                        \
        0x100000, 4, GPM_RAM, 88                                                             \
    }

static const struct piece variants[MEMORY_VARIANTS][PIECES_MAX] = {
    { { 0, 7, GPM_RAM, 41 },
      { 7, 9, GPM_RAM, 21 },
      { 16, 2, GPM_ROM, 9 },
      { 18, 1, GPM_DEVICE, 0 },
      FAR_PIECES },
    /* a table page and a data page are gone */
    { { 0, 6, GPM_RAM, 41 },
      { 7, 5, GPM_RAM, 21 },
      { 13, 3, GPM_RAM, 27 },
      { 16, 2, GPM_ROM, 9 },
      FAR_PIECES },
    /* all of the first RAM has moved */
    { { 0, 16, GPM_RAM, 31 }, { 16, 2, GPM_ROM, 9 }, { 18, 1, GPM_DEVICE, 0 }, FAR_PIECES },
    /* kinds have changed */
    { { 0, 9, GPM_RAM, 41 },
      { 9, 1, GPM_ROM, 50 },
      { 10, 3, GPM_RAM, 51 },
      { 13, 1, GPM_DEVICE, 0 },
      { 14, 3, GPM_RAM, 54 },
      { 17, 1, GPM_ROM, 57 },
      FAR_PIECES },
    /* pages have changed places */
    { { 0, 8, GPM_RAM, 41 },
      { 8, 4, GPM_RAM, 5 },
      { 12, 4, GPM_RAM, 1 },
      { 16, 1, GPM_ROM, 9 },
      { 17, 1, GPM_RAM, 10 },
      FAR_PIECES },
};

static const uint64_t far_frames[] = { 0x12,  0x13,  0x14,  0x1f8,   0x1ff,   0x200,    0x207,
                                       0x210, 0x211, 0x3ff, 0x3fffe, 0x40000, 0x100000, 0x100003 };

struct version {
    uint64_t value; /* of the whole word */
    uint32_t from;
    int older; /* -1: none */
};

static struct {
    uint64_t host;
    const struct piece *pieces;
    struct gpm gpm;
    struct model_region regions[PIECES_MAX];
    struct model_memory model;
    uint8_t mirror[MEMORY_BACKING][PAGE_SIZE];
    struct version version[VERSIONS];
    int newest[WORDS]; /* -1: has its present value since the beginning of time */
    int versions;
    uint32_t time, beginning;
} memory;

/* ---- the map ---- */

static const enum model_kind model_kinds[] = {
    [GPM_RAM] = MODEL_RAM, [GPM_ROM] = MODEL_ROM, [GPM_DEVICE] = MODEL_DEVICE
};

static void make_map(const struct piece *pieces)
{
    memory.pieces = pieces;
    memory.gpm = (struct gpm){ .count = 0 };
    memory.model = (struct model_memory){ memory.regions, 0 };
    for (const struct piece *p = pieces; p < pieces + PIECES_MAX && p->count; p++) {
        hpa_t host = hpa(p->kind == GPM_DEVICE ? 0 : memory.host + p->backing * PAGE_SIZE);
        struct gpm_region region = { gpa(p->first * PAGE_SIZE), p->count * PAGE_SIZE, p->kind,
                                     host };

        if (!gpm_add(&memory.gpm, region))
            panic("a piece does not fit into the map");
        memory.regions[memory.model.count++] =
            (struct model_region){ region.base.v, region.size, model_kinds[p->kind],
                                   memory.mirror[p->backing] };
    }
}

const struct gpm *memory_gpm(void)
{
    return &memory.gpm;
}

const struct model_memory *memory_model(void)
{
    return &memory.model;
}

uint64_t memory_frame(unsigned i)
{
    i %= MEMORY_FRAMES;
    return (i < MEMORY_TRACKED ? i : far_frames[i - MEMORY_TRACKED]) * PAGE_SIZE;
}

static const struct piece *piece_of(uint64_t where)
{
    uint64_t page = where / PAGE_SIZE;

    for (const struct piece *p = memory.pieces; p < memory.pieces + PIECES_MAX && p->count; p++)
        if (page >= p->first && page - p->first < p->count)
            return p->kind == GPM_DEVICE ? NULL : p;
    return NULL;
}

/* Where the byte lies in the backing; -1 if it is neither RAM nor ROM. */
static int64_t backing_of(uint64_t where)
{
    const struct piece *p = piece_of(where);

    return p ? (int64_t)(p->backing * PAGE_SIZE + where - p->first * PAGE_SIZE) : -1;
}

bool memory_is_ram(uint64_t where)
{
    const struct piece *p = piece_of(where);

    return p && p->kind == GPM_RAM;
}

bool memory_host(uint64_t where, bool write, uint64_t *host)
{
    int64_t backing = backing_of(where);

    *host = memory.host + (uint64_t)backing;
    return backing >= 0 && (!write || memory_is_ram(where));
}

uint64_t memory_guest(uint64_t host)
{
    uint64_t page = (host - memory.host) / PAGE_SIZE;

    for (const struct piece *p = memory.pieces; p < memory.pieces + PIECES_MAX && p->count; p++)
        if (p->kind != GPM_DEVICE && page >= p->backing && page - p->backing < p->count)
            return (p->first + page - p->backing) * PAGE_SIZE + host % PAGE_SIZE;
    panic("the guest got at host address 0x%llx", (unsigned long long)host);
}

/* ROM holds tables, of 8-byte entries or of the same in pairs of 4; some have A and D. */
static void fill_rom(unsigned backing)
{
    for (uint64_t i = 0; i < PAGE_SIZE / 8; i++) {
        uint64_t entry = (5 + i % 13) * PAGE_SIZE | 7 | (i & 1 ? 0x60 : 0) | (i & 4 ? 0x100 : 0);
        memcpy(&memory.mirror[backing][8 * i], &entry, 8);
    }
}

void memory_init(uint64_t host)
{
    memory.host = host;
    memset(memory.mirror, 0, sizeof(memory.mirror));
    fill_rom(9);
    fill_rom(10);
    memcpy(host_ptr(hpa(host)), memory.mirror, sizeof(memory.mirror));
    make_map(variants[0]);
    memory.time = 0;
    memory_forget();
}

void memory_set_variant(unsigned variant)
{
    static uint8_t kept[MEMORY_TRACKED][PAGE_SIZE];

    for (unsigned i = 0; i < MEMORY_TRACKED; i++) {
        int64_t backing = backing_of(i * PAGE_SIZE);
        memset(kept[i], 0, PAGE_SIZE);
        if (backing >= 0)
            memcpy(kept[i], &memory.mirror[0][0] + backing, PAGE_SIZE);
    }
    make_map(variants[variant % MEMORY_VARIANTS]);
    for (unsigned i = 0; i < MEMORY_TRACKED; i++) {
        int64_t backing = backing_of(i * PAGE_SIZE);
        if (backing >= 0)
            memcpy(&memory.mirror[0][0] + backing, kept[i], PAGE_SIZE);
    }
    memcpy(host_ptr(hpa(memory.host)), memory.mirror, sizeof(memory.mirror));
    memory_forget();
}

/* ---- versions ---- */

uint32_t memory_time(void)
{
    return memory.time;
}

uint32_t memory_tick(void)
{
    return ++memory.time;
}

bool memory_crowded(void)
{
    return memory.versions > CROWDED;
}

void memory_forget(void)
{
    memory.versions = 0;
    memory.beginning = memory_tick();
    memset(memory.newest, 0xff, sizeof(memory.newest));
}

static uint64_t mirrored(uint64_t where, unsigned size)
{
    int64_t backing = backing_of(where);
    uint64_t value = size == 8 ? ~0ull : 0xffffffffull;

    if (backing >= 0) {
        value = 0;
        memcpy(&value, &memory.mirror[0][0] + backing, size);
    }
    return value;
}

/* Notes that word had value until now. */
static void note(uint64_t where, uint64_t was)
{
    uint64_t word = where / 8;

    if (word >= WORDS || mirrored(where, 8) == was)
        return;
    if (memory.versions + 2 > VERSIONS)
        panic("no room for versions");
    if (memory.newest[word] < 0) {
        memory.version[memory.versions] = (struct version){ was, memory.beginning, -1 };
        memory.newest[word] = memory.versions++;
    }
    memory.version[memory.versions] =
        (struct version){ mirrored(where, 8), memory_tick(), memory.newest[word] };
    memory.newest[word] = memory.versions++;
}

bool memory_next_version(uint64_t where, unsigned size, int *cursor, struct memory_version *out)
{
    uint64_t word = where / 8;
    unsigned shift = size == 4 ? 8 * (where & 4) : 0;
    uint64_t mask = size == 4 ? 0xffffffffull : ~0ull;
    bool first = *cursor == MEMORY_FIRST;
    const struct version *v;

    if (*cursor == -2)
        return false;
    if (word >= WORDS || memory.newest[word] < 0) {
        *out = (struct memory_version){ mirrored(where, size), memory.beginning, UINT32_MAX };
        *cursor = -2;
        return true;
    }
    v = &memory.version[first ? memory.newest[word] : *cursor];
    out->until = first ? UINT32_MAX : out->from;
    out->from = v->from;
    out->value = v->value >> shift & mask;
    *cursor = v->older < 0 ? -2 : v->older;
    return true;
}

/* ---- stores ---- */

/* The part of a store that lies within one aligned word. */
static void mirror_word(uint64_t where, const void *from, unsigned size)
{
    uint64_t was = mirrored(where & ~7ull, 8);

    if (!memory_is_ram(where))
        return;
    memcpy(&memory.mirror[0][0] + backing_of(where), from, size);
    note(where & ~7ull, was);
}

void memory_mirror(uint64_t where, const void *from, unsigned size)
{
    unsigned head = 8 - (where & 7);

    if (head > size)
        head = size;
    mirror_word(where, from, head);
    if (head < size)
        mirror_word(where + head, (const uint8_t *)from + head, size - head);
}

void memory_mirror_flags(const struct model_result *result)
{
    for (unsigned i = 0; i < result->used; i++) {
        const struct model_use *use = &result->use[i];
        uint64_t value = mirrored(use->where, use->size) | use->becomes;

        if (use->ram)
            memory_mirror(use->where, &value, use->size);
    }
}

void memory_perform(uint64_t where, unsigned size)
{
    for (uint64_t byte = where; byte < where + size; byte++)
        if (memory_is_ram(byte))
            *(uint8_t *)host_ptr(hpa(memory.host + (uint64_t)backing_of(byte))) =
                *(&memory.mirror[0][0] + backing_of(byte));
}

static void compare(const struct piece *p)
{
    const uint8_t *host = host_ptr(hpa(memory.host + p->backing * PAGE_SIZE));

    if (!memcmp(host, memory.mirror[p->backing], p->count * PAGE_SIZE))
        return;
    for (uint64_t i = 0; i < p->count * PAGE_SIZE; i++)
        if (host[i] != memory.mirror[p->backing][i])
            panic("guest memory at 0x%llx is 0x%02x, expected 0x%02x",
                  (unsigned long long)(p->first * PAGE_SIZE + i), host[i],
                  memory.mirror[p->backing][i]);
}

void memory_compare(bool everywhere)
{
    for (const struct piece *p = memory.pieces; p < memory.pieces + PIECES_MAX && p->count; p++)
        if (p->kind != GPM_DEVICE &&
            (everywhere || (p->first < MEMORY_TRACKED && p->kind == GPM_RAM)))
            compare(p);
}
