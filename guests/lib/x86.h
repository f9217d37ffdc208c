/* SPDX-License-Identifier: MIT */
/*
 * The instructions a guest needs that C has no words for: those of the hypervisor's own header,
 * and the few that only guests use. One instruction each.
 */
#pragma once

#include "arch/x86/insn.h"

/* Control registers in either kind of guest; read_cr0() and its like are for 64-bit code only. */
#define GUEST_CONTROL_REGISTER(name)                                     \
    static inline unsigned long get_##name(void)                         \
    {                                                                    \
        unsigned long value;                                             \
        __asm__ volatile("mov %%" #name ", %0" : "=r"(value)::"memory"); \
        return value;                                                    \
    }                                                                    \
    static inline void set_##name(unsigned long value)                   \
    {                                                                    \
        __asm__ volatile("mov %0, %%" #name ::"r"(value) : "memory");    \
    }

GUEST_CONTROL_REGISTER(cr0)
GUEST_CONTROL_REGISTER(cr2)
GUEST_CONTROL_REGISTER(cr3)
GUEST_CONTROL_REGISTER(cr4)

static inline void invlpg(unsigned long address)
{
    __asm__ volatile("invlpg (%0)" ::"r"(address) : "memory");
}

static inline void lldt(uint16_t selector)
{
    __asm__ volatile("lldt %0" ::"r"(selector) : "memory");
}

static inline void load_fs(uint16_t selector)
{
    __asm__ volatile("movw %0, %%fs" ::"r"(selector) : "memory");
}

/* Four bytes at FS:offset. */
static inline uint32_t read_fs(unsigned long offset)
{
    uint32_t value;
    __asm__ volatile("movl %%fs:(%1), %0" : "=r"(value) : "r"(offset) : "memory");
    return value;
}

static inline void write_fs(unsigned long offset, uint32_t value)
{
    __asm__ volatile("movl %0, %%fs:(%1)" ::"r"(value), "r"(offset) : "memory");
}

/* The vector is part of the instruction, so this cannot be a function. */
#define int_n(vector) __asm__ volatile("int %0" ::"i"(vector) : "memory")

#ifdef __x86_64__

/* REP MOVSQ and REP STOSQ: one instruction on paper, one tick a word on Bochs. */
static inline void rep_movsq(void *to, const void *from, uint64_t words)
{
    __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words)::"memory");
}

static inline void rep_stosq(void *to, uint64_t value, uint64_t words)
{
    __asm__ volatile("rep stosq" : "+D"(to), "+c"(words) : "a"(value) : "memory");
}

#endif
