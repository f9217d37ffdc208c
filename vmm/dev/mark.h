/* SPDX-License-Identifier: MIT */
/*
 * Benchmark marks: OUT 0x80,id opens a test, OUT 0x80,id|0x80 closes it, and a line says what
 * happened between: "X id exits=... pf=... cr=... invvpid0=... invvpid1=... ...". A closing mark
 * that no opening one precedes is a POST code like any other.
 */
#pragma once

#include "lib/base.h"

struct vm;

uint8_t mark_read(struct vm *vm, uint16_t port);
void mark_write(struct vm *vm, uint16_t port, uint8_t value);
