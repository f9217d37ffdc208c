/* SPDX-License-Identifier: MIT */
/*
 * The engine of arch/x86/engine.h on Intel VMX, with EPT and unrestricted guest off even where they
 * exist. So non-root operation always has CR0.PE and CR0.PG set: what the guest believes of CR0,
 * CR4 and EFER is kept in read shadows and by the monitor, and hardware runs PAE tables for every
 * guest that is not in long mode, paged or not (SDM 3C chapters 23 to 28).
 */
#include "arch/x86/engine.h"
#include "arch/x86/cpu.h"
#include "arch/x86/pte.h"
#include "arch/x86/vmexit.h"
#include "arch/x86/vmx/caps.h"
#include "arch/x86/vmx/controls.h"
#include "arch/x86/vmx/vmcs.h"
#include "lib/format.h"
#include "lib/log.h"
#include "lib/string.h"

#define CR0_OWNED (CR0_PE | CR0_PG | CR0_WP | CR0_NE | CR0_CD | CR0_NW)
#define CR4_OWNED                                                                        \
    (CR4_PSE | CR4_PAE | CR4_PGE | CR4_MCE | CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_PKE | \
     CR4_LA57 | CR4_VMXE | CR4_SMXE | CR4_OSXSAVE | CR4_CET | CR4_PKS)
/* User pages of the direct shadow must not trip over these while the guest is unpaged. */
#define CR4_PAGED_ONLY (CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_PKE)

#define FPU_CONTROL_RESET  0x037f /* of a processor that executed FNINIT */
#define FPU_CONTROL_OFFSET 0
#define MXCSR_OFFSET       24
#define MXCSR_RESET        0x1f80u

#define EXCEPTIONS_INTERCEPTED (BIT(EXC_PF) | BIT(EXC_AC) | BIT(EXC_MC))

struct msr_entry { /* SDM 3C table 24-11 */
    uint32_t msr;
    uint32_t reserved;
    uint64_t value;
};

/* What all vCPUs share: written once, at boot, but for next_tag. */
static struct {
    struct vmx_caps caps;
    hpa_t msr_bitmap;
    hpa_t io_bitmaps;  /* A, then B */
    uint16_t next_tag; /* guarded by being used at VM creation only, which one processor does */
} engine;

extern const char vmx_exit[];
bool vmx_enter(uint64_t registers[GPR_COUNT], bool launched);

static const uint32_t switched_msrs[SWITCHED_MSRS] = {
    MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_FMASK, MSR_KERNEL_GS_BASE,
};

/* MSRs that a guest reads and writes without an exit: the VMCS or the switch holds them. */
static const uint32_t passed_msrs[] = {
    MSR_STAR,        MSR_LSTAR,        MSR_CSTAR,        MSR_FMASK,   MSR_KERNEL_GS_BASE,
    MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP, MSR_FS_BASE, MSR_GS_BASE,
};

static const enum vmcs_field reg_fields[REG_COUNT] = {
    [REG_RIP] = VMCS_GUEST_RIP,
    [REG_RSP] = VMCS_GUEST_RSP,
    [REG_RFLAGS] = VMCS_GUEST_RFLAGS,
    [REG_DR7] = VMCS_GUEST_DR7,
    [REG_GDTR_BASE] = VMCS_GUEST_GDTR_BASE,
    [REG_GDTR_LIMIT] = VMCS_GUEST_GDTR_LIMIT,
    [REG_IDTR_BASE] = VMCS_GUEST_IDTR_BASE,
    [REG_IDTR_LIMIT] = VMCS_GUEST_IDTR_LIMIT,
    [REG_INTERRUPTIBILITY] = VMCS_GUEST_INTERRUPTIBILITY,
    [REG_PENDING_DEBUG] = VMCS_GUEST_PENDING_DEBUG,
};

/* ---- bring-up ---- */

static bool enable_vmx(msr_reader *read, uint32_t cpuid_1_ecx, char *error)
{
    bool present = cpuid_1_ecx & BIT(5);
    uint64_t control = present ? read(MSR_FEATURE_CONTROL) : 0;

    switch (vmx_availability(cpuid_1_ecx, control)) {
    case VMX_READY: return true;
    case VMX_MUST_ENABLE:
        log_printf(LOG_INFO, "vmx: IA32_FEATURE_CONTROL (MSR 0x3a) is unlocked: enabling VMX");
        wrmsr(MSR_FEATURE_CONTROL, vmx_feature_control_enabled(control));
        return true;
    case VMX_ABSENT:
        format(error, ENGINE_ERROR_MAX,
               "this processor has no VMX: CPUID.1:ECX bit 5 is clear (under a hypervisor, nested "
               "VMX is off; QEMU without KVM never has it)");
        return false;
    case VMX_LOCKED_OFF:
        format(error, ENGINE_ERROR_MAX,
               "VMX is locked off by firmware: IA32_FEATURE_CONTROL (MSR 0x3a) is 0x%lx, bit 0 "
               "(lock) set, bit 2 (VMX outside SMX) clear",
               control);
        return false;
    }
    return false;
}

static bool enter_vmx_operation(struct frames *frames, char *error)
{
    struct cpu *cpu = this_cpu();
    const struct vmx_caps *caps = &engine.caps;
    uint32_t *region;

    if (!frames_alloc_zeroed(frames, &cpu->vmxon_region)) {
        format(error, ENGINE_ERROR_MAX, "no memory for the VMXON region");
        return false;
    }
    region = host_ptr(cpu->vmxon_region);
    region[0] = caps->revision;
    write_cr0((read_cr0() | caps->cr0_fixed0) & caps->cr0_fixed1);
    write_cr4(((read_cr4() | CR4_VMXE) | caps->cr4_fixed0) & caps->cr4_fixed1);
    cpu->in_vmx_operation = vmxon(cpu->vmxon_region) == VMX_SUCCEED;
    if (!cpu->in_vmx_operation)
        format(error, ENGINE_ERROR_MAX, "VMXON failed: CR0 0x%lx, CR4 0x%lx", read_cr0(),
               read_cr4());
    return cpu->in_vmx_operation;
}

/* Read bitmap for low MSRs, for high ones at 1 KiB; write bitmaps at 2 and 3 KiB (SDM 3C 24.6.9).
 */
static void pass_msr(uint8_t *bitmap, uint32_t msr)
{
    uint32_t bit = msr & 0x1fff;
    uint32_t base = msr >= 0xc0000000u ? 1024 : 0;

    bitmap[base + bit / 8] &= (uint8_t) ~(1u << (bit % 8));
    bitmap[base + 2048 + bit / 8] &= (uint8_t) ~(1u << (bit % 8));
}

static bool make_bitmaps(struct frames *frames)
{
    struct frame_request two = { 2, PAGE_SIZE, hpa(0) };

    if (!frames_alloc_zeroed(frames, &engine.msr_bitmap) ||
        !frames_alloc(frames, two, &engine.io_bitmaps))
        return false;
    memset(host_ptr(engine.io_bitmaps), 0xff, 2 * PAGE_SIZE);
    memset(host_ptr(engine.msr_bitmap), 0xff, PAGE_SIZE);
    for (size_t i = 0; i < ARRAY_SIZE(passed_msrs); i++)
        pass_msr(host_ptr(engine.msr_bitmap), passed_msrs[i]);
    return true;
}

bool engine_init(struct frames *frames, msr_reader *read, uint32_t cpuid_1_ecx, char *error)
{
    _Static_assert(CAPS_ERROR_MAX <= ENGINE_ERROR_MAX, "one buffer serves both");
    if (!enable_vmx(read, cpuid_1_ecx, error))
        return false;
    if (!vmx_caps_compute(read, &engine.caps, error))
        return false;
    if (!make_bitmaps(frames)) {
        format(error, ENGINE_ERROR_MAX, "no memory for the MSR and I/O bitmaps");
        return false;
    }
    engine.next_tag = 1;
    vmx_caps_log(&engine.caps);
    return enter_vmx_operation(frames, error);
}

void engine_shutdown(void)
{
    struct cpu *cpu = this_cpu();

    if (cpu->in_vmx_operation && vmxoff() == VMX_SUCCEED)
        cpu->in_vmx_operation = false;
}

bool engine_untagged(void)
{
    return !engine.caps.vpid;
}

/* ---- the VMCS ---- */

struct field_value {
    enum vmcs_field field;
    uint64_t value;
};

static void write_table(const struct field_value *table, size_t count)
{
    for (size_t i = 0; i < count; i++)
        vmcs_write(table[i].field, table[i].value);
}

/* SDM 3C 24.5 "Host-State Area": constant for as long as this processor runs. */
static void write_host_state(const struct cpu *cpu)
{
    const struct field_value table[] = {
        { VMCS_HOST_CR0, read_cr0() },
        { VMCS_HOST_CR3, read_cr3() },
        { VMCS_HOST_CR4, read_cr4() },
        { VMCS_HOST_CS_SELECTOR, SELECTOR_CODE },
        { VMCS_HOST_SS_SELECTOR, SELECTOR_DATA },
        { VMCS_HOST_DS_SELECTOR, SELECTOR_DATA },
        { VMCS_HOST_ES_SELECTOR, SELECTOR_DATA },
        { VMCS_HOST_FS_SELECTOR, SELECTOR_DATA },
        { VMCS_HOST_GS_SELECTOR, SELECTOR_DATA },
        { VMCS_HOST_TR_SELECTOR, SELECTOR_TSS },
        { VMCS_HOST_FS_BASE, 0 },
        { VMCS_HOST_GS_BASE, (uint64_t)cpu },
        { VMCS_HOST_TR_BASE, (uint64_t)&cpu->tss },
        { VMCS_HOST_GDTR_BASE, (uint64_t)cpu->gdt },
        { VMCS_HOST_IDTR_BASE, read_idtr_base() },
        { VMCS_HOST_SYSENTER_CS, 0 },
        { VMCS_HOST_SYSENTER_ESP, 0 },
        { VMCS_HOST_SYSENTER_EIP, 0 },
        { VMCS_HOST_RIP, (uint64_t)vmx_exit },
    };

    write_table(table, ARRAY_SIZE(table));
    if (engine.caps.load_efer)
        vmcs_write(VMCS_HOST_EFER, rdmsr(MSR_EFER));
}

static void write_controls(struct engine_vcpu *vcpu)
{
    const struct vmx_caps *caps = &engine.caps;
    const struct field_value table[] = {
        { VMCS_PIN_BASED_CONTROLS, caps->base[WORD_PIN] },
        { VMCS_PROCESSOR_BASED_CONTROLS, caps->base[WORD_PROC] },
        { VMCS_EXIT_CONTROLS, caps->base[WORD_EXIT] },
        { VMCS_ENTRY_CONTROLS, caps->base[WORD_ENTRY] },
        { VMCS_EXCEPTION_BITMAP, EXCEPTIONS_INTERCEPTED },
        { VMCS_PF_ERROR_CODE_MASK, 0 },
        { VMCS_PF_ERROR_CODE_MATCH, 0 },
        { VMCS_CR3_TARGET_COUNT, 0 },
        { VMCS_EXIT_MSR_STORE_COUNT, 0 },
        { VMCS_EXIT_MSR_LOAD_COUNT, 0 },
        { VMCS_ENTRY_MSR_LOAD_COUNT, 0 },
        { VMCS_ENTRY_INTERRUPTION_INFO, 0 },
        { VMCS_CR0_MASK, CR0_OWNED },
        { VMCS_CR4_MASK, CR4_OWNED | ~engine_cr4_possible() },
        { VMCS_MSR_BITMAP, engine.msr_bitmap.v },
        { VMCS_IO_BITMAP_A, engine.io_bitmaps.v },
        { VMCS_IO_BITMAP_B, engine.io_bitmaps.v + PAGE_SIZE },
        { VMCS_TSC_OFFSET, 0 },
        { VMCS_VMCS_LINK_POINTER, UINT64_MAX },
    };

    write_table(table, ARRAY_SIZE(table));
    vcpu->proc_controls = caps->base[WORD_PROC];
    if (caps->base[WORD_PROC] & PROC_SECONDARY)
        vmcs_write(VMCS_SECONDARY_CONTROLS, caps->base[WORD_PROC2]);
    if (caps->vpid)
        vmcs_write(VMCS_VPID, vcpu->tag);
}

/* Entry list: the guest's EFER; exit list, half a page on: ours. */
static void write_msr_lists(const struct engine_vcpu *vcpu)
{
    struct msr_entry *host;

    if (engine.caps.load_efer)
        return;
    host = host_ptr(hpa_add(vcpu->msr_list, PAGE_SIZE / 2));
    *host = (struct msr_entry){ MSR_EFER, 0, rdmsr(MSR_EFER) };
    vmcs_write(VMCS_ENTRY_MSR_LOAD_ADDRESS, vcpu->msr_list.v);
    vmcs_write(VMCS_ENTRY_MSR_LOAD_COUNT, 1);
    vmcs_write(VMCS_EXIT_MSR_LOAD_ADDRESS, vcpu->msr_list.v + PAGE_SIZE / 2);
    vmcs_write(VMCS_EXIT_MSR_LOAD_COUNT, 1);
}

/* Guest state that nobody sets before the guest does: SDM 3C 24.4 "Guest-State Area". */
static void write_guest_rest(void)
{
    const struct field_value table[] = {
        { VMCS_GUEST_DEBUGCTL, 0 },      { VMCS_GUEST_SYSENTER_CS, 0 },
        { VMCS_GUEST_SYSENTER_ESP, 0 },  { VMCS_GUEST_SYSENTER_EIP, 0 },
        { VMCS_GUEST_ACTIVITY, 0 },      { VMCS_GUEST_INTERRUPTIBILITY, 0 },
        { VMCS_GUEST_PENDING_DEBUG, 0 }, { VMCS_GUEST_DR7, DR7_RESERVED },
    };

    write_table(table, ARRAY_SIZE(table));
}

static void reset_switched(struct engine_switched *switched)
{
    const uint16_t fpu_control = FPU_CONTROL_RESET;
    const uint32_t mxcsr = MXCSR_RESET;

    memset(switched, 0, sizeof(*switched));
    switched->dr6 = DR6_RESET;
    memcpy(&switched->fpu[FPU_CONTROL_OFFSET], &fpu_control, sizeof(fpu_control));
    memcpy(&switched->fpu[MXCSR_OFFSET], &mxcsr, sizeof(mxcsr));
}

bool engine_vcpu_init(struct engine_vcpu *vcpu, struct frames *frames)
{
    *vcpu = (struct engine_vcpu){ 0 };
    if (!frames_alloc_zeroed(frames, &vcpu->control_block))
        return false;
    if (!frames_alloc_zeroed(frames, &vcpu->msr_list)) {
        frames_free(frames, vcpu->control_block, 1);
        return false;
    }
    *(uint32_t *)host_ptr(vcpu->control_block) = engine.caps.revision;
    vcpu->tag = engine.caps.vpid ? engine.next_tag++ : 0;
    reset_switched(&vcpu->switched);
    if (vmclear(vcpu->control_block) != VMX_SUCCEED)
        panic("VMCLEAR of a new VMCS at 0x%lx failed", vcpu->control_block.v);
    engine_load(vcpu);
    write_host_state(this_cpu());
    write_controls(vcpu);
    write_msr_lists(vcpu);
    write_guest_rest();
    if (vcpu->tag)
        engine_flush(vcpu, TLB_FLUSH_ALL, gva(0));
    return true;
}

void engine_vcpu_destroy(struct engine_vcpu *vcpu, struct frames *frames)
{
    if (vmclear(vcpu->control_block) != VMX_SUCCEED)
        panic("VMCLEAR of the VMCS at 0x%lx failed", vcpu->control_block.v);
    frames_free(frames, vcpu->control_block, 1);
    frames_free(frames, vcpu->msr_list, 1);
    *vcpu = (struct engine_vcpu){ 0 };
}

void engine_load(struct engine_vcpu *vcpu)
{
    const struct engine_switched *s = &vcpu->switched;

    if (vmptrld(vcpu->control_block) != VMX_SUCCEED)
        panic("VMPTRLD of the VMCS at 0x%lx failed", vcpu->control_block.v);
    for (size_t i = 0; i < SWITCHED_MSRS; i++)
        wrmsr(switched_msrs[i], s->msrs[i]);
    write_cr2(s->cr2);
    write_dr0(s->dr0);
    write_dr1(s->dr1);
    write_dr2(s->dr2);
    write_dr3(s->dr3);
    write_dr6(s->dr6);
    fxrstor(s->fpu);
}

void engine_store(struct engine_vcpu *vcpu)
{
    struct engine_switched *s = &vcpu->switched;

    for (size_t i = 0; i < SWITCHED_MSRS; i++)
        s->msrs[i] = rdmsr(switched_msrs[i]);
    s->cr2 = read_cr2();
    s->dr0 = read_dr0();
    s->dr1 = read_dr1();
    s->dr2 = read_dr2();
    s->dr3 = read_dr3();
    s->dr6 = read_dr6();
    fxsave(s->fpu);
}

/* ---- registers ---- */

uint64_t engine_get(const struct engine_vcpu *vcpu, enum engine_reg reg)
{
    (void)vcpu;
    return vmcs_read(reg_fields[reg]);
}

void engine_set(struct engine_vcpu *vcpu, enum engine_reg reg, uint64_t value)
{
    (void)vcpu;
    vmcs_write(reg_fields[reg], value);
}

/* The VMCS lists segments in the order of enum segment_name, two encodings apart. */
static enum vmcs_field segment_field(enum vmcs_field first, enum segment_name name)
{
    return (enum vmcs_field)((unsigned)first + 2u * name);
}

struct segment engine_segment(const struct engine_vcpu *vcpu, enum segment_name name)
{
    (void)vcpu;
    return (struct segment){
        .base = vmcs_read(segment_field(VMCS_GUEST_ES_BASE, name)),
        .limit = (uint32_t)vmcs_read(segment_field(VMCS_GUEST_ES_LIMIT, name)),
        .attributes = (uint32_t)vmcs_read(segment_field(VMCS_GUEST_ES_ACCESS_RIGHTS, name)),
        .selector = (uint16_t)vmcs_read(segment_field(VMCS_GUEST_ES_SELECTOR, name)),
    };
}

void engine_set_segment(struct engine_vcpu *vcpu, enum segment_name name, struct segment segment)
{
    (void)vcpu;
    vmcs_write(segment_field(VMCS_GUEST_ES_BASE, name), segment.base);
    vmcs_write(segment_field(VMCS_GUEST_ES_LIMIT, name), segment.limit);
    vmcs_write(segment_field(VMCS_GUEST_ES_ACCESS_RIGHTS, name), segment.attributes);
    vmcs_write(segment_field(VMCS_GUEST_ES_SELECTOR, name), segment.selector);
}

uint64_t engine_gpr(const struct engine_vcpu *vcpu, enum gpr gpr)
{
    return gpr == GPR_RSP ? vmcs_read(VMCS_GUEST_RSP) : vcpu->gprs[gpr];
}

void engine_set_gpr(struct engine_vcpu *vcpu, enum gpr gpr, uint64_t value)
{
    if (gpr == GPR_RSP)
        vmcs_write(VMCS_GUEST_RSP, value);
    else
        vcpu->gprs[gpr] = value;
}

static uint64_t merge(uint64_t owned, enum vmcs_field shadow, enum vmcs_field hardware)
{
    return (vmcs_read(shadow) & owned) | (vmcs_read(hardware) & ~owned);
}

uint64_t engine_cr0(const struct engine_vcpu *vcpu)
{
    (void)vcpu;
    return merge(CR0_OWNED, VMCS_CR0_READ_SHADOW, VMCS_GUEST_CR0);
}

uint64_t engine_cr4(const struct engine_vcpu *vcpu)
{
    (void)vcpu;
    return merge(CR4_OWNED | ~engine_cr4_possible(), VMCS_CR4_READ_SHADOW, VMCS_GUEST_CR4);
}

uint64_t engine_cr4_possible(void)
{
    return engine.caps.cr4_fixed1;
}

static uint64_t hardware_cr4(const struct paging_regs *regs)
{
    uint64_t cr4 = (regs->cr4 | CR4_PAE) & ~(uint64_t)(CR4_LA57 | CR4_PSE);

    if (!paging_enabled(regs))
        cr4 &= ~(uint64_t)CR4_PAGED_ONLY;
    return cr4 | (read_cr4() & CR4_MCE) | engine.caps.cr4_fixed0;
}

/* NXE is always on, so that shadow entries can deny execution; LME only as part of long mode. */
static uint64_t hardware_efer(const struct paging_regs *regs)
{
    uint64_t efer = (regs->efer & EFER_SCE) | EFER_NXE;

    return regs->efer & EFER_LMA ? efer | EFER_LMA | EFER_LME : efer;
}

static void set_efer(struct engine_vcpu *vcpu, uint64_t efer)
{
    struct msr_entry *guest;

    if (engine.caps.load_efer) {
        vmcs_write(VMCS_GUEST_EFER, efer);
        return;
    }
    guest = host_ptr(vcpu->msr_list);
    *guest = (struct msr_entry){ MSR_EFER, 0, efer };
}

void engine_set_paging(struct engine_vcpu *vcpu, const struct paging_regs *regs)
{
    uint64_t cr0 = regs->cr0 & ~(uint64_t)(CR0_CD | CR0_NW);
    uint32_t entry = engine.caps.base[WORD_ENTRY];

    if (regs->efer & EFER_LMA)
        entry |= ENTRY_CTL_IA32E;
    vmcs_write(VMCS_ENTRY_CONTROLS, entry);
    vmcs_write(VMCS_CR0_READ_SHADOW, regs->cr0);
    vmcs_write(VMCS_CR4_READ_SHADOW, regs->cr4);
    vmcs_write(VMCS_GUEST_CR0, cr0 | CR0_PE | CR0_PG | CR0_NE | CR0_WP | CR0_ET);
    vmcs_write(VMCS_GUEST_CR4, hardware_cr4(regs));
    set_efer(vcpu, hardware_efer(regs));
}

void engine_set_root(struct engine_vcpu *vcpu, hpa_t root)
{
    (void)vcpu;
    vmcs_write(VMCS_GUEST_CR3, root.v);
}

/* ---- running ---- */

struct engine_exit engine_run(struct engine_vcpu *vcpu)
{
    if (!vmx_enter(vcpu->gprs, vcpu->launched)) {
        uint64_t error;
        if (vmread(VMCS_VM_INSTRUCTION_ERROR, &error) != VMX_SUCCEED)
            panic("VM entry failed: there is no current VMCS (VMfailInvalid)");
        panic("VM entry failed: VM-instruction error %lu, %s", error,
              vm_instruction_error_name(error));
    }
    struct engine_exit exit = { (uint32_t)vmcs_read(VMCS_EXIT_REASON),
                                vmcs_read(VMCS_EXIT_QUALIFICATION) };
    vcpu->launched |= !(exit.reason & EXIT_ENTRY_FAILED);
    return exit;
}

static struct event decode_event(uint64_t info, enum vmcs_field error_code)
{
    struct event event = { .valid = info & INTERRUPTION_VALID,
                           .type = (info & INTERRUPTION_TYPE) >> INTERRUPTION_TYPE_SHIFT,
                           .vector = (uint8_t)(info & INTERRUPTION_VECTOR) };

    if (!event.valid)
        return (struct event){ 0 };
    event.has_error_code = info & INTERRUPTION_ERROR_CODE;
    if (event.has_error_code)
        event.error_code = (uint32_t)vmcs_read(error_code);
    if (event.type >= EVENT_SOFTWARE_INTERRUPT)
        event.instruction_length = (uint8_t)vmcs_read(VMCS_EXIT_INSTRUCTION_LENGTH);
    return event;
}

struct event engine_exit_event(const struct engine_vcpu *vcpu)
{
    (void)vcpu;
    return decode_event(vmcs_read(VMCS_EXIT_INTERRUPTION_INFO), VMCS_EXIT_INTERRUPTION_ERROR_CODE);
}

struct event engine_interrupted_event(const struct engine_vcpu *vcpu)
{
    (void)vcpu;
    return decode_event(vmcs_read(VMCS_IDT_VECTORING_INFO), VMCS_IDT_VECTORING_ERROR_CODE);
}

bool engine_iret_unblocked_nmis(const struct engine_vcpu *vcpu)
{
    (void)vcpu;
    return vmcs_read(VMCS_EXIT_INTERRUPTION_INFO) & INTERRUPTION_NMI_UNBLOCK;
}

uint32_t engine_instruction_length(const struct engine_vcpu *vcpu)
{
    (void)vcpu;
    return (uint32_t)vmcs_read(VMCS_EXIT_INSTRUCTION_LENGTH);
}

void engine_inject(struct engine_vcpu *vcpu, struct event event)
{
    uint64_t info =
        INTERRUPTION_VALID | event.vector | (uint64_t)event.type << INTERRUPTION_TYPE_SHIFT;

    (void)vcpu;
    if (event.has_error_code) {
        info |= INTERRUPTION_ERROR_CODE;
        vmcs_write(VMCS_ENTRY_EXCEPTION_ERROR_CODE, event.error_code);
    }
    if (event.type >= EVENT_SOFTWARE_INTERRUPT)
        vmcs_write(VMCS_ENTRY_INSTRUCTION_LENGTH, event.instruction_length);
    vmcs_write(VMCS_ENTRY_INTERRUPTION_INFO, info);
}

bool engine_step(struct engine_vcpu *vcpu, bool on)
{
    if (!(engine.caps.allowed[WORD_PROC] & PROC_MTF))
        return false;
    vcpu->proc_controls &= ~(uint32_t)PROC_MTF;
    if (on)
        vcpu->proc_controls |= PROC_MTF;
    vmcs_write(VMCS_PROCESSOR_BASED_CONTROLS, vcpu->proc_controls);
    return true;
}

/* The narrowest type that the processor has and that flushes enough. */
static enum invvpid_type flush_type(enum tlb_flush kind)
{
    uint8_t types = engine.caps.invvpid_types;

    if (kind == TLB_FLUSH_ADDRESS && types & BIT(INVVPID_ADDRESS))
        return INVVPID_ADDRESS;
    if (kind == TLB_FLUSH_NON_GLOBALS && types & BIT(INVVPID_SINGLE_NON_GLOBAL))
        return INVVPID_SINGLE_NON_GLOBAL;
    return types & BIT(INVVPID_SINGLE) ? INVVPID_SINGLE : INVVPID_ALL;
}

void engine_flush(struct engine_vcpu *vcpu, enum tlb_flush kind, gva_t address)
{
    struct invvpid_descriptor descriptor = { vcpu->tag, address.v };
    enum invvpid_type type = flush_type(kind);

    if (!vcpu->tag)
        return;
    vcpu->flushes[type]++;
    if (invvpid(type, &descriptor) != VMX_SUCCEED)
        panic("INVVPID type %d failed: VPID %u, address 0x%lx", type, vcpu->tag, address.v);
}

/* The VMCS that is current, if any, gets a control value that no processor allows. */
void engine_provoke_entry_failure(void)
{
    static struct engine_vcpu vcpu; /* too large for the stack */
    hpa_t region = hpa_add(engine.io_bitmaps, PAGE_SIZE);

    *(uint32_t *)host_ptr(region) = engine.caps.revision;
    if (vmclear(region) != VMX_SUCCEED || vmptrld(region) != VMX_SUCCEED)
        panic("the self-test's VMCS cannot be loaded");
    vmcs_write(VMCS_PIN_BASED_CONTROLS, 0);
    (void)engine_run(&vcpu);
}

void engine_dump(void)
{
    if (this_cpu()->in_vmx_operation)
        vmcs_dump(&engine.caps);
}
