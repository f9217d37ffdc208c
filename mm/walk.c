/* SPDX-License-Identifier: MIT */
/*
 * The walk of mm/walk.h: one loop for all modes. Each level reads its entry, judges P and the
 * reserved bits at once, and adds its rights; the access is judged only when the leaf is reached,
 * so that a lower absent entry comes before a missing right above it (SDM 3A 4.6.1 "Determination
 * of Access Rights", 4.7 "Page-Fault Exceptions").
 */
#include "mm/walk.h"
#include "arch/x86/pte.h"

#define PDPTE_LEVEL         3
#define PAE_PDPTE_RESERVED  (BITS(2, 1) | BITS(8, 5) | BIT(63) | BITS(62, 52))
#define PSE36_MAXPHYADDR    40 /* SDM 3A 4.3: M is the minimum of 40 and MAXPHYADDR */
#define PSE36_SHIFT         13 /* PDE bits from 13 on are address bits from 32 on */
#define PSE36_RESERVED_HIGH 21

static bool nx_enabled(const struct paging_regs *regs)
{
    return regs->efer & EFER_NXE && regs->cr4 & CR4_PAE;
}

/* Physical-address bits of an 8-byte entry that the guest's processor does not have. */
static uint64_t beyond_maxphyaddr(const struct paging_regs *regs)
{
    return regs->maxphyaddr >= 52 ? 0 : BITS(51, regs->maxphyaddr);
}

static bool is_leaf(const struct paging_regs *regs, enum paging_mode_id mode, unsigned level,
                    uint64_t entry)
{
    if (level == 1)
        return true;
    if (!(entry & PTE_PS))
        return false;
    if (mode == MODE_32BIT)
        return regs->cr4 & CR4_PSE;
    return level == 2 || (level == 3 && mode != MODE_PAE && regs->gib_pages);
}

/* SDM 3A table 4-4: reserved bits of a 4 MiB PDE; bits 20:13 carry address bits 39:32. */
static uint64_t reserved_pse36(const struct paging_regs *regs)
{
    unsigned m = regs->maxphyaddr < PSE36_MAXPHYADDR ? regs->maxphyaddr : PSE36_MAXPHYADDR;

    /* MAXPHYADDR is at least 32 */
    /* cppcheck-suppress shiftTooManyBits */
    return BITS(PSE36_RESERVED_HIGH, m - 32 + PSE36_SHIFT);
}

/* Bits that must be 0 in a present entry: SDM 3A tables 4-4 to 4-6, 4-8 to 4-11, 4-14 to 4-20. */
static uint64_t reserved_bits(const struct paging_regs *regs, enum paging_mode_id mode,
                              unsigned level, bool leaf)
{
    uint64_t reserved = beyond_maxphyaddr(regs);

    if (mode == MODE_32BIT)
        return level == 2 && leaf ? reserved_pse36(regs) : 0;
    if (mode == MODE_PAE)
        reserved |= BITS(62, 52);
    if (!nx_enabled(regs))
        reserved |= PTE_NX;
    if (leaf)
        reserved |= paging_mode(mode)->level[level].leaf_reserved;
    if (level > 2 && !leaf)
        reserved |= PTE_PS;
    return reserved;
}

static gpa_t table_address(enum paging_mode_id mode, uint64_t entry)
{
    return gpa(entry & (mode == MODE_32BIT ? PTE32_ADDRESS : PTE_ADDRESS));
}

static gpa_t root_address(const struct paging_regs *regs, enum paging_mode_id mode)
{
    return gpa(regs->cr3 & (mode == MODE_32BIT ? PTE32_ADDRESS : PTE_ADDRESS));
}

/* An entry in no RAM or ROM reads as the empty bus does: all ones. */
static uint64_t read_entry(const struct gpm *gpm, gpa_t where, unsigned size)
{
    uint64_t entry = 0;

    if (!gpm_read(gpm, where, &entry, size))
        return size == 8 ? UINT64_MAX : UINT32_MAX;
    return entry;
}

/* The page that a leaf maps, and the byte of it that address means. */
static gpa_t leaf_gpa(const struct walk *w, gva_t address)
{
    uint64_t entry = w->steps[w->leaf].entry.v;
    uint64_t offset_mask = BIT(w->page_shift) - 1;
    uint64_t base = table_address(w->mode, entry).v & ~offset_mask;

    if (w->mode == MODE_32BIT && w->leaf == 2)
        base = (entry & BITS(31, 22)) | (entry & BITS(20, PSE36_SHIFT)) << (32 - PSE36_SHIFT);
    return gpa(base | (address.v & offset_mask));
}

static void add_rights(struct rights *rights, uint64_t entry)
{
    rights->write &= (entry & PTE_W) != 0;
    rights->user &= (entry & PTE_U) != 0;
    rights->execute &= !(entry & PTE_NX);
}

/* PKRU: two bits a key, access-disable and write-disable (SDM 3A 4.6.2 "Protection Keys"). */
static bool pkey_forbids(const struct paging_regs *regs, const struct rights *rights,
                         unsigned access)
{
    unsigned bits = regs->pkru >> (2 * rights->pkey) & 3;
    bool write_checked = access & ACCESS_USER || regs->cr0 & CR0_WP;

    if (!(regs->cr4 & CR4_PKE) || !(regs->efer & EFER_LMA) || !paging_enabled(regs))
        return false;
    if (!rights->user || access & ACCESS_FETCH)
        return false;
    return bits & 1 || (bits & 2 && access & ACCESS_WRITE && write_checked);
}

static bool user_access_allowed(const struct rights *rights, unsigned access)
{
    if (!rights->user)
        return false;
    if (access & ACCESS_FETCH)
        return rights->execute;
    return rights->write || !(access & ACCESS_WRITE);
}

static bool supervisor_access_allowed(const struct paging_regs *regs, const struct rights *rights,
                                      unsigned access)
{
    bool smap_guards = regs->cr4 & CR4_SMAP && (!regs->ac || access & ACCESS_IMPLICIT);

    if (access & ACCESS_FETCH)
        return rights->execute && !(rights->user && regs->cr4 & CR4_SMEP);
    if (rights->user && smap_guards)
        return false;
    return rights->write || !(access & ACCESS_WRITE) || !(regs->cr0 & CR0_WP);
}

/* The error-code bits that describe the access itself: SDM 3A figure 4-12. */
static uint32_t access_error_bits(const struct paging_regs *regs, unsigned access)
{
    bool reports_fetch = nx_enabled(regs) || regs->cr4 & CR4_SMEP;

    return (access & ACCESS_WRITE ? PF_W : 0) | (access & ACCESS_USER ? PF_U : 0) |
           (access & ACCESS_FETCH && reports_fetch ? PF_ID : 0);
}

static struct walk refuse(struct walk *w, uint32_t error_code)
{
    w->ok = false;
    w->error_code = error_code;
    return *w;
}

static struct walk walk_unpaged(gva_t address)
{
    return (struct walk){ .ok = true,
                          .gpa = gpa(address.v),
                          .rights = { .write = true, .user = true, .execute = true },
                          .page_shift = PAGE_SHIFT,
                          .dirty = true,
                          .mode = MODE_NONE };
}

/* Whether the finished walk's rights allow access; completes the error code if not. */
static struct walk judge(struct walk *w, const struct paging_regs *regs, unsigned access)
{
    bool key_forbids = pkey_forbids(regs, &w->rights, access);
    bool allowed = access & ACCESS_USER ? user_access_allowed(&w->rights, access)
                                        : supervisor_access_allowed(regs, &w->rights, access);

    if (!allowed || key_forbids)
        return refuse(w, (uint32_t)(PF_P | (key_forbids ? PF_PK : 0)) |
                             access_error_bits(regs, access));
    w->ok = true;
    return *w;
}

static void finish_leaf(struct walk *w, const struct paging_regs *regs, gva_t address)
{
    uint64_t entry = w->steps[w->leaf].entry.v;

    w->page_shift = paging_mode(w->mode)->level[w->leaf].shift;
    w->gpa = leaf_gpa(w, address);
    w->rights.global = entry & PTE_G && regs->cr4 & CR4_PGE;
    w->rights.pkey = regs->efer & EFER_LMA ? entry >> PTE_PKEY_SHIFT & 0xf : 0;
    w->dirty = entry & PTE_D;
}

/* The table in which the walk begins, and in PAE paging the PDPTE register in place of a level. */
static bool begin(struct walk *w, const struct paging_regs *regs, gva_t address, gpa_t *table)
{
    w->mode = paging_mode_of(regs);
    w->top = paging_mode(w->mode)->levels;
    w->rights = (struct rights){ .write = true, .user = true, .execute = true };
    *table = root_address(regs, w->mode);
    if (w->mode == MODE_PAE) {
        uint64_t pdpte = regs->pdpte[address.v >> 30 & 3];
        w->top = PDPTE_LEVEL - 1;
        *table = table_address(w->mode, pdpte);
        return pdpte & PTE_P;
    }
    return true;
}

struct walk walk_translate(const struct paging_regs *regs, const struct gpm *gpm, gva_t address,
                           unsigned access)
{
    struct walk w = { 0 };
    gpa_t table;

    if (!paging_enabled(regs))
        return walk_unpaged(address);
    if (!begin(&w, regs, address, &table))
        return refuse(&w, access_error_bits(regs, access));
    for (unsigned level = w.top; !w.leaf; level--) {
        const struct paging_mode *mode = paging_mode(w.mode);
        uint64_t index = address.v >> mode->level[level].shift & (BIT(mode->level[level].bits) - 1);
        gpa_t where = gpa_add(table, index * mode->entry_size);
        uint64_t entry = read_entry(gpm, where, mode->entry_size);
        bool leaf = is_leaf(regs, w.mode, level, entry);

        w.steps[level] = (struct walk_step){ where, { entry } };
        if (!(entry & PTE_P))
            return refuse(&w, access_error_bits(regs, access));
        if (entry & reserved_bits(regs, w.mode, level, leaf))
            return refuse(&w, (uint32_t)(PF_P | PF_RSVD) | access_error_bits(regs, access));
        add_rights(&w.rights, entry);
        table = table_address(w.mode, entry);
        if (leaf)
            w.leaf = (uint8_t)level;
    }
    finish_leaf(&w, regs, address);
    return judge(&w, regs, access);
}

bool walk_set_flags(struct walk *walk, const struct gpm *gpm, bool write)
{
    for (unsigned level = walk->top; walk->leaf && level >= walk->leaf; level--) {
        struct walk_step *step = &walk->steps[level];
        uint64_t wanted = step->entry.v | PTE_A;

        if (write && level == walk->leaf)
            wanted |= PTE_D;
        if (wanted == step->entry.v)
            continue;
        if (gpm_compare_swap(gpm, step->where, paging_mode(walk->mode)->entry_size, step->entry.v,
                             wanted) == GPM_LOST)
            return false;
        step->entry.v = wanted;
    }
    walk->dirty |= write;
    return true;
}

bool walk_load_pdptes(const struct paging_regs *regs, const struct gpm *gpm, uint64_t pdpte[4])
{
    gpa_t table = gpa(regs->cr3 & BITS(31, 5));

    for (unsigned i = 0; i < 4; i++) {
        pdpte[i] = read_entry(gpm, gpa_add(table, i * sizeof(uint64_t)), sizeof(uint64_t));
        if (pdpte[i] & PTE_P && pdpte[i] & (PAE_PDPTE_RESERVED | beyond_maxphyaddr(regs)))
            return false;
    }
    return true;
}
