/* SPDX-License-Identifier: MIT */
/*
 * The instructions a guest needs that C has no words for: those of the hypervisor's own header,
 * and the few that only guests use. One instruction each.
 */
#pragma once

#include "arch/x86/insn.h"

static inline void invlpg(uint64_t address)
{
    __asm__ volatile("invlpg (%0)" ::"r"(address) : "memory");
}

/* The vector is part of the instruction, so this cannot be a function. */
#define int_n(vector) __asm__ volatile("int %0" ::"i"(vector) : "memory")

/* REP MOVSQ and REP STOSQ: one instruction on paper, one tick a word on Bochs. */
static inline void rep_movsq(void *to, const void *from, uint64_t words)
{
    __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words)::"memory");
}

static inline void rep_stosq(void *to, uint64_t value, uint64_t words)
{
    __asm__ volatile("rep stosq" : "+D"(to), "+c"(words) : "a"(value) : "memory");
}
