/* SPDX-License-Identifier: MIT */
/* The host's two 8259 interrupt controllers, which Umbra only silences. */
#pragma once

/* Masks all lines of both controllers. */
void pic_mask_all(void);
