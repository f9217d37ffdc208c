# SPDX-License-Identifier: MIT
# One source, a guest for each mode of paging.
GUESTS_paging         := paging32 pae long
GUEST_BITS_paging32   := 32
GUEST_BITS_pae        := 32
GUEST_DEFINES_paging32 := -DGUEST_PAGING=PAGING_32BIT
GUEST_DEFINES_pae      := -DGUEST_PAGING=PAGING_PAE
GUEST_DEFINES_long     := -DGUEST_PAGING=PAGING_4LEVEL
