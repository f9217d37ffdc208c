/* SPDX-License-Identifier: MIT */
/*
 * Coverage-guided comparison of the walk with the reference model: the input gives registers, an
 * access, an address, and the words of which a small guest memory is made. Whatever it is, walk and
 * model must agree on verdict, error code, address and rights, and must leave the same memory
 * behind.
 */
#include "mm/walk.h"
#include "tests/host/host.h"
#include "tests/host/model.h"
#include <stdlib.h>
#include <string.h>

#define ARENA_BASE 0x7000000ull /* host-physical: not where the guest believes to be */
#define PAGES      16
#define SIZE       (PAGES * PAGE_SIZE)
#define WORDS_MOST 16

struct input {
    uint64_t cr0, cr3, cr4, efer, rflags, address;
    uint64_t pdpte[4];
    uint32_t pkru;
    uint8_t maxphyaddr, gib_pages, access, wild;
    uint64_t words[WORDS_MOST];
};

static uint8_t mirror[SIZE];

static void disagree(void)
{
    abort();
}

/* Entries mostly name this memory, so that walks go on; wild ones are left as they are. */
static void fill_memory(const struct input *in)
{
    uint64_t *words = host_ptr(hpa(ARENA_BASE));

    for (size_t i = 0; i < SIZE / sizeof(uint64_t); i++) {
        uint64_t word = in->words[(i ^ i >> 9) % WORDS_MOST];
        words[i] = in->wild >> (i & 7) & 1 ? word : word & ~(BITS(51, 16) | BITS(31, 16));
    }
    memcpy(mirror, words, SIZE);
}

/* A combination of registers that exists: long mode needs paging and PAE. */
static struct model_regs registers(const struct input *in)
{
    struct model_regs r = { .cr0 = in->cr0 & (MODEL_CR0_WP | MODEL_CR0_PG),
                            .cr3 = in->cr3 & BITS(15, 5),
                            .cr4 = in->cr4,
                            .efer = in->efer & (MODEL_EFER_LMA | MODEL_EFER_NXE),
                            .rflags = in->rflags & MODEL_RFLAGS_AC,
                            .pkru = in->pkru,
                            .maxphyaddr = 32 + in->maxphyaddr % 21,
                            .gib_pages = in->gib_pages & 1 };

    if (!(r.cr0 & MODEL_CR0_PG) || !(r.cr4 & MODEL_CR4_PAE))
        r.efer &= ~MODEL_EFER_LMA;
    for (unsigned i = 0; i < 4; i++)
        r.pdpte[i] = in->pdpte[i] & (BITS(15, 12) | BIT(0));
    return r;
}

static struct paging_regs same_registers(const struct model_regs *m)
{
    struct paging_regs r = { .cr0 = m->cr0,
                             .cr3 = m->cr3,
                             .cr4 = m->cr4,
                             .efer = m->efer,
                             .pkru = m->pkru,
                             .ac = m->rflags & MODEL_RFLAGS_AC,
                             .maxphyaddr = (uint8_t)m->maxphyaddr,
                             .gib_pages = m->gib_pages };

    memcpy(r.pdpte, m->pdpte, sizeof(r.pdpte));
    return r;
}

static unsigned same_access(struct model_access access)
{
    static const unsigned what[] = { 0, ACCESS_WRITE, ACCESS_FETCH };
    static const unsigned who[] = { ACCESS_USER, 0, ACCESS_IMPLICIT };

    return what[access.what] | who[access.who];
}

static uint64_t canonical(const struct model_regs *r, uint64_t address)
{
    unsigned unused = r->cr4 & MODEL_CR4_LA57 ? 64 - 57 : 64 - 48;

    if (!(r->efer & MODEL_EFER_LMA))
        return (uint32_t)address;
    return (uint64_t)((int64_t)(address << unused) >> unused);
}

static void compare(const struct walk *w, const struct model_result *m)
{
    if (w->ok != m->ok || (!w->ok && w->error_code != m->error_code))
        disagree();
    if (w->ok && (w->gpa.v != m->gpa || w->rights.write != m->write || w->rights.user != m->user ||
                  w->rights.execute != m->execute || w->rights.global != m->global))
        disagree();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct model_region region = { 0, SIZE, MODEL_RAM, mirror };
    const struct model_memory memory = { &region, 1 };
    static struct gpm gpm;
    struct input in = { 0 };

    memcpy(&in, data, size < sizeof(in) ? size : sizeof(in));
    if (!gpm.count) {
        host_arena_init(ARENA_BASE, SIZE);
        if (!gpm_add(&gpm, (struct gpm_region){ gpa(0), SIZE, GPM_RAM, hpa(ARENA_BASE) }))
            abort();
    }
    fill_memory(&in);

    struct model_regs regs = registers(&in);
    struct paging_regs same = same_registers(&regs);
    struct model_access access = { in.access % 3, in.access / 3 % 3 };
    uint64_t address = canonical(&regs, in.address);
    struct model_result m = model_translate(&regs, &memory, address, access);
    struct walk w = walk_translate(&same, &gpm, gva(address), same_access(access));

    if (access.what == MODEL_FETCH && access.who == MODEL_IMPLICIT)
        return 0; /* no such access */
    compare(&w, &m);
    /* An entry that the walk used twice is lost to itself: the second walk finds its A. */
    for (unsigned i = 0; w.ok && !walk_set_flags(&w, &gpm, access.what == MODEL_WRITE); i++) {
        if (i == LEVELS_MAX)
            disagree();
        w = walk_translate(&same, &gpm, gva(address), same_access(access));
    }
    if (m.ok)
        model_commit(&m, &memory);
    if (memcmp(mirror, host_ptr(hpa(ARENA_BASE)), SIZE))
        disagree();
    return 0;
}
