/* SPDX-License-Identifier: MIT */
/*
 * What the boot loader handed over, copied out of its tags and owned by Umbra: once it is filled
 * in, nothing points into the loader's own structures but the modules' bytes.
 */
#pragma once

#include "lib/base.h"
#include "mm/addr.h"

#define BOOT_RANGES_MAX  128
#define BOOT_MODULES_MAX 32
#define BOOT_STRING_MAX  4096 /* bytes, with the end */

enum boot_range_kind { /* numbers of multiboot2's memory map, ACPI's address range types */
                       BOOT_RAM = 1,
                       BOOT_RESERVED = 2,
                       BOOT_ACPI_RECLAIMABLE = 3,
                       BOOT_ACPI_NVS = 4,
                       BOOT_BAD = 5,
};

struct boot_range {
    hpa_t base;
    uint64_t size; /* bytes; base + size never wraps */
    enum boot_range_kind kind;
};

struct boot_module {
    hpa_t base;
    uint64_t size; /* bytes */
    char string[BOOT_STRING_MAX];
};

struct boot_info {
    char command_line[BOOT_STRING_MAX];
    char loader[64];
    struct boot_range ranges[BOOT_RANGES_MAX];
    size_t range_count;
    struct boot_module modules[BOOT_MODULES_MAX];
    size_t module_count;
    uint8_t rsdp[36];  /* copy of the newest RSDP given */
    size_t rsdp_size;  /* 0: none; 20: ACPI 1.0; 36: 2.0 and later */
    hpa_t loader_info; /* where the loader's own structure lies, to be kept until it is parsed */
    uint64_t loader_info_size;
    unsigned problems; /* tags that were skipped or cut; each has been logged */
};
