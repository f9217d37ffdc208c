/* SPDX-License-Identifier: MIT */
/*
 * Translation of the multiboot2 boot information (Multiboot2 Specification 2.0, section 3.6 "Boot
 * information format") into struct boot_info. Pure: it reads only the bytes it is given, so the
 * host can fuzz it.
 */
#pragma once

#include "boot/boot_info.h"

#define MB2_BOOTLOADER_MAGIC 0x36d76289u

/*
 * Parses the information structure of at most limit readable bytes at mbi, which lies at physical
 * address where. Whatever is missing, truncated or too large is logged by name, counted in
 * info->problems and left out (of a string: what does not fit); false if not even the header can
 * be used, or if there is no memory map, without which nothing can be done (the reason is logged).
 */
must_check bool mb2_parse(const void *mbi, uint64_t limit, hpa_t where, struct boot_info *info);
