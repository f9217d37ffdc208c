/* SPDX-License-Identifier: MIT */
/* The bus: see vmm/dev/bus.h. All devices so far are 8 bits wide. */
#include "vmm/dev/bus.h"
#include "vmm/dev/exit_ports.h"
#include "vmm/dev/mark.h"
#include "vmm/dev/uart.h"

typedef uint8_t read_port(struct vm *vm, uint16_t port);
typedef void write_port(struct vm *vm, uint16_t port, uint8_t value);

static const struct device {
    uint16_t first, last;
    read_port *read;
    write_port *write;
    const char *name;
} devices[] = {
    { 0x0080, 0x0080, mark_read, mark_write, "benchmark marks, POST code" },
    { 0x00f4, 0x00f7, exit_port_read, exit_port_write, "isa-debug-exit" },
    { 0x03f8, 0x03ff, virtual_uart_read, virtual_uart_write, "16550, COM1" },
    { 0x8900, 0x8900, exit_port_read, shutdown_port_write, "Bochs shutdown" },
};

static const struct device *find(uint16_t port)
{
    for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
        if (port >= devices[i].first && port <= devices[i].last)
            return &devices[i];
    return NULL;
}

static bool all_there(const struct bus_access *access)
{
    for (unsigned i = 0; i < access->size; i++)
        if (!find((uint16_t)(access->port + i)))
            return false;
    return true;
}

bool bus_access(struct vm *vm, struct bus_access *access)
{
    uint32_t value = 0;

    if (!all_there(access))
        return false;
    for (unsigned i = 0; i < access->size; i++) {
        uint16_t port = (uint16_t)(access->port + i);
        const struct device *device = find(port);
        if (access->write)
            device->write(vm, port, (uint8_t)(access->value >> (8 * i)));
        else
            value |= (uint32_t)device->read(vm, port) << (8 * i);
    }
    if (!access->write)
        access->value = value;
    return true;
}
