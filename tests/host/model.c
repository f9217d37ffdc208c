/* SPDX-License-Identifier: MIT */
/*
 * The reference MMU, written from SDM 3A chapter "Paging" and nothing else. In the order in which
 * the SDM tells it: formats and reserved bits of the entries ("Hierarchical Paging Structures",
 * "32-Bit Paging", "PAE Paging", "4-Level Paging and 5-Level Paging"), one function for each kind
 * of entry; "Access Rights" and "Protection Keys"; "Page-Fault Exceptions"; "Accessed and Dirty
 * Flags". Speed and elegance come last here; being obviously the manual comes first.
 *
 * One liberty that the SDM leaves to the processor is taken away: a walk that ends in a fault sets
 * no accessed flags (DESIGN.md, "Exactness").
 */
#include "tests/host/model.h"
#include <string.h>

enum {
    BIT_P = 0,
    BIT_RW = 1,
    BIT_US = 2,
    BIT_A = 5,
    BIT_D = 6,
    BIT_PS = 7,
    BIT_G = 8,
    BIT_XD = 63
};

/* One access on its way through the tables. */
struct query {
    const struct model_regs *regs;
    const struct model_memory *memory;
    uint64_t linear;
    struct model_access access;
    struct model_result result;
};

static bool has(uint64_t value, unsigned bit)
{
    return (value >> bit) & 1;
}

/* Bits high down to low; none if low is above high. */
static uint64_t ones(unsigned high, unsigned low)
{
    if (low > high)
        return 0;
    return (~0ull >> (63 - high)) & (~0ull << low);
}

/* value's bits high down to low, shifted down to bit 0. */
static uint64_t field(uint64_t value, unsigned high, unsigned low)
{
    return (value & ones(high, low)) >> low;
}

/* ---- memory ---- */

static const struct model_region *region_of(const struct model_memory *memory, uint64_t where)
{
    for (size_t i = 0; i < memory->count; i++) {
        const struct model_region *region = &memory->regions[i];
        if (where >= region->base && where - region->base < region->size)
            return region;
    }
    return NULL;
}

static uint64_t read_entry(const struct model_memory *memory, uint64_t where, unsigned size)
{
    const struct model_region *region = region_of(memory, where);
    uint64_t value = 0;

    if (!region || region->kind == MODEL_DEVICE)
        return size == 4 ? 0xffffffffull : ~0ull;
    memcpy(&value, region->bytes + (where - region->base), size);
    return value;
}

/* Reads the entry at where and notes that the walk used it. */
static uint64_t use(struct query *q, unsigned level, uint64_t where, unsigned size)
{
    const struct model_region *region = region_of(q->memory, where);
    uint64_t entry = read_entry(q->memory, where, size);

    q->result.use[q->result.used++] = (struct model_use){
        .where = where,
        .was = entry,
        .becomes = entry,
        .size = size,
        .level = level,
        .ram = region && region->kind == MODEL_RAM,
    };
    return entry;
}

/* ---- control bits ---- */

static bool wp(const struct query *q)
{
    return q->regs->cr0 & MODEL_CR0_WP;
}

static bool nxe(const struct query *q)
{
    return q->regs->efer & MODEL_EFER_NXE;
}

static bool smep(const struct query *q)
{
    return q->regs->cr4 & MODEL_CR4_SMEP;
}

static bool smap(const struct query *q)
{
    return q->regs->cr4 & MODEL_CR4_SMAP;
}

static bool pae(const struct query *q)
{
    return q->regs->cr4 & MODEL_CR4_PAE;
}

static bool lma(const struct query *q)
{
    return q->regs->efer & MODEL_EFER_LMA;
}

static bool keys(const struct query *q)
{
    return lma(q) && (q->regs->cr4 & MODEL_CR4_PKE);
}

/* ---- "Page-Fault Exceptions" ---- */

/* The bits that say what the access was, whatever is wrong with it. */
static uint32_t access_code(const struct query *q)
{
    uint32_t code = 0;

    if (q->access.what == MODEL_WRITE)
        code |= MODEL_FAULT_WR;
    if (q->access.who == MODEL_USER)
        code |= MODEL_FAULT_US;
    if (q->access.what == MODEL_FETCH && (smep(q) || (pae(q) && nxe(q))))
        code |= MODEL_FAULT_ID;
    return code;
}

static void fault(struct query *q, uint32_t cause)
{
    q->result.ok = false;
    q->result.error_code = access_code(q) | cause;
}

static void not_present(struct query *q)
{
    fault(q, 0);
}

static void reserved_bit(struct query *q)
{
    fault(q, MODEL_FAULT_P | MODEL_FAULT_RSVD);
}

/* ---- "Protection Keys" ---- */

/* PKRU forbids this access to a user-mode address with the key of the page. */
static bool key_forbids(const struct query *q)
{
    bool access_disable = has(q->regs->pkru, 2 * q->result.key);
    bool write_disable = has(q->regs->pkru, 2 * q->result.key + 1);

    if (!keys(q) || q->access.what == MODEL_FETCH || !q->result.user)
        return false;
    if (access_disable)
        return true;
    if (q->access.what == MODEL_READ)
        return false;
    return write_disable && (wp(q) || q->access.who == MODEL_USER);
}

/* ---- "Determination of Access Rights" ---- */

static bool user_access_allowed(const struct query *q)
{
    if (!q->result.user)
        return false;
    switch (q->access.what) {
    case MODEL_READ: return true;
    case MODEL_WRITE: return q->result.write;
    default: return q->result.execute;
    }
}

/* SMAP: data of user-mode pages is open to explicit accesses under EFLAGS.AC only. */
static bool supervisor_may_touch_user_data(const struct query *q)
{
    if (!smap(q))
        return true;
    return (q->regs->rflags & MODEL_RFLAGS_AC) && q->access.who != MODEL_IMPLICIT;
}

static bool supervisor_access_allowed(const struct query *q)
{
    bool user_address = q->result.user;

    switch (q->access.what) {
    case MODEL_READ: return !user_address || supervisor_may_touch_user_data(q);
    case MODEL_WRITE:
        if (user_address && !supervisor_may_touch_user_data(q))
            return false;
        return !wp(q) || q->result.write;
    default:
        if (user_address && smep(q))
            return false;
        return q->result.execute;
    }
}

static void judge(struct query *q)
{
    bool allowed =
        q->access.who == MODEL_USER ? user_access_allowed(q) : supervisor_access_allowed(q);

    if (key_forbids(q))
        fault(q, MODEL_FAULT_P | MODEL_FAULT_PK);
    else if (!allowed)
        fault(q, MODEL_FAULT_P);
    else
        q->result.ok = true;
}

/* ---- "Accessed and Dirty Flags" ---- */

static void mark(struct query *q)
{
    struct model_result *result = &q->result;

    for (unsigned i = 0; i < result->used; i++)
        result->use[i].becomes |= 1ull << BIT_A;
    if (q->access.what == MODEL_WRITE)
        result->use[result->used - 1].becomes |= 1ull << BIT_D;
}

/* ---- the end of a walk: entry maps the page of 1 << page_bits bytes at base ---- */

static void page(struct query *q, uint64_t entry, uint64_t base, unsigned page_bits)
{
    struct model_result *result = &q->result;

    result->gpa = base | (q->linear & ones(page_bits - 1, 0));
    result->page_bits = page_bits;
    result->write = result->user = result->execute = true;
    for (unsigned i = 0; i < result->used; i++) {
        uint64_t used = result->use[i].was;
        result->write = result->write && has(used, BIT_RW);
        result->user = result->user && has(used, BIT_US);
        if (result->use[i].size == 8 && has(used, BIT_XD))
            result->execute = false;
    }
    result->global = (q->regs->cr4 & MODEL_CR4_PGE) && has(entry, BIT_G);
    result->key = keys(q) ? (unsigned)field(entry, 62, 59) : 0;
    judge(q);
    if (result->ok)
        mark(q);
}

/* ---- "32-Bit Paging" ---- */

/* Bits 21:(M-19) of a PDE that maps a 4-MByte page, M = min(40, MAXPHYADDR) with PSE-36. */
static unsigned pse36_width(const struct query *q)
{
    return q->regs->maxphyaddr < 40 ? q->regs->maxphyaddr : 40;
}

static void pde_4mbyte(struct query *q, uint64_t pde)
{
    unsigned m = pse36_width(q);

    if (pde & ones(21, m - 19))
        reserved_bit(q);
    else
        page(q, pde, (field(pde, m - 20, 13) << 32) | (pde & ones(31, 22)), 22);
}

static void walk_32bit(struct query *q)
{
    uint64_t pd = q->regs->cr3 & ones(31, 12);
    uint64_t pde = use(q, 2, pd | (field(q->linear, 31, 22) << 2), 4);
    uint64_t pte;

    if (!has(pde, BIT_P)) {
        not_present(q);
        return;
    }
    if ((q->regs->cr4 & MODEL_CR4_PSE) && has(pde, BIT_PS)) {
        pde_4mbyte(q, pde);
        return;
    }
    pte = use(q, 1, (pde & ones(31, 12)) | (field(q->linear, 21, 12) << 2), 4);
    if (!has(pte, BIT_P))
        not_present(q);
    else
        page(q, pte, pte & ones(31, 12), 12);
}

/* ---- "PAE Paging", "4-Level Paging and 5-Level Paging": entries of 8 bytes ---- */

/* Reserved in every 8-byte entry with a physical address: what lies beyond MAXPHYADDR, and XD. */
static uint64_t always_reserved(const struct query *q)
{
    uint64_t reserved = ones(51, q->regs->maxphyaddr);

    if (!nxe(q))
        reserved |= ones(63, 63);
    if (!lma(q))
        reserved |= ones(62, 52);
    return reserved;
}

static uint64_t address_in(const struct query *q, uint64_t entry, unsigned low)
{
    return entry & ones(q->regs->maxphyaddr - 1, low);
}

static void through_pt(struct query *q, uint64_t pt)
{
    uint64_t pte = use(q, 1, pt | (field(q->linear, 20, 12) << 3), 8);

    if (!has(pte, BIT_P))
        not_present(q);
    else if (pte & always_reserved(q))
        reserved_bit(q);
    else
        page(q, pte, address_in(q, pte, 12), 12);
}

static void pde_2mbyte(struct query *q, uint64_t pde)
{
    if (pde & (always_reserved(q) | ones(20, 13)))
        reserved_bit(q);
    else
        page(q, pde, address_in(q, pde, 21), 21);
}

static void through_pd(struct query *q, uint64_t pd)
{
    uint64_t pde = use(q, 2, pd | (field(q->linear, 29, 21) << 3), 8);

    if (!has(pde, BIT_P))
        not_present(q);
    else if (has(pde, BIT_PS))
        pde_2mbyte(q, pde);
    else if (pde & always_reserved(q))
        reserved_bit(q);
    else
        through_pt(q, address_in(q, pde, 12));
}

static void pdpte_1gbyte(struct query *q, uint64_t pdpte)
{
    if (pdpte & (always_reserved(q) | ones(29, 13)))
        reserved_bit(q);
    else
        page(q, pdpte, address_in(q, pdpte, 30), 30);
}

static void through_pdpt(struct query *q, uint64_t pdpt)
{
    uint64_t pdpte = use(q, 3, pdpt | (field(q->linear, 38, 30) << 3), 8);

    if (!has(pdpte, BIT_P))
        not_present(q);
    else if (has(pdpte, BIT_PS) && q->regs->gib_pages)
        pdpte_1gbyte(q, pdpte);
    else if (has(pdpte, BIT_PS) || (pdpte & always_reserved(q)))
        reserved_bit(q);
    else
        through_pd(q, address_in(q, pdpte, 12));
}

static void through_pml4(struct query *q, uint64_t pml4)
{
    uint64_t pml4e = use(q, 4, pml4 | (field(q->linear, 47, 39) << 3), 8);

    if (!has(pml4e, BIT_P))
        not_present(q);
    else if (has(pml4e, BIT_PS) || (pml4e & always_reserved(q)))
        reserved_bit(q);
    else
        through_pdpt(q, address_in(q, pml4e, 12));
}

static void through_pml5(struct query *q, uint64_t pml5)
{
    uint64_t pml5e = use(q, 5, pml5 | (field(q->linear, 56, 48) << 3), 8);

    if (!has(pml5e, BIT_P))
        not_present(q);
    else if (has(pml5e, BIT_PS) || (pml5e & always_reserved(q)))
        reserved_bit(q);
    else
        through_pml4(q, address_in(q, pml5e, 12));
}

/* A PDPTE register was checked when it was loaded. It has no rights and no accessed flag. */
static void walk_pae(struct query *q)
{
    uint64_t pdpte = q->regs->pdpte[field(q->linear, 31, 30)];

    if (!has(pdpte, BIT_P))
        not_present(q);
    else
        through_pd(q, address_in(q, pdpte, 12));
}

static void walk_none(struct query *q)
{
    struct model_result *result = &q->result;

    result->ok = true;
    result->gpa = q->linear;
    result->write = result->user = result->execute = true;
}

/* "Paging-Mode Enabling". */
struct model_result model_translate(const struct model_regs *regs,
                                    const struct model_memory *memory, uint64_t linear,
                                    struct model_access access)
{
    struct query q = { .regs = regs, .memory = memory, .linear = linear, .access = access };

    if (!(regs->cr0 & MODEL_CR0_PG))
        walk_none(&q);
    else if (!(regs->cr4 & MODEL_CR4_PAE))
        walk_32bit(&q);
    else if (!(regs->efer & MODEL_EFER_LMA))
        walk_pae(&q);
    else if (!(regs->cr4 & MODEL_CR4_LA57))
        through_pml4(&q, address_in(&q, regs->cr3, 12));
    else
        through_pml5(&q, address_in(&q, regs->cr3, 12));
    return q.result;
}

/* By OR: a recursive mapping uses one entry at two levels. */
void model_commit(const struct model_result *result, const struct model_memory *memory)
{
    for (unsigned i = 0; i < result->used; i++) {
        const struct model_use *used = &result->use[i];
        const struct model_region *region = region_of(memory, used->where);
        uint64_t value;

        if (!used->ram)
            continue;
        value = read_entry(memory, used->where, used->size) | used->becomes;
        memcpy(region->bytes + (used->where - region->base), &value, used->size);
    }
}

/* "PDPTE Registers": present ones have reserved bits 2:1, 8:5 and 63:MAXPHYADDR. */
bool model_load_pdptes(const struct model_regs *regs, const struct model_memory *memory,
                       uint64_t pdpte[4])
{
    uint64_t reserved = ones(2, 1) | ones(8, 5) | ones(63, regs->maxphyaddr);
    uint64_t loaded[4];

    for (unsigned i = 0; i < 4; i++) {
        loaded[i] = read_entry(memory, (regs->cr3 & ones(31, 5)) + 8 * i, 8);
        if (has(loaded[i], BIT_P) && (loaded[i] & reserved))
            return false;
    }
    memcpy(pdpte, loaded, sizeof(loaded));
    return true;
}
