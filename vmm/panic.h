/* SPDX-License-Identifier: MIT */
/* The panic screen: all that is needed to file a bug, on one screen. */
#pragma once

#include "arch/x86/trap.h"

/*
 * For trap_set_handler(): an exception of the hypervisor itself is a panic; an interrupt, of which
 * every maskable source is off, is logged and ended.
 */
void panic_on_trap(const struct trap_frame *frame);
