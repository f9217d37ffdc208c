/* SPDX-License-Identifier: MIT */
/*
 * The specification of tests/proof/spec.h, in the order of SDM 3A chapter 4: "32-Bit Paging", "PAE
 * Paging", "4-Level Paging and 5-Level Paging", "Access Rights", "Page-Fault Exceptions".
 */
#include "tests/proof/spec.h"

/* The state of a translation: what has been found so far. */
struct going {
    const struct paging_regs *regs;
    unsigned access;
    uint64_t linear;
    struct spec s;
};

static bool bit(uint64_t value, unsigned n)
{
    return value >> n & 1;
}

/* Bits high to low of value, in their places. */
static uint64_t bits(uint64_t value, unsigned high, unsigned low)
{
    uint64_t from_low = low > 63 ? 0 : value >> low << low;

    return high >= 63 ? from_low : from_low & (((uint64_t)1 << (high + 1)) - 1);
}

static bool is_write(unsigned access)
{
    return bit(access, 0);
}
static bool is_fetch(unsigned access)
{
    return bit(access, 1);
}
static bool is_user(unsigned access)
{
    return bit(access, 2);
}
static bool is_implicit(unsigned access)
{
    return bit(access, 3);
}

static bool wp(const struct paging_regs *regs)
{
    return bit(regs->cr0, 16);
}
static bool pae(const struct paging_regs *regs)
{
    return bit(regs->cr4, 5);
}
static bool smep(const struct paging_regs *regs)
{
    return bit(regs->cr4, 20);
}
static bool smap(const struct paging_regs *regs)
{
    return bit(regs->cr4, 21);
}
static bool keys(const struct paging_regs *regs)
{
    return bit(regs->cr4, 22) && bit(regs->efer, 10);
}
static bool nxe(const struct paging_regs *regs)
{
    return bit(regs->efer, 11);
}

/* Figure 4-12 "Page-Fault Error Code": the bits that the access alone decides. */
static uint32_t access_code(const struct going *g)
{
    uint32_t code = 0;

    if (is_write(g->access))
        code += 2;
    if (is_user(g->access))
        code += 4;
    if (is_fetch(g->access) && (smep(g->regs) || (pae(g->regs) && nxe(g->regs))))
        code += 16;
    return code;
}

static struct spec not_present(struct going *g)
{
    g->s.error_code = access_code(g);
    return g->s;
}

static struct spec reserved(struct going *g)
{
    g->s.error_code = 1 + 8 + access_code(g);
    return g->s;
}

/* Section 4.6.1 "Determination of Access Rights", in its words; no protection keys. */
static bool rights_allow(const struct paging_regs *regs, const struct spec *s, unsigned access)
{
    bool user_address = s->user;

    if (is_user(access)) {
        if (!user_address)
            return false;
        if (is_fetch(access))
            return s->executable;
        return is_write(access) ? s->writable : true;
    }
    if (is_fetch(access))
        return (user_address && smep(regs)) ? false : s->executable;
    if (user_address && smap(regs) && (is_implicit(access) || !regs->ac))
        return false;
    return is_write(access) && wp(regs) ? s->writable : true;
}

/* Section 4.6.2 "Protection Keys". */
static bool key_forbids(const struct paging_regs *regs, const struct spec *s, unsigned access)
{
    bool access_disable = bit(regs->pkru, 2 * s->key);
    bool write_disable = bit(regs->pkru, 2 * s->key + 1);

    if (!keys(regs) || !s->user || is_fetch(access))
        return false;
    if (access_disable)
        return true;
    return write_disable && is_write(access) && (is_user(access) || wp(regs));
}

bool spec_allows(const struct paging_regs *regs, const struct spec *s, unsigned access)
{
    if (!bit(regs->cr0, 31))
        return true;
    return rights_allow(regs, s, access) && !key_forbids(regs, s, access);
}

/* The page is mapped by entry: the verdict. */
static struct spec page(struct going *g, uint64_t entry, uint64_t base, unsigned page_bits)
{
    struct spec *s = &g->s;

    s->present = true;
    s->page_bits = page_bits;
    s->gpa = base + bits(g->linear, page_bits - 1, 0);
    s->global = bit(entry, 8) && bit(g->regs->cr4, 7);
    s->dirty = bit(entry, 6);
    s->key = bit(g->regs->efer, 10) ? (unsigned)(bits(entry, 62, 59) >> 59) : 0;
    s->ok = spec_allows(g->regs, s, g->access);
    if (!s->ok)
        s->error_code = 1 + (key_forbids(g->regs, s, g->access) ? 32u : 0u) + access_code(g);
    return *s;
}

/* Reads the entry at where; notes it, and its rights, as used. */
static uint64_t use(struct going *g, uint64_t where, unsigned size)
{
    uint64_t entry = spec_memory(where, size);

    g->s.use[g->s.used].where = where;
    g->s.use[g->s.used].value = entry;
    g->s.used++;
    g->s.writable = g->s.writable && bit(entry, 1);
    g->s.user = g->s.user && bit(entry, 2);
    g->s.executable = g->s.executable && !bit(entry, 63);
    return entry;
}

/* ---- 4.3 "32-Bit Paging" ---- */

static struct spec translate_32bit(struct going *g)
{
    unsigned m = g->regs->maxphyaddr < 40 ? g->regs->maxphyaddr : 40;
    uint64_t pde, pte;

    pde = use(g, bits(g->regs->cr3, 31, 12) + 4 * (bits(g->linear, 31, 22) >> 22), 4);
    if (!bit(pde, 0))
        return not_present(g);
    if (bit(pde, 7) && bit(g->regs->cr4, 4)) {
        /* Table 4-4: bits (M-20):13 are address bits (M-1):32, bits 21:(M-19) are reserved */
        if (bits(pde, 21, m - 19) != 0)
            return reserved(g);
        return page(g, pde, bits(pde, 31, 22) + (bits(pde, 20, 13) >> 13 << 32), 22);
    }
    pte = use(g, bits(pde, 31, 12) + 4 * (bits(g->linear, 21, 12) >> 12), 4);
    if (!bit(pte, 0))
        return not_present(g);
    return page(g, pte, bits(pte, 31, 12), 12);
}

/* ---- 4.4 "PAE Paging", 4.5 "4-Level Paging and 5-Level Paging" ---- */

/* Bits 51:MAXPHYADDR and, with NXE clear, 63 are reserved in every entry; 62:52 in PAE paging. */
static bool reserved_anywhere(const struct going *g, uint64_t entry)
{
    if (g->regs->maxphyaddr < 52 && bits(entry, 51, g->regs->maxphyaddr) != 0)
        return true;
    if (!nxe(g->regs) && bit(entry, 63))
        return true;
    return !bit(g->regs->efer, 10) && bits(entry, 62, 52) != 0;
}

/* Tables 4-11, 4-20. */
static struct spec page_table(struct going *g, uint64_t table)
{
    uint64_t pte = use(g, table + 8 * (bits(g->linear, 20, 12) >> 12), 8);

    if (!bit(pte, 0))
        return not_present(g);
    if (reserved_anywhere(g, pte))
        return reserved(g);
    return page(g, pte, bits(pte, 51, 12), 12);
}

/* Tables 4-9, 4-10, 4-18, 4-19. */
static struct spec page_directory(struct going *g, uint64_t table)
{
    uint64_t pde = use(g, table + 8 * (bits(g->linear, 29, 21) >> 21), 8);

    if (!bit(pde, 0))
        return not_present(g);
    if (reserved_anywhere(g, pde))
        return reserved(g);
    if (!bit(pde, 7))
        return page_table(g, bits(pde, 51, 12));
    if (bits(pde, 20, 13) != 0)
        return reserved(g);
    return page(g, pde, bits(pde, 51, 21), 21);
}

/* Tables 4-16, 4-17. */
static struct spec pointer_table(struct going *g, uint64_t table)
{
    uint64_t pdpte = use(g, table + 8 * (bits(g->linear, 38, 30) >> 30), 8);

    if (!bit(pdpte, 0))
        return not_present(g);
    if (reserved_anywhere(g, pdpte))
        return reserved(g);
    if (!bit(pdpte, 7))
        return page_directory(g, bits(pdpte, 51, 12));
    if (!g->regs->gib_pages || bits(pdpte, 29, 13) != 0)
        return reserved(g);
    return page(g, pdpte, bits(pdpte, 51, 30), 30);
}

/* Table 4-15; PS is reserved. */
static struct spec pml4(struct going *g, uint64_t table)
{
    uint64_t pml4e = use(g, table + 8 * (bits(g->linear, 47, 39) >> 39), 8);

    if (!bit(pml4e, 0))
        return not_present(g);
    if (reserved_anywhere(g, pml4e) || bit(pml4e, 7))
        return reserved(g);
    return pointer_table(g, bits(pml4e, 51, 12));
}

/* Table 4-14; PS is reserved. */
static struct spec pml5(struct going *g, uint64_t table)
{
    uint64_t pml5e = use(g, table + 8 * (bits(g->linear, 56, 48) >> 48), 8);

    if (!bit(pml5e, 0))
        return not_present(g);
    if (reserved_anywhere(g, pml5e) || bit(pml5e, 7))
        return reserved(g);
    return pml4(g, bits(pml5e, 51, 12));
}

static struct spec translate_pae(struct going *g)
{
    uint64_t pdpte = g->regs->pdpte[bits(g->linear, 31, 30) >> 30];

    return bit(pdpte, 0) ? page_directory(g, bits(pdpte, 51, 12)) : not_present(g);
}

static enum spec_mode mode_of(const struct paging_regs *regs)
{
    if (!bit(regs->cr0, 31))
        return SPEC_NONE;
    if (!pae(regs))
        return SPEC_32BIT;
    if (!bit(regs->efer, 10))
        return SPEC_PAE;
    return bit(regs->cr4, 12) ? SPEC_5LEVEL : SPEC_4LEVEL;
}

struct spec spec_translate(const struct paging_regs *regs, uint64_t linear, unsigned access)
{
    struct going g = { .regs = regs, .access = access, .linear = linear };

    g.s.writable = g.s.user = g.s.executable = true;
    switch (mode_of(regs)) {
    case SPEC_32BIT: return translate_32bit(&g);
    case SPEC_PAE: return translate_pae(&g);
    case SPEC_4LEVEL: return pml4(&g, bits(regs->cr3, 51, 12));
    case SPEC_5LEVEL: return pml5(&g, bits(regs->cr3, 51, 12));
    default: break;
    }
    g.s.ok = g.s.present = g.s.dirty = true;
    g.s.gpa = linear;
    return g.s;
}

bool spec_leaf_allows(uint64_t leaf, struct spec_hardware hardware, unsigned access)
{
    struct paging_regs regs = { .pkru = hardware.pkru, .ac = hardware.ac };
    struct spec rights = { .writable = bit(leaf, 1), .user = bit(leaf, 2) };

    rights.executable = !bit(leaf, 63);
    rights.key = (unsigned)(bits(leaf, 62, 59) >> 59);
    regs.cr0 = (uint64_t)1 << 31 | (uint64_t)1 << 16;
    regs.efer = (uint64_t)1 << 11 | (uint64_t)hardware.pke << 10;
    regs.cr4 = (uint64_t)hardware.smep << 20 | (uint64_t)hardware.smap << 21 |
               (uint64_t)hardware.pke << 22;
    return bit(leaf, 0) && spec_allows(&regs, &rights, access);
}

/* Table 4-8: bits 2:1, 8:5 and 63:MAXPHYADDR are reserved. */
bool spec_pdpte_loads(uint64_t pdpte, unsigned maxphyaddr)
{
    if (!bit(pdpte, 0))
        return true;
    return bits(pdpte, 2, 1) == 0 && bits(pdpte, 8, 5) == 0 && bits(pdpte, 63, maxphyaddr) == 0;
}
