/* SPDX-License-Identifier: MIT */
/* The processor below the shadow; see history_processor.h. */
#include "tests/host/history_processor.h"
#include <string.h>

enum { P = 0, RW = 1, US = 2, A = 5, D = 6, PS = 7, G = 8, XD = 63 };
enum { ERROR_P = 1, ERROR_W = 2, ERROR_U = 4, ERROR_RSVD = 8, ERROR_ID = 16, ERROR_PK = 32 };

static bool has(uint64_t value, unsigned bit)
{
    return value >> bit & 1;
}

static uint64_t ones(unsigned high, unsigned low)
{
    return low > high ? 0 : (~0ull >> (63 - high)) & (~0ull << low);
}

static unsigned shift_of(unsigned level)
{
    return 12 + 9 * (level - 1);
}

/* ---- the caches ---- */

static bool covers(const struct processor_cached *cached, uint64_t linear)
{
    return linear >> shift_of(cached->level) == cached->prefix;
}

/* Keeps it unless it is known; the oldest gives way. */
static void keep(struct processor_cached *list, unsigned *count, unsigned most,
                 const struct processor_cached *new)
{
    for (unsigned i = 0; i < *count; i++)
        if (!memcmp(&list[i], new, sizeof(*new)))
            return;
    if (*count == most)
        memmove(&list[0], &list[1], --*count * sizeof(*list));
    list[(*count)++] = *new;
}

/* Keeps of list what is true to the flush. */
static unsigned filter(struct processor_cached *list, unsigned count, enum tlb_flush kind,
                       uint64_t linear)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < count; i++) {
        bool stays = kind == TLB_FLUSH_NON_GLOBALS ? list[i].global
                     : kind == TLB_FLUSH_ADDRESS   ? !covers(&list[i], linear)
                                                   : false;
        if (stays)
            list[kept++] = list[i];
    }
    return kept;
}

void processor_flush(struct processor *processor, enum tlb_flush kind, uint64_t linear)
{
    processor->leaves = filter(processor->leaf, processor->leaves, kind, linear);
    processor->uppers = 0;
}

/* A #PF invalidates what its address would use, and no more (SDM 3A 4.10.4.1). */
static void drop(struct processor *processor, uint64_t linear)
{
    processor->leaves = filter(processor->leaf, processor->leaves, TLB_FLUSH_ADDRESS, linear);
    processor->uppers = filter(processor->upper, processor->uppers, TLB_FLUSH_ADDRESS, linear);
}

/* ---- walks ---- */

static uint64_t *table(const struct processor_regs *regs, uint64_t frame)
{
    if (frame < regs->tables_base || frame >= regs->tables_end)
        panic("the processor uses 0x%llx as a table, which lies outside the pool",
              (unsigned long long)frame);
    return host_ptr(hpa(frame));
}

static uint64_t reserved_bits(const struct processor_regs *regs, uint64_t entry, unsigned level)
{
    uint64_t reserved = ones(51, regs->maxphyaddr);

    if (!regs->long_mode)
        reserved |= ones(62, 52);
    if (level == 4)
        reserved |= 1ull << PS;
    if (has(entry, PS) && (level == 2 || level == 3))
        reserved |= ones(shift_of(level) - 1, 13);
    return reserved;
}

/* PDPTEs are registers, loaded by VM entry from the root (SDM 3C 26.3.1.6). */
static uint64_t pdpte(const struct processor_regs *regs, uint64_t linear)
{
    const uint64_t *root = table(regs, regs->root & ~0xfffull);
    uint64_t entry;

    if (regs->root >> 32 || regs->root & 31)
        panic("VM entry fails: PAE root 0x%llx", (unsigned long long)regs->root);
    root += (regs->root & 0xfff) / 8;
    for (unsigned i = 0; i < 4; i++)
        if (has(root[i], P) ? root[i] & ~(ones(regs->maxphyaddr - 1, 12) | 1) : root[i] != 0)
            panic("VM entry fails: PDPTE %u is 0x%llx", i, (unsigned long long)root[i]);
    entry = root[linear >> 30 & 3];
    return entry;
}

/* What a walk has come to: the next table, or with done the page; or a fault for its entry. */
struct position {
    struct processor_cached at;
    bool done, fault;
    uint32_t error_code;
};

static struct position start(const struct processor_regs *regs, uint64_t linear)
{
    struct position walk = {
        .at = { .frame = regs->root, .level = 5, .write = true, .user = true, .execute = true }
    };

    if (regs->long_mode)
        return walk;
    walk.at.frame = pdpte(regs, linear);
    walk.at.level = 3;
    walk.fault = !has(walk.at.frame, P);
    walk.at.frame &= ~1ull;
    return walk;
}

static void refuse(struct position *walk, uint32_t error_code)
{
    walk->fault = true;
    walk->error_code = error_code;
}

static void found_page(const struct processor_regs *regs, struct position *walk, uint64_t entry)
{
    unsigned shift = shift_of(walk->at.level);

    walk->done = true;
    walk->at.frame = entry & ones(regs->maxphyaddr - 1, shift);
    walk->at.global = regs->pge && has(entry, G);
    walk->at.key = regs->long_mode ? entry >> 59 & 15 : 0;
    if (!has(entry, A))
        panic("the processor would set A in leaf 0x%llx", (unsigned long long)entry);
    if (has(entry, RW) && !has(entry, D))
        panic("the processor may set D in leaf 0x%llx", (unsigned long long)entry);
}

/* Through one entry: of level at.level - 1. */
static void descend(const struct processor_regs *regs, struct position *walk, uint64_t linear)
{
    unsigned level = walk->at.level - 1;
    uint64_t *entry = table(regs, walk->at.frame) + (linear >> shift_of(level) & 511);

    if (!has(*entry, P)) {
        refuse(walk, 0);
        return;
    }
    if (*entry & reserved_bits(regs, *entry, level)) {
        refuse(walk, ERROR_P | ERROR_RSVD);
        return;
    }
    walk->at.level = level;
    walk->at.prefix = linear >> shift_of(level);
    walk->at.write = walk->at.write && has(*entry, RW);
    walk->at.user = walk->at.user && has(*entry, US);
    walk->at.execute = walk->at.execute && !has(*entry, XD);
    if (level == 1 || has(*entry, PS)) {
        found_page(regs, walk, *entry);
        return;
    }
    *entry |= 1ull << A;
    walk->at.frame = *entry & ones(regs->maxphyaddr - 1, 12);
}

static void finish(struct processor *processor, const struct processor_regs *regs,
                   struct position *walk, uint64_t linear)
{
    while (!walk->done && !walk->fault) {
        descend(regs, walk, linear);
        if (!walk->done && !walk->fault)
            keep(processor->upper, &processor->uppers, PROCESSOR_UPPERS, &walk->at);
    }
    if (walk->done)
        keep(processor->leaf, &processor->leaves, PROCESSOR_LEAVES, &walk->at);
}

void processor_speculate(struct processor *processor, const struct processor_regs *regs,
                         uint64_t linear)
{
    struct position walk = start(regs, linear);

    finish(processor, regs, &walk, linear);
}

/* ---- rights ---- */

static bool key_forbids(const struct processor_regs *regs, const struct processor_cached *page,
                        struct processor_access access)
{
    if (!regs->pke || !page->user || access.fetch)
        return false;
    return has(regs->pkru, 2 * page->key) || (access.write && has(regs->pkru, 2 * page->key + 1));
}

static bool rights_allow(const struct processor_regs *regs, const struct processor_cached *page,
                         struct processor_access access)
{
    if (access.write && !page->write)
        return false;
    if (access.fetch && !page->execute)
        return false;
    if (access.user)
        return page->user;
    if (!page->user)
        return true;
    if (access.fetch)
        return !regs->smep;
    return !regs->smap || (regs->ac && !access.implicit);
}

static struct processor_result judge(const struct processor_regs *regs, const struct position *walk,
                                     struct processor_access access)
{
    uint32_t error_code =
        (access.write ? ERROR_W : 0) | (access.user ? ERROR_U : 0) | (access.fetch ? ERROR_ID : 0);

    if (walk->fault)
        return (struct processor_result){ .error_code = error_code | walk->error_code };
    if (key_forbids(regs, &walk->at, access))
        return (struct processor_result){ .error_code = error_code | ERROR_P | ERROR_PK };
    if (!rights_allow(regs, &walk->at, access))
        return (struct processor_result){ .error_code = error_code | ERROR_P };
    return (struct processor_result){
        .ok = true,
        .host = walk->at.frame | (access.linear & ones(shift_of(walk->at.level) - 1, 0)),
    };
}

/* ---- accesses ---- */

/* The choice-th of a fresh walk and all that is cached for linear. */
static struct position choose(struct processor *processor, const struct processor_regs *regs,
                              uint64_t linear, unsigned choice)
{
    const struct processor_cached *usable[PROCESSOR_LEAVES + PROCESSOR_UPPERS];
    unsigned leaves = 0, count;

    for (unsigned i = 0; i < processor->leaves; i++)
        if (covers(&processor->leaf[i], linear))
            usable[leaves++] = &processor->leaf[i];
    count = leaves;
    for (unsigned i = 0; i < processor->uppers; i++)
        if (covers(&processor->upper[i], linear))
            usable[count++] = &processor->upper[i];
    choice %= count + 1;
    if (choice == 0)
        return start(regs, linear);
    processor->hits++;
    return (struct position){ .at = *usable[choice - 1], .done = choice <= leaves };
}

struct processor_result processor_access(struct processor *processor,
                                         const struct processor_regs *regs,
                                         struct processor_access access, unsigned choice)
{
    struct position walk = choose(processor, regs, access.linear, choice & ~PROCESSOR_KEEPS);
    struct processor_result result;

    finish(processor, regs, &walk, access.linear);
    result = judge(regs, &walk, access);
    if (!result.ok && !(choice & PROCESSOR_KEEPS))
        drop(processor, access.linear);
    return result;
}
