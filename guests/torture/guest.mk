# SPDX-License-Identifier: MIT
# One source, a guest for each mode of paging.
GUESTS_torture           := torture32 torturepae torture64
GUEST_BITS_torture32     := 32
GUEST_BITS_torturepae    := 32
GUEST_DEFINES_torture32  := -DGUEST_PAGING=PAGING_32BIT
GUEST_DEFINES_torturepae := -DGUEST_PAGING=PAGING_PAE
GUEST_DEFINES_torture64  := -DGUEST_PAGING=PAGING_4LEVEL
