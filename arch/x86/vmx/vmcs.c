/* SPDX-License-Identifier: MIT */
/* Access to the current VMCS by field, its dump, and the names of VMX instruction errors. */
#include "arch/x86/vmx/vmcs.h"
#include "arch/x86/insn.h"
#include "arch/x86/vmx/caps.h"
#include "arch/x86/vmx/controls.h"
#include "lib/log.h"

struct field_row {
    uint32_t encoding;
    enum vmcs_needs needs;
    const char *name;
};

static const struct field_row fields[] = {
#define X(encoding, name, needs) { encoding, needs, #name },
    VMCS_FIELDS(X)
#undef X
};

static const char *const instruction_errors[] = {
    [1] = "VMCALL executed in VMX root operation",
    [2] = "VMCLEAR with invalid physical address",
    [3] = "VMCLEAR with VMXON pointer",
    [4] = "VMLAUNCH with non-clear VMCS",
    [5] = "VMRESUME with non-launched VMCS",
    [6] = "VMRESUME after VMXOFF",
    [7] = "VM entry with invalid control field(s)",
    [8] = "VM entry with invalid host-state field(s)",
    [9] = "VMPTRLD with invalid physical address",
    [10] = "VMPTRLD with VMXON pointer",
    [11] = "VMPTRLD with incorrect VMCS revision identifier",
    [12] = "VMREAD/VMWRITE from/to unsupported VMCS component",
    [13] = "VMWRITE to read-only VMCS component",
    [15] = "VMXON executed in VMX root operation",
    [16] = "VM entry with invalid executive-VMCS pointer",
    [17] = "VM entry with non-launched executive VMCS",
    [18] = "VM entry with executive-VMCS pointer not VMXON pointer",
    [19] = "VMCALL with non-clear VMCS",
    [20] = "VMCALL with invalid VM-exit control fields",
    [22] = "VMCALL with incorrect MSEG revision identifier",
    [23] = "VMXOFF under dual-monitor treatment of SMIs and SMM",
    [24] = "VMCALL with invalid SMM-monitor features",
    [25] = "VM entry with invalid VM-execution control fields in executive VMCS",
    [26] = "VM entry with events blocked by MOV SS",
    [28] = "Invalid operand to INVEPT/INVVPID",
};

const char *vm_instruction_error_name(uint64_t number)
{
    if (number < ARRAY_SIZE(instruction_errors) && instruction_errors[number])
        return instruction_errors[number];
    return "unknown VM-instruction error";
}

static const char *field_name(enum vmcs_field field)
{
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        if (fields[i].encoding == field)
            return fields[i].name;
    return "unknown field";
}

static _Noreturn void refuse(const char *what, enum vmcs_field field)
{
    panic("%s of VMCS field %s (0x%x) failed", what, field_name(field), (unsigned)field);
}

uint64_t vmcs_read(enum vmcs_field field)
{
    uint64_t value;

    if (__builtin_expect(vmread(field, &value) != VMX_SUCCEED, 0))
        refuse("VMREAD", field);
    return value;
}

void vmcs_write(enum vmcs_field field, uint64_t value)
{
    if (__builtin_expect(vmwrite(field, value) != VMX_SUCCEED, 0))
        refuse("VMWRITE", field);
}

static bool field_exists(const struct vmx_caps *caps, enum vmcs_needs needs)
{
    switch (needs) {
    case NEEDS_NOTHING: return true;
    case NEEDS_VPID: return caps->allowed[WORD_PROC2] & PROC2_VPID;
    case NEEDS_SECONDARY: return caps->allowed[WORD_PROC] & PROC_SECONDARY;
    case NEEDS_MSR_BITMAP: return caps->allowed[WORD_PROC] & PROC_MSR_BITMAPS;
    case NEEDS_IO_BITMAP: return caps->allowed[WORD_PROC] & PROC_IO_BITMAPS;
    case NEEDS_TPR_SHADOW: return caps->allowed[WORD_PROC] & PROC_TPR_SHADOW;
    case NEEDS_PREEMPTION_TIMER: return caps->allowed[WORD_PIN] & PIN_PREEMPTION_TIMER;
    case NEEDS_LOAD_PAT: return false; /* Umbra never uses them */
    case NEEDS_LOAD_EFER: return caps->load_efer;
    }
    return false;
}

#define FIELDS_A_LINE 3

void vmcs_dump(const struct vmx_caps *caps)
{
    unsigned column = 0;

    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        uint64_t value;
        if (!field_exists(caps, fields[i].needs) ||
            vmread(fields[i].encoding, &value) != VMX_SUCCEED)
            continue;
        column = (column + 1) % FIELDS_A_LINE;
        log_raw("%-26s %-16lx%s", fields[i].name, value, column ? "  " : "\n");
    }
    if (column)
        log_raw("\n");
}
