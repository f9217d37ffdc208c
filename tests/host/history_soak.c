/* SPDX-License-Identifier: MIT */
/*
 * make soak: histories until SOAK_SECONDS (0: for ever) are over or one fails. SOAK_SEED is where
 * the seeds begin; by default the time, so that no two campaigns are the same.
 */
#include "tests/host/history.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define REPORT_SECONDS 10
#define AUDIT_EVERY    4096

static unsigned long environment(const char *name, unsigned long otherwise)
{
    const char *text = getenv(name);

    return text ? strtoul(text, NULL, 0) : otherwise;
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(void)
{
    unsigned long limit = environment("SOAK_SECONDS", 600);
    unsigned long seed = environment("SOAK_SEED", (unsigned long)time(NULL) * 1000000);
    double begin = seconds(), report = begin;
    unsigned long reported = 0;

    printf("soak: seeds from %lu\n", seed);
    fflush(stdout);
    while (limit == 0 || seconds() - begin < (double)limit) {
        if (!history_campaign(seed, 1 + seed % 15, AUDIT_EVERY))
            return 1;
        seed++;
        if (seconds() - report >= REPORT_SECONDS) {
            printf("soak: %.0f operations a second, %lu in all, %lu accesses judged\n",
                   (double)(history_counts.steps - reported) / (seconds() - report),
                   history_counts.steps, history_counts.accesses);
            fflush(stdout);
            report = seconds();
            reported = history_counts.steps;
        }
    }
    printf("%lu operations, 0 failures\n", history_counts.steps);
    return 0;
}
