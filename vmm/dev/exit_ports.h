/* SPDX-License-Identifier: MIT */
/*
 * The ports by which a guest ends: QEMU's isa-debug-exit at 0xf4 (value 0 is success) and Bochs'
 * string "Shutdown" at 0x8900 (success).
 */
#pragma once

#include "lib/base.h"

struct vm;

uint8_t exit_port_read(struct vm *vm, uint16_t port);
void exit_port_write(struct vm *vm, uint16_t port, uint8_t value);
void shutdown_port_write(struct vm *vm, uint16_t port, uint8_t value);
