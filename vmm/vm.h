/* SPDX-License-Identifier: MIT */
/*
 * A virtual machine: its memory, its vCPU, its devices, and how it ended. Everything a guest can
 * reach hangs off this struct; nothing in it is shared with another guest.
 */
#pragma once

#include "mm/frames.h"
#include "mm/gpm.h"
#include "mm/pool.h"
#include "vmm/console.h"
#include "vmm/dev/uart.h"
#include "vmm/vcpu.h"

#define VM_NAME_MAX 16

/* How a guest ended. */
enum vm_end {
    VM_RUNNING,
    VM_SUCCESS,      /* it said so: port 0xf4 value 0, or "Shutdown" */
    VM_FAILURE,      /* it said so: port 0xf4, another value */
    VM_TRIPLE_FAULT, /* an exception while a double fault was delivered */
    VM_HALTED,       /* HLT that nothing can end */
    VM_KILLED,       /* it did what Umbra does not handle, or may not be done */
    VM_REFUSED,      /* it was never started: bad image, option, or no memory */
};

enum vm_expect { EXPECT_PASS, EXPECT_TRIPLE_FAULT, EXPECT_KILLED };

struct vm_config {
    char name[VM_NAME_MAX];
    uint64_t memory; /* bytes */
    char cmdline[1024];
    enum vm_expect expect;
    bool audit;   /* check the shadow tables as it runs */
    bool panics;  /* a self-test: panic after some exits */
    bool spoiled; /* a self-test: start in a state that VM entry refuses */
};

#define VM_END_TEXT_MAX 200

struct vm {
    struct vm_config config;
    unsigned number; /* from 1 */
    enum vm_end end;
    char end_text[VM_END_TEXT_MAX];
    struct gpm gpm;
    struct extent ram; /* one block of the host; size 0: none yet */
    struct pool pool;
    struct vcpu vcpu;
    struct console_line console;
    struct virtual_uart uart;
    unsigned shutdown_matched; /* characters of "Shutdown" seen at port 0x8900 */
};

/*
 * Gives vm its memory and its vCPU, which cannot run before vm_start(). False, with the VM's end
 * set and logged, if the host has no room.
 */
must_check bool vm_create(struct vm *vm, struct frames *frames);
void vm_destroy(struct vm *vm, struct frames *frames);
/* Loads image (size bytes) and sets the vCPU's start state; false, with the end set, if bad. */
must_check bool vm_load(struct vm *vm, const void *image, uint64_t size);

/* Ends vm for the reason given: logged once, the first end counts. */
void vm_end(struct vm *vm, enum vm_end end, const char *fmt, ...) printf_like(3, 4);
/* True if vm ended as its configuration says it should. */
bool vm_succeeded(const struct vm *vm);
const char *vm_end_name(enum vm_end end);
