/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's own linear addresses.
 *
 *   0x0000000000000000  nothing: a null pointer faults
 *   0xffff800000000000  direct map: all RAM at DIRECT_MAP + hpa, writable, never executable
 *   0xffffffff80000000  the image at IMAGE_BASE + load address: text RX, constants R, data RW
 */
#pragma once

#define DIRECT_MAP 0xffff800000000000ull
#define IMAGE_BASE 0xffffffff80000000ull
