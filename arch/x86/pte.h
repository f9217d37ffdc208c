/* SPDX-License-Identifier: MIT */
/*
 * Entries of paging structures and page-fault error codes: constants only, in SDM order, safe to
 * include anywhere (SDM 3A, chapter 4 "Paging").
 */
#pragma once

#include "lib/base.h"

#define PTE_P         BIT(0)
#define PTE_W         BIT(1) /* R/W */
#define PTE_U         BIT(2) /* U/S */
#define PTE_PWT       BIT(3)
#define PTE_PCD       BIT(4)
#define PTE_A         BIT(5)
#define PTE_D         BIT(6) /* entries that map a page */
#define PTE_PS        BIT(7) /* entries above the page table: maps a large page */
#define PTE_PAT       BIT(7) /* entries of a page table */
#define PTE_G         BIT(8)
#define PTE_PAT_LARGE BIT(12)
#define PTE_NX        BIT(63) /* XD */

#define PTE_IGNORED    BITS(11, 9)  /* ignored by the processor in every format */
#define PTE_ADDRESS    BITS(51, 12) /* 8-byte entries */
#define PTE32_ADDRESS  BITS(31, 12) /* 4-byte entries */
#define PTE_PKEY_SHIFT 59           /* bits 62:59 of a 4-level leaf */

#define PTE_ENTRIES 512 /* 8-byte entries a table */

/* Page-fault error code: SDM 3A 4.7 "Page-Fault Exceptions". */
#define PF_P    BIT(0)
#define PF_W    BIT(1)
#define PF_U    BIT(2)
#define PF_RSVD BIT(3)
#define PF_ID   BIT(4)
#define PF_PK   BIT(5)
