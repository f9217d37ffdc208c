/* SPDX-License-Identifier: MIT */
/*
 * Hosts mm/, lib/ and the parsers in a test process; see host.h. The log's sink is installed
 * before main(), at level debug. One process, one thread.
 */
#include "tests/host/host.h"
#include "lib/log.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static jmp_buf panic_jump;
static bool panic_expected;
static char panic_text[512];

static char log_text[64 * KiB + 1];
static size_t log_length;

static struct {
    uint8_t *bytes;
    uint64_t base; /* host-physical */
    uint64_t size;
} arena;

unsigned long host_flushes[TLB_FLUSH_ALL + 1];
host_flush_hook_t *host_flush_hook;

void panic(const char *fmt, ...)
{
    va_list arguments;

    va_start(arguments, fmt);
    vsnprintf(panic_text, sizeof(panic_text), fmt, arguments);
    va_end(arguments);
    if (panic_expected)
        longjmp(panic_jump, 1);
    fprintf(stderr, "panic: %s\n", panic_text);
    abort();
}

jmp_buf *host_panic_arm(void)
{
    panic_text[0] = '\0';
    panic_expected = true;
    return &panic_jump;
}

void host_panic_disarm(void)
{
    panic_expected = false;
}

const char *host_panic_text(void)
{
    return panic_text;
}

/* Forgets the older half if there is no room. */
static void log_keep(const char *text, size_t length)
{
    size_t room = sizeof(log_text) - 1;

    if (length > room - log_length) {
        size_t forgotten = log_length / 2;
        log_length -= forgotten;
        memmove(log_text, log_text + forgotten, log_length);
    }
    if (length > room - log_length)
        panic("%zu bytes in one call of the log's sink", length);
    memcpy(log_text + log_length, text, length);
    log_length += length;
    log_text[log_length] = '\0';
}

static void host_sink(const char *text, size_t length)
{
    log_keep(text, length);
    if (getenv("UMBRA_TEST_VERBOSE"))
        fwrite(text, 1, length, stderr);
}

__attribute__((constructor)) static void host_log_init(void)
{
    log_set_sink(host_sink);
    log_set_level(LOG_DEBUG);
}

const char *host_log_text(void)
{
    return log_text;
}

void host_log_clear(void)
{
    log_length = 0;
    log_text[0] = '\0';
}

void host_arena_init(uint64_t base_hpa, uint64_t bytes)
{
    if (bytes == 0 || bytes % PAGE_SIZE || base_hpa % PAGE_SIZE || bytes > UINT64_MAX - base_hpa)
        panic("no arena of 0x%llx bytes at 0x%llx", (unsigned long long)bytes,
              (unsigned long long)base_hpa);
    if (arena.bytes)
        munmap(arena.bytes - PAGE_SIZE, arena.size + 2 * PAGE_SIZE);

    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    uint8_t *map = mmap(NULL, bytes + 2 * PAGE_SIZE, PROT_NONE, flags, -1, 0);
    if (map == MAP_FAILED || mprotect(map + PAGE_SIZE, bytes, PROT_READ | PROT_WRITE) != 0)
        panic("no memory for an arena of 0x%llx bytes", (unsigned long long)bytes);
    arena.bytes = map + PAGE_SIZE;
    arena.base = base_hpa;
    arena.size = bytes;
}

void *host_ptr(hpa_t address)
{
    if (address.v < arena.base || address.v - arena.base >= arena.size)
        panic("host_ptr: 0x%llx is outside of the fake RAM", (unsigned long long)address.v);
    return arena.bytes + (address.v - arena.base);
}

void host_flushes_clear(void)
{
    memset(host_flushes, 0, sizeof(host_flushes));
}

void host_tlb_flush(struct mmu *mmu, enum tlb_flush kind, gva_t address)
{
    host_flushes[kind]++;
    if (host_flush_hook)
        host_flush_hook(mmu, kind, address);
}
