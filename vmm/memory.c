/* SPDX-License-Identifier: MIT */
/*
 * From the loader's memory map to frames and the final page tables. Until the switch the boot
 * tables map the low 4 GiB, so the frame bitmap and the first tables are placed below that.
 */
#include "vmm/memory.h"
#include "arch/x86/cpu.h"
#include "arch/x86/cpuid.h"
#include "lib/log.h"
#include "mm/host.h"
#include "mm/layout.h"

#define EARLY_LIMIT (4 * GiB)
#define LOW_MEMORY  MiB /* firmware's; start-up code of further processors will live there */
#define EXTENTS_MAX (BOOT_RANGES_MAX + BOOT_MODULES_MAX + 4)

extern const char image_load_start[], image_load_end[];
extern const char text_start[], text_end[], rodata_start[], rodata_end[], data_start[], data_end[];
extern const char boot_stack_guard[], nmi_stack_guard[], df_stack_guard[], mc_stack_guard[];

/* End of what the current tables map at DIRECT_MAP. Boot-time constant after memory_init(). */
static uint64_t direct_end = EARLY_LIMIT;

void *host_ptr(hpa_t address)
{
    ASSERT(address.v < direct_end);
    return (void *)(DIRECT_MAP + address.v);
}

static struct extent image_extent(void)
{
    uint64_t start = (uint64_t)image_load_start, end = (uint64_t)image_load_end;

    return (struct extent){ hpa(start), end - start };
}

struct extents {
    struct extent items[EXTENTS_MAX];
    size_t count;
};

static void add(struct extents *list, struct extent extent)
{
    ASSERT(list->count < EXTENTS_MAX);
    list->items[list->count++] = extent;
}

static struct extent_list view(const struct extents *list)
{
    return (struct extent_list){ list->items, list->count };
}

/* RAM as disjoint ascending extents of whole pages: loaders may report overlaps, in any order. */
static void collect_ram(const struct boot_info *info, struct extents *ram)
{
    for (size_t i = 0; i < info->range_count; i++)
        if (info->ranges[i].kind == BOOT_RAM)
            add(ram, (struct extent){ info->ranges[i].base, info->ranges[i].size });
    ram->count = extents_normalize(ram->items, ram->count);
}

static void collect_used(const struct boot_info *info, struct extents *used)
{
    add(used, (struct extent){ hpa(0), LOW_MEMORY });
    add(used, image_extent());
    add(used, (struct extent){ info->loader_info, info->loader_info_size });
    for (size_t i = 0; i < info->module_count; i++)
        add(used, (struct extent){ info->modules[i].base, info->modules[i].size });
    /* What is RAM by one entry and something else by another is something else. */
    for (size_t i = 0; i < info->range_count; i++)
        if (info->ranges[i].kind != BOOT_RAM)
            add(used, (struct extent){ info->ranges[i].base, info->ranges[i].size });
}

static void init_frames(struct frames *frames, const struct extents *ram,
                        const struct extents *used)
{
    struct extent last = ram->items[ram->count - 1];
    hpa_t end = hpa(last.base.v + last.size), bitmap;
    uint64_t size = frames_bitmap_size(end);

    if (!frames_find_gap(view(ram), view(used), size, hpa(EARLY_LIMIT), &bitmap))
        panic("no room below 4 GiB for the frame bitmap of %lu bytes", size);
    frames_init(frames, host_ptr(bitmap), end);
    for (size_t i = 0; i < ram->count; i++)
        frames_release(frames, ram->items[i]);
    for (size_t i = 0; i < used->count; i++)
        frames_reserve(frames, used->items[i]);
    frames_reserve(frames, (struct extent){ bitmap, size });
}

static struct image_layout image_layout(void)
{
    return (struct image_layout){
        .parts = { { (uint64_t)text_start, (uint64_t)text_end, HOST_EXECUTE },
                   { (uint64_t)rodata_start, (uint64_t)rodata_end, HOST_READ },
                   { (uint64_t)data_start, (uint64_t)data_end, HOST_WRITE } },
        .guards = { (uint64_t)boot_stack_guard, (uint64_t)nmi_stack_guard, (uint64_t)df_stack_guard,
                    (uint64_t)mc_stack_guard },
    };
}

/* Modules may lie in memory that the map does not call RAM; they must be readable all the same. */
static void collect_direct(const struct boot_info *info, const struct extents *ram,
                           struct extents *direct)
{
    *direct = *ram;
    for (size_t i = 0; i < info->module_count; i++) {
        uint64_t start = align_down(info->modules[i].base.v, PAGE_SIZE);
        uint64_t end = align_up(info->modules[i].base.v + info->modules[i].size, PAGE_SIZE);
        add(direct, (struct extent){ hpa(start), end - start });
    }
    direct->count = extents_normalize(direct->items, direct->count);
}

void memory_init(struct memory *memory, const struct boot_info *info)
{
    static struct extents ram, used, direct; /* too large for the stack; used once */
    struct image_layout layout = image_layout();
    bool gib_pages = cpuid(CPUID_LEAF_FEATURES, 0).edx & CPUID_80000001_EDX_PAGE1GB;
    struct extent last;

    collect_ram(info, &ram);
    if (!ram.count)
        panic("the boot loader's memory map has no usable RAM");
    collect_used(info, &used);
    init_frames(&memory->frames, &ram, &used);
    hostmap_init(&memory->map, &memory->frames, gib_pages);
    hostmap_add_image(&memory->map, &layout);
    collect_direct(info, &ram, &direct);
    hostmap_add_direct(&memory->map, view(&direct), image_extent());
    write_cr3(memory->map.root.v);
    last = direct.items[direct.count - 1];
    direct_end = last.base.v + last.size;
    for (size_t i = 0; i < ram.count; i++)
        memory->ram_bytes += ram.items[i].size;
    log_printf(LOG_INFO, "memory: %lu MiB RAM, %lu MiB free", memory->ram_bytes / MiB,
               memory->frames.free * PAGE_SIZE / MiB);
}
