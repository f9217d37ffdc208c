/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer plays histories (history.h): six bytes a step, of which two are the low and high part
 * of the value. The input's first byte says in which modes the two vCPUs begin, so that short
 * inputs get somewhere. The judge is that of the test; it panics, which aborts.
 */
#include "tests/host/history.h"

#define STEP_BYTES  6
#define STEPS_MOST  500
#define AUDIT_EVERY 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct step decode(const uint8_t *bytes)
{
    uint64_t value = bytes[4] | (uint64_t)bytes[5] << 8;

    return (struct step){ bytes[0] % STEP_KINDS, bytes[1], bytes[2], bytes[3],
                          value | value << 8 | value << 16 };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct step steps[STEPS_MOST];
    size_t count = 0;

    if (size == 0)
        return 0;
    steps[count++] = (struct step){ STEP_BUILD, data[0] & 3, 0, 0, data[0] };
    steps[count++] = (struct step){ STEP_MODE, data[0] & 3, 0, 0, 0 };
    steps[count++] = (struct step){ STEP_VCPU, 1, 0, 0, 0 };
    steps[count++] = (struct step){ STEP_MODE, data[0] >> 2 & 3, 0, 0, 0 };
    for (data++, size--; size >= STEP_BYTES && count < STEPS_MOST; size -= STEP_BYTES) {
        steps[count++] = decode(data);
        data += STEP_BYTES;
    }
    history_run(steps, count, AUDIT_EVERY);
    return 0;
}
