/* SPDX-License-Identifier: MIT */
/* Steps of rights: every level, NX, SMEP, SMAP. */
#include "guests/paging/steps.h"
#include "guests/lib/cmdline.h"
#include "guests/lib/descriptors.h"
#include "guests/lib/serial.h"

static const unsigned accesses[] = {
    0,
    ACCESS_WRITE,
    ACCESS_FETCH,
    ACCESS_AC,
    ACCESS_AC | ACCESS_WRITE,
    ACCESS_USER,
    ACCESS_USER | ACCESS_WRITE,
    ACCESS_USER | ACCESS_FETCH,
    ACCESS_USER | ACCESS_AC | ACCESS_WRITE,
};

/* W and U given, NX not, or the reverse: three bits. */
static uint64_t some_rights(unsigned number)
{
    return (number & 1 ? PTE_W : 0) | (number & 2 ? PTE_U : 0) |
           (number & 4 && model.nxe ? PTE_NX : 0);
}

/* wp0smap=0 on the command line leaves out what one hypervisor does not do yet. */
static bool is_left_out(unsigned long address, unsigned access)
{
    struct prediction p;

    if (model.cr0 & CR0_WP || !(model.cr4 & CR4_SMAP) || cmdline_number("wp0smap", 1))
        return false;
    p = model_predict(address, access);
    return !p.fault && access & ACCESS_WRITE && !(access & ACCESS_USER) && !p.write && p.user;
}

static unsigned try_accesses(unsigned long address)
{
    invlpg(address);
    for (size_t i = 0; i < ARRAY_SIZE(accesses); i++) {
        unsigned offset = accesses[i] & ACCESS_FETCH ? 0 : FRAME_DATA;
        const char *wrong;

        if (is_left_out(address, accesses[i]))
            continue;
        wrong = model_judge(address + offset, accesses[i], 0x1000 + i, NULL);
        CHECK(!wrong, "CR0 %#lx, CR4 %#lx, leaf %#llx, access %#x: %s", (unsigned long)model.cr0,
              (unsigned long)model.cr4, (unsigned long long)entry_get(entry_of(address, 1)),
              accesses[i], wrong);
    }
    return ARRAY_SIZE(accesses);
}

/* Leaf rights times rights of one upper level. The leaf of page n has the rights of number n. */
static unsigned try_level(unsigned level)
{
    unsigned count = 0, tables = model.nxe ? 8 : 4;
    void *upper = entry_of(page(0), level);
    uint64_t all = entry_get(upper) | PTE_W | PTE_U;

    for (unsigned i = 0; i < tables; i++) {
        entry_set(upper, (all & ~(PTE_W | PTE_U)) | some_rights(i));
        for (unsigned n = 0; n < tables; n++) {
            map(page(n), 20 + n, PTE_P | some_rights(n));
            count += try_accesses(page(n));
        }
    }
    entry_set(upper, all);
    return count;
}

static uint64_t controls_of(unsigned number)
{
    return (number & 2 && model.has_smep ? CR4_SMEP : 0) |
           (number & 4 && model.has_smap ? CR4_SMAP : 0);
}

bool rights(void)
{
    uint64_t cr4 = model.cr4;
    unsigned count = 0;

    map(page(0), 20, RW);
    for (unsigned i = 0; i < 8; i++) {
        if ((i & 2 && !model.has_smep) || (i & 4 && !model.has_smap))
            continue;
        model_set_cr0(i & 1 ? model.cr0 | CR0_WP : model.cr0 & ~CR0_WP);
        model_set_cr4(cr4 | controls_of(i));
        for (unsigned level = paging_is(PAGING_PAE) ? 2 : paging->levels; level > 1; level--)
            count += try_level(level);
    }
    model_set_cr0(model.cr0 | CR0_WP);
    model_set_cr4(cr4);
    serial_printf(": %u accesses", count);
    return true;
}

bool no_execute(void)
{
    unsigned long address = page(1);

    if (!model.nxe)
        return false;
    map(address, 1, URW | PTE_NX);
    expect_fault(address, ACCESS_FETCH, PF_P | PF_ID);
    expect_fault(address, ACCESS_FETCH | ACCESS_USER, PF_P | PF_ID | PF_U);
    expect_frame(address + FRAME_DATA, ACCESS_WRITE, 1);
    model_set_nxe(false);
    expect_fault(address, ACCESS_FETCH, PF_P | PF_RSVD);
    expect_fault(address, ACCESS_WRITE | ACCESS_USER, PF_P | PF_RSVD | PF_W | PF_U);
    map(address, 1, URW);
    expect_frame(address, ACCESS_FETCH, 1); /* nothing is cached of a reserved bit */
    map(address, 1, 0);
    invlpg(address);
    expect_fault(address, ACCESS_FETCH, 0);
    model_set_nxe(true);
    expect_fault(address, ACCESS_FETCH, PF_ID);
    for (unsigned level = paging_is(PAGING_PAE) ? 2 : paging->levels; level > 1; level--) {
        map(address, 1, URW);
        set_bits(entry_of(address, level), PTE_NX, 0);
        invlpg(address);
        expect_fault(address, ACCESS_FETCH, PF_P | PF_ID);
        expect_frame(address, 0, 1);
        set_bits(entry_of(address, level), 0, PTE_NX);
        invlpg(address);
        expect_frame(address, ACCESS_FETCH, 1);
    }
    return true;
}

bool smep(void)
{
    uint64_t cr4 = model.cr4;

    if (!model.has_smep)
        return false;
    map(page(1), 1, URW);
    map(page(2), 2, RW);
    for (unsigned i = 0; i < 2; i++) {
        expect_frame(page(1), ACCESS_FETCH, 1);
        model_set_cr4(cr4 | CR4_SMEP); /* flushes */
        expect_fault(page(1), ACCESS_FETCH, PF_P | PF_ID);
        expect_frame(page(1), ACCESS_FETCH | ACCESS_USER, 1);
        expect_frame(page(1) + FRAME_DATA, ACCESS_WRITE, 1);
        expect_frame(page(2), ACCESS_FETCH, 2);
        expect_fault(page(3), ACCESS_FETCH, PF_ID); /* reported without NX as well */
        expect_fault(page(2), ACCESS_FETCH | ACCESS_USER, PF_P | PF_ID | PF_U);
        model_set_cr0(model.cr0 & ~CR0_WP);
        set_bits(entry_of(page(1), 1), 0, PTE_W);
        invlpg(page(1));
        expect_frame(page(1) + FRAME_DATA, ACCESS_WRITE, 1);
        expect_fault(page(1), ACCESS_FETCH, PF_P | PF_ID);
        expect_frame(page(1), ACCESS_FETCH | ACCESS_USER, 1);
        model_set_cr0(model.cr0 | CR0_WP);
        set_bits(entry_of(page(1), 1), PTE_W, 0);
        invlpg(page(1));
        model_set_cr4(cr4);
    }
    return true;
}

static void smap_accesses(unsigned long address)
{
    expect_fault(address, 0, PF_P);
    expect_fault(address, ACCESS_WRITE, PF_P | PF_W);
    expect_done(address, ACCESS_AC);
    expect_done(address, ACCESS_AC | ACCESS_WRITE);
    expect_fault(address, 0, PF_P);
    expect_done(address, ACCESS_USER);
    expect_done(address, ACCESS_USER | ACCESS_AC | ACCESS_WRITE);
    expect_fault(address, ACCESS_WRITE, PF_P | PF_W);
    expect_done(address & ~(PAGE_SIZE - 1), ACCESS_FETCH);
}

bool smap(void)
{
    unsigned long address = page(1) + FRAME_DATA;
    uint64_t cr4 = model.cr4;

    if (!model.has_smap)
        return false;
    map(address, 1, URW);
    map(page(2), 2, RW);
    model_set_cr4(cr4 | CR4_SMAP);
    flush();
    smap_accesses(address);
    expect_done(page(2) + FRAME_DATA, ACCESS_WRITE);
    model_set_cr0(model.cr0 & ~CR0_WP);
    smap_accesses(address);
    map(address, 1, PTE_P | PTE_U);
    invlpg(address);
    expect_fault(address, ACCESS_WRITE, PF_P | PF_W);
    if (!is_left_out(address, ACCESS_WRITE | ACCESS_AC)) { /* read-only, for users: once */
        expect_done(address, ACCESS_WRITE | ACCESS_AC);
        expect_fault(address, ACCESS_WRITE, PF_P | PF_W);
        expect_fault(address, ACCESS_USER | ACCESS_WRITE, PF_P | PF_W | PF_U);
        expect_done(address, ACCESS_USER);
        expect_done(address, ACCESS_WRITE | ACCESS_AC);
    }
    model_set_cr0(model.cr0 | CR0_WP);
    expect_fault(address, ACCESS_WRITE | ACCESS_AC, PF_P | PF_W);
    model_set_cr4(cr4);
    flush();
    expect_done(address, 0);
    return true;
}

/* ---- descriptors ---- */

static void expect_load(unsigned flags, unsigned long cr2, unsigned long error_code)
{
    struct outcome seen = probe(PROBE_LOAD_GS, flags, SELECTOR_IN_LDT | 3, 0);

    /* which byte is written to mark a descriptor is the processor's business */
    CHECK(seen.fault && seen.vector == EXC_PF && seen.error_code == error_code &&
              (seen.cr2 & ~(error_code & PF_W ? 7ul : 0)) == cr2,
          "MOV GS: exception %lu, error code %#lx, CR2 %#lx, expected #PF, %#lx, %#lx", seen.vector,
          seen.error_code, seen.cr2, error_code, cr2);
}

static void expect_loaded(unsigned flags)
{
    struct outcome seen = probe(PROBE_LOAD_GS, flags, SELECTOR_IN_LDT | 3, 0);

    CHECK(!seen.fault, "MOV GS: exception %lu, error code %#lx, CR2 %#lx", seen.vector,
          seen.error_code, seen.cr2);
    probe(PROBE_LOAD_GS, flags, 0, 0);
}

static void write_descriptor(uint64_t value)
{
    physical_word(frame_address(1))[0] = (uint32_t)value;
    physical_word(frame_address(1))[1] = (uint32_t)(value >> 32);
}

static void descriptor_loads(unsigned flags)
{
    unsigned long ldt = page(1);

    map(ldt, 1, 0);
    invlpg(ldt);
    expect_load(flags, ldt, 0);
    map(ldt, 1, RW);
    expect_loaded(flags); /* CPL 3 reads through a page of the supervisor */
    expect_marks(entry_of(ldt, 1), PTE_A, "descriptor that is accessed already");
    map(ldt, 1, URW);
    invlpg(ldt);
    expect_loaded(flags);
    if (!model.has_smap)
        return;
    model_set_cr4(model.cr4 | CR4_SMAP);
    flush();
    expect_load(flags, ldt, PF_P);
    expect_done(ldt + FRAME_DATA, ACCESS_AC); /* now cached as allowed with AC */
    expect_load(flags, ldt, PF_P);
    expect_done(ldt + FRAME_DATA, ACCESS_USER);
    expect_load(flags, ldt, PF_P);
    map(ldt, 1, RW);
    invlpg(ldt);
    expect_loaded(flags);
    model_set_cr4(model.cr4 & ~CR4_SMAP);
    flush();
}

/* Marking a descriptor as accessed is a write by the supervisor. */
static void descriptor_mark(void)
{
    unsigned long ldt = page(1);
    uint64_t fresh =
        descriptor(0, 0xfffff,
                   DESCRIPTOR_DATA_FRESH | DESCRIPTOR_PRESENT | DESCRIPTOR_DPL3 | DESCRIPTOR_32BIT);

    write_descriptor(fresh);
    map(ldt, 1, PTE_P);
    invlpg(ldt);
    expect_load(PROBE_USER, ldt, PF_P | PF_W);
    map(ldt, 1, RW);
    invlpg(ldt);
    expect_loaded(PROBE_USER);
    expect_marks(entry_of(ldt, 1), PAGING_MARKED, "descriptor marked as accessed");
    CHECK(physical_word(frame_address(1))[1] & BIT(8), "the descriptor is not marked");
}

/* EFLAGS.AC is for explicit accesses only (SDM Vol. 3A, section 4.6.1). */
static bool is_unexcused(void)
{
    struct outcome seen;

    map(page(1), 1, URW);
    model_set_cr4(model.cr4 | CR4_SMAP);
    flush();
    expect_done(page(1) + FRAME_DATA, ACCESS_AC); /* so that it is the processor that judges */
    seen = probe(PROBE_LOAD_GS, PROBE_USER | PROBE_AC, SELECTOR_IN_LDT | 3, 0);
    model_set_cr4(model.cr4 & ~CR4_SMAP);
    flush();
    return seen.fault;
}

bool implicit_access(void)
{
    uint64_t code = PROBE_CODE(frame_code_value(frame_address(1)));

    map(page(1), 1, RW);
    write_descriptor(descriptor(0, 0xfffff,
                                DESCRIPTOR_DATA_WRITE | DESCRIPTOR_PRESENT | DESCRIPTOR_DPL3 |
                                    DESCRIPTOR_32BIT));
    descriptors_load_ldt(page(1), 7);
    descriptor_loads(PROBE_USER);
    if (!model.has_smap || is_unexcused())
        descriptor_loads(PROBE_USER | PROBE_AC);
    else
        serial_puts(" (but this processor lets EFLAGS.AC excuse it: Bochs 2.7)");
    descriptor_mark();
    write_descriptor(code);
    return true;
}
