/* SPDX-License-Identifier: MIT */
/*
 * The paging guests: paging32, pae and long are this folder in three modes. Each step maps, changes
 * and uses pages and checks exactly what SDM Vol. 3A, chapter 4 "Paging" promises of it. Needs
 * 16 MiB and nothing else, so it runs the same on a bare machine.
 */
#include "guests/paging/steps.h"
#include "guests/lib/serial.h"

static const struct {
    const char *name;
    step *run;
} steps[] = {
    { "entry not present, at every level: error code, then linked without a flush", not_present },
    { "page remapped: INVLPG, MOV CR3", remapping },
    { "two address spaces share tables and differ in one page", spaces },
    { "accessed and dirty at every level, cleared and set again", marks },
    { "CR0.WP: supervisor writes to read-only pages", write_protect },
    { "faults that a handler repairs, without INVLPG", handled },
    { "an access that straddles two pages", straddling },
    { "rights of every level, all controls, all accesses", rights },
    { "no-execute, and the same bit reserved", no_execute },
    { "SMEP", smep },
    { "SMAP and EFLAGS.AC", smap },
    { "implicit supervisor access of CPL 3: a descriptor in the LDT", implicit_access },
    { "large pages: INVLPG of any byte, one D", large_pages },
    { "large page split into small ones and joined again", large_split },
    { "large pages: reserved address bits", large_reserved },
    { "CR4.PSE clear: bit 7 ignored", without_pse },
    { "global pages: INVLPG, MOV CR3, CR4.PGE", global_pages },
    { "global large page", global_large },
    { "reserved bits at every level, and what hides them", reserved },
    { "PDPTEs are registers", pdptes },
    { "recursive tables: entries changed through themselves", recursive },
    { "entries written in halves and bytes", halves },
    { "a table becomes data and data a table", recycling },
    { "CR0.PG off, tables changed, on again", paging_off },
    { "another mode of paging and back", mode_switch },
    { "addresses that are not canonical", canonical },
};

static uint64_t base_cr4(void)
{
    return paging_is(PAGING_32BIT) ? CR4_PSE : CR4_PAE;
}

static void begin_step(void)
{
    model_set_cr3(paging_memory_space());
    paging_reset();
    space = paging_new_space();
    model_set_cr3(space);
    model_set_cr4(base_cr4() | (model.has_pge ? CR4_PGE : 0));
    model_set_cr4(base_cr4()); /* global pages of the step before are gone */
}

void main(void)
{
    probe_init();
    model_init();
    paging_init(GUEST_PAGING);
    space = paging_new_space();
    model_start(space, base_cr4());
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        bool done;

        serial_printf("%s: %2zu %s", guest_name, i + 1, steps[i].name);
        begin_step();
        done = steps[i].run();
        serial_puts(done ? "\n" : ": not here\n");
    }
    guest_pass();
}
