/* SPDX-License-Identifier: MIT */
/*
 * Makes histories, and makes failing ones small. The generator keeps a few linear addresses and
 * entries in focus for a while, since interesting things need several steps at one place: access,
 * edit without a flush, access, flush, access.
 */
#include "tests/host/history.h"
#include "lib/base.h"
#include "tests/host/host.h"
#include <stdio.h>
#include <string.h>

#define FOCUS      4
#define PAIRS_MOST 60 /* steps; more are too many to try all pairs */

struct maker {
    uint64_t state;
    unsigned modes;
    unsigned mode;
    uint8_t focus[FOCUS]; /* linear addresses */
    uint8_t edited;       /* the linear address whose entry was changed last */
    bool look;            /* nothing has accessed it since */
};

static uint64_t draw(struct maker *m)
{
    m->state ^= m->state << 13;
    m->state ^= m->state >> 7;
    m->state ^= m->state << 17;
    return m->state * 0x2545f4914f6cdd1dull >> 16;
}

static bool one_in(struct maker *m, unsigned n)
{
    return draw(m) % n == 0;
}

static uint8_t linear(struct maker *m)
{
    uint8_t address = one_in(m, 8) ? (uint8_t)draw(m) : m->focus[draw(m) % FOCUS];

    return one_in(m, 4) ? (uint8_t)(address ^ 1u << draw(m) % 8) : address;
}

static uint8_t entry(struct maker *m)
{
    return one_in(m, 6) ? ENTRY_SLOT | (draw(m) & 7) : draw(m) & ENTRY_LEVEL;
}

/* A linear address to change an entry of; most often it is accessed next. */
static uint8_t edited(struct maker *m)
{
    m->edited = linear(m);
    m->look = true;
    return m->edited;
}

/* ---- steps ---- */

static struct step make_access(struct maker *m)
{
    uint8_t address = m->look && !one_in(m, 3) ? m->edited : linear(m);

    m->look = false;
    return (struct step){ STEP_ACCESS, address, (uint8_t)draw(m),
                          one_in(m, 3) ? 0 : (uint8_t)draw(m), 0 };
}

static struct step make_speculate(struct maker *m)
{
    return (struct step){ STEP_SPECULATE, linear(m), 0, 0, 0 };
}

static uint64_t entry_bits(struct maker *m)
{
    uint64_t bits = 7 | (draw(m) & 0x60);

    bits ^= one_in(m, 8) ? 1 : 0;
    bits ^= one_in(m, 3) ? 2 : 0;
    bits ^= one_in(m, 3) ? 4 : 0;
    bits |= one_in(m, 4) ? 0x80 | (one_in(m, 4) ? 0 : EDIT_ALIGN) : 0;
    bits |= one_in(m, 3) ? 0x100 : 0;
    bits |= one_in(m, 8) ? EDIT_NX : 0;
    bits |= one_in(m, 24) ? EDIT_RESERVED : 0;
    return bits | (draw(m) & 3) << 24 | (draw(m) & 3) << 26;
}

static struct step make_store(struct maker *m)
{
    uint64_t frame = draw(m) % 18 << 12;
    uint64_t value = one_in(m, 4) ? draw(m) : frame | (entry_bits(m) & 0x1ff);

    return (struct step){ STEP_STORE, linear(m), (uint8_t)draw(m), (uint8_t)draw(m), value };
}

/* A large page at some level, with all rights. */
static struct step make_large(struct maker *m)
{
    uint64_t bits = 0xe7 | EDIT_ALIGN | (one_in(m, 2) ? 0x100 : 0) | (draw(m) & 3) << 26;

    return (struct step){ STEP_EDIT, edited(m), draw(m) & 1, draw(m) & 31, bits };
}

static struct step make_edit(struct maker *m)
{
    uint64_t halves = one_in(m, 4) ? (draw(m) & 3) * EDIT_LOW_HALF : 0;
    uint8_t b = entry(m);
    uint8_t frame = draw(m) & 31;

    if (one_in(m, 6))
        return make_large(m);

    if (!(b & ENTRY_SLOT) && !one_in(m, 4))
        frame = 3 + draw(m) % 7; /* another table */
    return (struct step){ STEP_EDIT, edited(m), b, frame,
                          entry_bits(m) | halves | EDIT_KEY(draw(m) & 3) };
}

static struct step make_toggle(struct maker *m)
{
    static const uint8_t bits[] = { 0, 0, 0, 1, 1, 1, 2, 2, 2, 5, 6, 7, 8, 8, 12, 13, 59, 63 };
    uint8_t bit = one_in(m, 16) ? draw(m) & 63 : bits[draw(m) % ARRAY_SIZE(bits)];

    return (struct step){ STEP_TOGGLE, edited(m), entry(m), bit, 0 };
}

static struct step make_poke(struct maker *m)
{
    return (struct step){ STEP_POKE, draw(m) & 31, draw(m) & 15, draw(m) & 3, draw(m) };
}

static struct step make_cr0(struct maker *m)
{
    return (struct step){ STEP_CR0, one_in(m, 4) ? 2 : 1, 0, 0, 0 };
}

static struct step make_cr3(struct maker *m)
{
    uint8_t root = one_in(m, 12) ? 0x80 | (draw(m) & 31) : draw(m) & 1;

    return (struct step){ STEP_CR3, root, one_in(m, 4) ? draw(m) & 0x1b : 0, 0, 0 };
}

static struct step make_cr4(struct maker *m)
{
    static const uint8_t bits[] = { 1, 4, 4, 8, 16, 32, 2 };

    return (struct step){ STEP_CR4, bits[draw(m) % ARRAY_SIZE(bits)], 0, 0, 0 };
}

static struct step make_efer(struct maker *m)
{
    (void)m;
    return (struct step){ STEP_EFER, 0, 0, 0, 0 };
}

static struct step make_pkru(struct maker *m)
{
    return (struct step){ STEP_PKRU, 0, 0, 0, one_in(m, 2) ? 0 : draw(m) & 0xff };
}

static unsigned some_mode(struct maker *m)
{
    unsigned mode;

    do
        mode = draw(m) & 3;
    while (!(m->modes >> mode & 1));
    return mode;
}

static struct step make_mode(struct maker *m)
{
    m->mode = some_mode(m);
    return (struct step){ STEP_MODE, (uint8_t)m->mode, draw(m) & 0x13, 0, 0 };
}

static struct step make_invlpg(struct maker *m)
{
    uint8_t address = one_in(m, 2) ? linear(m) : (uint8_t)(m->edited ^ 8u << draw(m) % 5);

    return (struct step){ STEP_INVLPG, address, (draw(m) & 0xc0) | one_in(m, 16), 0, 0 };
}

static struct step make_invpcid(struct maker *m)
{
    return (struct step){ STEP_INVPCID, draw(m) & 3, one_in(m, 4), linear(m), 0 };
}

static struct step make_map(struct maker *m)
{
    return (struct step){ STEP_MAP, one_in(m, 2) ? 0 : (uint8_t)(draw(m) % 5), 0, 0, 0 };
}

static struct step make_reset(struct maker *m)
{
    return (struct step){ STEP_RESET, one_in(m, 2) ? 0 : (uint8_t)(draw(m) % 5), draw(m) & 3, 0,
                          0 };
}

static struct step make_vcpu(struct maker *m)
{
    return (struct step){ STEP_VCPU, draw(m) & 1, 0, 0, 0 };
}

static struct step make_build(struct maker *m)
{
    return (struct step){ STEP_BUILD, (uint8_t)m->mode, 0, 0, draw(m) };
}

static struct step make_sweep(struct maker *m)
{
    return (struct step){ STEP_SWEEP, (uint8_t)draw(m), draw(m) & 0x1f, (uint8_t)draw(m), 0 };
}

static const struct {
    struct step (*make)(struct maker *m);
    unsigned weight; /* of 1000 or so */
} makers[STEP_KINDS] = {
    [STEP_ACCESS] = { make_access, 430 }, [STEP_SPECULATE] = { make_speculate, 40 },
    [STEP_STORE] = { make_store, 60 },    [STEP_EDIT] = { make_edit, 100 },
    [STEP_TOGGLE] = { make_toggle, 160 }, [STEP_POKE] = { make_poke, 10 },
    [STEP_CR0] = { make_cr0, 20 },        [STEP_CR3] = { make_cr3, 40 },
    [STEP_CR4] = { make_cr4, 16 },        [STEP_EFER] = { make_efer, 6 },
    [STEP_PKRU] = { make_pkru, 8 },       [STEP_MODE] = { make_mode, 4 },
    [STEP_INVLPG] = { make_invlpg, 60 },  [STEP_INVPCID] = { make_invpcid, 16 },
    [STEP_MAP] = { make_map, 2 },         [STEP_RESET] = { make_reset, 1 },
    [STEP_VCPU] = { make_vcpu, 20 },      [STEP_BUILD] = { make_build, 4 },
    [STEP_SWEEP] = { make_sweep, 4 },
};

static struct step make_step(struct maker *m)
{
    unsigned total = 0, kind = 0, lot;

    for (unsigned i = 0; i < STEP_KINDS; i++)
        total += makers[i].weight;
    for (lot = draw(m) % total; lot >= makers[kind].weight; kind++)
        lot -= makers[kind].weight;
    return makers[kind].make(m);
}

/* Addresses that often lie in one large page: high bits of the selector are low ones of the page.
 */
static void refocus(struct maker *m)
{
    static const uint8_t masks[] = { 0xff, 0xf8, 0xf0, 0xc0 };
    uint8_t mask = masks[draw(m) % ARRAY_SIZE(masks)];
    uint8_t common = (uint8_t)draw(m);

    for (unsigned i = 0; i < FOCUS; i++)
        m->focus[i] = (draw(m) & mask) | (common & ~mask);
}

void history_generate(struct step *steps, size_t count, uint64_t seed, unsigned modes)
{
    struct maker m = { .state = seed * 0x9e3779b97f4a7c15ull + 1, .modes = modes };

    for (unsigned i = 0; i < 4; i++)
        (void)draw(&m);
    m.mode = some_mode(&m);
    for (size_t i = 0; i < count; i++) {
        if (i % 100 == 0)
            refocus(&m);
        if (i < 4) /* both vCPUs begin paged */
            steps[i] = i == 0   ? make_build(&m)
                       : i == 2 ? (struct step){ STEP_VCPU, 1, 0, 0, 0 }
                                : (struct step){ STEP_MODE, (uint8_t)m.mode, 0, 0, 0 };
        else
            steps[i] = make_step(&m);
    }
}

/* ---- shrinking ---- */

static struct step trial[HISTORY_STEPS];

/* Takes out runs of so many steps wherever that still fails. */
static size_t remove_runs(struct step *steps, size_t count, size_t run, unsigned audit_every)
{
    for (size_t at = 0; at < count;) {
        size_t gone = run < count - at ? run : count - at;

        memcpy(trial, steps, at * sizeof(*steps));
        memcpy(trial + at, steps + at + gone, (count - at - gone) * sizeof(*steps));
        if (history_fails(trial, count - gone, audit_every)) {
            count -= gone;
            memcpy(steps, trial, count * sizeof(*steps));
        } else {
            at += run;
        }
    }
    return count;
}

/* Takes out two steps at a time: things that are switched on and off again. */
static size_t remove_pairs(struct step *steps, size_t count, unsigned audit_every)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = i + 1; j < count;) {
            memcpy(trial, steps, i * sizeof(*steps));
            memcpy(trial + i, steps + i + 1, (j - i - 1) * sizeof(*steps));
            memcpy(trial + j - 1, steps + j + 1, (count - j - 1) * sizeof(*steps));
            if (history_fails(trial, count - 2, audit_every)) {
                count -= 2;
                memcpy(steps, trial, count * sizeof(*steps));
                j = i + 1;
            } else {
                j++;
            }
        }
    return count;
}

/* The step with one operand 0, or one bit of its value clear. */
static struct step simpler(struct step s, unsigned how)
{
    switch (how) {
    case 0: s.a = 0; break;
    case 1: s.b = 0; break;
    case 2: s.c = 0; break;
    case 3: s.value = 0; break;
    default: s.value &= ~BIT(how - 4); break;
    }
    return s;
}

static void simplify(struct step *steps, size_t count, unsigned audit_every)
{
    for (size_t i = 0; i < count; i++)
        for (unsigned how = 0; how < 4 + 64; how++) {
            struct step was = steps[i];

            steps[i] = simpler(was, how);
            if (memcmp(&was, &steps[i], sizeof(was)) != 0 &&
                !history_fails(steps, count, audit_every))
                steps[i] = was;
        }
}

size_t history_shrink(struct step *steps, size_t count, unsigned audit_every)
{
    size_t before;

    do {
        before = count;
        for (size_t run = count / 2 ? count / 2 : 1; run; run /= 2)
            count = remove_runs(steps, count, run, audit_every);
        if (count <= PAIRS_MOST)
            count = remove_pairs(steps, count, audit_every);
        simplify(steps, count, audit_every);
    } while (count < before);
    return count;
}

/* ---- printing ---- */

#define NAME(kind) [kind] = #kind
static const char *const names[STEP_KINDS] = {
    NAME(STEP_NONE),  NAME(STEP_ACCESS), NAME(STEP_SPECULATE), NAME(STEP_STORE),
    NAME(STEP_EDIT),  NAME(STEP_TOGGLE), NAME(STEP_POKE),      NAME(STEP_CR0),
    NAME(STEP_CR3),   NAME(STEP_CR4),    NAME(STEP_EFER),      NAME(STEP_PKRU),
    NAME(STEP_MODE),  NAME(STEP_INVLPG), NAME(STEP_INVPCID),   NAME(STEP_MAP),
    NAME(STEP_RESET), NAME(STEP_VCPU),   NAME(STEP_BUILD),     NAME(STEP_SWEEP),
};

void history_print(const struct step *steps, size_t count)
{
    for (size_t i = 0; i < count; i++)
        fprintf(stderr, "            { %s, 0x%02x, 0x%02x, 0x%02x, 0x%llx },\n",
                names[steps[i].kind % STEP_KINDS], steps[i].a, steps[i].b, steps[i].c,
                (unsigned long long)steps[i].value);
}

bool history_campaign(uint64_t seed, unsigned modes, unsigned audit_every)
{
    static struct step steps[HISTORY_STEPS];
    size_t count = HISTORY_STEPS;

    history_generate(steps, count, seed, modes);
    if (!history_fails(steps, count, audit_every))
        return true;
    fprintf(stderr, "seed %llu, modes 0x%x, step %zu: %s\n", (unsigned long long)seed, modes,
            history_position, host_panic_text());
    count = history_shrink(steps, history_position + 1 < count ? history_position + 1 : count, 1);
    (void)history_fails(steps, count, 1);
    fprintf(stderr, "shrunk to %zu steps: %s\n", count, host_panic_text());
    history_print(steps, count);
    return false;
}
