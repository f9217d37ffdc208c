/* SPDX-License-Identifier: MIT */
/*
 * The I/O bus of the virtual PC: a table of port ranges and their devices. To add a device: a row
 * here, its functions in a file of its own, its state in struct vm.
 */
#pragma once

#include "lib/base.h"

struct vm;

struct bus_access {
    uint16_t port;
    unsigned size; /* bytes: 1, 2, 4 */
    bool write;
    uint32_t value; /* to write, or as read */
};

/* Performs access; false if a byte of it has no device. Wider accesses go byte by byte, upwards. */
must_check bool bus_access(struct vm *vm, struct bus_access *access);
