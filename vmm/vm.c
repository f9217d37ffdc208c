/* SPDX-License-Identifier: MIT */
/* Virtual machines: memory, loading, endings. */
#include "vmm/vm.h"
#include "lib/format.h"
#include "lib/log.h"
#include "lib/string.h"
#include "mm/host.h"
#include "vmm/load/load.h"

#define SHADOW_PAGES 2048
#define LARGE_PAGE   (2 * MiB)
#define CONVENTIONAL                                                             \
    0x9fc00ull /* below it lies usable RAM, above it the extended BIOS data area \
                */
#define VGA_START   0xa0000ull
#define ROM_START   0xc0000ull
#define BIOS_START  0xf0000ull
#define HIGH_MEMORY MiB

static const char *const end_names[] = {
    [VM_RUNNING] = "running",           [VM_SUCCESS] = "success", [VM_FAILURE] = "failure",
    [VM_TRIPLE_FAULT] = "triple-fault", [VM_HALTED] = "halted",   [VM_KILLED] = "killed",
    [VM_REFUSED] = "refused",
};

const char *vm_end_name(enum vm_end end)
{
    return end_names[end];
}

void vm_end(struct vm *vm, enum vm_end end, const char *fmt, ...)
{
    va_list arguments;

    if (vm->end != VM_RUNNING)
        return;
    vm->end = end;
    va_start(arguments, fmt);
    vformat(vm->end_text, sizeof(vm->end_text), fmt, arguments);
    va_end(arguments);
    console_guest_flush(&vm->console, vm->config.name);
    log_printf(vm_succeeded(vm) ? LOG_INFO : LOG_ERROR, "guest %s: %s: %s", vm->config.name,
               end_names[end], vm->end_text);
}

bool vm_succeeded(const struct vm *vm)
{
    static const enum vm_end wanted[] = {
        [EXPECT_PASS] = VM_SUCCESS,
        [EXPECT_TRIPLE_FAULT] = VM_TRIPLE_FAULT,
        [EXPECT_KILLED] = VM_KILLED,
    };

    return vm->end == wanted[vm->config.expect];
}

/* RAM but for the BIOS area, which is ROM and reads as zeros. */
static bool map_memory(struct vm *vm)
{
    hpa_t host = vm->ram.base;
    const struct gpm_region regions[] = {
        { gpa(0), ROM_START, GPM_RAM, host },
        { gpa(ROM_START), HIGH_MEMORY - ROM_START, GPM_ROM, hpa_add(host, ROM_START) },
        { gpa(HIGH_MEMORY), vm->ram.size - HIGH_MEMORY, GPM_RAM, hpa_add(host, HIGH_MEMORY) },
    };

    for (size_t i = 0; i < ARRAY_SIZE(regions); i++)
        if (!gpm_add(&vm->gpm, regions[i]))
            return false;
    return true;
}

static bool take_memory(struct vm *vm, struct frames *frames)
{
    struct frame_request request = { vm->config.memory >> PAGE_SHIFT, LARGE_PAGE, hpa(0) };
    hpa_t base;

    if (!frames_alloc(frames, request, &base))
        return false;
    vm->ram = (struct extent){ base, vm->config.memory };
    if (!map_memory(vm))
        panic("guest %s: the map of %lu bytes is impossible", vm->config.name, vm->ram.size);
    return gpm_fill(&vm->gpm, gpa(0), 0, vm->ram.size);
}

bool vm_create(struct vm *vm, struct frames *frames)
{
    if (!take_memory(vm, frames)) {
        vm_end(vm, VM_REFUSED, "no %lu MiB of contiguous host memory left for mem= (%lu MiB free)",
               vm->config.memory / MiB, frames->free * PAGE_SIZE / MiB);
        return false;
    }
    if (!pool_init(&vm->pool, frames, SHADOW_PAGES)) {
        vm_end(vm, VM_REFUSED, "no host memory for %d shadow pages below 4 GiB", SHADOW_PAGES);
        return false;
    }
    if (!vcpu_init(&vm->vcpu, vm, frames)) {
        vm_end(vm, VM_REFUSED, "no host memory for a vCPU");
        return false;
    }
    virtual_uart_init(&vm->uart);
    return true;
}

void vm_destroy(struct vm *vm, struct frames *frames)
{
    if (vm->vcpu.vm)
        vcpu_destroy(&vm->vcpu, frames);
    if (vm->pool.pages)
        pool_destroy(&vm->pool, frames);
    if (vm->ram.size)
        frames_free(frames, vm->ram.base, vm->ram.size >> PAGE_SHIFT);
    vm->ram.size = 0;
}

bool vm_load(struct vm *vm, const void *image, uint64_t size)
{
    const struct guest_memory_range ranges[] = {
        { gpa(0), CONVENTIONAL, GUEST_RAM },
        { gpa(CONVENTIONAL), VGA_START - CONVENTIONAL, GUEST_RESERVED },
        { gpa(BIOS_START), HIGH_MEMORY - BIOS_START, GUEST_RESERVED },
        { gpa(HIGH_MEMORY), vm->ram.size - HIGH_MEMORY, GUEST_RAM },
    };
    const struct load_request request = { image,           size,   vm->config.cmdline,
                                          vm->config.name, ranges, ARRAY_SIZE(ranges) };
    struct start_state start;
    char error[LOAD_ERROR_MAX];

    if (!load_guest(&request, &vm->gpm, &start, error)) {
        vm_end(vm, VM_REFUSED, "%s", error);
        return false;
    }
    vcpu_set_start(&vm->vcpu, &start);
    return true;
}
