/* SPDX-License-Identifier: MIT */
/* Steps of small pages: presence, flushes, marks, CR0.WP, handlers. */
#include "guests/paging/steps.h"

static unsigned levels_below_pdpte(void)
{
    return paging_is(PAGING_PAE) ? 2 : paging->levels;
}

/* What is not present may be anything else, and is not cached. */
bool not_present(void)
{
    static const uint64_t rests[] = { 0, PTE_W | PTE_U | PTE_A | PTE_D, ~0ull & ~PTE_P };
    unsigned long address = page(3) + FRAME_DATA;

    map(address, 1, URW);
    for (unsigned level = levels_below_pdpte(); level >= 1; level--) {
        void *entry = entry_of(address, level);
        uint64_t value = entry_get(entry);

        for (size_t i = 0; i < ARRAY_SIZE(rests); i++) {
            entry_set(entry, rests[i]);
            invlpg(address);
            expect_fault(address, 0, 0);
            expect_fault(address, ACCESS_WRITE | ACCESS_USER, PF_W | PF_U);
            expect_fault(address & ~(PAGE_SIZE - 1), ACCESS_FETCH, model.nxe ? PF_ID : 0);
            entry_set(entry, value);
            expect_frame(address, ACCESS_USER, 1);
            expect_frame(address, ACCESS_WRITE, 1);
        }
    }
    return true;
}

bool remapping(void)
{
    unsigned long address = page(7) + FRAME_DATA;

    for (unsigned i = 0; i < 24; i++) {
        map(address, i, i & 4 ? URW : RW);
        if (i & 1)
            invlpg(address ^ (i & 2 ? 0xabc : 0)); /* any byte of the page */
        else
            flush();
        expect_frame(address, 0, i);
        expect_frame(address, ACCESS_WRITE, i);
        expect_frame(address & ~(PAGE_SIZE - 1), ACCESS_FETCH, i);
        map(address, i, 0);
        invlpg(address);
        expect_fault(address, ACCESS_WRITE, PF_W);
    }
    return true;
}

/* The other space has the same tables but for page 1, which lies under another directory entry. */
bool spaces(void)
{
    unsigned long shared = page(1) + FRAME_DATA;
    unsigned long own = shared + (unsigned long)page_size(2);
    uint64_t other = paging_new_space(), first = space;

    map(shared, 1, URW);
    map(own, 2, URW);
    entry_set(paging_entry(other, shared, 2), entry_get(entry_of(shared, 2)));
    entry_set(paging_entry(other, own, 1), frame_address(3) | RW);
    for (unsigned i = 0; i < 6; i++) {
        model_set_cr3(i & 1 ? other : first);
        expect_frame(shared, ACCESS_WRITE | ACCESS_USER, 1);
        expect_frame(own, ACCESS_WRITE, i & 1 ? 3 : 2);
        if (i & 1)
            expect_fault(own, ACCESS_USER, PF_P | PF_U);
        else
            expect_frame(own, ACCESS_USER, 2);
    }
    model_set_cr3(first);
    return true;
}

static void clear_marks(unsigned long address)
{
    for (unsigned level = levels_below_pdpte(); level >= 1; level--)
        set_bits(entry_of(address, level), 0, PAGING_MARKED);
    invlpg(address);
}

static void expect_all_marks(unsigned long address, uint64_t leaf, const char *when)
{
    expect_marks(entry_of(address, 1), leaf, when);
    for (unsigned level = levels_below_pdpte(); level > 1; level--)
        expect_marks(entry_of(address, level), leaf & PTE_A, when);
}

bool marks(void)
{
    static const unsigned users[] = { 0, ACCESS_USER };
    unsigned long address = page(9) + FRAME_DATA, neighbour = address + PAGE_SIZE;

    map(address, 4, URW);
    map(neighbour, 5, URW);
    for (size_t i = 0; i < ARRAY_SIZE(users); i++) {
        clear_marks(address);
        expect_done(address, users[i]);
        expect_all_marks(address, PTE_A, "after a read");
        expect_done(address, users[i] | ACCESS_WRITE);
        expect_all_marks(address, PTE_A | PTE_D, "after a write");
        expect_marks(entry_of(neighbour, 1), 0, "neighbour");
        clear_marks(address);
        expect_done(address & ~(PAGE_SIZE - 1), users[i] | ACCESS_FETCH);
        expect_all_marks(address, PTE_A, "after a fetch");
        clear_marks(address);
        expect_done(address, users[i] | ACCESS_WRITE);
        expect_all_marks(address, PTE_A | PTE_D, "after a write alone");
    }
    set_bits(entry_of(address, 1), 0, PTE_W);
    clear_marks(address);
    expect_fault(address, ACCESS_WRITE, PF_P | PF_W);
    expect_all_marks(address, 0, "after a fault");
    return true;
}

static void write_protected_page(uint64_t bits)
{
    unsigned long address = page(11) + FRAME_DATA;
    bool user = bits & PTE_U;

    map(address, 6, bits | PTE_P);
    invlpg(address);
    model_set_cr0(model.cr0 | CR0_WP);
    expect_fault(address, ACCESS_WRITE, PF_P | PF_W);
    model_set_cr0(model.cr0 & ~CR0_WP);
    expect_frame(address, 0, 6);
    expect_marks(entry_of(address, 1), PTE_A, "WP=0, after a read");
    expect_frame(address, ACCESS_WRITE, 6);
    expect_marks(entry_of(address, 1), PTE_A | PTE_D, "WP=0, after a write");
    expect_fault(address, ACCESS_WRITE | ACCESS_USER, PF_P | PF_W | PF_U);
    if (user)
        expect_frame(address, ACCESS_USER, 6);
    else
        expect_fault(address, ACCESS_USER, PF_P | PF_U);
    expect_frame(address, ACCESS_WRITE, 6);
    if (user)
        expect_frame(address & ~(PAGE_SIZE - 1), ACCESS_USER | ACCESS_FETCH, 6);
    expect_frame(address, ACCESS_WRITE, 6);
    model_set_cr0(model.cr0 | CR0_WP);
    expect_fault(address, ACCESS_WRITE, PF_P | PF_W);
    expect_frame(address, 0, 6);
}

bool write_protect(void)
{
    write_protected_page(0);
    write_protected_page(PTE_U);
    write_protected_page(PTE_G);
    write_protected_page(PTE_U | PTE_G);
    /* a write by CPL 0 while WP=0, first of all: user accesses then still see a read-only page */
    model_set_cr0(model.cr0 & ~CR0_WP);
    map(page(12), 7, PTE_P | PTE_U);
    expect_frame(page(12) + FRAME_DATA, ACCESS_WRITE, 7);
    expect_fault(page(12) + FRAME_DATA, ACCESS_USER | ACCESS_WRITE, PF_P | PF_W | PF_U);
    expect_frame(page(12) + FRAME_DATA, ACCESS_USER, 7);
    model_set_cr0(model.cr0 | CR0_WP);
    return true;
}

/* ---- handlers ---- */

static struct {
    void *entry;
    uint64_t value;
    unsigned count;
    unsigned long error_code;
} repair;

/* No INVLPG: the fault itself drops what is cached of its address (SDM Vol. 3A, 4.10.4.1). */
static bool repair_entry(struct trap_frame *frame)
{
    CHECK(frame->vector == EXC_PF && ++repair.count < 3, "exception %lu, error code %#lx, CR2 %#lx",
          frame->vector, frame->error_code, frame->cr2);
    repair.error_code = frame->error_code;
    entry_set(repair.entry, repair.value);
    return true;
}

/* The frame changes only where nothing can be cached: Bochs drops code and data entries apart. */
static void expect_repair(enum probe_op op, unsigned flags, uint64_t from, uint64_t to)
{
    unsigned frame = from & PTE_P ? 8 : 9;
    unsigned long address = page(13) + (op == PROBE_FETCH ? 0 : FRAME_DATA);
    unsigned long error_code = (from & PTE_P ? PF_P : 0) | (flags & PROBE_USER ? PF_U : 0) |
                               (op == PROBE_WRITE || op == PROBE_EXCHANGE ? PF_W : 0) |
                               (op == PROBE_FETCH && model.nxe ? PF_ID : 0);
    struct outcome seen;

    map(address, 8, from);
    invlpg(address);
    probe(PROBE_READ, flags, address, 0); /* now it may be cached */
    repair.entry = entry_of(address, 1);
    repair.value = frame_address(frame) | to;
    repair.count = 0;
    probe_on_fault = repair_entry;
    seen = probe(op, flags, address, 0x12345678);
    probe_on_fault = NULL;
    CHECK(!seen.fault && repair.count == 1, "%u faults in place of one", repair.count);
    CHECK(repair.error_code == error_code, "error code %#lx, expected %#lx", repair.error_code,
          error_code);
    expect_frame(address, 0, frame);
}

bool handled(void)
{
    static const unsigned levels[] = { 0, PROBE_USER };

    for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
        expect_repair(PROBE_READ, levels[i], 0, URW);
        expect_repair(PROBE_WRITE, levels[i], 0, URW);
        expect_repair(PROBE_EXCHANGE, levels[i], 0, URW);
        expect_repair(PROBE_FETCH, levels[i], 0, URW);
        expect_repair(PROBE_WRITE, levels[i], PTE_P | PTE_U, URW);
        expect_repair(PROBE_EXCHANGE, levels[i], PTE_P | PTE_U, URW);
        expect_repair(PROBE_WRITE, levels[i], PTE_P | PTE_U | PTE_A | PTE_D, URW);
        if (model.nxe)
            expect_repair(PROBE_FETCH, levels[i], PTE_P | PTE_U | PTE_NX, URW);
    }
    expect_repair(PROBE_READ, PROBE_USER, RW, URW);
    return true;
}

bool straddling(void)
{
    unsigned long second = page(16), address = second - 2;
    struct outcome seen;

    map(second - PAGE_SIZE, 10, RW);
    seen = probe(PROBE_READ, 0, address, 0);
    CHECK(seen.fault && seen.cr2 == second && seen.error_code == 0,
          "CR2 %#lx, error code %#lx, expected %#lx and 0", seen.cr2, seen.error_code, second);
    map(second, 12, PTE_P);
    expect_marks(entry_of(second, 1), 0, "after a fault in the first page");
    seen = probe(PROBE_WRITE, 0, address, 0);
    CHECK(seen.fault && seen.cr2 == second && seen.error_code == (PF_P | PF_W),
          "CR2 %#lx, error code %#lx, expected %#lx and 3", seen.cr2, seen.error_code, second);
    map(second, 12, RW);
    invlpg(second);
    seen = probe(PROBE_WRITE, 0, address, 0xaabbccdd);
    CHECK(!seen.fault, "error code %#lx", seen.error_code);
    expect_marks(entry_of(address, 1), PAGING_MARKED, "first page");
    expect_marks(entry_of(second, 1), PAGING_MARKED, "second page");
    CHECK(*physical_word(frame_address(11) - 4) >> 16 == 0xccdd &&
              (uint16_t)*physical_word(frame_address(12)) == 0xaabb,
          "a half went elsewhere");
    *physical_word(frame_address(12)) = (uint32_t)PROBE_CODE(frame_code_value(frame_address(12)));
    return true;
}
