/* SPDX-License-Identifier: MIT */
/*
 * The VMCS as one list: encoding, name, and what must be present for the field to exist, so that a
 * dump never reads a field that the processor does not have (SDM 3D, appendix B "Field Encoding in
 * VMCS"; 3C chapter 24 "Virtual Machine Control Structures").
 */
#pragma once

#include "lib/base.h"

/* Why a field may be absent: the control that brings it. */
enum vmcs_needs {
    NEEDS_NOTHING,
    NEEDS_VPID,
    NEEDS_SECONDARY,
    NEEDS_MSR_BITMAP,
    NEEDS_IO_BITMAP,
    NEEDS_TPR_SHADOW,
    NEEDS_PREEMPTION_TIMER,
    NEEDS_LOAD_PAT,
    NEEDS_LOAD_EFER,
};

#define VMCS_FIELDS(X)                                     \
    X(0x0000, VPID, NEEDS_VPID)                            \
    X(0x0800, GUEST_ES_SELECTOR, NEEDS_NOTHING)            \
    X(0x0802, GUEST_CS_SELECTOR, NEEDS_NOTHING)            \
    X(0x0804, GUEST_SS_SELECTOR, NEEDS_NOTHING)            \
    X(0x0806, GUEST_DS_SELECTOR, NEEDS_NOTHING)            \
    X(0x0808, GUEST_FS_SELECTOR, NEEDS_NOTHING)            \
    X(0x080a, GUEST_GS_SELECTOR, NEEDS_NOTHING)            \
    X(0x080c, GUEST_LDTR_SELECTOR, NEEDS_NOTHING)          \
    X(0x080e, GUEST_TR_SELECTOR, NEEDS_NOTHING)            \
    X(0x0c00, HOST_ES_SELECTOR, NEEDS_NOTHING)             \
    X(0x0c02, HOST_CS_SELECTOR, NEEDS_NOTHING)             \
    X(0x0c04, HOST_SS_SELECTOR, NEEDS_NOTHING)             \
    X(0x0c06, HOST_DS_SELECTOR, NEEDS_NOTHING)             \
    X(0x0c08, HOST_FS_SELECTOR, NEEDS_NOTHING)             \
    X(0x0c0a, HOST_GS_SELECTOR, NEEDS_NOTHING)             \
    X(0x0c0c, HOST_TR_SELECTOR, NEEDS_NOTHING)             \
    X(0x2000, IO_BITMAP_A, NEEDS_IO_BITMAP)                \
    X(0x2002, IO_BITMAP_B, NEEDS_IO_BITMAP)                \
    X(0x2004, MSR_BITMAP, NEEDS_MSR_BITMAP)                \
    X(0x2006, EXIT_MSR_STORE_ADDRESS, NEEDS_NOTHING)       \
    X(0x2008, EXIT_MSR_LOAD_ADDRESS, NEEDS_NOTHING)        \
    X(0x200a, ENTRY_MSR_LOAD_ADDRESS, NEEDS_NOTHING)       \
    X(0x2010, TSC_OFFSET, NEEDS_NOTHING)                   \
    X(0x2012, VIRTUAL_APIC_ADDRESS, NEEDS_TPR_SHADOW)      \
    X(0x2800, VMCS_LINK_POINTER, NEEDS_NOTHING)            \
    X(0x2802, GUEST_DEBUGCTL, NEEDS_NOTHING)               \
    X(0x2804, GUEST_PAT, NEEDS_LOAD_PAT)                   \
    X(0x2806, GUEST_EFER, NEEDS_LOAD_EFER)                 \
    X(0x2c00, HOST_PAT, NEEDS_LOAD_PAT)                    \
    X(0x2c02, HOST_EFER, NEEDS_LOAD_EFER)                  \
    X(0x4000, PIN_BASED_CONTROLS, NEEDS_NOTHING)           \
    X(0x4002, PROCESSOR_BASED_CONTROLS, NEEDS_NOTHING)     \
    X(0x4004, EXCEPTION_BITMAP, NEEDS_NOTHING)             \
    X(0x4006, PF_ERROR_CODE_MASK, NEEDS_NOTHING)           \
    X(0x4008, PF_ERROR_CODE_MATCH, NEEDS_NOTHING)          \
    X(0x400a, CR3_TARGET_COUNT, NEEDS_NOTHING)             \
    X(0x400c, EXIT_CONTROLS, NEEDS_NOTHING)                \
    X(0x400e, EXIT_MSR_STORE_COUNT, NEEDS_NOTHING)         \
    X(0x4010, EXIT_MSR_LOAD_COUNT, NEEDS_NOTHING)          \
    X(0x4012, ENTRY_CONTROLS, NEEDS_NOTHING)               \
    X(0x4014, ENTRY_MSR_LOAD_COUNT, NEEDS_NOTHING)         \
    X(0x4016, ENTRY_INTERRUPTION_INFO, NEEDS_NOTHING)      \
    X(0x4018, ENTRY_EXCEPTION_ERROR_CODE, NEEDS_NOTHING)   \
    X(0x401a, ENTRY_INSTRUCTION_LENGTH, NEEDS_NOTHING)     \
    X(0x401c, TPR_THRESHOLD, NEEDS_TPR_SHADOW)             \
    X(0x401e, SECONDARY_CONTROLS, NEEDS_SECONDARY)         \
    X(0x4400, VM_INSTRUCTION_ERROR, NEEDS_NOTHING)         \
    X(0x4402, EXIT_REASON, NEEDS_NOTHING)                  \
    X(0x4404, EXIT_INTERRUPTION_INFO, NEEDS_NOTHING)       \
    X(0x4406, EXIT_INTERRUPTION_ERROR_CODE, NEEDS_NOTHING) \
    X(0x4408, IDT_VECTORING_INFO, NEEDS_NOTHING)           \
    X(0x440a, IDT_VECTORING_ERROR_CODE, NEEDS_NOTHING)     \
    X(0x440c, EXIT_INSTRUCTION_LENGTH, NEEDS_NOTHING)      \
    X(0x440e, EXIT_INSTRUCTION_INFO, NEEDS_NOTHING)        \
    X(0x4800, GUEST_ES_LIMIT, NEEDS_NOTHING)               \
    X(0x4802, GUEST_CS_LIMIT, NEEDS_NOTHING)               \
    X(0x4804, GUEST_SS_LIMIT, NEEDS_NOTHING)               \
    X(0x4806, GUEST_DS_LIMIT, NEEDS_NOTHING)               \
    X(0x4808, GUEST_FS_LIMIT, NEEDS_NOTHING)               \
    X(0x480a, GUEST_GS_LIMIT, NEEDS_NOTHING)               \
    X(0x480c, GUEST_LDTR_LIMIT, NEEDS_NOTHING)             \
    X(0x480e, GUEST_TR_LIMIT, NEEDS_NOTHING)               \
    X(0x4810, GUEST_GDTR_LIMIT, NEEDS_NOTHING)             \
    X(0x4812, GUEST_IDTR_LIMIT, NEEDS_NOTHING)             \
    X(0x4814, GUEST_ES_ACCESS_RIGHTS, NEEDS_NOTHING)       \
    X(0x4816, GUEST_CS_ACCESS_RIGHTS, NEEDS_NOTHING)       \
    X(0x4818, GUEST_SS_ACCESS_RIGHTS, NEEDS_NOTHING)       \
    X(0x481a, GUEST_DS_ACCESS_RIGHTS, NEEDS_NOTHING)       \
    X(0x481c, GUEST_FS_ACCESS_RIGHTS, NEEDS_NOTHING)       \
    X(0x481e, GUEST_GS_ACCESS_RIGHTS, NEEDS_NOTHING)       \
    X(0x4820, GUEST_LDTR_ACCESS_RIGHTS, NEEDS_NOTHING)     \
    X(0x4822, GUEST_TR_ACCESS_RIGHTS, NEEDS_NOTHING)       \
    X(0x4824, GUEST_INTERRUPTIBILITY, NEEDS_NOTHING)       \
    X(0x4826, GUEST_ACTIVITY, NEEDS_NOTHING)               \
    X(0x482a, GUEST_SYSENTER_CS, NEEDS_NOTHING)            \
    X(0x482e, PREEMPTION_TIMER, NEEDS_PREEMPTION_TIMER)    \
    X(0x4c00, HOST_SYSENTER_CS, NEEDS_NOTHING)             \
    X(0x6000, CR0_MASK, NEEDS_NOTHING)                     \
    X(0x6002, CR4_MASK, NEEDS_NOTHING)                     \
    X(0x6004, CR0_READ_SHADOW, NEEDS_NOTHING)              \
    X(0x6006, CR4_READ_SHADOW, NEEDS_NOTHING)              \
    X(0x6400, EXIT_QUALIFICATION, NEEDS_NOTHING)           \
    X(0x640a, GUEST_LINEAR_ADDRESS, NEEDS_NOTHING)         \
    X(0x6800, GUEST_CR0, NEEDS_NOTHING)                    \
    X(0x6802, GUEST_CR3, NEEDS_NOTHING)                    \
    X(0x6804, GUEST_CR4, NEEDS_NOTHING)                    \
    X(0x6806, GUEST_ES_BASE, NEEDS_NOTHING)                \
    X(0x6808, GUEST_CS_BASE, NEEDS_NOTHING)                \
    X(0x680a, GUEST_SS_BASE, NEEDS_NOTHING)                \
    X(0x680c, GUEST_DS_BASE, NEEDS_NOTHING)                \
    X(0x680e, GUEST_FS_BASE, NEEDS_NOTHING)                \
    X(0x6810, GUEST_GS_BASE, NEEDS_NOTHING)                \
    X(0x6812, GUEST_LDTR_BASE, NEEDS_NOTHING)              \
    X(0x6814, GUEST_TR_BASE, NEEDS_NOTHING)                \
    X(0x6816, GUEST_GDTR_BASE, NEEDS_NOTHING)              \
    X(0x6818, GUEST_IDTR_BASE, NEEDS_NOTHING)              \
    X(0x681a, GUEST_DR7, NEEDS_NOTHING)                    \
    X(0x681c, GUEST_RSP, NEEDS_NOTHING)                    \
    X(0x681e, GUEST_RIP, NEEDS_NOTHING)                    \
    X(0x6820, GUEST_RFLAGS, NEEDS_NOTHING)                 \
    X(0x6822, GUEST_PENDING_DEBUG, NEEDS_NOTHING)          \
    X(0x6824, GUEST_SYSENTER_ESP, NEEDS_NOTHING)           \
    X(0x6826, GUEST_SYSENTER_EIP, NEEDS_NOTHING)           \
    X(0x6c00, HOST_CR0, NEEDS_NOTHING)                     \
    X(0x6c02, HOST_CR3, NEEDS_NOTHING)                     \
    X(0x6c04, HOST_CR4, NEEDS_NOTHING)                     \
    X(0x6c06, HOST_FS_BASE, NEEDS_NOTHING)                 \
    X(0x6c08, HOST_GS_BASE, NEEDS_NOTHING)                 \
    X(0x6c0a, HOST_TR_BASE, NEEDS_NOTHING)                 \
    X(0x6c0c, HOST_GDTR_BASE, NEEDS_NOTHING)               \
    X(0x6c0e, HOST_IDTR_BASE, NEEDS_NOTHING)               \
    X(0x6c10, HOST_SYSENTER_ESP, NEEDS_NOTHING)            \
    X(0x6c12, HOST_SYSENTER_EIP, NEEDS_NOTHING)            \
    X(0x6c14, HOST_RSP, NEEDS_NOTHING)                     \
    X(0x6c16, HOST_RIP, NEEDS_NOTHING)

enum vmcs_field {
#define X(encoding, name, needs) VMCS_##name = encoding,
    VMCS_FIELDS(X)
#undef X
};

/* Access to the current VMCS. Panics with the field's name: only a wrong field or no VMCS fails. */
uint64_t vmcs_read(enum vmcs_field field);
void vmcs_write(enum vmcs_field field, uint64_t value);

/* Every field that exists under caps, by name, three a line, to the log. Never panics. */
struct vmx_caps;
void vmcs_dump(const struct vmx_caps *caps);
/* SDM 3C 30.4 "VM Instruction Error Numbers". */
const char *vm_instruction_error_name(uint64_t number);
