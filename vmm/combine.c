/* SPDX-License-Identifier: MIT */
/* How events combine: the pure half of vmm/event.h. */
#include "arch/x86/regs.h"
#include "vmm/event.h"

enum exception_class { BENIGN, CONTRIBUTORY, PAGE_FAULT, DOUBLE_FAULT };

/* SDM 3A table 6-4 "Interrupt and Exception Classes". */
static enum exception_class class_of(struct event event)
{
    if (event.type != EVENT_EXCEPTION)
        return BENIGN;
    switch (event.vector) {
    case EXC_DE:
    case EXC_TS:
    case EXC_NP:
    case EXC_SS:
    case EXC_GP:
    case EXC_CP: return CONTRIBUTORY;
    case EXC_PF:
    case EXC_VE: return PAGE_FAULT;
    case EXC_DF: return DOUBLE_FAULT;
    default: return BENIGN;
    }
}

struct event event_exception(uint8_t vector, uint32_t error_code)
{
    return (struct event){ .valid = true,
                           .type = EVENT_EXCEPTION,
                           .vector = vector,
                           .has_error_code = EXC_WITH_ERROR_CODE >> vector & 1,
                           .error_code = error_code };
}

struct event event_combine(struct event first, struct event second)
{
    enum exception_class a = class_of(first), b = class_of(second);

    if (!first.valid || a == BENIGN || b == BENIGN)
        return second;
    if (a == DOUBLE_FAULT)
        return (struct event){ 0 };
    if (a == CONTRIBUTORY && b == PAGE_FAULT)
        return second;
    return event_exception(EXC_DF, 0);
}
