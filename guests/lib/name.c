/* SPDX-License-Identifier: MIT */
/* Compiled once for every guest with its own GUEST_NAME; the rest of the runtime is shared. */
#include "guests/lib/report.h"

const char guest_name[] = GUEST_NAME;
