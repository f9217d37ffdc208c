/* SPDX-License-Identifier: MIT */
/* The ends that a guest can ask for: see vmm/dev/exit_ports.h. */
#include "vmm/dev/exit_ports.h"
#include "vmm/vm.h"

#define DEBUG_EXIT_PORT 0xf4

uint8_t exit_port_read(struct vm *vm, uint16_t port)
{
    (void)vm;
    (void)port;
    return 0;
}

/* The device is four bytes wide; the low one decides. */
void exit_port_write(struct vm *vm, uint16_t port, uint8_t value)
{
    if (port != DEBUG_EXIT_PORT)
        return;
    if (value)
        vm_end(vm, VM_FAILURE, "it wrote %u to port 0xf4", value);
    else
        vm_end(vm, VM_SUCCESS, "it wrote 0 to port 0xf4");
}

void shutdown_port_write(struct vm *vm, uint16_t port, uint8_t value)
{
    static const char word[] = "Shutdown";

    (void)port;
    if (value != (uint8_t)word[vm->shutdown_matched])
        vm->shutdown_matched = 0;
    if (value == (uint8_t)word[vm->shutdown_matched])
        vm->shutdown_matched++;
    if (vm->shutdown_matched == sizeof(word) - 1)
        vm_end(vm, VM_SUCCESS, "it wrote \"Shutdown\" to port 0x8900");
}
