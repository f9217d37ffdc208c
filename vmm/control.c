/* SPDX-License-Identifier: MIT */
/*
 * The rules of SDM 2B "MOV - Move to/from Control Registers" (exceptions), SDM 3A 2.5 "Control
 * Registers" and 4.1 "Paging Modes and Control Bits", and for EFER SDM 2B "WRMSR" and 3A 2.2.1.
 */
#include "vmm/control.h"

typedef bool broken_rule(const struct control_write *w);

static bool sets(uint64_t old, uint64_t new, uint64_t bit)
{
    return !(old & bit) && new &bit;
}

static bool clears(uint64_t old, uint64_t new, uint64_t bit)
{
    return sets(new, old, bit);
}

static bool starts_long_mode(const struct control_write *w)
{
    return sets(w->old->cr0, w->new->cr0, CR0_PG) && w->new->efer &EFER_LME;
}

static bool cr0_reserved(const struct control_write *w)
{
    return w->new->cr0 >> 32;
}

static bool cr0_nw_without_cd(const struct control_write *w)
{
    return (w->new->cr0 &(CR0_NW | CR0_CD)) == CR0_NW;
}

static bool cr0_pg_without_pe(const struct control_write *w)
{
    return (w->new->cr0 &(CR0_PG | CR0_PE)) == CR0_PG;
}

static bool cr0_long_mode_without_pae(const struct control_write *w)
{
    return starts_long_mode(w) && !(w->new->cr4 &CR4_PAE);
}

static bool cr0_long_mode_in_code64(const struct control_write *w)
{
    return starts_long_mode(w) && w->code64;
}

static bool cr0_long_mode_with_tss16(const struct control_write *w)
{
    return starts_long_mode(w) && w->tss16;
}

static bool cr0_pg_cleared_in_code64(const struct control_write *w)
{
    return clears(w->old->cr0, w->new->cr0, CR0_PG) && w->old->efer & EFER_LMA && w->code64;
}

static bool cr0_pg_cleared_with_pcide(const struct control_write *w)
{
    return clears(w->old->cr0, w->new->cr0, CR0_PG) && w->new->cr4 &CR4_PCIDE;
}

/* Outside long mode the high half of CR3 does not exist, and bits are ignored, not reserved. */
static bool cr3_reserved(const struct control_write *w)
{
    uint64_t beyond = w->new->maxphyaddr >= 64 ? 0 : ~0ull << w->new->maxphyaddr;

    return w->new->efer &EFER_LMA && w->new->cr3 &beyond;
}

static bool cr4_reserved(const struct control_write *w)
{
    return w->new->cr4 & ~w->cr4_allowed;
}

static bool cr4_pae_cleared_in_long_mode(const struct control_write *w)
{
    return w->old->efer & EFER_LMA && !(w->new->cr4 &CR4_PAE);
}

static bool cr4_la57_changed_in_long_mode(const struct control_write *w)
{
    return w->old->efer & EFER_LMA && (w->old->cr4 ^ w->new->cr4) & CR4_LA57;
}

static bool cr4_pcide_outside_long_mode(const struct control_write *w)
{
    return sets(w->old->cr4, w->new->cr4, CR4_PCIDE) && !(w->old->efer & EFER_LMA);
}

static bool cr4_pcide_with_pcid(const struct control_write *w)
{
    return sets(w->old->cr4, w->new->cr4, CR4_PCIDE) && w->old->cr3 & CR3_PCID;
}

static bool efer_reserved(const struct control_write *w)
{
    return w->new->efer & ~w->efer_allowed;
}

static bool efer_lme_changed_while_paging(const struct control_write *w)
{
    return paging_enabled(w->old) && (w->old->efer ^ w->new->efer) & EFER_LME;
}

static const struct {
    enum control_register target;
    broken_rule *broken;
    const char *text;
} rules[] = {
    { CONTROL_CR0, cr0_reserved, "CR0 bits 63:32 are reserved" },
    { CONTROL_CR0, cr0_nw_without_cd, "CR0.NW needs CR0.CD" },
    { CONTROL_CR0, cr0_pg_without_pe, "CR0.PG needs CR0.PE" },
    { CONTROL_CR0, cr0_long_mode_without_pae, "paging with EFER.LME needs CR4.PAE" },
    { CONTROL_CR0, cr0_long_mode_in_code64, "long mode cannot begin with CS.L set" },
    { CONTROL_CR0, cr0_long_mode_with_tss16, "long mode cannot begin with a 16-bit TSS" },
    { CONTROL_CR0, cr0_pg_cleared_in_code64, "CR0.PG cannot be cleared in 64-bit code" },
    { CONTROL_CR0, cr0_pg_cleared_with_pcide, "CR0.PG cannot be cleared with CR4.PCIDE" },
    { CONTROL_CR3, cr3_reserved, "CR3 bits from MAXPHYADDR on are reserved" },
    { CONTROL_CR4, cr4_reserved, "CR4 bit whose feature CPUID does not announce" },
    { CONTROL_CR4, cr4_pae_cleared_in_long_mode, "CR4.PAE cannot be cleared in long mode" },
    { CONTROL_CR4, cr4_la57_changed_in_long_mode, "CR4.LA57 cannot change in long mode" },
    { CONTROL_CR4, cr4_pcide_outside_long_mode, "CR4.PCIDE needs long mode" },
    { CONTROL_CR4, cr4_pcide_with_pcid, "CR4.PCIDE needs CR3 bits 11:0 to be 0" },
    { CONTROL_EFER, efer_reserved, "EFER bit whose feature CPUID does not announce" },
    { CONTROL_EFER, efer_lme_changed_while_paging, "EFER.LME cannot change while paging is on" },
};

const char *control_broken_rule(const struct control_write *write)
{
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
        if (rules[i].target == write->target && rules[i].broken(write))
            return rules[i].text;
    return NULL;
}

uint64_t control_efer_with_lma(uint64_t efer, uint64_t cr0)
{
    if (cr0 & CR0_PG && efer & EFER_LME)
        return efer | EFER_LMA;
    return efer & ~(uint64_t)EFER_LMA;
}
