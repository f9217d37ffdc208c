/* SPDX-License-Identifier: MIT */
/*
 * Histories (history.h): those that once failed, then a fixed campaign, the same every day, for
 * each paging mode alone, each two together and all. A failure prints itself shrunk: paste it here.
 */
#include "lib/base.h"
#include "tests/host/history.h"
#include "tests/host/host.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define AUDIT_EVERY 64
#define SEEDS       300 /* histories of HISTORY_STEPS for each set of modes */

#define STEPS_MOST  12 /* of a regression */

/* Histories, shrunk, that a mistake in mm/ failed once; history_print() made them. */
static const struct {
    const char *name;
    struct step steps[STEPS_MOST];
} regressions[] = {
{"none", {{0}}}
};

static void test_regressions(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(regressions); i++)
        if (history_fails(regressions[i].steps, STEPS_MOST, 1))
            fail_msg("%s: step %zu: %s", regressions[i].name, history_position, host_panic_text());
}

static void test_campaign(void **state)
{
    const struct history_counts *c = &history_counts;

    (void)state;
    for (unsigned modes = 1; modes < 16; modes++)
        for (uint64_t seed = 1; seed <= SEEDS; seed++)
            if (!history_campaign(seed, modes, AUDIT_EVERY))
                fail_msg("seed %llu, modes 0x%x", (unsigned long long)seed, modes);
    printf("count: histories: %lu operations, %lu accesses judged\n", c->steps, c->accesses);
    printf("count: histories: %lu allowed (%lu by an older state of the tables only), %lu fills, "
           "%lu faults, %lu at devices, %lu single steps, %lu pools run out\n",
           c->allowed, c->by_past, c->fills, c->faults, c->devices, c->single_steps, c->recycled);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_regressions),
                                        cmocka_unit_test(test_campaign) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
