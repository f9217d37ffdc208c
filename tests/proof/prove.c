/* SPDX-License-Identifier: MIT */
/*
 * What CBMC proves of mm/, run by tests/proof/prove.py: mm/walk.c does what tests/proof/spec.c
 * says, and the leaves that mm/mmu.c makes of it allow nothing that the guest's tables do not.
 *
 * Guest memory is an uninterpreted function: every entry of every table has any 64-bit value, the
 * same one whenever it is read, tables that contain themselves included; any place may be no RAM.
 * Registers, addresses and accesses are nondeterministic too. Each prove_*() is one run.
 */
#include "mm/mmu.c" /* for its static functions */
#include "tests/proof/spec.h"

#define assume(condition) __CPROVER_assume(condition)
#ifndef PROVE_REACH
#define prove(condition, claim) __CPROVER_assert(condition, "claim: " claim)
#else /* which claims are reached at all */
#define prove(condition, claim) __CPROVER_assert((condition) && nondet_bool(), "claim: " claim)
#endif

_Bool nondet_bool(void);
uint8_t nondet_u8(void);
uint32_t nondet_u32(void);
uint64_t nondet_u64(void);

/* ---- the world around mm/ ---- */

uint64_t __CPROVER_uninterpreted_word(unsigned moment, uint64_t where);
_Bool __CPROVER_uninterpreted_is_memory(uint64_t where);

static unsigned moment; /* another processor may have changed all of memory since the last one */

uint64_t spec_memory(uint64_t where, unsigned size)
{
    uint64_t word = UINT64_MAX;

    if (__CPROVER_uninterpreted_is_memory(where))
        word = __CPROVER_uninterpreted_word(moment, where);
    return size == 4 ? (uint32_t)word : word;
}

bool gpm_read(const struct gpm *gpm, gpa_t from, void *to, size_t size)
{
    (void)gpm;
    prove(size == 4 || size == 8, "entries have 4 or 8 bytes");
    if (!__CPROVER_uninterpreted_is_memory(from.v))
        return false;
    if (size == 4)
        *(uint32_t *)to = (uint32_t)spec_memory(from.v, 4);
    else
        *(uint64_t *)to = spec_memory(from.v, 8);
    return true;
}

struct swap {
    uint64_t where, expected, desired;
    unsigned size;
    enum gpm_swap result;
};

#define SWAPS_MAX (2 * LEVELS_MAX) /* a walk whose last swap is lost, and another */
static struct swap swaps[SWAPS_MAX];
static unsigned swap_count;
static unsigned races; /* how often a swap may still be lost */

enum gpm_swap gpm_compare_swap(const struct gpm *gpm, gpa_t where, unsigned size, uint64_t expected,
                               uint64_t desired)
{
    enum gpm_swap result = nondet_bool() ? GPM_SWAPPED : GPM_NOT_RAM;

    (void)gpm;
    if (races && nondet_bool()) {
        result = GPM_LOST;
        races--;
    }
    prove(swap_count < SWAPS_MAX, "no more swaps than levels, twice at most");
    swaps[swap_count++] = (struct swap){ where.v, expected, desired, size, result };
    if (result == GPM_LOST)
        moment++;
    return result;
}

static struct gpm_region region;
static bool hole;

const struct gpm_region *gpm_find(const struct gpm *gpm, gpa_t address)
{
    (void)gpm;
    if (hole)
        return NULL;
    assume(address.v - region.base.v < region.size);
    return &region;
}

static struct vtlb_leaf filled;
static unsigned fills, flushes_everything, flushes_address, drops;
static bool fill_recycles, fill_replaces;
static spte_t looked_up;

bool vtlb_fill(struct vtlb *vtlb, gva_t address, struct vtlb_leaf leaf, spte_t *old)
{
    (void)vtlb;
    (void)address;
    filled = leaf;
    fills++;
    *old = fill_replaces ? looked_up : spte(SPTE_TRAP);
    return fill_recycles;
}

bool vtlb_drop(struct vtlb *vtlb, gva_t address)
{
    (void)vtlb;
    (void)address;
    drops++;
    return nondet_bool();
}

spte_t vtlb_lookup(const struct vtlb *vtlb, gva_t address)
{
    (void)vtlb;
    (void)address;
    return looked_up;
}

void host_tlb_flush(struct mmu *mmu, enum tlb_flush kind, gva_t address)
{
    (void)mmu;
    (void)address;
    flushes_everything += kind == TLB_FLUSH_ALL;
    flushes_address += kind == TLB_FLUSH_ADDRESS;
}

/* ---- any state ---- */

static struct paging_regs any_regs(enum paging_mode_id mode)
{
    struct paging_regs regs;

    regs.cr0 = nondet_u64();
    regs.cr3 = nondet_u64();
    regs.cr4 = nondet_u64();
    regs.efer = nondet_u64();
    for (unsigned i = 0; i < 4; i++)
        regs.pdpte[i] = nondet_u64();
    regs.pkru = nondet_u32();
    regs.ac = nondet_bool();
    regs.maxphyaddr = nondet_u8();
    regs.gib_pages = nondet_bool();
    assume(regs.maxphyaddr >= 32 && regs.maxphyaddr <= 52);
    /* IA32_EFER.LMA is CR0.PG with LME, and then CR4.PAE is 1 */
    assume(!(regs.efer >> 10 & 1) || (regs.cr0 >> 31 & 1 && regs.cr4 >> 5 & 1));
    assume((regs.cr0 >> 31 & 1) == (mode != MODE_NONE));
    assume(mode == MODE_NONE || (regs.cr4 >> 5 & 1) == (mode != MODE_32BIT));
    assume((regs.efer >> 10 & 1) == (mode == MODE_4LEVEL || mode == MODE_5LEVEL));
    assume(mode < MODE_4LEVEL || (regs.cr4 >> 12 & 1) == (mode == MODE_5LEVEL));
    return regs;
}

/* Any read, write or fetch by the user, the supervisor, or implicitly. */
static unsigned any_access(void)
{
    unsigned access = nondet_u8();

    assume(access < 16);
    assume(!(access & ACCESS_WRITE && access & ACCESS_FETCH));
    assume(!(access & ACCESS_IMPLICIT && access & (ACCESS_USER | ACCESS_FETCH)));
    return access;
}

/* ---- the walk ---- */

static void prove_flags(struct walk *w, const struct spec *s, unsigned size, bool write)
{
    bool lost = false, set, dirty = w->dirty;
    unsigned n = 0;

    races = nondet_bool() ? RACES : 0;
    set = walk_set_flags(w, NULL, write);
    for (unsigned i = 0; i < s->used && !lost; i++) {
        uint64_t wanted = s->use[i].value | 0x20;
        if (write && i == s->used - 1)
            wanted |= 0x40;
        if (wanted == s->use[i].value)
            continue;
        prove(n < swap_count, "A is set at all levels, D in the leaf by writes");
        prove(swaps[n].where == s->use[i].where && swaps[n].size == size,
              "flags are set in the entries that the walk used");
        prove(swaps[n].expected == s->use[i].value, "swaps expect what the walk read");
        prove(swaps[n].desired == wanted, "swaps set exactly A, and D in the leaf for writes");
        lost = swaps[n].result == GPM_LOST;
        n++;
    }
    prove(n == swap_count, "nothing else is written");
    prove(set == !lost, "a lost race is reported, and only that");
    prove(!set || w->dirty == (dirty || write), "dirty tells whether the leaf has D now");
}

static void prove_walk(enum paging_mode_id mode)
{
    struct paging_regs regs = any_regs(mode);
    gva_t address = gva(nondet_u64());
    unsigned access = any_access();
    struct walk w = walk_translate(&regs, NULL, address, access);
    struct spec s = spec_translate(&regs, address.v, access);

    prove(swap_count == 0, "the walk changes nothing");
    prove(w.ok == s.ok, "the verdict is that of the SDM");
    if (!s.ok) {
        prove(w.error_code == s.error_code, "the error code is that of the SDM");
        return;
    }
    prove(w.mode == mode, "the mode is that of the SDM");
    prove(w.gpa.v == s.gpa, "the physical address is that of the SDM");
    prove(w.rights.write == s.writable, "R/W of all levels");
    prove(w.rights.user == s.user, "U/S of all levels");
    prove(w.rights.execute == s.executable, "XD of all levels");
    prove(w.rights.global == s.global, "G of the leaf, with CR4.PGE");
    prove(w.rights.pkey == s.key, "protection key of the leaf");
    prove(w.page_shift == (s.page_bits ? s.page_bits : 12), "page size");
    prove(w.dirty == s.dirty, "D of the leaf");
    prove_flags(&w, &s, mode == MODE_32BIT ? 4 : 8, access & ACCESS_WRITE);
}

void prove_walk_none(void)
{
    prove_walk(MODE_NONE);
}
void prove_walk_32bit(void)
{
    prove_walk(MODE_32BIT);
}
void prove_walk_pae(void)
{
    prove_walk(MODE_PAE);
}
void prove_walk_4level(void)
{
    prove_walk(MODE_4LEVEL);
}
void prove_walk_5level(void)
{
    prove_walk(MODE_5LEVEL);
}

void prove_load_pdptes(void)
{
    struct paging_regs regs = any_regs(MODE_PAE);
    uint64_t pdpte[4];
    uint64_t table = regs.cr3 & 0xffffffe0;
    bool loaded = walk_load_pdptes(&regs, NULL, pdpte), loads = true;

    for (unsigned i = 0; i < 4; i++)
        loads = loads && spec_pdpte_loads(spec_memory(table + 8 * i, 8), regs.maxphyaddr);
    prove(loaded == loads, "PDPTEs load unless one that is present has a reserved bit");
    for (unsigned i = 0; loaded && i < 4; i++)
        prove(pdpte[i] == spec_memory(table + 8 * i, 8), "the PDPTEs are those at CR3");
}

/* ---- the shadow ---- */

static struct mmu any_mmu(enum paging_mode_id mode)
{
    struct mmu mmu = { .regs = any_regs(mode) };

    hole = nondet_bool();
    region.kind = nondet_bool() ? GPM_RAM : nondet_bool() ? GPM_ROM : GPM_DEVICE;
    region.base = gpa(nondet_u64());
    region.size = nondet_u64();
    region.host = hpa(nondet_u64());
    assume(!((region.base.v | region.size | region.host.v) & 0xfff));
    assume(region.size && region.base.v + region.size > region.base.v);
    /* the host's RAM lies below bit 51, or TRAP would not be in use */
    assume(region.host.v < (uint64_t)1 << 51 && region.size <= ((uint64_t)1 << 51) - region.host.v);
    fill_recycles = nondet_bool();
    fill_replaces = nondet_bool();
    looked_up = spte(nondet_u64());
    races = nondet_bool() ? RACES : 0;
    return mmu;
}

/* True if the entry at where has flag now, or Umbra has just tried to set it there. */
static bool has_flag(const struct spec_use *use, uint64_t flag)
{
    bool has = use->value & flag;

    for (unsigned i = 0; i < swap_count; i++)
        if (swaps[i].where == use->where && swaps[i].desired & flag && swaps[i].result != GPM_LOST)
            has = true;
    return has;
}

/* s: what the guest's tables say about the address now. */
static void prove_leaf(const struct mmu *mmu, struct spec s, unsigned access)
{
    uint64_t leaf = filled.entry.v;
    unsigned other = any_access();
    bool paged = mmu->regs.cr0 >> 31 & 1;
    bool keys = mmu->regs.cr4 >> 22 & 1 && mmu->regs.efer >> 10 & 1;
    struct spec_hardware hardware = { paged && mmu->regs.cr4 >> 20 & 1,
                                      paged && mmu->regs.cr4 >> 21 & 1, keys, mmu->regs.ac,
                                      mmu->regs.pkru };

    prove(spte_usable(filled.entry), "a leaf is usable: present, bit 51 clear");
    prove(s.present, "a leaf is made of what the guest maps");
    prove((leaf & 0x7fffffffff000) - region.host.v == (s.gpa & ~(uint64_t)0xfff) - region.base.v,
          "a leaf maps the frame of the guest's page");
    prove(!spec_leaf_allows(leaf, hardware, other) || spec_allows(&mmu->regs, &s, other),
          "a leaf allows no access that the guest's tables do not");
    prove(region.kind == GPM_RAM || region.kind == GPM_ROM, "a leaf maps RAM or ROM");
    prove(region.kind != GPM_ROM || !(leaf & 2), "ROM is never writable");
    prove(!(leaf & 0x100) || s.global, "a leaf is global only if the guest's is");
    prove(leaf & 0x20, "A is preset");
    prove(!(leaf & 2) == !(leaf & 0x40), "D is preset with W, and only then");
    for (unsigned i = 0; i < s.used; i++)
        prove(has_flag(&s.use[i], 0x20), "a leaf is made only once the guest's entries have A");
    prove(!(leaf & 2) || !s.used || has_flag(&s.use[s.used - 1], 0x40),
          "a leaf is writable only once the guest's leaf has D");
    prove((leaf >> 59 & 0xf) == (keys ? s.key : 0), "a leaf has the guest's protection key");
    prove(!(leaf & 0x7f8000000000e98), "no other bit is set in a leaf");
    prove(filled.page_shift == (s.page_bits ? s.page_bits : 12), "a leaf knows its page's size");
    prove(spec_leaf_allows(leaf, hardware, access), "the access that faulted can go on");
    prove(flushes_everything == fill_recycles, "recycling flushes the processor's TLB");
    prove(flushes_everything || flushes_address == (fill_replaces && spte_usable(looked_up)),
          "a leaf that is replaced is flushed");
}

static void prove_shadow(enum paging_mode_id mode)
{
    struct mmu mmu = any_mmu(mode);
    gva_t address = gva(nondet_u64());
    unsigned access = any_access();
    struct mmu_outcome o = mmu_fault(&mmu, address, access, nondet_u32());
    bool write = access & ACCESS_WRITE;
    bool rom_write = region.kind == GPM_ROM && write;
    struct spec s;

    if (mmu.stats.pf_implicit) {
        prove(!(access & (ACCESS_USER | ACCESS_FETCH)) && mmu.regs.ac && mmu.regs.cr4 >> 21 & 1,
              "only explicit supervisor data accesses under SMAP are found to be implicit");
        access |= ACCESS_IMPLICIT;
    }
    s = spec_translate(&mmu.regs, address.v, access);
    prove(s.ok == (o.verdict != MMU_INJECT), "what the SDM faults is injected, and only that");
    prove(fills == (o.verdict == MMU_RESUME), "a fill for each resume");
    prove(o.verdict != MMU_INJECT || o.error_code == s.error_code, "the exact error code");
    prove(o.verdict != MMU_INJECT || (drops == 1 && flushes_everything + flushes_address == 1),
          "a #PF drops its address");
    prove(s.ok == false ||
              (o.verdict == MMU_DEVICE) == (hole || region.kind == GPM_DEVICE || rom_write),
          "what is no RAM goes to the devices, and only that");
    prove(o.verdict != MMU_DEVICE || o.gpa.v == s.gpa, "devices get the physical address");
    prove(o.verdict != MMU_STEP ||
              (write && s.user && !(mmu.regs.cr0 >> 16 & 1) && !(access & ACCESS_USER)),
          "only supervisor writes with WP clear to user pages are stepped");
    prove(o.verdict != MMU_STORE, "nothing is write-protected");
    if (o.verdict == MMU_RESUME)
        prove_leaf(&mmu, s, access);
}

void prove_shadow_none(void)
{
    prove_shadow(MODE_NONE);
}
void prove_shadow_32bit(void)
{
    prove_shadow(MODE_32BIT);
}
void prove_shadow_pae(void)
{
    prove_shadow(MODE_PAE);
}
void prove_shadow_4level(void)
{
    prove_shadow(MODE_4LEVEL);
}
void prove_shadow_5level(void)
{
    prove_shadow(MODE_5LEVEL);
}

/* TRAP faults with RSVD wherever MAXPHYADDR is at most 51, and is never taken for a table or leaf.
 */
void prove_trap(void)
{
    struct paging_regs regs = any_regs(MODE_4LEVEL);

    prove(!spte_usable(spte(SPTE_TRAP)) && !spte_usable(spte(0)), "empty entries are not usable");
    prove(SPTE_TRAP >> 51 & 1 && SPTE_TRAP & 1, "TRAP is present, with bit 51");
    prove((SPTE_TRAP & 0xffffffffff000) >> 46 == 0x3f, "TRAP names no RAM below 2^46");
    assume(regs.maxphyaddr <= 51);
    assume(spec_memory((regs.cr3 & 0xffffffffff000), 8) == SPTE_TRAP);
    prove(spec_translate(&regs, 0, 0).error_code == 9, "TRAP faults as a reserved bit does");
}
