/* SPDX-License-Identifier: MIT */
/*
 * VM exits. A handler does what the instruction would have done, and says how the guest goes on.
 * To add one: a row in exit.c and its function, in the file of its family.
 */
#pragma once

#include "vmm/vcpu.h"

enum exit_action {
    EXIT_RESUME, /* at the same instruction, or where the handler put RIP */
    EXIT_SKIP,   /* behind the instruction */
    EXIT_STOP,   /* the VM has ended */
};

typedef enum exit_action exit_handler(struct vcpu *vcpu, const struct engine_exit *exit);

/* Handles exit and moves RIP; false if the VM has ended. */
must_check bool exit_dispatch(struct vcpu *vcpu, const struct engine_exit *exit);

exit_handler exit_exception_nmi, exit_external_interrupt, exit_triple_fault, exit_cpuid, exit_hlt,
    exit_invd, exit_invlpg, exit_rdpmc, exit_undefined, exit_cr_access, exit_io, exit_rdmsr,
    exit_wrmsr, exit_entry_failed, exit_xsetbv;

/* Ends the VM with a dump: it did what, at its current instruction. */
enum exit_action exit_kill(struct vcpu *vcpu, const char *fmt, ...) printf_like(2, 3);
