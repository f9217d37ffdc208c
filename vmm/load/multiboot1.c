/* SPDX-License-Identifier: MIT */
/*
 * Multiboot 1 (Multiboot Specification 0.6.96, sections 3.1 "OS image format" to 3.3 "Boot
 * information format"). The header's low 16 flags are demands, of which one that the loader does
 * not know or cannot meet ends the boot; the high ones say which other fields are valid.
 *
 * The information structure is followed by what it points to: memory map, command line, name of
 * the loader. The command line holds the arguments only, without the kernel's name, as from GRUB 2.
 */
#include "vmm/load/multiboot1.h"
#include "vmm/load/multiboot.h"
#include "vmm/load/elf.h"
#include "lib/string.h"

#define MULTIBOOT1_START_MAGIC 0x2badb002u

/* Flags of the header. */
#define HEADER_PAGE_ALIGN     BIT(0) /* modules on page boundaries: there are none yet */
#define HEADER_MEMORY_INFO    BIT(1) /* always given */
#define HEADER_VIDEO_MODE     BIT(2) /* a wish, as GRUB takes it: there is no video to report */
#define HEADER_KNOWN          (HEADER_PAGE_ALIGN | HEADER_MEMORY_INFO | HEADER_VIDEO_MODE)
#define HEADER_DEMANDS        BITS(15, 0)
#define HEADER_ADDRESS_FIELDS BIT(16)

/* Flags of the information structure: which fields are valid. */
#define INFO_MEMORY      BIT(0)
#define INFO_CMDLINE     BIT(2)
#define INFO_MEMORY_MAP  BIT(6)
#define INFO_LOADER_NAME BIT(9)

struct multiboot1_info {
    uint32_t flags;
    uint32_t mem_lower, mem_upper; /* KiB */
    uint32_t boot_device;
    uint32_t cmdline;
    uint32_t mods_count, mods_addr;
    uint32_t syms[4];
    uint32_t mmap_length, mmap_addr;
    uint32_t drives_length, drives_addr;
    uint32_t config_table;
    uint32_t boot_loader_name;
    uint32_t apm_table;
    uint32_t video[11];
};
_Static_assert(sizeof(struct multiboot1_info) == 116, "section 3.3, Boot information format");

struct multiboot1_range {
    uint32_t size; /* of what follows */
    uint32_t base_low, base_high;
    uint32_t length_low, length_high;
    uint32_t type;
};
_Static_assert(sizeof(struct multiboot1_range) == 24, "section 3.3, mmap_addr");

/* Offsets in the information structure's memory. */
struct info_layout {
    uint64_t ranges, cmdline, loader_name, end;
};

static const struct multiboot_version version = {
    .number = 1,
    .magic = 0x1badb002,
    .limit = 8192,
    .alignment = 4,
    .words = 3, /* magic, flags, checksum */
};

bool multiboot1_recognize(struct load_plan *plan)
{
    uint64_t offset;

    return multiboot_find(plan, &version, &offset);
}

bool multiboot1_resembles(struct load_plan *plan)
{
    return multiboot_resembles(plan, &version);
}

bool multiboot1_explain(struct load_plan *plan, struct start_state *start)
{
    (void)start;
    return multiboot_explain(plan, &version);
}

static bool check_header(struct load_plan *plan)
{
    uint64_t at, unknown;
    uint32_t flags;

    ASSERT(multiboot_find(plan, &version, &at));
    flags = le32_at(plan_bytes(plan, at + 4, sizeof(flags)));
    unknown = flags & HEADER_DEMANDS & ~HEADER_KNOWN;
    if (unknown != 0)
        return plan_refuse(plan,
                           "multiboot 1 header at file offset 0x%lx: flags 0x%x demand bit %d, "
                           "which is unknown",
                           at, flags, __builtin_ctzll(unknown));
    if (flags & HEADER_ADDRESS_FIELDS)
        return plan_refuse(plan,
                           "multiboot 1 header at file offset 0x%lx: flags 0x%x: address fields "
                           "(bit 16, a.out kludge) are not handled yet",
                           at, flags);
    if (!elf_recognize(plan))
        return plan_refuse(plan,
                           "multiboot 1 header at file offset 0x%lx in a file that is not ELF: "
                           "nothing says where to load it",
                           at);
    return true;
}

static struct info_layout lay_out(const struct load_request *request)
{
    struct info_layout layout = { .ranges = align_up(sizeof(struct multiboot1_info), 8) };

    layout.cmdline = layout.ranges + request->range_count * sizeof(struct multiboot1_range);
    layout.loader_name = layout.cmdline + strlen(request->cmdline) + 1;
    layout.end = layout.loader_name + sizeof(MULTIBOOT_LOADER_NAME);
    return layout;
}

static void write_ranges(const struct load_plan *plan, uint64_t at)
{
    for (size_t i = 0; i < plan->request->range_count; i++) {
        const struct guest_memory_range *from = &plan->request->ranges[i];
        struct multiboot1_range range = {
            .size = sizeof(range) - sizeof(range.size),
            .base_low = (uint32_t)from->base.v,
            .base_high = (uint32_t)(from->base.v >> 32),
            .length_low = (uint32_t)from->size,
            .length_high = (uint32_t)(from->size >> 32),
            .type = from->kind,
        };

        plan_write_info(plan, at + i * sizeof(range), &range, sizeof(range));
    }
}

static void write_info(const struct load_plan *plan, const struct info_layout *layout)
{
    const struct load_request *request = plan->request;
    uint32_t base = (uint32_t)plan->info.v;
    struct multiboot1_info info = {
        .flags = INFO_MEMORY | INFO_CMDLINE | INFO_MEMORY_MAP | INFO_LOADER_NAME,
        .mem_lower = multiboot_lower_memory(request),
        .mem_upper = multiboot_upper_memory(request),
        .cmdline = base + (uint32_t)layout->cmdline,
        .mmap_length = (uint32_t)(layout->cmdline - layout->ranges),
        .mmap_addr = base + (uint32_t)layout->ranges,
        .boot_loader_name = base + (uint32_t)layout->loader_name,
    };

    plan_write_info(plan, 0, &info, sizeof(info));
    write_ranges(plan, layout->ranges);
    plan_write_info(plan, layout->cmdline, request->cmdline, strlen(request->cmdline) + 1);
    plan_write_info(plan, layout->loader_name, MULTIBOOT_LOADER_NAME,
                    sizeof(MULTIBOOT_LOADER_NAME));
}

bool multiboot1_load(struct load_plan *plan, struct start_state *start)
{
    struct info_layout layout = lay_out(plan->request);

    if (!check_header(plan) || !elf_plan(plan) || !elf_entry(plan, &start->eip))
        return false;
    if (!plan_place_info(plan, layout.end))
        return false;
    plan_carry_out(plan);
    write_info(plan, &layout);
    start->eax = MULTIBOOT1_START_MAGIC;
    start->ebx = (uint32_t)plan->info.v;
    return true;
}
