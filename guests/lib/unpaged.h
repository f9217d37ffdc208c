/* SPDX-License-Identifier: MIT */
/* A moment without paging (and, in a 64-bit guest, without long mode): unpaged64.asm,
 * 32/unpaged.asm. */
#pragma once

/* Clears CR0.PG, stores value at the physical address, which is below 4 GiB, and sets it again. */
void unpaged_store(unsigned long physical, unsigned value);
