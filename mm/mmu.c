/* SPDX-License-Identifier: MIT */
/*
 * The virtual MMU: walk decides, fill acts. A fault is first judged by the guest's own tables; only
 * a translation that the guest's processor would have used is entered in the shadow, with A preset,
 * and W only once the guest's leaf has D.
 */
#include "mm/mmu.h"
#include "arch/x86/pte.h"
#include "mm/host.h"

/* Bits whose change alters what tables mean or what may be cached (SDM 3A 4.10.4.1). */
#define CR0_TRANSLATION (CR0_PG | CR0_WP)
#define CR4_TRANSLATION \
    (CR4_PSE | CR4_PAE | CR4_PGE | CR4_LA57 | CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_PKE)
#define EFER_TRANSLATION (EFER_LMA | EFER_NXE)

/* Bits whose change loads the PDPTEs in PAE paging (SDM 3A 4.4.1 "PDPTE Registers"). */
#define CR0_LOADS_PDPTES (CR0_CD | CR0_NW | CR0_PG)
#define CR4_LOADS_PDPTES (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)

static enum shadow_format format_of(const struct paging_regs *regs)
{
    return regs->efer & EFER_LMA ? SHADOW_4LEVEL : SHADOW_PAE;
}

void mmu_init(struct mmu *mmu, const struct gpm *gpm, struct pool *pool,
              const struct paging_regs *regs, spte_t empty)
{
    *mmu = (struct mmu){ .gpm = gpm, .regs = *regs };
    vtlb_init(&mmu->vtlb, pool, format_of(regs), empty);
}

void mmu_destroy(struct mmu *mmu)
{
    vtlb_destroy(&mmu->vtlb);
}

static void flush(struct mmu *mmu, bool keep_globals)
{
    mmu->stats.tlb_flush++;
    vtlb_flush(&mmu->vtlb, keep_globals);
    host_tlb_flush(mmu, keep_globals ? TLB_FLUSH_NON_GLOBALS : TLB_FLUSH_ALL, gva(0));
}

static void drop(struct mmu *mmu, gva_t address)
{
    if (vtlb_drop(&mmu->vtlb, address))
        host_tlb_flush(mmu, TLB_FLUSH_ALL, gva(0));
    else
        host_tlb_flush(mmu, TLB_FLUSH_ADDRESS, address);
}

/* Protection keys exist in long mode only (SDM 3A 4.6.2). */
static bool keys_enabled(const struct paging_regs *regs)
{
    return regs->cr4 & CR4_PKE && regs->efer & EFER_LMA && paging_enabled(regs);
}

/*
 * With CR0.WP clear the supervisor may write where W says no. Hardware always has WP set, so the
 * page becomes writable and, if it was the user's, the supervisor's alone until the user touches
 * it again; and with SMEP it must not become executable by that.
 */
static uint64_t leaf_for_wp0_write(const struct paging_regs *regs, const struct rights *rights,
                                   uint64_t entry)
{
    entry |= PTE_W;
    if (rights->user && regs->cr4 & CR4_SMEP)
        entry |= PTE_NX;
    return entry & ~PTE_U;
}

static struct vtlb_leaf leaf_for(const struct mmu *mmu, const struct walk *w, unsigned access,
                                 hpa_t frame)
{
    const struct rights *rights = &w->rights;
    uint64_t entry = frame.v | PTE_P | PTE_A;

    if (rights->user)
        entry |= PTE_U;
    if (rights->write && w->dirty)
        entry |= PTE_W;
    if (!rights->execute)
        entry |= PTE_NX;
    if (rights->global)
        entry |= PTE_G;
    if (keys_enabled(&mmu->regs)) /* PKRU is live in hardware, which must know the key */
        entry |= (uint64_t)rights->pkey << PTE_PKEY_SHIFT;
    if (access & ACCESS_WRITE && !rights->write)
        entry = leaf_for_wp0_write(&mmu->regs, rights, entry);
    if (entry & PTE_W)
        entry |= PTE_D;
    return (struct vtlb_leaf){ spte(entry), w->page_shift };
}

/* True if the leaf, as it stands, allows the explicit access. */
static bool leaf_allows(spte_t leaf, unsigned access)
{
    if (!spte_usable(leaf))
        return false;
    if (access & ACCESS_WRITE && !(leaf.v & PTE_W))
        return false;
    return leaf.v & PTE_U || !(access & ACCESS_USER);
}

/*
 * With AC set, SMAP lets explicit supervisor accesses to user pages through, but not implicit ones
 * (to descriptor tables and the like), and nothing in the exit tells the two apart at CPL < 3. But
 * TLB entries never allow less than the leaf they come from, since every change of a usable leaf
 * flushes its address; so a rights fault on a leaf that allows the explicit access was implicit.
 */
static bool is_implicit(const struct mmu *mmu, gva_t address, unsigned access, uint32_t hardware)
{
    if (access & (ACCESS_USER | ACCESS_FETCH | ACCESS_IMPLICIT))
        return false;
    if (!(mmu->regs.cr4 & CR4_SMAP) || !mmu->regs.ac ||
        (hardware & (PF_P | PF_RSVD | PF_PK)) != PF_P)
        return false;
    return leaf_allows(vtlb_lookup(&mmu->vtlb, address), access);
}

static void fill(struct mmu *mmu, gva_t address, const struct walk *w, unsigned access)
{
    const struct gpm_region *region = gpm_find(mmu->gpm, w->gpa);
    hpa_t frame = hpa_add(region->host, (w->gpa.v & ~PAGE_MASK) - region->base.v);
    struct vtlb_leaf leaf = leaf_for(mmu, w, access, frame);
    spte_t old;

    if (region->kind == GPM_ROM)
        leaf.entry.v &= ~(uint64_t)(PTE_W | PTE_D);
    mmu->stats.pf_fixed++;
    if (vtlb_fill(&mmu->vtlb, address, leaf, &old)) {
        mmu->stats.mmu_recycled++;
        host_tlb_flush(mmu, TLB_FLUSH_ALL, gva(0));
    } else if (spte_usable(old)) {
        host_tlb_flush(mmu, TLB_FLUSH_ADDRESS, address);
    }
}

static struct mmu_outcome inject(struct mmu *mmu, gva_t address, uint32_t error_code)
{
    /* A #PF drops its address from the TLB (SDM 3A 4.10.4.1), so that a retry sees the tables. */
    drop(mmu, address);
    mmu->stats.pf_guest++;
    return (struct mmu_outcome){ MMU_INJECT, error_code, gpa(0) };
}

/*
 * True if the write is allowed only because the guest has CR0.WP clear, which hardware never has:
 * it goes around a missing W, or around write-disable in PKRU (SDM 3A 4.6.2 "Protection Keys").
 */
static bool write_needs_wp_clear(const struct paging_regs *regs, const struct rights *rights,
                                 unsigned access)
{
    bool write_disabled = regs->pkru >> (2 * rights->pkey + 1) & 1;

    if (!(access & ACCESS_WRITE) || regs->cr0 & CR0_WP)
        return false;
    return !rights->write || (keys_enabled(regs) && rights->user && write_disabled);
}

/* The walk is allowed and its flags are set: enter it, or say why it cannot be. */
static struct mmu_outcome act(struct mmu *mmu, gva_t address, const struct walk *w, unsigned access)
{
    const struct gpm_region *region = gpm_find(mmu->gpm, w->gpa);
    bool window_needed = w->rights.user && mmu->regs.cr4 & (CR4_SMAP | CR4_PKE);

    if (!region || region->kind == GPM_DEVICE)
        return (struct mmu_outcome){ MMU_DEVICE, 0, w->gpa };
    if (region->kind == GPM_ROM && access & ACCESS_WRITE)
        return (struct mmu_outcome){ MMU_DEVICE, 0, w->gpa };
    if (window_needed && write_needs_wp_clear(&mmu->regs, &w->rights, access))
        return (struct mmu_outcome){ MMU_STEP, 0, w->gpa };
    fill(mmu, address, w, access);
    return (struct mmu_outcome){ MMU_RESUME, 0, w->gpa };
}

struct mmu_outcome mmu_fault(struct mmu *mmu, gva_t address, unsigned access, uint32_t hardware)
{
    struct walk w;

    if (is_implicit(mmu, address, access, hardware)) {
        mmu->stats.pf_implicit++;
        access |= ACCESS_IMPLICIT;
    }
    do {
        w = walk_translate(&mmu->regs, mmu->gpm, address, access);
        if (!w.ok)
            return inject(mmu, address, w.error_code);
    } while (!walk_set_flags(&w, mmu->gpm, access & ACCESS_WRITE));
    return act(mmu, address, &w, access);
}

static bool loads_pdptes(const struct paging_regs *old, const struct paging_regs *new)
{
    if (paging_mode_of(new) != MODE_PAE)
        return false;
    return (old->cr0 ^ new->cr0) & CR0_LOADS_PDPTES || (old->cr4 ^ new->cr4) & CR4_LOADS_PDPTES;
}

static bool changes_translation(const struct paging_regs *old, const struct paging_regs *new)
{
    return (old->cr0 ^ new->cr0) & CR0_TRANSLATION || (old->cr4 ^ new->cr4) & CR4_TRANSLATION ||
           (old->efer ^ new->efer) & EFER_TRANSLATION || old->maxphyaddr != new->maxphyaddr ||
           old->gib_pages != new->gib_pages;
}

/* Takes over regs; empties the shadow, in a new format if need be, where translations change. */
static void take_regs(struct mmu *mmu, const struct paging_regs *regs)
{
    bool changed = changes_translation(&mmu->regs, regs);

    mmu->regs = *regs;
    if (format_of(regs) != mmu->vtlb.format) {
        struct pool *pool = mmu->vtlb.pool;
        spte_t empty = mmu->vtlb.empty;
        vtlb_destroy(&mmu->vtlb);
        vtlb_init(&mmu->vtlb, pool, format_of(regs), empty);
    }
    if (changed)
        flush(mmu, false);
}

bool mmu_set_regs(struct mmu *mmu, const struct paging_regs *regs)
{
    struct paging_regs next = *regs;

    if (loads_pdptes(&mmu->regs, regs) && !walk_load_pdptes(regs, mmu->gpm, next.pdpte))
        return false;
    take_regs(mmu, &next);
    return true;
}

bool mmu_load_cr3(struct mmu *mmu, uint64_t cr3)
{
    struct paging_regs next = mmu->regs;

    next.cr3 = cr3;
    if (paging_mode_of(&next) == MODE_PAE && !walk_load_pdptes(&next, mmu->gpm, next.pdpte))
        return false;
    mmu->regs = next;
    if (paging_enabled(&next))
        flush(mmu, true);
    return true;
}

/* Only the current PCID has translations here: a MOV to CR3 keeps none but globals. */
void mmu_invpcid(struct mmu *mmu, unsigned type, uint16_t pcid, gva_t address)
{
    bool current = pcid == (mmu->regs.cr4 & CR4_PCIDE ? mmu->regs.cr3 & CR3_PCID : 0);

    switch (type) {
    case 0:
        if (current && paging_canonical(&mmu->regs, address))
            drop(mmu, address);
        break;
    case 1:
        if (current)
            flush(mmu, true);
        break;
    case 2: flush(mmu, false); break;
    case 3: flush(mmu, true); break;
    default: panic("INVPCID type %u", type);
    }
}

void mmu_map_changed(struct mmu *mmu)
{
    vtlb_flush(&mmu->vtlb, false);
    host_tlb_flush(mmu, TLB_FLUSH_ALL, gva(0));
}

bool mmu_store(struct mmu *mmu, gpa_t to, const void *from, size_t size)
{
    return gpm_write(mmu->gpm, to, from, size);
}

/* I1: a leaf maps a frame that the map gives to this VM, and no right that the region lacks. */
static const char *check_leaf(const void *context, spte_t leaf)
{
    const struct gpm *gpm = context;
    uint64_t frame = spte_frame(leaf).v;

    for (size_t i = 0; i < gpm->count; i++) {
        const struct gpm_region *r = &gpm->regions[i];
        if (r->kind == GPM_DEVICE || frame - r->host.v >= r->size)
            continue;
        return r->kind == GPM_ROM && leaf.v & PTE_W ? "I1: ROM is writable" : NULL;
    }
    return "I1: the frame is not the VM's";
}

bool mmu_audit(const struct mmu *mmu)
{
    return vtlb_audit(&mmu->vtlb, check_leaf, mmu->gpm);
}

void mmu_invlpg(struct mmu *mmu, gva_t address)
{
    mmu->stats.invlpg++;
    if (paging_canonical(&mmu->regs, address))
        drop(mmu, address);
}

bool mmu_peek(const struct mmu *mmu, gva_t from, void *to, size_t size)
{
    struct paging_regs regs = mmu->regs;
    uint8_t *bytes = to;

    regs.cr4 &= ~(uint64_t)(CR4_SMAP | CR4_PKE);
    while (size) {
        size_t part = min_u64(size, PAGE_SIZE - (from.v & PAGE_MASK));
        struct walk w = walk_translate(&regs, mmu->gpm, from, 0);

        if (!paging_canonical(&regs, from) || !w.ok || !gpm_read(mmu->gpm, w.gpa, bytes, part))
            return false;
        from.v += part;
        bytes += part;
        size -= part;
    }
    return true;
}
