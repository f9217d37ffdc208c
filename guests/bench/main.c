/* SPDX-License-Identifier: MIT */
/*
 * bench: what paging costs, operation by operation: CPL 0, interrupts off, 4-level paging, CR0.WP,
 * neither PCID nor global pages. Needs 184 MiB (memory.h). The same image runs on a bare machine,
 * as a guest of Umbra, and (an earlier version of it) under KVM with ept=0: tests/bench compares.
 *
 * Each test sets up untimed, measures its operations (measure.h) and then checks data, faults and
 * accessed and dirty bits. Names, counts, order and the shape of the timed loops are part of the
 * benchmark: published figures are of exactly these instructions.
 */
#include "guests/bench/fault.h"
#include "guests/bench/measure.h"
#include "guests/bench/memory.h"
#include "guests/lib/report.h"
#include "guests/lib/serial.h"
#include "guests/lib/trap.h"

#define COM1_LINE_STATUS 0x3fd
#define VECTOR_NOTHING   0x81

void interrupt_entry(void);

static volatile uint64_t sink = 88172645463325252ull;

/* 180 instructions: what a program does between two accesses to memory. */
static inline uint64_t mix(uint64_t x)
{
    for (int i = 0; i < 16; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    return x;
}

static inline void load_pages(uint64_t region, int pages)
{
    for (int i = 0; i < pages; i++)
        load(page(region, i));
}

/* Page i gets the value i. */
static inline void number_pages(uint64_t region, int pages)
{
    for (int i = 0; i < pages; i++)
        store(page(region, i), i);
}

static inline void fill_pages(uint64_t region, int pages, uint64_t value)
{
    for (int i = 0; i < pages; i++)
        store(page(region, i), value);
}

/* Entry i maps the i-th frame from first. */
static inline void map_frames(uint64_t *table, uint64_t first, int pages, uint64_t bits)
{
    for (int i = 0; i < pages; i++)
        set_entry(&table[i], page(first, i) | bits);
}

static inline void clear_bits(uint64_t *table, int count, uint64_t bits)
{
    for (int i = 0; i < count; i++)
        set_entry(&table[i], table[i] & ~bits);
}

static inline void clear_entries(uint64_t *table, int count)
{
    for (int i = 0; i < count; i++)
        set_entry(&table[i], 0);
}

static inline void reload_cr3(void)
{
    write_cr3((uint64_t)guest_pml4);
}

static void fault_expect(enum fault_mode mode, uint64_t region, uint64_t *table, uint64_t pages)
{
    fault.mode = mode;
    fault.region = region;
    fault.table = table;
    fault.pages = pages;
    fault.count = 0;
}

static void fault_check(const char *test, uint64_t count)
{
    CHECK(fault.count == count, "%s took %lu page faults, not %lu", test, fault.count, count);
    fault.mode = FAULT_NONE;
}

/* ---- no exit expected; plain exits ---- */

static void controls(void)
{
    uint64_t x = sink;

    measure_begin();
    for (int i = 0; i < 20000; i++)
        x = mix(x);
    measure_end("ctl_alu", 20000);
    sink = x;

    measure_begin();
    for (int i = 0; i < 2000; i++)
        int_n(VECTOR_NOTHING);
    measure_end("ctl_int_iret", 2000);
}

static void plain_exits(void)
{
    measure_begin();
    for (int i = 0; i < 2000; i++)
        cpuid(0, 0);
    measure_end("cpuid", 2000);

    measure_begin();
    for (int i = 0; i < 1000; i++)
        inb(COM1_LINE_STATUS);
    measure_end("in_uart_lsr", 1000);
}

/* ---- faults that the guest does not see ---- */

static void fills(void)
{
    uint64_t *table;
    uint64_t region = region_new(8, &table);

    window_take(4096);
    map_frames(table, window, 4096, PWAD);
    measure_begin();
    load_pages(region, 4096);
    measure_end("fill_rd_ad1", 4096);

    region = region_new(8, &table);
    window_take(4096);
    map_frames(table, window, 4096, PW);
    measure_begin();
    number_pages(region, 4096);
    measure_end("fill_wr_ad0", 4096);
}

/* ---- a kernel maps, unmaps and maps again ---- */

static void check_numbers(const char *test, uint64_t region, int pages)
{
    for (int i = 0; i < pages; i++)
        CHECK(load(page(region, i)) == (uint64_t)i && load(frame(i)) == (uint64_t)i,
              "%s: page %d reads %lu, its frame %lu", test, i, load(page(region, i)),
              load(frame(i)));
}

static void unmap_batch(uint64_t region, uint64_t *table)
{
    measure_begin();
    clear_entries(table, 1024);
    reload_cr3();
    map_frames(table, window, 1024, PWAD);
    number_pages(region, 1024);
    measure_end("unmap_batch", 1024);
}

static void mappings(void)
{
    uint64_t *table;
    uint64_t region;

    window_take(4096);
    region = region_new(8, &table);
    fault_expect(FAULT_MAP, region, table, 4096);
    measure_begin();
    number_pages(region, 4096);
    measure_end("pf_map", 4096);
    fault_check("pf_map", 4096);

    measure_begin();
    for (int i = 0; i < 4096; i++) {
        uint64_t address = page(region, i);

        set_entry(&table[i], 0);
        invlpg(address);
        set_entry(&table[i], frame(i) | PWAD);
        store(address, i);
    }
    measure_end("unmap_remap", 4096);

    unmap_batch(region, table);
    check_numbers("unmap_batch", region, 4096);
}

/* ---- copy on write ---- */

static void check_copies(uint64_t region)
{
    for (int i = 0; i < 1024; i++) {
        CHECK(load(page(region, i)) == ~0ull, "cow_fault: page %d was not written", i);
        CHECK(load(frame(i)) == (uint64_t)i, "cow_fault: the original of page %d was written", i);
        CHECK(load(page(region, i) + 8) == load(frame(i) + 8), "cow_fault: page %d is no copy", i);
    }
}

static void copy_on_write(void)
{
    uint64_t *table;
    uint64_t region;

    window_take(1024);
    region = region_new(2, &table);
    map_frames(table, window, 1024, PWAD);
    number_pages(region, 1024);

    measure_begin();
    clear_bits(table, 1024, PTE_W);
    reload_cr3();
    measure_end("cow_mark", 1024);

    fault_expect(FAULT_COPY, region, table, 1024);
    fault.copy_to = COPY_START;
    measure_begin();
    fill_pages(region, 1024, ~0ull);
    measure_end("cow_fault", 1024);
    fault_check("cow_fault", 1024);
    check_copies(region);
}

/* ---- one live page ---- */

static void one_page(void)
{
    uint64_t *table;
    uint64_t region;

    window_take(1);
    region = region_new(1, &table);
    table[0] = frame(0) | PWAD;
    store(region, 1);

    measure_begin();
    for (int i = 0; i < 2000; i++) {
        set_entry(table, table[0] & ~PTE_W);
        invlpg(region);
        load(region);
        set_entry(table, table[0] | PTE_W);
        invlpg(region);
        store(region, i);
    }
    measure_end("mprotect", 2000);
    CHECK(load(frame(0)) == 1999, "mprotect: the frame holds %lu", load(frame(0)));

    measure_begin();
    for (int i = 0; i < 2000; i++) {
        invlpg(region);
        load(region);
    }
    measure_end("invlpg_rd", 2000);
}

/* ---- address spaces ---- */

#define SPACES      8
#define SPACE_PAGES 64

static uint64_t roots[SPACES];

/* Every page of space j holds j. */
static void spaces_init(void)
{
    window_take(SPACES * SPACE_PAGES);
    for (int j = 0; j < SPACES; j++) {
        struct space space = space_new();

        space_link(&space, PWAD);
        for (int i = 0; i < SPACE_PAGES; i++) {
            space.table[i] = frame(j * SPACE_PAGES + i) | PWAD;
            store(frame(j * SPACE_PAGES + i), j);
        }
        roots[j] = (uint64_t)space.pml4;
    }
}

static void switches(const char *name, int spaces, int touched)
{
    for (int j = 0; j < 2 * spaces; j++) {
        write_cr3(roots[j % spaces]);
        load_pages(SPACE_BASE, SPACE_PAGES);
    }
    measure_begin();
    for (int i = 0; i < 512; i++) {
        write_cr3(roots[i % spaces]);
        load_pages(SPACE_BASE, touched);
    }
    measure_end(name, 512);
    reload_cr3();
}

static void address_spaces(void)
{
    spaces_init();
    switches("cr3_2", 2, 0);
    switches("cr3_2_touch64", 2, SPACE_PAGES);
    switches("cr3_8", 8, 0);
    switches("cr3_8_touch64", 8, SPACE_PAGES);
    for (int j = 0; j < SPACES; j++) {
        write_cr3(roots[j]);
        CHECK(load(SPACE_BASE) == (uint64_t)j, "space %d reads %lu", j, load(SPACE_BASE));
    }
    reload_cr3();
}

/* ---- processes: the tables of a space are recycled, as a kernel's are ---- */

static inline void free_tables(const struct space *space)
{
    rep_stosq(space->table, 0, PTE_ENTRIES);
    rep_stosq(space->directory, 0, PTE_ENTRIES);
    rep_stosq(space->pdpt, 0, PTE_ENTRIES);
    rep_stosq(space->pml4, 0, PTE_ENTRIES);
}

/* A process begins, writes its 64 pages and ends. */
static void process_cycle(void)
{
    struct space space;

    window_take(4096);
    space = space_new();
    measure_begin();
    for (int n = 0; n < 128; n++) {
        space_link(&space, PW);
        map_frames(space.table, frame((n & 63) * SPACE_PAGES), SPACE_PAGES, PW);
        write_cr3((uint64_t)space.pml4);
        fill_pages(SPACE_BASE, SPACE_PAGES, n);
        reload_cr3();
        clear_entries(space.table, SPACE_PAGES);
        free_tables(&space);
    }
    measure_end("proc_cycle64", 128);
    for (int i = 0; i < SPACE_PAGES; i++)
        CHECK(load(frame(63 * SPACE_PAGES + i)) == 127, "proc_cycle64: page %d", i);
}

#define FORK_PAGES   256
#define FORK_WRITES  32
#define FORK_FIRST   1000 /* what the parent writes to page 0 */
#define FORK_COPY_TO (COPY_START + 4 * MiB)

static inline void share_pages(uint64_t *parent, uint64_t *child)
{
    for (int i = 0; i < FORK_PAGES; i++) {
        if (parent[i] & PTE_W)
            set_entry(&parent[i], parent[i] & ~PTE_W);
        set_entry(&child[i], parent[i]);
    }
}

/* Reads all its pages, writes some: each is copied. */
static inline void run_child(const struct space *child, int n)
{
    write_cr3((uint64_t)child->pml4);
    fault.mode = FAULT_COPY;
    fault.table = child->table;
    fault.copy_to = FORK_COPY_TO;
    load_pages(SPACE_BASE, FORK_PAGES);
    fill_pages(SPACE_BASE, FORK_WRITES, n);
}

/* Writes the same pages: nobody shares them any more. */
static inline void run_parent(const struct space *parent)
{
    write_cr3((uint64_t)parent->pml4);
    fault.mode = FAULT_REUSE;
    fault.table = parent->table;
    for (int i = 0; i < FORK_WRITES; i++)
        store(page(SPACE_BASE, i), FORK_FIRST + i);
}

static inline void fork_once(const struct space *parent, const struct space *child, int n)
{
    space_link(child, PW);
    share_pages(parent->table, child->table);
    write_cr3((uint64_t)parent->pml4);
    run_child(child, n);
    run_parent(parent);
    clear_entries(child->table, FORK_PAGES);
    free_tables(child);
}

static void check_parent(void)
{
    for (int i = 0; i < FORK_PAGES; i++)
        CHECK(load(frame(i)) == (uint64_t)(i < FORK_WRITES ? FORK_FIRST + i : i),
              "fork_cycle256: page %d of the parent holds %lu", i, load(frame(i)));
}

static void fork_cycle(void)
{
    struct space parent, child;

    window_take(FORK_PAGES);
    parent = space_new();
    child = space_new();
    space_link(&parent, PWAD);
    map_frames(parent.table, window, FORK_PAGES, PWAD);
    write_cr3((uint64_t)parent.pml4);
    number_pages(SPACE_BASE, FORK_PAGES);
    fault_expect(FAULT_NONE, SPACE_BASE, parent.table, FORK_PAGES);

    measure_begin();
    for (int n = 0; n < 32; n++)
        fork_once(&parent, &child, n);
    measure_end("fork_cycle256", 32);

    fault_check("fork_cycle256", 32 * 2 * FORK_WRITES);
    reload_cr3();
    check_parent();
}

/* ---- a live directory entry cleared and restored; page aging ---- */

static void directory_toggle(void)
{
    uint64_t *table, *directory;
    uint64_t region, entry;

    window_take(512);
    region = region_new(1, &table);
    map_frames(table, window, 512, PWAD);
    directory = region_directory(region);
    entry = *directory;
    load_pages(region, 512);

    measure_begin();
    for (int i = 0; i < 512; i++) {
        set_entry(directory, 0);
        invlpg(region);
        set_entry(directory, entry);
        load(page(region, i));
    }
    measure_end("pde_toggle", 512);
}

static void aging(void)
{
    uint64_t *table;
    uint64_t region;

    window_take(1024);
    region = region_new(2, &table);
    map_frames(table, window, 1024, PWAD);
    number_pages(region, 1024);

    measure_begin();
    clear_bits(table, 1024, PTE_A | PTE_D);
    reload_cr3();
    number_pages(region, 1024);
    measure_end("aging", 1024);

    for (int i = 0; i < 1024; i++)
        CHECK((table[i] & (PTE_A | PTE_D)) == (PTE_A | PTE_D), "aging: entry %d is %#lx", i,
              table[i]);
}

/* ---- a program that reads one word of every 4 KiB of 64 MiB ---- */

#define STRIDE_PAGES ((int)(STRIDE_SIZE / PAGE_SIZE))

static void stride(const char *name, uint64_t region, int passes)
{
    uint64_t x = sink;

    measure_begin();
    for (int pass = 0; pass < passes; pass++)
        for (int i = 0; i < STRIDE_PAGES; i++)
            x = mix(x ^ load(page(region, i)));
    measure_end(name, (uint64_t)passes * STRIDE_PAGES);
    sink = x;
}

static void small_strides(void)
{
    uint64_t *table;
    uint64_t region = region_new(STRIDE_PAGES / PTE_ENTRIES, &table);

    for (int i = 0; i < STRIDE_PAGES; i++)
        table[i] = page(STRIDE_START, i) | PWAD;
    stride("str4k_cold", region, 1);
    stride("str4k_warm", region, 4);
    reload_cr3();
    stride("str4k_postcr3", region, 1);
}

static void large_strides(void)
{
    uint64_t *directory;
    uint64_t region = region_new_directory(&directory);

    for (unsigned i = 0; i < STRIDE_SIZE / (2 * MiB); i++)
        directory[i] = (STRIDE_START + i * 2 * MiB) | PWAD | PTE_PS;
    stride("str2m_cold", region, 1);
    stride("str2m_warm", region, 4);
    reload_cr3();
    stride("str2m_postcr3", region, 1);
}

/* In this order: each may lean on what the one before it left. */
static void (*const suite[])(void) = {
    controls, plain_exits,    fills,         mappings,   copy_on_write,
    one_page, address_spaces, process_cycle, fork_cycle, directory_toggle,
    aging,    small_strides,  large_strides,
};

void main(void)
{
    guest_set_gate(VECTOR_NOTHING, interrupt_entry);
    fault_init();
    memory_init();
    serial_puts("PAGING-BENCH start\n");
    for (size_t i = 0; i < ARRAY_SIZE(suite); i++)
        suite[i]();
    serial_puts("PAGING-BENCH end\n");
    guest_pass();
}
