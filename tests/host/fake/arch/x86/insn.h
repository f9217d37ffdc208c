/* SPDX-License-Identifier: MIT */
/*
 * Stands in for arch/x86/insn.h in the host test of a driver: tests/host/fake comes first on the
 * include path there. The test program defines what the two instructions do.
 */
#pragma once

#include "lib/base.h"

void outb(uint16_t port, uint8_t value);
uint8_t inb(uint16_t port);
