/* SPDX-License-Identifier: MIT */
/* The host's two 8259 interrupt controllers, which Umbra only silences. */
#pragma once

/*
 * Moves both controllers away from the exception vectors, where firmware leaves them, to vectors 32
 * to 47, and masks all their lines.
 */
void pic_silence(void);
/* Ends an interrupt that came all the same (spurious ones cannot be masked). */
void pic_end_of_interrupt(void);
