/* SPDX-License-Identifier: MIT */
/*
 * What every file may assume: fixed-width integers, bit masks in SDM order, attributes, and the
 * two ways out of an impossible situation. Nothing here depends on the machine.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BIT(n) ((uint64_t)1 << (n))
/* All bits from hi down to lo, as the SDM writes them: BITS(51, 12). */
#define BITS(hi, lo) ((UINT64_MAX >> (63 - (hi))) & (UINT64_MAX << (lo)))

#define ARRAY_SIZE(a)                   (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define must_check        __attribute__((warn_unused_result))
#define printf_like(f, a) __attribute__((format(printf, f, a)))

#define KiB ((uint64_t)1024)
#define MiB (1024 * KiB)
#define GiB (1024 * MiB)

static inline uint64_t align_down(uint64_t value, uint64_t alignment)
{
    return value & ~(alignment - 1);
}

static inline uint64_t align_up(uint64_t value, uint64_t alignment)
{
    return align_down(value + alignment - 1, alignment);
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/*
 * Stops the machine with the panic screen (vmm/panic.c); a host test fails instead. For our own
 * mistakes only: a guest's mistake stops that guest, a machine's lack stops the boot by name.
 */
_Noreturn void panic(const char *fmt, ...) printf_like(1, 2);

/* Always compiled in: a hypervisor that goes on with a broken invariant harms its guests. */
#define ASSERT(condition)                                                          \
    do {                                                                           \
        if (__builtin_expect(!(condition), 0))                                     \
            panic("assertion failed: %s (%s:%d)", #condition, __FILE__, __LINE__); \
    } while (0)
