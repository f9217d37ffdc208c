/* SPDX-License-Identifier: MIT */
/* Prediction and judgement: model.h. */
#include "guests/lib/model.h"
#include "arch/x86/cpuid.h"
#include "arch/x86/msr.h"
#include "guests/lib/report.h"
#include "guests/lib/x86.h"
#include "lib/format.h"

#define CR0_BASE     (CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE)
#define CR0_PDPTE    (CR0_PG | CR0_CD | CR0_NW) /* a change loads PDPTEs: SDM Vol. 3A, 4.4.1 */
#define CR4_PDPTE    (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)
#define PDPTE_LEVEL  3
#define PDPTE_FIXED  (BITS(2, 1) | BITS(8, 5) | BITS(63, 52))
#define PSE36_WIDTH  40
#define ERROR_ACCESS (PF_W | PF_U | PF_ID)

struct model model;

static char text[240];

/* ---- control registers ---- */

void model_init(void)
{
    uint32_t leaf_7 = cpuid(0, 0).eax >= 7 ? cpuid(7, 0).ebx : 0;
    uint32_t features = cpuid(CPUID_LEAF_FEATURES, 0).edx;
    uint32_t leaf_1 = cpuid(1, 0).edx;
    bool has_widths = cpuid(CPUID_LEAF_EXTENDED, 0).eax >= CPUID_LEAF_ADDRESSES;

    model.has_nx = features & CPUID_80000001_EDX_NX;
    model.has_gib_pages = features & CPUID_80000001_EDX_PAGE1GB;
    model.has_smep = leaf_7 & CPUID_7_EBX_SMEP;
    model.has_smap = leaf_7 & CPUID_7_EBX_SMAP;
    model.has_pge = leaf_1 & CPUID_1_EDX_PGE;
    model.has_pse36 = leaf_1 & CPUID_1_EDX_PSE36;
    model.maxphyaddr = has_widths ? cpuid(CPUID_LEAF_ADDRESSES, 0).eax & 0xff : 36;
}

static uint64_t beyond_maxphyaddr(void)
{
    return model.maxphyaddr >= 52 ? 0 : BITS(51, model.maxphyaddr);
}

/* False if a PDPTE that is present has a reserved bit: then nothing is loaded. */
static bool load_pdptes(uint64_t cr3)
{
    uint64_t pdpte[4];

    for (unsigned i = 0; i < 4; i++) {
        pdpte[i] = entry_get(paging_entry_at(cr3 & BITS(31, 5), i));
        if (pdpte[i] & PTE_P && pdpte[i] & (PDPTE_FIXED | beyond_maxphyaddr()))
            return false;
    }
    for (unsigned i = 0; i < 4; i++)
        model.pdpte[i] = pdpte[i];
    return true;
}

static bool set_control(enum probe_op op, uint64_t value, bool allowed)
{
    struct outcome seen = probe(op, 0, (unsigned long)value, 0);

    CHECK(seen.fault == !allowed, "MOV CR%u, %#lx: %s",
          (op - PROBE_CR0) + (op > PROBE_CR0 ? 2u : 0), (unsigned long)value,
          allowed ? "an exception" : "no #GP");
    CHECK(!seen.fault || (seen.vector == EXC_GP && seen.error_code == 0),
          "MOV to a control register: exception %lu, error code %#lx", seen.vector,
          seen.error_code);
    return allowed;
}

/* Only for values whose one way to #GP is a PDPTE. */
bool model_set_cr0(uint64_t value)
{
    bool load = paging_is(PAGING_PAE) && value & CR0_PG && (value ^ model.cr0) & CR0_PDPTE;
    bool done = set_control(PROBE_CR0, value, !load || load_pdptes(model.cr3));

    if (done)
        model.cr0 = value;
    return done;
}

bool model_set_cr3(uint64_t value)
{
    bool load = paging_is(PAGING_PAE) && model.cr0 & CR0_PG;
    bool done = set_control(PROBE_CR3, value, !load || load_pdptes(value));

    if (done)
        model.cr3 = value;
    return done;
}

bool model_set_cr4(uint64_t value)
{
    bool load = paging_is(PAGING_PAE) && model.cr0 & CR0_PG && (value ^ model.cr4) & CR4_PDPTE;
    bool done = set_control(PROBE_CR4, value, !load || load_pdptes(model.cr3));

    if (done)
        model.cr4 = value;
    return done;
}

void model_set_nxe(bool on)
{
    uint64_t efer = rdmsr(MSR_EFER) & ~EFER_NXE;

    wrmsr(MSR_EFER, efer | (on ? EFER_NXE : 0));
    model.nxe = on;
    model_set_cr4(model.cr4 ^ CR4_PGE);
    model_set_cr4(model.cr4 ^ CR4_PGE);
}

void model_paging_returned(void)
{
    if (paging_is(PAGING_PAE))
        CHECK(load_pdptes(model.cr3), "the PDPTEs have a reserved bit");
}

void model_start(uint64_t cr3, uint64_t cr4)
{
    model.nxe = false;
    if (model.has_nx && !paging_is(PAGING_32BIT)) {
        wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
        model.nxe = true;
    }
    model.cr0 = get_cr0();
    model_set_cr4(cr4);
    model_set_cr3(cr3);
    model_set_cr0(CR0_BASE);
}

/* ---- prediction ---- */

/* SDM Vol. 3A, table 4-4: bits 20:13 of a 4M PDE are address bits 39:32. */
static uint64_t reserved_4m(void)
{
    unsigned width = model.maxphyaddr < PSE36_WIDTH ? model.maxphyaddr : PSE36_WIDTH;

    return BITS(21, (model.has_pse36 ? width : 32) - 32 + 13);
}

uint64_t model_large_reserved(unsigned level)
{
    return paging_is(PAGING_32BIT) ? reserved_4m() : paging->level[level].leaf_reserved;
}

static bool is_leaf(unsigned level, uint64_t entry)
{
    if (level == 1)
        return true;
    if (!(entry & PTE_PS))
        return false;
    if (paging_is(PAGING_32BIT))
        return model.cr4 & CR4_PSE;
    return level == 2 || (level == 3 && model.has_gib_pages);
}

static uint64_t reserved_bits(unsigned level, bool leaf)
{
    uint64_t reserved = leaf && level > 1 ? model_large_reserved(level) : 0;

    if (paging_is(PAGING_32BIT))
        return reserved;
    reserved |= beyond_maxphyaddr() | (model.nxe ? 0 : PTE_NX);
    if (paging_is(PAGING_PAE))
        reserved |= BITS(62, 52);
    if (level > 2 && !leaf)
        reserved |= PTE_PS;
    return reserved;
}

bool model_is_usable(unsigned level, uint64_t entry)
{
    return entry & PTE_P && !(entry & reserved_bits(level, is_leaf(level, entry)));
}

static unsigned error_bits(unsigned access)
{
    bool reports_fetch = model.nxe || model.cr4 & CR4_SMEP;

    return access & (unsigned)(reports_fetch ? ERROR_ACCESS : ERROR_ACCESS & ~PF_ID);
}

static bool is_allowed(const struct prediction *p, unsigned access)
{
    bool user = access & ACCESS_USER && !(access & ACCESS_IMPLICIT);
    bool explicit_ac = access & ACCESS_AC && !(access & ACCESS_IMPLICIT);

    if (access & ACCESS_FETCH && (!p->execute || (!user && p->user && model.cr4 & CR4_SMEP)))
        return false;
    if (user)
        return p->user && (p->write || !(access & ACCESS_WRITE));
    if (!(access & ACCESS_FETCH) && p->user && model.cr4 & CR4_SMAP && !explicit_ac)
        return false;
    return p->write || !(access & ACCESS_WRITE) || !(model.cr0 & CR0_WP);
}

static void add_rights(struct prediction *p, uint64_t entry)
{
    p->write &= (entry & PTE_W) != 0;
    p->user &= (entry & PTE_U) != 0;
    p->execute &= !(model.nxe && entry & PTE_NX);
}

/* The table to begin in, or 0. */
static uint64_t first_table(struct prediction *p, unsigned long address)
{
    uint64_t pdpte;

    p->top = paging->levels;
    if (!paging_is(PAGING_PAE))
        return model.cr3 & PTE_ADDRESS;
    p->top = PDPTE_LEVEL - 1;
    pdpte = model.pdpte[paging_index(address, PDPTE_LEVEL)];
    return pdpte & PTE_P ? pdpte & PTE_ADDRESS : 0;
}

static void fail(struct prediction *p, unsigned access, uint64_t more)
{
    if (access & ACCESS_IMPLICIT)
        access &= ~(unsigned)ACCESS_USER;
    p->fault = true;
    p->error_code = error_bits(access) | (unsigned)more;
}

/* Down to a leaf, or false with the fault. */
static bool walk(struct prediction *p, unsigned long address, unsigned access)
{
    uint64_t table = first_table(p, address);

    p->leaf = p->top + 1;
    if (!table) {
        fail(p, access, 0);
        return false;
    }
    for (bool leaf = false; !leaf; table = p->before[p->leaf] & PTE_ADDRESS) {
        unsigned level = --p->leaf;
        void *entry = paging_entry_at(table, paging_index(address, level));
        uint64_t value = entry_get(entry);

        leaf = is_leaf(level, value);
        p->entry[level] = entry;
        p->before[level] = value;
        if (!(value & PTE_P) || value & reserved_bits(level, leaf)) {
            fail(p, access, value & PTE_P ? PF_P | PF_RSVD : 0);
            return false;
        }
        add_rights(p, value);
    }
    return true;
}

struct prediction model_predict(unsigned long address, unsigned access)
{
    struct prediction p = { .write = true, .user = true, .execute = true };
    uint64_t offset_mask, leaf;

    if (!walk(&p, address, access))
        return p;
    leaf = p.before[p.leaf];
    offset_mask = BIT(paging->level[p.leaf].shift) - 1;
    p.physical = (leaf & PTE_ADDRESS & ~offset_mask) | (address & offset_mask);
    p.global = leaf & PTE_G && model.cr4 & CR4_PGE;
    if (!is_allowed(&p, access))
        fail(&p, access, PF_P);
    return p;
}

/* ---- judgement ---- */

static const char *judge_fault(const struct prediction *p, unsigned long address,
                               const struct outcome *seen)
{
    if (!seen->fault)
        format(text, sizeof(text), "%#lx: no #PF, expected error code %#x", address, p->error_code);
    else if (seen->vector != EXC_PF)
        format(text, sizeof(text), "%#lx: exception %lu, error code %#lx, expected #PF %#x",
               address, seen->vector, seen->error_code, p->error_code);
    else if (seen->error_code != p->error_code)
        format(text, sizeof(text), "%#lx: #PF with error code %#lx, expected %#x", address,
               seen->error_code, p->error_code);
    else if (seen->cr2 != address)
        format(text, sizeof(text), "%#lx: #PF with CR2 %#lx", address, seen->cr2);
    else
        return NULL;
    return text;
}

static const char *judge_data(const struct prediction *p, unsigned long address,
                              const struct outcome *seen, unsigned long expected)
{
    unsigned long physical = (unsigned long)p->physical;

    if (seen->fault)
        format(text, sizeof(text), "%#lx: exception %lu, error code %#lx, CR2 %#lx, expected none",
               address, seen->vector, seen->error_code, seen->cr2);
    else if (seen->value != expected)
        format(text, sizeof(text), "%#lx: got %#lx, expected %#lx, which is at physical %#lx",
               address, seen->value, expected, physical);
    else
        return NULL;
    return text;
}

/* An entry may be used at two levels: the marks of both are its marks. */
static uint64_t expected_entry(const struct prediction *p, unsigned level, unsigned access)
{
    uint64_t expected = p->before[level];

    if (p->fault)
        return expected;
    for (unsigned at = p->leaf; at <= p->top; at++)
        if (p->entry[at] == p->entry[level])
            expected |= PTE_A | (at == p->leaf && access & ACCESS_WRITE ? PTE_D : 0);
    return expected;
}

static const char *judge_marks(const struct prediction *p, unsigned long address, unsigned access)
{
    for (unsigned level = p->leaf; level <= p->top; level++) {
        uint64_t now = entry_get(p->entry[level]);
        uint64_t expected = expected_entry(p, level, access);

        if (now == expected)
            continue;
        format(text, sizeof(text),
               "%#lx: entry at level %u is %#llx after the access, expected %#llx", address, level,
               (unsigned long long)now, (unsigned long long)expected);
        return text;
    }
    return NULL;
}

static enum probe_op operation(unsigned access)
{
    if (access & ACCESS_FETCH)
        return PROBE_FETCH;
    return access & ACCESS_WRITE ? PROBE_WRITE : PROBE_READ;
}

static const char *judge_write(const struct prediction *p, unsigned long address, uint32_t value)
{
    uint32_t now = *physical_word(p->physical);

    if (now == value)
        return NULL;
    format(text, sizeof(text), "%#lx: wrote %#x, but physical %#lx holds %#x", address, value,
           (unsigned long)p->physical, now);
    return text;
}

const char *model_judge(unsigned long address, unsigned access, uint32_t value,
                        struct outcome *seen)
{
    struct prediction p = model_predict(address, access);
    unsigned flags = (access & ACCESS_USER ? PROBE_USER : 0) | (access & ACCESS_AC ? PROBE_AC : 0);
    unsigned long expected = 0;
    const char *wrong = NULL;
    struct outcome outcome;

    if (!p.fault && access & ACCESS_FETCH)
        expected = frame_code_value(p.physical);
    else if (!p.fault && !(access & ACCESS_WRITE))
        expected = *physical_word(p.physical);
    outcome = probe(operation(access), flags, address, value);
    if (p.fault)
        wrong = judge_fault(&p, address, &outcome);
    else if (outcome.fault || !(access & ACCESS_WRITE))
        wrong = judge_data(&p, address, &outcome, expected);
    else
        wrong = judge_write(&p, address, value);
    if (seen)
        *seen = outcome;
    return wrong ? wrong : judge_marks(&p, address, access);
}
