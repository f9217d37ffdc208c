/* SPDX-License-Identifier: MIT */
/*
 * The guest page-table walk against the reference MMU (tests/host/model.c), exhaustively: for each
 * paging mode and each level at which a walk can end, all values of the bits that matter, times
 * all rights accumulated above, times all control words, times all accesses. After each allowed
 * access walk_set_flags() and the model mark the tables, and memory has to be the same.
 *
 * The full product of everything is out of reach, so it is factored. Each test is one product and
 * says which dimensions it takes in full; together they leave out only interactions of three or
 * more entries' low-order details (which A bits, say, times which reserved bit).
 *   ends       every value of the entry that ends the walk, all accumulated rights, all controls
 *   rights     which entry of the walk denies what and has A: every combination at every level
 *   order      ten kinds of entry at every level at once: absent, reserved, large, without a right
 *   bits       every single bit and every pair of bits of an entry, times every MAXPHYADDR
 *   roots      every single bit and every pair of bits of CR3 or the PDPTE register
 *   places     every table in RAM, ROM, high RAM, a device or nowhere, times all A and D
 *   addresses  every index of every table, every bit of the offset
 *   recursion  tables that map themselves
 *   races      every bit of every entry changed between the walk and the setting of flags
 *   pdptes     every single bit and pair of bits of each PDPTE, times every MAXPHYADDR
 *
 * All of it runs if the environment has UMBRA_EXHAUSTIVE (`make exhaustive`: no sanitizers). Else
 * the same loops visit each STRIDE-th combination of the products that are large; as STRIDE is a
 * prime that divides no dimension, every value of each dimension is met with every access.
 */
#include "mm/walk.h"
#include "tests/host/host.h"
#include "tests/host/model.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define STRIDE 97

/* ---- guest memory, twice: Umbra's in the arena, the model's in an array ---- */

#define ARENA_BASE  0x123450000ull
#define PLACE_PAGES 12
#define PLACE_SIZE  (PLACE_PAGES * 4096ull)

enum place { RAM, ROM, DEVICE, HOLE, HIGH, TOP, PLACES };

/* Page 2n of a place is for the table of level n. HIGH and TOP are RAM plus one address bit. */
static const struct {
    uint64_t base;
    enum gpm_kind kind;
    enum model_kind model;
} places[PLACES] = {
    [RAM] = { 0x100000, GPM_RAM, MODEL_RAM },
    [ROM] = { 0x500000, GPM_ROM, MODEL_ROM },
    [DEVICE] = { 0x900000, GPM_DEVICE, MODEL_DEVICE },
    [HOLE] = { 0xd00000, GPM_HOLE, MODEL_DEVICE },
    [HIGH] = { (1ull << 35) + 0x100000, GPM_RAM, MODEL_RAM },
    [TOP] = { (1ull << 51) + 0x100000, GPM_RAM, MODEL_RAM },
};

static uint8_t model_bytes[PLACES * PLACE_SIZE];
static uint8_t *arena;
static struct gpm map;
static struct model_region model_regions[PLACES];
static struct model_memory memory = { .regions = model_regions };

static bool backed(enum place place)
{
    return places[place].kind == GPM_RAM || places[place].kind == GPM_ROM;
}

static void add_place(enum place place)
{
    if (places[place].kind == GPM_HOLE)
        return;
    assert_true(gpm_add(&map, (struct gpm_region){
                                  .base = gpa(places[place].base),
                                  .size = PLACE_SIZE,
                                  .kind = places[place].kind,
                                  .host = hpa(backed(place) ? ARENA_BASE + place * PLACE_SIZE : 0),
                              }));
    model_regions[memory.count++] = (struct model_region){
        .base = places[place].base,
        .size = PLACE_SIZE,
        .kind = places[place].model,
        .bytes = backed(place) ? model_bytes + place * PLACE_SIZE : NULL,
    };
}

/* Entries that are absent, of either size, and have every other bit set. */
static void fill_with_noise(void)
{
    static const uint8_t absent[4] = { 0xfe, 0xff, 0xff, 0xff };

    for (size_t i = 0; i < sizeof(model_bytes); i++)
        arena[i] = model_bytes[i] = absent[i % 4];
}

static int set_up(void **state)
{
    (void)state;
    host_arena_init(ARENA_BASE, sizeof(model_bytes));
    arena = host_ptr(hpa(ARENA_BASE));
    fill_with_noise();
    map = (struct gpm){ 0 };
    memory.count = 0;
    for (enum place place = 0; place < PLACES; place++)
        add_place(place);
    return 0;
}

/* ---- bits of entries, from the SDM ---- */

#define P    0x001ull
#define W    0x002ull
#define U    0x004ull
#define A    0x020ull
#define D    0x040ull
#define PS   0x080ull
#define G    0x100ull
#define NX   (1ull << 63)
#define FULL (P | W | U)

#define BIT13   (1ull << 13)
#define BIT21   (1ull << 21)
#define BIT51   (1ull << 51)
#define BIT62   (1ull << 62)
#define KEY(n)  ((uint64_t)(n) << 59)
#define IGNORED (0x7full << 52 | 0xe18ull) /* ignored in 4- and 5-level paging; PWT, PCD */

/* What maps pages; congruent to every page size, and backed by nothing. */
#define TARGET   0x2c0000000ull
#define TARGET32 0x2c000000ull

/* ---- the scene: one walk through one table a level ---- */

static const struct {
    const char *name;
    unsigned levels; /* in memory: without the PDPTE registers */
    unsigned entry_size;
    unsigned shift[MODEL_LEVELS + 1];
    unsigned index_bits;
    uint64_t cr0, cr4, efer;
    uint64_t target; /* of leaves */
} modes[MODE_COUNT] = {
    [MODE_NONE] = { .name = "none" },
    [MODE_32BIT] = { "32-bit", 2, 4, { 0, 12, 22 }, 10, MODEL_CR0_PG, 0, 0, TARGET32 },
    [MODE_PAE] = { "PAE", 2, 8, { 0, 12, 21, 30 }, 9, MODEL_CR0_PG, MODEL_CR4_PAE, 0, TARGET },
    [MODE_4LEVEL] = { "4-level",
                      4,
                      8,
                      { 0, 12, 21, 30, 39, 48 },
                      9,
                      MODEL_CR0_PG,
                      MODEL_CR4_PAE,
                      MODEL_EFER_LME | MODEL_EFER_LMA,
                      TARGET },
    [MODE_5LEVEL] = { "5-level",
                      5,
                      8,
                      { 0, 12, 21, 30, 39, 48 },
                      9,
                      MODEL_CR0_PG,
                      MODEL_CR4_PAE | MODEL_CR4_LA57,
                      MODEL_EFER_LME | MODEL_EFER_LMA,
                      TARGET },
};

static struct scene {
    enum paging_mode_id mode;
    enum place place[MODEL_LEVELS + 1]; /* of the table of each level */
    unsigned index[MODEL_LEVELS + 1];
    uint64_t offset; /* linear address bits below the lowest index */
    uint64_t entry[MODEL_LEVELS + 1];
    uint8_t *umbra[MODEL_LEVELS + 1], *model[MODEL_LEVELS + 1]; /* where the entries are, or NULL */
    uint64_t linear;
} scene;

static uint64_t table_address(unsigned level)
{
    return places[scene.place[level]].base + level * 0x2000ull;
}

static void store(uint8_t *at, uint64_t value)
{
    if (at)
        memcpy(at, &value, modes[scene.mode].entry_size);
}

static uint64_t load(const uint8_t *at)
{
    uint64_t value = 0;

    if (at)
        memcpy(&value, at, modes[scene.mode].entry_size);
    return value;
}

static void set_entry(unsigned level, uint64_t value)
{
    if (modes[scene.mode].entry_size == 4)
        value &= 0xffffffff;
    scene.entry[level] = value;
    store(scene.umbra[level], value);
    store(scene.model[level], value);
}

static void clear_entries(void)
{
    for (unsigned level = 1; level <= modes[scene.mode].levels; level++)
        set_entry(level, 0);
}

static uint64_t sign_extended(uint64_t linear)
{
    unsigned width = modes[scene.mode].shift[modes[scene.mode].levels] + 9;

    if (scene.mode < MODE_4LEVEL || !(linear >> (width - 1)))
        return linear;
    return linear | ~0ull << width;
}

/* To be called after each change of place, index or offset; all entries are 0 before and after. */
static void aim(void)
{
    unsigned registers = scene.mode == MODE_PAE; /* PAE translates bits 31:30 too */

    scene.linear = scene.offset;
    for (unsigned level = 1; level <= modes[scene.mode].levels + registers; level++)
        scene.linear |= (uint64_t)scene.index[level] << modes[scene.mode].shift[level];
    scene.linear = sign_extended(scene.linear);
    for (unsigned level = 1; level <= modes[scene.mode].levels; level++) {
        uint64_t in_arena = scene.place[level] * PLACE_SIZE + level * 0x2000ull +
                            (uint64_t)scene.index[level] * modes[scene.mode].entry_size;
        bool present = backed(scene.place[level]);
        scene.umbra[level] = present ? arena + in_arena : NULL;
        scene.model[level] = present ? model_bytes + in_arena : NULL;
    }
}

static void set_scene(enum paging_mode_id mode)
{
    static const unsigned index[] = { 0, 0x095, 0x16d, 0x0c7, 0x053, 0x0a1 };

    scene = (struct scene){ .mode = mode, .offset = 0x9c3 };
    memcpy(scene.index, index, sizeof(index));
    if (mode == MODE_PAE)
        scene.index[3] = 2;
    aim();
}

/* The entry at level that goes on to the next table, with bits. */
static uint64_t table_entry(unsigned level, uint64_t bits)
{
    return table_address(level - 1) | bits;
}

/* An entry at level of the given kind: on to the next table, or the end of the walk. */
static uint64_t usual_entry(unsigned level, uint64_t bits)
{
    return level > 1 ? table_entry(level, bits) : modes[scene.mode].target | bits;
}

static uint64_t large_entry(uint64_t bits)
{
    return modes[scene.mode].target | PS | bits;
}

static void usual_entries(uint64_t bits)
{
    for (unsigned level = 1; level <= modes[scene.mode].levels; level++)
        set_entry(level, usual_entry(level, bits));
}

static bool long_mode(void)
{
    return scene.mode >= MODE_4LEVEL;
}

/* Levels whose entries can map pages, with 1 GiB pages announced. */
static unsigned leaf_levels(enum paging_mode_id mode)
{
    return mode >= MODE_4LEVEL ? 3 : 2;
}

/* ---- control words ---- */

struct control {
    struct paging_regs umbra;
    struct model_regs model;
};

#define CONTROLS_MAX 4096

struct controls {
    size_t count;
    struct control words[CONTROLS_MAX];
};

enum { WP = 1, SMEP = 2, SMAP = 4, AC = 8, NXE = 16, PKE = 32, PGE = 64, PSE = 128, GIB = 256 };

static const struct {
    uint64_t cr0, cr4, efer, rflags;
    bool gib_pages;
} knobs[] = {
    { .cr0 = MODEL_CR0_WP },       { .cr4 = MODEL_CR4_SMEP },  { .cr4 = MODEL_CR4_SMAP },
    { .rflags = MODEL_RFLAGS_AC }, { .efer = MODEL_EFER_NXE }, { .cr4 = MODEL_CR4_PKE },
    { .cr4 = MODEL_CR4_PGE },      { .cr4 = MODEL_CR4_PSE },   { .gib_pages = true },
};

static struct model_regs model_word(unsigned set, uint32_t pkru, unsigned maxphyaddr)
{
    struct model_regs regs = {
        .cr0 = modes[scene.mode].cr0 | 1,
        .cr3 = table_address(modes[scene.mode].levels),
        .cr4 = modes[scene.mode].cr4,
        .efer = modes[scene.mode].efer,
        .pkru = pkru,
        .maxphyaddr = maxphyaddr,
    };

    for (unsigned i = 0; i < ARRAY_SIZE(knobs); i++) {
        if (!(set >> i & 1))
            continue;
        regs.cr0 |= knobs[i].cr0;
        regs.cr4 |= knobs[i].cr4;
        regs.efer |= knobs[i].efer;
        regs.rflags |= knobs[i].rflags;
        regs.gib_pages |= knobs[i].gib_pages;
    }
    if (scene.mode == MODE_PAE) {
        regs.cr3 = 0xfffffffffffff018; /* memory is not asked */
        regs.pdpte[scene.index[3]] = table_address(2) | P;
    }
    return regs;
}

static struct paging_regs umbra_word(const struct model_regs *from)
{
    struct paging_regs regs = {
        .cr0 = from->cr0,
        .cr3 = from->cr3,
        .cr4 = from->cr4,
        .efer = from->efer,
        .pkru = from->pkru,
        .ac = from->rflags & MODEL_RFLAGS_AC,
        .maxphyaddr = (uint8_t)from->maxphyaddr,
        .gib_pages = from->gib_pages,
    };

    memcpy(regs.pdpte, from->pdpte, sizeof(regs.pdpte));
    return regs;
}

static void add_control(struct controls *controls, const struct model_regs *model)
{
    assert_true(controls->count < CONTROLS_MAX);
    controls->words[controls->count++] =
        (struct control){ .umbra = umbra_word(model), .model = *model };
}

/* Adds every subset of varying, all with fixed. */
static void add_controls(struct controls *controls, unsigned varying, unsigned fixed, uint32_t pkru,
                         unsigned maxphyaddr)
{
    unsigned subset = 0;

    do {
        struct model_regs model = model_word(subset | fixed, pkru, maxphyaddr);
        add_control(controls, &model);
        subset = (subset - varying) & varying;
    } while (subset);
}

static const unsigned widths[] = { 32, 36, 39, 40, 46, 51, 52 };

/* But those that CR3 or a PDPTE register would not have been loaded under. */
static void add_controls_all_widths(struct controls *controls, unsigned varying, unsigned fixed)
{
    for (unsigned i = 0; i < ARRAY_SIZE(widths); i++) {
        if (!(table_address(modes[scene.mode].levels) >> widths[i]))
            add_controls(controls, varying, fixed, 0, widths[i]);
    }
}

/* All four pairs of AD and WD for key; every other key has the opposite pair. */
static void add_controls_for_key(struct controls *controls, unsigned varying, unsigned fixed,
                                 unsigned key)
{
    for (uint32_t pair = 0; pair < 4; pair++) {
        uint32_t pkru = (~pair & 3) * 0x55555555u;
        pkru &= ~(3u << (2 * key));
        add_controls(controls, varying, fixed, pkru | pair << (2 * key), 46);
    }
}

static struct controls *fresh(struct controls *controls)
{
    controls->count = 0;
    return controls;
}

/* ---- accesses ---- */

#define ACCESSES 9

static const struct {
    unsigned umbra;
    struct model_access model;
} accesses[ACCESSES] = {
    { 0, { MODEL_READ, MODEL_SUPERVISOR } },
    { ACCESS_WRITE, { MODEL_WRITE, MODEL_SUPERVISOR } },
    { ACCESS_FETCH, { MODEL_FETCH, MODEL_SUPERVISOR } },
    { ACCESS_USER, { MODEL_READ, MODEL_USER } },
    { ACCESS_USER | ACCESS_WRITE, { MODEL_WRITE, MODEL_USER } },
    { ACCESS_USER | ACCESS_FETCH, { MODEL_FETCH, MODEL_USER } },
    { ACCESS_IMPLICIT, { MODEL_READ, MODEL_IMPLICIT } },
    { ACCESS_IMPLICIT | ACCESS_WRITE, { MODEL_WRITE, MODEL_IMPLICIT } },
    { ACCESS_IMPLICIT | ACCESS_FETCH, { MODEL_FETCH, MODEL_IMPLICIT } },
};

/* ---- one comparison ---- */

#define MISMATCHES_SHOWN 5

static uint64_t combinations[MODE_COUNT];
static unsigned mismatches;
static unsigned retries_allowed; /* lost races that an entry used twice may cause */

static void show_walk(const struct walk *got)
{
    fprintf(stderr,
            "  walk:  ok %d code %#x gpa %#llx shift %u leaf %u top %u dirty %d rights %s%s%s%s"
            " key %u\n",
            got->ok, got->error_code, (unsigned long long)got->gpa.v, got->page_shift, got->leaf,
            got->top, got->dirty, got->rights.write ? "W" : "-", got->rights.user ? "U" : "-",
            got->rights.execute ? "X" : "-", got->rights.global ? "G" : "-", got->rights.pkey);
}

static void show_model(const struct model_result *want)
{
    fprintf(stderr, "  model: ok %d code %#x gpa %#llx bits %u rights %s%s%s%s key %u\n", want->ok,
            want->error_code, (unsigned long long)want->gpa, want->page_bits,
            want->write ? "W" : "-", want->user ? "U" : "-", want->execute ? "X" : "-",
            want->global ? "G" : "-", want->key);
    for (unsigned i = 0; i < want->used; i++)
        fprintf(stderr, "    level %u at %#llx: %#llx becomes %#llx\n", want->use[i].level,
                (unsigned long long)want->use[i].where, (unsigned long long)want->use[i].was,
                (unsigned long long)want->use[i].becomes);
}

static void mismatch(const struct model_regs *regs, unsigned access, const struct walk *got,
                     const char *what)
{
    struct model_result want = model_translate(regs, &memory, scene.linear, accesses[access].model);

    if (mismatches++ >= MISMATCHES_SHOWN)
        return;
    fprintf(stderr, "%s: %s\n", modes[scene.mode].name, what);
    fprintf(stderr,
            "  linear %#llx access %#x cr0 %#llx cr3 %#llx cr4 %#llx efer %#llx rflags %#llx"
            " pkru %#x maxphyaddr %u gib %d\n",
            (unsigned long long)scene.linear, accesses[access].umbra, (unsigned long long)regs->cr0,
            (unsigned long long)regs->cr3, (unsigned long long)regs->cr4,
            (unsigned long long)regs->efer, (unsigned long long)regs->rflags, regs->pkru,
            regs->maxphyaddr, regs->gib_pages);
    for (unsigned level = modes[scene.mode].levels; level; level--)
        fprintf(stderr, "  entry %u: %#llx, place %d; memory: umbra %#llx model %#llx\n", level,
                (unsigned long long)scene.entry[level], scene.place[level],
                (unsigned long long)load(scene.umbra[level]),
                (unsigned long long)load(scene.model[level]));
    show_walk(got);
    show_model(&want);
}

static bool same_steps(const struct walk *got, const struct model_result *want)
{
    for (unsigned i = 0; i < want->used; i++) {
        const struct model_use *used = &want->use[i];
        if (used->level > got->top || got->steps[used->level].where.v != used->where ||
            got->steps[used->level].entry.v != used->was)
            return false;
    }
    return got->leaf == (want->used ? want->use[want->used - 1].level : 0);
}

static bool same_rights(const struct rights *got, const struct model_result *want)
{
    return got->write == want->write && got->user == want->user && got->execute == want->execute &&
           got->global == want->global;
}

/* A key means something only while CR4.PKE is set; in modes without keys it has to be 0. */
static bool same_key(const struct control *control, const struct walk *got, unsigned key)
{
    if (!(control->model.efer & MODEL_EFER_LMA) || (control->model.cr4 & MODEL_CR4_PKE))
        return got->rights.pkey == key;
    return true;
}

static const char *difference(const struct control *control, const struct walk *got,
                              const struct model_result *want)
{
    if (got->ok != want->ok)
        return "ok";
    if (!want->ok)
        return got->error_code != want->error_code ? "error code" : NULL;
    if (got->gpa.v != want->gpa)
        return "gpa";
    if (want->used && got->page_shift != want->page_bits)
        return "page size";
    if (!same_rights(&got->rights, want) || !same_key(control, got, want->key))
        return "rights";
    if (!same_steps(got, want))
        return "steps";
    if (got->dirty != (!want->used || (want->use[want->used - 1].was & D)))
        return "dirty";
    return got->mode != scene.mode ? "mode" : NULL;
}

static bool same_entries(void)
{
    for (unsigned level = 1; level <= modes[scene.mode].levels; level++) {
        if (load(scene.umbra[level]) != load(scene.model[level]))
            return false;
    }
    return true;
}

static void restore_entries(void)
{
    for (unsigned level = 1; level <= modes[scene.mode].levels; level++) {
        store(scene.umbra[level], scene.entry[level]);
        store(scene.model[level], scene.entry[level]);
    }
}

/* Walks until the flags are set; a table used twice makes it lose a race against itself. */
static bool set_flags(const struct control *control, unsigned access, struct walk *walk)
{
    bool write = accesses[access].umbra & ACCESS_WRITE;

    for (unsigned retries = 0; !walk_set_flags(walk, &map, write); retries++) {
        if (retries == retries_allowed)
            return false;
        *walk = walk_translate(&control->umbra, &map, gva(scene.linear), accesses[access].umbra);
    }
    return true;
}

/* A leaf that cannot be written counts as dirty after a write: nothing is left to be set. */
static const char *flags_difference(const struct control *control, unsigned access,
                                    struct walk *walk, const struct model_result *want)
{
    if (!set_flags(control, access, walk))
        return "flags not set";
    model_commit(want, &memory);
    if (!same_entries())
        return "memory after setting of flags";
    if ((accesses[access].umbra & ACCESS_WRITE) && !walk->dirty)
        return "dirty after setting of flags";
    return NULL;
}

static void compare(const struct control *control, unsigned access)
{
    struct walk got =
        walk_translate(&control->umbra, &map, gva(scene.linear), accesses[access].umbra);
    struct model_result want =
        model_translate(&control->model, &memory, scene.linear, accesses[access].model);
    const char *differs = difference(control, &got, &want);

    combinations[scene.mode]++;
    if (!differs && want.ok && want.used)
        differs = flags_difference(control, access, &got, &want);
    if (differs)
        mismatch(&control->model, access, &got, differs);
    if (want.ok)
        restore_entries();
}

/* All of memory, for what was written where nothing should be. */
static void compare_memory(void)
{
    for (enum place place = 0; place < PLACES; place++) {
        if (backed(place) &&
            memcmp(arena + place * PLACE_SIZE, model_bytes + place * PLACE_SIZE, PLACE_SIZE)) {
            fprintf(stderr, "%s: memory elsewhere was written\n", modes[scene.mode].name);
            mismatches++;
        }
    }
}

/* ---- products: control words times accesses inside, entries outside ---- */

static uint64_t stride = 1, phase;

static void begin(enum paging_mode_id mode, bool large)
{
    phase = 0;
    stride = large && !getenv("UMBRA_EXHAUSTIVE") ? STRIDE : 1;
    set_scene(mode);
}

/* True, and counted, if the stride passes over all combinations with these entries. */
static bool passed_over(const struct controls *controls)
{
    uint64_t inside = controls->count * ACCESSES;

    if (phase < inside)
        return false;
    phase -= inside;
    return true;
}

static void compare_all(const struct controls *controls)
{
    uint64_t inside = controls->count * ACCESSES;
    static unsigned calls;

    for (; phase < inside; phase += stride) {
        compare(&controls->words[phase / ACCESSES], phase % ACCESSES);
        scene.linear ^= 0xfff; /* each bit of the offset is met as 0 and as 1 */
    }
    phase -= inside;
    if (!same_entries() || calls++ % 256 == 0)
        compare_memory();
}

static void end(void)
{
    clear_entries();
    compare_memory();
}

static void verdict(void)
{
    unsigned found = mismatches;

    mismatches = 0;
    retries_allowed = 0;
    if (found)
        fail_msg("%u mismatches", found);
}

#define FOR_MODES(mode) for (enum paging_mode_id mode = MODE_32BIT; mode < MODE_COUNT; mode++)

/* ---- ends: the entry that ends the walk ---- */

static struct controls key_controls[3];
static const unsigned key_tested[3] = { 0, 1, 15 };

#define LONG_CLASSES                                                              \
    { 0, 0 }, { BIT51, 0 }, { IGNORED, 0 }, { BIT13 | KEY(1), 1 }, { KEY(1), 1 }, \
    {                                                                             \
        KEY(15), 2                                                                \
    }

/*
 * What an entry has besides the eight bits that matter: a class of reserved bits, or a key. Those
 * before keys_from also make sense where no page is mapped.
 */
static const struct {
    unsigned count, keys_from;
    struct {
        uint64_t bits;
        unsigned key; /* index in key_tested */
    } classes[6];
} ends[MODE_COUNT] = {
    [MODE_32BIT] = { 4, 4, { { 0, 0 }, { BIT21, 0 }, { BIT13, 0 }, { 0xe18, 0 } } },
    [MODE_PAE] = { 5, 5, { { 0, 0 }, { BIT51, 0 }, { BIT62, 0 }, { BIT13, 0 }, { 0xe18, 0 } } },
    [MODE_4LEVEL] = { 6, 3, { LONG_CLASSES } },
    [MODE_5LEVEL] = { 6, 3, { LONG_CLASSES } },
};

/* P W U A D PS G NX. */
static uint64_t matter(unsigned value)
{
    static const uint64_t bits[8] = { P, W, U, A, D, PS, G, NX };
    uint64_t entry = 0;

    for (unsigned i = 0; i < 8; i++)
        entry |= value >> i & 1 ? bits[i] : 0;
    return entry;
}

/* Rights above: bit 0 no W, bit 1 no U, bit 2 NX; the level that denies each goes round. */
static void deny_above(unsigned level, unsigned denied, unsigned turn)
{
    unsigned levels = modes[scene.mode].levels;
    unsigned above = levels - level;

    for (unsigned i = level + 1; i <= levels; i++)
        set_entry(i, table_entry(i, FULL));
    for (unsigned right = 0; right < 3 && above; right++) {
        unsigned at = level + 1 + (turn + right * (turn / above)) % above;
        if (denied >> right & 1)
            set_entry(at, right < 2 ? scene.entry[at] & ~(W << right) : scene.entry[at] | NX);
    }
}

static void end_at(unsigned level, unsigned denied, unsigned class)
{
    const struct controls *controls = &key_controls[ends[scene.mode].classes[class].key];
    unsigned values = scene.mode == MODE_32BIT ? 128 : 256;

    for (unsigned value = 0; value < values; value++) {
        uint64_t bits = matter(value) | ends[scene.mode].classes[class].bits;
        bool table = level > 1 && !(bits & PS);
        if (passed_over(controls))
            continue;
        deny_above(level, denied, value + class);
        set_entry(level, table ? table_entry(level, bits) : modes[scene.mode].target | bits);
        compare_all(controls);
    }
}

/* CR4.PGE and 1 GiB pages have nothing to do with keys: they vary with key 0 only. */
static void build_key_controls(unsigned level)
{
    unsigned varying = WP | SMEP | SMAP | AC | PKE | NXE;
    unsigned besides = PGE;

    if (long_mode() && level == 3)
        besides |= GIB;
    if (scene.mode == MODE_32BIT)
        besides |= PSE;
    add_controls_for_key(fresh(&key_controls[0]), varying | besides, 0, key_tested[0]);
    for (unsigned i = 1; i < ARRAY_SIZE(key_tested); i++)
        add_controls_for_key(fresh(&key_controls[i]), varying, besides, key_tested[i]);
}

static void ends_at(unsigned level)
{
    unsigned above = level < modes[scene.mode].levels;
    unsigned classes = level > 3 ? ends[scene.mode].keys_from : ends[scene.mode].count;

    build_key_controls(level);
    usual_entries(FULL);
    for (unsigned denied = 0; denied < (above ? 8 : 1); denied++) {
        for (unsigned class = 0; class < classes; class ++)
            end_at(level, denied, class);
    }
}

static void test_ends(void **state)
{
    (void)state;
    FOR_MODES(mode)
    {
        for (unsigned level = 1; level <= modes[mode].levels; level++) {
            begin(mode, true);
            ends_at(level);
            end();
        }
    }
    verdict();
}

/* ---- rights: W, U, NX, A of every entry, D of the last ---- */

static struct controls some;

/* Digits of 4 bits from level leaf up; the topmost bit is the leaf's D. */
static void set_rights(unsigned leaf, unsigned number)
{
    unsigned levels = modes[scene.mode].levels;

    for (unsigned level = leaf; level <= levels; level++, number >>= 4) {
        uint64_t bits = P | (number & 1 ? 0 : W) | (number & 2 ? 0 : U) | (number & 4 ? NX : 0) |
                        (number & 8 ? A : 0);
        set_entry(level, level == leaf && leaf > 1 ? large_entry(bits) : usual_entry(level, bits));
    }
    if (number)
        set_entry(leaf, scene.entry[leaf] | D);
}

static void test_rights(void **state)
{
    (void)state;
    FOR_MODES(mode)
    {
        for (unsigned leaf = 1; leaf <= leaf_levels(mode); leaf++) {
            unsigned depth = modes[mode].levels - leaf + 1;
            begin(mode, true);
            add_controls(fresh(&some), depth > 4 ? WP | NXE : WP | NXE | SMEP | SMAP | AC,
                         PSE | GIB, 0, 46);
            for (unsigned number = 0; number < 2u << (4 * depth); number++) {
                if (passed_over(&some))
                    continue;
                set_rights(leaf, number);
                compare_all(&some);
            }
            end();
        }
    }
    verdict();
}

/* ---- order: which of several entries decides ---- */

#define KINDS 10

static uint64_t entry_of_kind(unsigned level, unsigned kind)
{
    switch (kind) {
    case 0: return 0;
    case 1: return ~P;
    case 2: return usual_entry(level, FULL);
    case 3: return usual_entry(level, FULL & ~W);
    case 4: return usual_entry(level, FULL & ~U);
    case 5: return usual_entry(level, FULL | NX);
    case 6: return usual_entry(level, FULL | BIT51);
    case 7: return usual_entry(level, FULL | BIT62);
    case 8: return large_entry(FULL);
    default: return large_entry(FULL | (scene.mode == MODE_32BIT ? BIT21 : BIT13));
    }
}

static void set_kinds(unsigned number)
{
    for (unsigned level = 1; level <= modes[scene.mode].levels; level++, number /= KINDS)
        set_entry(level, entry_of_kind(level, number % KINDS));
}

static unsigned power(unsigned base, unsigned exponent)
{
    return exponent ? base * power(base, exponent - 1) : 1;
}

static void test_order(void **state)
{
    (void)state;
    FOR_MODES(mode)
    {
        begin(mode, true);
        /* Key 8 (bit 62 alone) may be read only; others may not be touched. */
        add_controls(fresh(&some), WP | NXE | SMEP | PKE | (mode == MODE_32BIT ? PSE : GIB), 0,
                     0x55565555u & ~3u, 46);
        for (unsigned number = 0; number < power(KINDS, modes[mode].levels); number++) {
            if (passed_over(&some))
                continue;
            set_kinds(number);
            compare_all(&some);
        }
        end();
    }
    verdict();
}

/* ---- bits: every bit and pair of bits of one entry, every MAXPHYADDR ---- */

/* What lies below the entry under test: a good entry, an absent one, a reserved one. */
static void set_below(unsigned level, unsigned below)
{
    if (level == 1)
        return;
    set_entry(level - 1, usual_entry(level - 1, FULL));
    if (below == 1)
        set_entry(level - 1, 0);
    if (below == 2)
        set_entry(level - 1, large_entry(FULL | BIT51 | BIT21 | BIT13));
}

static void flip_bits(unsigned level, uint64_t base, bool pairs)
{
    unsigned width = modes[scene.mode].entry_size * 8;

    for (unsigned i = 0; i < width; i++) {
        for (unsigned j = i; j < (pairs ? width : i + 1); j++) { /* first i alone */
            if (passed_over(&some))
                continue;
            set_entry(level, base ^ (1ull << i | 1ull << j));
            compare_all(&some);
        }
    }
}

static void flip_at(unsigned level, bool pairs)
{
    usual_entries(FULL);
    for (unsigned below = 0; below < (level > 1 ? 3 : 1); below++) {
        set_below(level, below);
        flip_bits(level, usual_entry(level, FULL | A | D), pairs);
        flip_bits(level, 0, pairs);
        if (level > 1)
            flip_bits(level, large_entry(FULL | A | D), pairs);
    }
}

/* So that each bit of an index, too, is met as 0 and as 1. */
static void complement_indexes(void)
{
    clear_entries();
    for (unsigned level = 1; level <= modes[scene.mode].levels; level++)
        scene.index[level] ^= (1u << modes[scene.mode].index_bits) - 1;
    aim();
}

static void test_bits(void **state)
{
    (void)state;
    FOR_MODES(mode)
    {
        for (unsigned level = 1; level <= modes[mode].levels; level++) {
            begin(mode, true);
            fresh(&some);
            add_controls_all_widths(&some, PSE | NXE | (mode < MODE_4LEVEL ? PGE : GIB), WP);
            flip_at(level, true);
            complement_indexes();
            flip_at(level, false);
            end();
        }
    }
    verdict();
}

/* ---- roots: every bit and pair of bits of CR3, or of the PDPTE register in PAE paging ---- */

/* What would fault (#GP) when loaded is not the walk's business. */
static uint64_t loadable(unsigned maxphyaddr)
{
    if (scene.mode == MODE_32BIT)
        return ~0ull;
    return ((1ull << maxphyaddr) - 1) & ~(scene.mode == MODE_PAE ? 0x1e6ull : 0);
}

static void root_controls(unsigned maxphyaddr, unsigned bit)
{
    uint64_t allowed = loadable(maxphyaddr);

    fresh(&some);
    for (unsigned other = bit; other < 64; other++) {
        struct model_regs regs = model_word(NXE | WP | GIB | PSE, 0, maxphyaddr);
        uint64_t flip = 1ull << bit | 1ull << other;
        if (flip & ~allowed)
            continue;
        if (scene.mode == MODE_PAE)
            regs.pdpte[scene.index[3]] ^= flip;
        else
            regs.cr3 ^= flip;
        if (long_mode() && (flip & 0xfff))
            regs.cr4 |= MODEL_CR4_PCIDE;
        add_control(&some, &regs);
    }
}

static void flip_root(void)
{
    usual_entries(FULL);
    for (unsigned i = 0; i < ARRAY_SIZE(widths); i++) {
        for (unsigned bit = 0; bit < 64; bit++) {
            root_controls(widths[i], bit);
            compare_all(&some);
        }
    }
}

static void test_roots(void **state)
{
    (void)state;
    FOR_MODES(mode)
    {
        begin(mode, true);
        flip_root();
        complement_indexes();
        flip_root();
        end();
    }
    verdict();
}

/* ---- places: where the tables lie ---- */

/* All A of the walk and the leaf's D, from the bits of flags. */
static void set_flags_of(unsigned leaf, unsigned flags)
{
    for (unsigned level = leaf; level <= modes[scene.mode].levels; level++, flags >>= 1) {
        uint64_t bits = FULL | (flags & 1 ? A : 0);
        set_entry(level, level == leaf && leaf > 1 ? large_entry(bits) : usual_entry(level, bits));
    }
    if (flags)
        set_entry(leaf, scene.entry[leaf] | D);
}

static void flags_in_places(unsigned leaf, unsigned number, unsigned count)
{
    unsigned levels = modes[scene.mode].levels;

    for (unsigned level = leaf; level <= levels; level++, number /= count)
        scene.place[level] = number % count;
    aim();
    fresh(&some);
    add_controls_all_widths(&some, 0, WP | NXE | GIB | PSE);
    for (unsigned flags = 0; flags < 2u << (levels - leaf + 1); flags++) {
        if (passed_over(&some))
            continue;
        set_flags_of(leaf, flags);
        compare_all(&some);
    }
    clear_entries();
}

static void test_places(void **state)
{
    (void)state;
    FOR_MODES(mode)
    {
        unsigned count = mode == MODE_32BIT ? HIGH : PLACES;
        for (unsigned leaf = 1; leaf <= leaf_levels(mode); leaf++) {
            begin(mode, true);
            for (unsigned n = 0; n < power(count, modes[mode].levels - leaf + 1); n++)
                flags_in_places(leaf, n, count);
            end();
        }
    }
    verdict();
}

/* ---- addresses: every index, every bit of the offset, what CR3 holds besides ---- */

static void add_controls_with_cr3(struct controls *controls)
{
    struct model_regs regs = model_word(NXE | WP | GIB | PSE, 0, 46);

    add_control(controls, &regs);
    if (long_mode())
        regs.cr4 |= MODEL_CR4_PCIDE;
    regs.cr3 |= long_mode() ? 0xfff : 0xffffffff00000fffull;
    add_control(controls, &regs);
    for (unsigned i = 0; i < 4; i++) /* all but P may be garbage that MOV to CR3 let pass */
        regs.pdpte[i] ^= (regs.pdpte[i] & P ? 0xe18 : 0xfffffffffffffffe);
    add_control(controls, &regs);
}

static void offsets_within(unsigned leaf)
{
    unsigned shift = modes[scene.mode].shift[leaf];
    uint64_t usual = scene.linear;

    for (unsigned bit = 0; bit <= shift; bit++) { /* at last none */
        scene.linear = usual ^ (bit == shift ? 0 : 1ull << bit);
        compare_all(&some);
    }
    scene.linear = usual;
}

static void index_everywhere(unsigned level, unsigned leaf)
{
    bool registers = scene.mode == MODE_PAE && level == 3;
    unsigned usual = scene.index[level];

    for (unsigned index = 0; index < (registers ? 4 : 1u << modes[scene.mode].index_bits);
         index++) {
        scene.index[level] = index;
        aim();
        add_controls_with_cr3(fresh(&some));
        set_flags_of(leaf, 0);
        offsets_within(leaf);
        clear_entries();
    }
    scene.index[level] = usual;
    aim();
}

static void test_addresses(void **state)
{
    (void)state;
    FOR_MODES(mode)
    {
        unsigned top = modes[mode].levels + (mode == MODE_PAE);
        for (unsigned leaf = 1; leaf <= leaf_levels(mode); leaf++) {
            begin(mode, true);
            for (unsigned level = leaf; level <= top; level++)
                index_everywhere(level, leaf);
            end();
        }
    }
    verdict();
}

/* ---- recursion: entries used at more than one level ---- */

/*
 * The entry at level leads back to its own table depth times; the entry after that, if there is a
 * level left, is another one of the same table and leads on as usual.
 */
static void aim_recursively(unsigned level, unsigned depth)
{
    unsigned last = level - depth - 1;
    uint64_t page = scene.place[level] * PLACE_SIZE + level * 0x2000ull;
    uint64_t at = page + (uint64_t)scene.index[last] * modes[scene.mode].entry_size;

    for (unsigned i = level - depth; i < level; i++)
        scene.index[i] = scene.index[level];
    aim();
    for (unsigned i = level - depth; i < level; i++)
        scene.umbra[i] = scene.model[i] = NULL;
    if (last == 0)
        return;
    scene.umbra[last] = arena + at;
    scene.model[last] = model_bytes + at;
}

static void recursion_at(unsigned level, unsigned depth)
{
    aim_recursively(level, depth);
    for (unsigned bits = 0; bits < 8; bits++) {
        usual_entries(FULL);
        set_entry(level, table_address(level) | P | U | (bits & 1 ? W : 0) | (bits & 2 ? A : 0) |
                             (bits & 4 ? D : 0));
        compare_all(&some);
    }
}

static void test_recursion(void **state)
{
    (void)state;
    FOR_MODES(mode)
    {
        for (unsigned level = 2; level <= modes[mode].levels; level++) {
            for (unsigned depth = 1; depth < level; depth++) {
                begin(mode, false);
                retries_allowed = MODEL_LEVELS + 1;
                fresh(&some);
                add_controls_all_widths(&some, WP | NXE, 0);
                recursion_at(level, depth);
                end();
            }
        }
    }
    verdict();
}

/* ---- races: an entry changes between the walk and the setting of flags ---- */

/* What an entry may hold after a lost race: what it held, with A if nobody else changed it. */
static bool harmless(unsigned level, unsigned changed, uint64_t value)
{
    if (level == changed)
        return load(scene.umbra[level]) == value;
    return (load(scene.umbra[level]) & ~A) == (scene.entry[level] & ~A) &&
           (load(scene.umbra[level]) | A) == (scene.entry[level] | A);
}

static const char *race_difference(const struct model_result *want, unsigned changed,
                                   uint64_t value, bool won)
{
    for (unsigned i = 0; i < want->used; i++) {
        const struct model_use *used = &want->use[i];
        if (used->level == changed && won && used->was != used->becomes)
            return "race not noticed";
        if (won && used->level != changed && load(scene.umbra[used->level]) != used->becomes)
            return "flags not set although the race was won";
        if (won && used->level == changed && load(scene.umbra[changed]) != value)
            return "changed entry clobbered";
        if (!won && !harmless(used->level, changed, value))
            return "memory clobbered by a lost race";
    }
    return NULL;
}

static void race(const struct control *control, unsigned access, unsigned changed, uint64_t value)
{
    bool write = accesses[access].umbra & ACCESS_WRITE;
    struct walk walk =
        walk_translate(&control->umbra, &map, gva(scene.linear), accesses[access].umbra);
    struct model_result want =
        model_translate(&control->model, &memory, scene.linear, accesses[access].model);
    const char *differs;

    combinations[scene.mode]++;
    assert_true(walk.ok && want.ok);
    store(scene.umbra[changed], value);
    differs = race_difference(&want, changed, value, walk_set_flags(&walk, &map, write));
    restore_entries();
    if (differs)
        mismatch(&control->model, access, &walk, differs);
}

static void race_at(unsigned changed, unsigned access)
{
    unsigned width = modes[scene.mode].entry_size * 8;

    for (unsigned bit = 0; bit < width; bit++)
        race(&some.words[0], access, changed, scene.entry[changed] ^ 1ull << bit);
    race(&some.words[0], access, changed, 0);
    race(&some.words[0], access, changed, width == 32 ? 0xffffffff : ~0ull);
}

static void test_races(void **state)
{
    (void)state;
    FOR_MODES(mode)
    {
        for (unsigned leaf = 1; leaf <= leaf_levels(mode); leaf++) {
            begin(mode, false);
            add_controls(fresh(&some), 0, WP | NXE | GIB | PSE, 0, 46);
            for (unsigned flags = 0; flags < 2u << (modes[mode].levels - leaf + 1); flags++) {
                set_flags_of(leaf, flags);
                for (unsigned changed = leaf; changed <= modes[mode].levels; changed++) {
                    for (unsigned access = 0; access < 3; access++)
                        race_at(changed, access);
                }
            }
            end();
        }
    }
    verdict();
}

/* A neighbour of the entry is none of the walk's business: 4-byte entries share 8-byte words. */
static void test_a_changed_neighbour_is_no_race(void **state)
{
    uint32_t neighbour = 0x12345678;

    (void)state;
    begin(MODE_32BIT, false);
    add_controls(fresh(&some), 0, WP, 0, 40);
    for (unsigned odd = 0; odd < 2; odd++) {
        struct walk walk;
        scene.index[1] = scene.index[2] = 0x40 + odd;
        aim();
        usual_entries(FULL);
        walk = walk_translate(&some.words[0].umbra, &map, gva(scene.linear), ACCESS_WRITE);
        for (unsigned level = 1; level <= 2; level++)
            memcpy(scene.umbra[level] + (odd ? -4 : 4), &neighbour, 4);
        assert_true(walk.ok);
        assert_true(walk_set_flags(&walk, &map, true));
        for (unsigned level = 1; level <= 2; level++) {
            assert_memory_equal(scene.umbra[level] + (odd ? -4 : 4), &neighbour, 4);
            memcpy(scene.umbra[level] + (odd ? -4 : 4), scene.model[level] + (odd ? -4 : 4), 4);
        }
        assert_int_equal(load(scene.umbra[2]), scene.entry[2] | A);
        assert_int_equal(load(scene.umbra[1]), scene.entry[1] | A | D);
        clear_entries();
    }
    end();
    verdict();
}

/* ---- no paging ---- */

static void test_unpaged(void **state)
{
    (void)state;
    begin(MODE_NONE, false);
    fresh(&some);
    add_controls_all_widths(&some, WP | SMEP | SMAP | AC | NXE | PKE, PGE | PSE | GIB);
    for (size_t i = 0; i < some.count; i++) {
        some.words[i].umbra.pkru = some.words[i].model.pkru = 0xffffffff;
        some.words[i].umbra.cr4 |= i & 1 ? MODEL_CR4_PAE | MODEL_CR4_LA57 : 0;
        some.words[i].model.cr4 = some.words[i].umbra.cr4;
    }
    for (unsigned bit = 0; bit < 32; bit++) {
        scene.linear = 1ull << bit | 0x123;
        compare_all(&some);
    }
    end();
    verdict();
}

/* ---- PDPTE registers ---- */

static void load_pdptes(const struct model_regs *model, const char *where)
{
    struct paging_regs regs = umbra_word(model);
    uint64_t got[4] = { 1, 2, 3, 4 }, want[4] = { 1, 2, 3, 4 };
    bool loaded = walk_load_pdptes(&regs, &map, got);

    combinations[MODE_PAE]++;
    if (loaded == model_load_pdptes(model, &memory, want) &&
        (!loaded || memcmp(got, want, sizeof(got)) == 0))
        return;
    if (mismatches++ < MISMATCHES_SHOWN)
        fprintf(stderr, "PDPTEs %s: walk %d, cr3 %#llx maxphyaddr %u: %#llx %#llx %#llx %#llx\n",
                where, loaded, (unsigned long long)model->cr3, model->maxphyaddr,
                (unsigned long long)got[0], (unsigned long long)got[1], (unsigned long long)got[2],
                (unsigned long long)got[3]);
}

static void load_with_entry(uint64_t at, unsigned which, uint64_t entry)
{
    memcpy(arena + at + 8 * which, &entry, 8);
    memcpy(model_bytes + at + 8 * which, &entry, 8);
    for (unsigned i = 0; i < ARRAY_SIZE(widths); i++) {
        struct model_regs regs = model_word(NXE, 0, widths[i]);
        regs.cr3 = places[RAM].base + at;
        load_pdptes(&regs, "flipped");
    }
}

/* The four PDPTEs at this offset of RAM: every bit and pair of bits of one, the others good. */
static void flip_pdpte(uint64_t at, unsigned which)
{
    uint64_t good[4] = { 0x2001, 0x3001, 0, 0x12345019 };

    memcpy(arena + at, good, sizeof(good));
    memcpy(model_bytes + at, good, sizeof(good));
    for (unsigned i = 0; i < 64; i++) {
        for (unsigned j = i; j < 64; j++) {
            load_with_entry(at, which, P ^ (1ull << i | 1ull << j));
            load_with_entry(at, which, 1ull << i ^ 1ull << j);
        }
    }
    memset(arena + at, 0, sizeof(good));
    memset(model_bytes + at, 0, sizeof(good));
}

static void test_pdpte_bits(void **state)
{
    (void)state;
    begin(MODE_PAE, false);
    for (unsigned which = 0; which < 4; which++) {
        flip_pdpte(0, which);
        flip_pdpte(4096 - 32, which);
        flip_pdpte(0x7e0 - 32 * which, which);
    }
    end();
    verdict();
}

/* CR3 is 32-byte aligned and 32 bits wide here; what else it holds is ignored: every bit of it. */
static void test_pdpte_places(void **state)
{
    (void)state;
    begin(MODE_PAE, false);
    for (enum place place = 0; place < HIGH; place++) {
        for (uint64_t at = 0; at < 4096; at += 32) {
            uint64_t entries[4] = { at << 12 | 1, at << 20 | 0xe19, 0, at << 13 | 9 };
            uint64_t offset = place * PLACE_SIZE + at;
            if (backed(place)) {
                memcpy(arena + offset, entries, sizeof(entries));
                memcpy(model_bytes + offset, entries, sizeof(entries));
            }
            for (unsigned bit = 0; bit < 65; bit++) { /* at last none */
                struct model_regs regs = model_word(NXE, 0, 40);
                regs.cr3 = (places[place].base + at) ^ (bit < 64 ? 1ull << bit : 0);
                load_pdptes(&regs, "placed");
            }
            memset(arena + offset, 0, backed(place) ? sizeof(entries) : 0);
            memset(model_bytes + offset, 0, sizeof(entries));
        }
    }
    end();
    verdict();
}

static int print_counts(void **state)
{
    (void)state;
    for (enum paging_mode_id mode = 0; mode < MODE_COUNT; mode++)
        fprintf(stderr, "count: walk, %s: %llu combinations%s\n", modes[mode].name,
                (unsigned long long)combinations[mode],
                getenv("UMBRA_EXHAUSTIVE") ? "" : " (a part; make exhaustive for all)");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_unpaged, set_up),
        cmocka_unit_test_setup(test_ends, set_up),
        cmocka_unit_test_setup(test_rights, set_up),
        cmocka_unit_test_setup(test_order, set_up),
        cmocka_unit_test_setup(test_bits, set_up),
        cmocka_unit_test_setup(test_roots, set_up),
        cmocka_unit_test_setup(test_places, set_up),
        cmocka_unit_test_setup(test_addresses, set_up),
        cmocka_unit_test_setup(test_recursion, set_up),
        cmocka_unit_test_setup(test_races, set_up),
        cmocka_unit_test_setup(test_a_changed_neighbour_is_no_race, set_up),
        cmocka_unit_test_setup(test_pdpte_bits, set_up),
        cmocka_unit_test_setup(test_pdpte_places, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, print_counts);
}
