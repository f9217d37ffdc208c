# SPDX-License-Identifier: MIT
GUEST_BITS_unpaged := 32
