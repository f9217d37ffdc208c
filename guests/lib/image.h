/* SPDX-License-Identifier: MIT */
/* Where the image lies (guest.ld) and the tables it started on (start64.asm), all page aligned. */
#pragma once

#include "lib/base.h"

extern char guest_image[];  /* code, from here to guest_user */
extern char guest_user[];   /* code that runs at CPL 3 (probe), to guest_rodata */
extern char guest_rodata[]; /* constants, to guest_data */
extern char guest_data[];   /* variables, stack and .bss, to guest_image_end */
extern char guest_image_end[];

extern uint64_t guest_pml4[]; /* 64-bit guests: entry 0 is the identity map of the first GiB */
