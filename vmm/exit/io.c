/* SPDX-License-Identifier: MIT */
/* IN and OUT: decoded from the exit qualification, performed by the bus of vmm/dev/bus.c. */
#include "vmm/dev/bus.h"
#include "vmm/exit/exit.h"
#include "vmm/vm.h"

/* SDM 3C table 27-5 "Exit Qualification for I/O Instructions". */
union io_access {
    uint64_t raw;
    struct {
        uint64_t size : 3; /* bytes - 1 */
        uint64_t in : 1;
        uint64_t string : 1;
        uint64_t rep : 1;
        uint64_t immediate : 1;
        uint64_t reserved : 9;
        uint64_t port : 16;
        uint64_t reserved2 : 32;
    };
};
_Static_assert(sizeof(union io_access) == sizeof(uint64_t), "the qualification is one word");

/* IN leaves the rest of RAX as it was, but a 32-bit result clears the upper half, as ever. */
static void set_result(uint64_t *rax, unsigned size, uint32_t value)
{
    if (size == 4)
        *rax = value;
    else
        *rax = (*rax & ~BITS(8 * size - 1, 0)) | (value & BITS(8 * size - 1, 0));
}

enum exit_action exit_io(struct vcpu *vcpu, const struct engine_exit *exit)
{
    union io_access access = { .raw = exit->qualification };
    struct bus_access bus = { .port = (uint16_t)access.port,
                              .size = (unsigned)access.size + 1,
                              .write = !access.in,
                              .value = (uint32_t)vcpu->engine.gprs[GPR_RAX] };

    if (access.string)
        return exit_kill(vcpu, "string I/O (%s) at port 0x%x is not handled",
                         access.in ? "INS" : "OUTS", bus.port);
    if (!bus_access(vcpu->vm, &bus))
        return exit_kill(vcpu, "%u-byte %s port 0x%x, where no device is", bus.size,
                         bus.write ? "write to" : "read of", bus.port);
    if (!bus.write)
        set_result(&vcpu->engine.gprs[GPR_RAX], bus.size, bus.value);
    return vcpu->vm->end == VM_RUNNING ? EXIT_SKIP : EXIT_STOP;
}
