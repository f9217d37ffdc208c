/* SPDX-License-Identifier: MIT */
/*
 * hello: what a kernel expects of 4-level paging (SDM Vol. 3A, chapter 4 "Paging"), one step after
 * the other, and at the same time the example of how a guest is written: main() runs, CHECK() says
 * what is wrong, guest_pass() ends it. Needs 8 MiB.
 *
 * It builds tables of its own, made of 4K pages: the image is mapped to itself with the rights of
 * its sections, in PML4 entry 0. Every step works in a PML4 entry of its own, so that it finds no
 * entry, no accessed bit and no cached translation of another. Each frame holds its own number.
 */
#include "arch/x86/pte.h"
#include "arch/x86/regs.h"
#include "guests/lib/image.h"
#include "guests/lib/report.h"
#include "guests/lib/serial.h"
#include "guests/lib/trap.h"
#include "guests/lib/x86.h"

#define SLOT(n)      ((uint64_t)(n) << 39) /* the first linear address of PML4 entry n */
#define LARGE_FRAMES (4 * MiB)             /* two frames of 2 MiB, beyond the image */
#define LARGE_SIZE   (2 * MiB)
#define STAMP        0x756d627261000000ull /* plus its number: the first word of a frame */
#define ANSWER       42

enum { LEVEL_PT = 1, LEVEL_PD, LEVEL_PDPT, LEVEL_PML4 };
enum { TABLES = 48, FRAMES = 4, CODE_FRAME = FRAMES, LARGE_STAMP };

/* The processor reads and writes entries behind the compiler's back. */
typedef volatile uint64_t entry_t;

struct page {
    _Alignas(PAGE_SIZE) uint64_t word[PTE_ENTRIES];
};

static struct page tables[TABLES];
static unsigned tables_used;
static struct page frames[FRAMES + 1];
static entry_t *root;

/* ---- memory ---- */

static uint64_t read_at(uint64_t address)
{
    return *(volatile uint64_t *)address;
}

static void write_at(uint64_t address, uint64_t value)
{
    *(volatile uint64_t *)address = value;
}

static uint64_t call_at(uint64_t address)
{
    return ((uint32_t(*)(void))address)();
}

/* The image is mapped to itself: an address of ours is a physical address. */
static uint64_t frame(unsigned number)
{
    return (uint64_t)&frames[number];
}

static void expect_stamp(uint64_t address, unsigned number)
{
    uint64_t value = read_at(address);

    CHECK(value == STAMP + number, "read %#lx at %#lx, expected %#llx", value, address,
          STAMP + number);
}

/* ---- tables ---- */

static entry_t *new_table(void)
{
    CHECK(tables_used < TABLES, "out of page tables");
    return tables[tables_used++].word;
}

/* The entry that translates address at a level; tables that are missing above it are made. */
static entry_t *entry_in(entry_t *table, uint64_t address, unsigned level)
{
    for (unsigned at = LEVEL_PML4;; at--) {
        entry_t *entry = &table[address >> (PAGE_SHIFT + 9 * (at - 1)) & (PTE_ENTRIES - 1)];

        if (at == level)
            return entry;
        if (!(*entry & PTE_P))
            *entry = (uint64_t)new_table() | PTE_P | PTE_W;
        table = (entry_t *)(*entry & PTE_ADDRESS);
    }
}

static entry_t *entry_of(uint64_t address, unsigned level)
{
    return entry_in(root, address, level);
}

static void map(uint64_t address, uint64_t physical, uint64_t bits)
{
    *entry_of(address, LEVEL_PT) = physical | bits;
}

/* ---- page faults ---- */

/*
 * The fault a step provokes, and the entry that lets the instruction succeed when it is retried.
 * Volatile, since to the compiler nothing in a step calls the handler.
 */
static volatile struct {
    entry_t *entry; /* NULL: no fault expected */
    uint64_t repair;
    uint64_t address, error_code, rip; /* of the last fault */
} fault;

static void on_page_fault(struct trap_frame *state)
{
    bool was_present = state->error_code & PF_P;

    CHECK(fault.entry, "unexpected page fault at %#lx, error code %#lx, RIP %#lx", state->cr2,
          state->error_code, state->rip);
    fault.address = state->cr2;
    fault.error_code = state->error_code;
    fault.rip = state->rip;
    *fault.entry = fault.repair;
    fault.entry = NULL;
    if (was_present) /* nothing is cached of an entry that was not present */
        invlpg(state->cr2);
}

static void expect_fault(entry_t *entry, uint64_t repair)
{
    fault.entry = entry;
    fault.repair = repair;
}

static void check_fault(uint64_t address, uint64_t error_code)
{
    CHECK(!fault.entry, "no page fault at %#lx", address);
    CHECK(fault.address == address, "CR2 is %#lx, expected %#lx", fault.address, address);
    CHECK(fault.error_code == error_code, "error code %#lx at %#lx, expected %#lx",
          fault.error_code, address, error_code);
}

/* ---- steps: false means skipped ---- */

static void map_image(void)
{
    static const struct {
        char *from, *to;
        uint64_t bits;
    } sections[] = {
        { guest_image, guest_rodata, PTE_P },
        { guest_rodata, guest_data, PTE_P | PTE_NX },
        { guest_data, guest_image_end, PTE_P | PTE_W | PTE_NX },
    };

    for (size_t i = 0; i < ARRAY_SIZE(sections); i++)
        for (char *page = sections[i].from; page < sections[i].to; page += PAGE_SIZE)
            map((uint64_t)page, (uint64_t)page, sections[i].bits);
}

static bool own_tables(void)
{
    root = new_table();
    map_image();
    write_cr3((uint64_t)root);
    CHECK(read_cr3() == (uint64_t)root, "CR3 reads %#lx", read_cr3());
    expect_stamp(frame(1), 1);
    return true;
}

static bool not_present(void)
{
    uint64_t address = SLOT(1) + 0x5128;

    expect_fault(entry_of(address, LEVEL_PT), frame(1) | PTE_P | PTE_W);
    write_at(address, ANSWER);
    check_fault(address, PF_W);
    CHECK(read_at(frame(1) + 0x128) == ANSWER, "the write did not reach the frame");

    address = SLOT(1) + 0x6000;
    expect_fault(entry_of(address, LEVEL_PT), frame(2) | PTE_P);
    expect_stamp(address, 2);
    check_fault(address, 0);
    return true;
}

static bool no_table(void)
{
    uint64_t address = SLOT(2) + GiB + 2 * MiB + PAGE_SIZE; /* entry 1 at every level below */
    entry_t *directory = new_table();
    entry_t *table = new_table();

    directory[1] = (uint64_t)table | PTE_P | PTE_W;
    table[1] = frame(3) | PTE_P;
    expect_fault(entry_of(address, LEVEL_PDPT), (uint64_t)directory | PTE_P | PTE_W);
    expect_stamp(address, 3);
    check_fault(address, 0);
    return true;
}

static bool write_protect(void)
{
    uint64_t address = SLOT(3);

    map(address, frame(0), PTE_P | PTE_NX);
    expect_stamp(address, 0);
    expect_fault(entry_of(address, LEVEL_PT), frame(0) | PTE_P | PTE_W | PTE_NX);
    write_at(address + 8, ANSWER);
    check_fault(address + 8, PF_P | PF_W);
    CHECK(read_at(frame(0) + 8) == ANSWER, "the write did not reach the frame");
    return true;
}

static bool no_execute(void)
{
    static const uint8_t code[] = { 0xb8, ANSWER, 0, 0, 0, 0xc3 }; /* mov eax, ANSWER; ret */
    uint64_t address = SLOT(4) + 0x10;
    uint64_t result;

    for (size_t i = 0; i < sizeof(code); i++)
        ((volatile uint8_t *)frame(CODE_FRAME))[0x10 + i] = code[i];
    map(address, frame(CODE_FRAME), PTE_P | PTE_NX);
    expect_fault(entry_of(address, LEVEL_PT), frame(CODE_FRAME) | PTE_P);
    result = call_at(address);
    check_fault(address, PF_P | PF_ID);
    CHECK(fault.rip == address, "RIP %#lx, expected %#lx", fault.rip, address);
    CHECK(result == ANSWER, "the code in the page returned %lu", result);
    return true;
}

static bool remap(void)
{
    uint64_t address = SLOT(5);

    for (unsigned i = 0; i < 2 * FRAMES; i++) {
        map(address, frame(i % FRAMES), PTE_P | PTE_W);
        invlpg(address);
        expect_stamp(address, i % FRAMES);
        write_at(address + 16, i);
        CHECK(read_at(frame(i % FRAMES) + 16) == i, "a write after INVLPG went to another frame");
    }
    return true;
}

/* Entry 0, with the code that runs, is the same in both. */
static bool address_spaces(void)
{
    entry_t *other = new_table();
    uint64_t address = SLOT(6) + 0x3000;

    other[0] = root[0];
    *entry_of(address, LEVEL_PT) = frame(0) | PTE_P | PTE_W;
    *entry_in(other, address, LEVEL_PT) = frame(1) | PTE_P | PTE_W;
    for (unsigned i = 0; i < 4; i++) {
        write_cr3((uint64_t)root);
        expect_stamp(address, 0);
        write_at(address + 24, 2 * i);
        write_cr3((uint64_t)other);
        expect_stamp(address, 1);
        write_at(address + 24, 2 * i + 1);
        CHECK(read_at(frame(0) + 24) == 2 * i && read_at(frame(1) + 24) == 2 * i + 1,
              "a write went to the other address space");
    }
    write_cr3((uint64_t)root);
    return true;
}

/* marks: A and D as the leaf must have them; tables above it have A if the leaf has. */
static void expect_marks(const char *when, uint64_t address, unsigned leaf, uint64_t marks)
{
    for (unsigned level = LEVEL_PML4; level >= leaf; level--) {
        uint64_t seen = *entry_of(address, level) & (PTE_A | PTE_D);
        uint64_t expected = level == leaf ? marks : marks & PTE_A;

        CHECK(seen == expected, "%s: A and D at level %u are %#lx, expected %#lx", when, level,
              seen, expected);
    }
}

static bool marks(void)
{
    uint64_t address = SLOT(7), neighbour = address + PAGE_SIZE;

    map(address, frame(0), PTE_P | PTE_W);
    map(neighbour, frame(1), PTE_P | PTE_W);
    expect_marks("before the first access", address, LEVEL_PT, 0);
    expect_stamp(address, 0);
    expect_marks("after a read", address, LEVEL_PT, PTE_A);
    write_at(address + 8, 1);
    expect_marks("after a write", address, LEVEL_PT, PTE_A | PTE_D);
    CHECK(!(*entry_of(neighbour, LEVEL_PT) & (PTE_A | PTE_D)), "the neighbour was marked too");

    map(address, frame(0), PTE_P | PTE_W); /* marks cleared, as a kernel does that ages pages */
    invlpg(address);
    expect_stamp(address, 0);
    expect_marks("after INVLPG and a read", address, LEVEL_PT, PTE_A);
    write_at(address + 8, 1);
    expect_marks("after INVLPG and a write", address, LEVEL_PT, PTE_A | PTE_D);
    return true;
}

static bool large_page(void)
{
    uint64_t address = SLOT(8) + LARGE_SIZE, last = address + LARGE_SIZE - PAGE_SIZE;
    entry_t *entry = entry_of(address, LEVEL_PD);

    for (unsigned i = 0; i < 2; i++) {
        *entry = (LARGE_FRAMES + i * LARGE_SIZE) | PTE_P | PTE_W | PTE_PS;
        invlpg(last); /* any address of the page names all of it */
        if (i == 0)
            expect_marks("large page, before", address, LEVEL_PD, 0);
        expect_stamp(address, LARGE_STAMP + i);
        expect_stamp(last, LARGE_STAMP + i);
        expect_marks("large page, after a read", address, LEVEL_PD, PTE_A);
        write_at(last + 8, i);
        expect_marks("large page, after a write", address, LEVEL_PD, PTE_A | PTE_D);
    }
    return true;
}

static bool global_page(void)
{
    uint64_t address = SLOT(9);

    write_cr4(read_cr4() | CR4_PGE);
    map(address, frame(0), PTE_P | PTE_W | PTE_G);
    expect_stamp(address, 0);
    write_cr3((uint64_t)root);
    expect_stamp(address, 0);
    map(address, frame(1), PTE_P | PTE_W | PTE_G);
    invlpg(address);
    expect_stamp(address, 1);
    map(address, frame(2), PTE_P | PTE_W | PTE_G);
    write_cr4(read_cr4() & ~CR4_PGE); /* drops global translations as well */
    expect_stamp(address, 2);
    return true;
}

static bool reserved_bit(void)
{
    unsigned width = cpuid(0x80000008, 0).eax & 0xff;
    uint64_t address = SLOT(10);

    if (width >= 52)
        return false;
    map(address, frame(0), PTE_P | PTE_W | BIT(51));
    expect_fault(entry_of(address, LEVEL_PT), frame(0) | PTE_P | PTE_W);
    expect_stamp(address, 0);
    check_fault(address, PF_P | PF_RSVD);
    return true;
}

static const struct {
    const char *name;
    bool (*run)(void);
} steps[] = {
    { "own 4-level tables of 4K pages: CR3 loaded and read back", own_tables },
    { "page not present: CR2 and error code exact, mapped by the handler", not_present },
    { "page directory not present: linked by the handler", no_table },
    { "write to a read-only page: error code 3", write_protect },
    { "fetch from a no-execute page: error code 17", no_execute },
    { "page remapped, INVLPG: the other frame is seen", remap },
    { "two address spaces, MOV to CR3: one address, two frames", address_spaces },
    { "accessed and dirty: set where they must be, nowhere else", marks },
    { "2M page remapped: INVLPG at its end covers its beginning", large_page },
    { "global page: MOV to CR3, INVLPG, CR4.PGE", global_page },
    { "reserved bit 51: error code 9", reserved_bit },
};

/* Still on the tables of start64.asm, which map all memory we use. */
static void stamp_frames(void)
{
    for (unsigned i = 0; i < FRAMES; i++)
        frames[i].word[0] = STAMP + i;
    for (unsigned i = 0; i < 2; i++) {
        write_at(LARGE_FRAMES + i * LARGE_SIZE, STAMP + LARGE_STAMP + i);
        write_at(LARGE_FRAMES + (i + 1) * LARGE_SIZE - PAGE_SIZE, STAMP + LARGE_STAMP + i);
    }
}

void main(void)
{
    CHECK((uint64_t)guest_image_end <= LARGE_FRAMES, "the image ends at %p", guest_image_end);
    stamp_frames();
    guest_on_exception(EXC_PF, on_page_fault);
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        bool done = steps[i].run();

        serial_printf("hello: %2zu %s%s\n", i + 1, steps[i].name, done ? "" : ": skipped");
    }
    guest_pass();
}
