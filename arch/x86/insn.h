/* SPDX-License-Identifier: MIT */
/*
 * The one header of inline assembly: each function is one instruction (or one and its operands).
 * `make lint` refuses inline assembly anywhere else.
 */
#pragma once

#include "mm/addr.h"

static inline void outb(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port) : "memory");
}

static inline uint8_t inb(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

struct cpuid_result {
    uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid_result cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid_result r;
    __asm__ volatile("cpuid"
                     : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
                     : "a"(leaf), "c"(subleaf));
    return r;
}

static inline uint64_t rdmsr(uint32_t msr)
{
    uint32_t low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
    return (uint64_t)high << 32 | low;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" ::"c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
                     : "memory");
}

static inline uint64_t rdtsc(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high)::"memory");
    return (uint64_t)high << 32 | low;
}

#define CONTROL_REGISTER(name)                                           \
    static inline uint64_t read_##name(void)                             \
    {                                                                    \
        uint64_t value;                                                  \
        __asm__ volatile("mov %%" #name ", %0" : "=r"(value)::"memory"); \
        return value;                                                    \
    }                                                                    \
    static inline void write_##name(uint64_t value)                      \
    {                                                                    \
        __asm__ volatile("mov %0, %%" #name ::"r"(value) : "memory");    \
    }

CONTROL_REGISTER(cr0)
CONTROL_REGISTER(cr2)
CONTROL_REGISTER(cr3)
CONTROL_REGISTER(cr4)
CONTROL_REGISTER(dr0)
CONTROL_REGISTER(dr1)
CONTROL_REGISTER(dr2)
CONTROL_REGISTER(dr3)
CONTROL_REGISTER(dr6)
CONTROL_REGISTER(dr7)

/* Operand of LGDT and LIDT. */
struct descriptor_pointer {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

static inline void lgdt(const struct descriptor_pointer *pointer)
{
    __asm__ volatile("lgdt %0" ::"m"(*pointer) : "memory");
}

static inline void lidt(const struct descriptor_pointer *pointer)
{
    __asm__ volatile("lidt %0" ::"m"(*pointer) : "memory");
}

static inline uint64_t read_idtr_base(void)
{
    struct descriptor_pointer pointer;
    __asm__ volatile("sidt %0" : "=m"(pointer));
    return pointer.base;
}

static inline void ltr(uint16_t selector)
{
    __asm__ volatile("ltr %0" ::"r"(selector) : "memory");
}

/* Reloads every segment register with flat selectors; a far return loads CS. */
static inline void load_flat_segments(uint16_t code, uint16_t data)
{
    __asm__ volatile("pushq %0\n"
                     "leaq 1f(%%rip), %%rax\n"
                     "pushq %%rax\n"
                     "lretq\n"
                     "1: movl %1, %%ds\n"
                     "movl %1, %%es\n"
                     "movl %1, %%ss\n"
                     "movl %1, %%fs\n"
                     "movl %1, %%gs\n" ::"r"((uint64_t)code),
                     "r"((uint32_t)data)
                     : "rax", "memory");
}

static inline _Noreturn void halt_forever(void)
{
    for (;;)
        __asm__ volatile("cli; hlt" ::: "memory");
}

/* Takes what interrupts are pending, and no more: STI holds them off for one instruction. */
static inline void interrupt_window(void)
{
    __asm__ volatile("sti; nop; cli" ::: "memory");
}

/* Ways into each exception, for the self-tests of the panic screen. */
#define RAISE(name, text)                           \
    static inline void raise_##name(void)           \
    {                                               \
        __asm__ volatile(text ::: "rax", "memory"); \
    }

RAISE(int1, "int $1")
RAISE(int2, "int $2")
RAISE(int3, "int3")
RAISE(int4, "int $4")
RAISE(int5, "int $5")
RAISE(ud2, "ud2")
RAISE(int7, "int $7")
RAISE(int16, "int $16")
RAISE(int18, "int $18")
RAISE(int19, "int $19")
RAISE(int33, "int $33")
/* A selector behind the end of the GDT is #GP; a stack access that is not canonical is #SS. */
RAISE(segment_fault, "mov $0x7fff, %%eax; mov %%eax, %%ds")
RAISE(stack_fault, "push %%rbp; mov $1, %%rbp; ror $1, %%rbp; mov 0(%%rbp), %%rax; pop %%rbp")

static inline void cpu_relax(void)
{
    __asm__ volatile("pause" ::: "memory");
}

/* The first word of what GS points to: struct cpu keeps its own address there. */
static inline uint64_t read_gs_base_word(void)
{
    uint64_t value;
    __asm__ volatile("mov %%gs:0, %0" : "=r"(value));
    return value;
}

static inline uint64_t read_frame_pointer(void)
{
    uint64_t value;
    __asm__ volatile("mov %%rbp, %0" : "=r"(value));
    return value;
}

/* area: 512 bytes, 16-byte aligned (SDM 1 10.5 "FXSAVE and FXRSTOR Instructions"). */
static inline void fxsave(void *area)
{
    __asm__ volatile("fxsave64 (%0)" ::"r"(area) : "memory");
}

static inline void fxrstor(const void *area)
{
    __asm__ volatile("fxrstor64 (%0)" ::"r"(area) : "memory");
}

/*
 * VMX instructions (SDM 3C, chapter 30 "VMX Instruction Reference"): VMsucceed, VMfailInvalid
 * (CF) or VMfailValid (ZF; the reason is in the VM-instruction error field).
 */
enum vmx_result { VMX_SUCCEED, VMX_FAIL_INVALID, VMX_FAIL_VALID };

#define VMX_OUTCOME(invalid, valid) \
    ((invalid) ? VMX_FAIL_INVALID : (valid) ? VMX_FAIL_VALID : VMX_SUCCEED)

static inline enum vmx_result vmxon(hpa_t region)
{
    bool invalid, valid;
    __asm__ volatile("vmxon %2" : "=@ccc"(invalid), "=@ccz"(valid) : "m"(region.v) : "memory");
    return VMX_OUTCOME(invalid, valid);
}

static inline enum vmx_result vmxoff(void)
{
    bool invalid, valid;
    __asm__ volatile("vmxoff" : "=@ccc"(invalid), "=@ccz"(valid)::"memory");
    return VMX_OUTCOME(invalid, valid);
}

static inline enum vmx_result vmclear(hpa_t region)
{
    bool invalid, valid;
    __asm__ volatile("vmclear %2" : "=@ccc"(invalid), "=@ccz"(valid) : "m"(region.v) : "memory");
    return VMX_OUTCOME(invalid, valid);
}

static inline enum vmx_result vmptrld(hpa_t region)
{
    bool invalid, valid;
    __asm__ volatile("vmptrld %2" : "=@ccc"(invalid), "=@ccz"(valid) : "m"(region.v) : "memory");
    return VMX_OUTCOME(invalid, valid);
}

static inline enum vmx_result vmread(uint64_t field, uint64_t *value)
{
    bool invalid, valid;
    __asm__ volatile("vmread %3, %2"
                     : "=@ccc"(invalid), "=@ccz"(valid), "=rm"(*value)
                     : "r"(field));
    return VMX_OUTCOME(invalid, valid);
}

static inline enum vmx_result vmwrite(uint64_t field, uint64_t value)
{
    bool invalid, valid;
    __asm__ volatile("vmwrite %3, %2"
                     : "=@ccc"(invalid), "=@ccz"(valid)
                     : "r"(field), "rm"(value)
                     : "memory");
    return VMX_OUTCOME(invalid, valid);
}

struct invvpid_descriptor {
    uint64_t vpid; /* bits 15:0; the rest must be 0 */
    uint64_t address;
};

static inline enum vmx_result invvpid(uint64_t type, const struct invvpid_descriptor *descriptor)
{
    bool invalid, valid;
    __asm__ volatile("invvpid %2, %3"
                     : "=@ccc"(invalid), "=@ccz"(valid)
                     : "m"(*descriptor), "r"(type)
                     : "memory");
    return VMX_OUTCOME(invalid, valid);
}
