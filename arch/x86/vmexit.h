/* SPDX-License-Identifier: MIT */
/*
 * Exit reasons by the SDM's names and numbers (SDM 3D, appendix C "VMX Basic Exit Reasons"). The
 * machine monitor dispatches on these; an engine for other processors translates into them.
 */
#pragma once

#define EXIT_REASONS(X)                                               \
    X(0, EXCEPTION_NMI, "exception or NMI")                           \
    X(1, EXTERNAL_INTERRUPT, "external interrupt")                    \
    X(2, TRIPLE_FAULT, "triple fault")                                \
    X(3, INIT, "INIT signal")                                         \
    X(4, SIPI, "start-up IPI")                                        \
    X(5, IO_SMI, "I/O SMI")                                           \
    X(6, OTHER_SMI, "other SMI")                                      \
    X(7, INTERRUPT_WINDOW, "interrupt window")                        \
    X(8, NMI_WINDOW, "NMI window")                                    \
    X(9, TASK_SWITCH, "task switch")                                  \
    X(10, CPUID, "CPUID")                                             \
    X(11, GETSEC, "GETSEC")                                           \
    X(12, HLT, "HLT")                                                 \
    X(13, INVD, "INVD")                                               \
    X(14, INVLPG, "INVLPG")                                           \
    X(15, RDPMC, "RDPMC")                                             \
    X(16, RDTSC, "RDTSC")                                             \
    X(17, RSM, "RSM")                                                 \
    X(18, VMCALL, "VMCALL")                                           \
    X(19, VMCLEAR, "VMCLEAR")                                         \
    X(20, VMLAUNCH, "VMLAUNCH")                                       \
    X(21, VMPTRLD, "VMPTRLD")                                         \
    X(22, VMPTRST, "VMPTRST")                                         \
    X(23, VMREAD, "VMREAD")                                           \
    X(24, VMRESUME, "VMRESUME")                                       \
    X(25, VMWRITE, "VMWRITE")                                         \
    X(26, VMXOFF, "VMXOFF")                                           \
    X(27, VMXON, "VMXON")                                             \
    X(28, CR_ACCESS, "control-register access")                       \
    X(29, MOV_DR, "MOV DR")                                           \
    X(30, IO, "I/O instruction")                                      \
    X(31, RDMSR, "RDMSR")                                             \
    X(32, WRMSR, "WRMSR")                                             \
    X(33, ENTRY_GUEST_STATE, "VM-entry failure: invalid guest state") \
    X(34, ENTRY_MSR_LOAD, "VM-entry failure: MSR loading")            \
    X(36, MWAIT, "MWAIT")                                             \
    X(37, MONITOR_TRAP_FLAG, "monitor trap flag")                     \
    X(39, MONITOR, "MONITOR")                                         \
    X(40, PAUSE, "PAUSE")                                             \
    X(41, ENTRY_MACHINE_CHECK, "VM-entry failure: machine check")     \
    X(43, TPR_BELOW_THRESHOLD, "TPR below threshold")                 \
    X(44, APIC_ACCESS, "APIC access")                                 \
    X(45, VIRTUALIZED_EOI, "virtualized EOI")                         \
    X(46, GDTR_IDTR, "access to GDTR or IDTR")                        \
    X(47, LDTR_TR, "access to LDTR or TR")                            \
    X(48, EPT_VIOLATION, "EPT violation")                             \
    X(49, EPT_MISCONFIGURATION, "EPT misconfiguration")               \
    X(50, INVEPT, "INVEPT")                                           \
    X(51, RDTSCP, "RDTSCP")                                           \
    X(52, PREEMPTION_TIMER, "VMX-preemption timer expired")           \
    X(53, INVVPID, "INVVPID")                                         \
    X(54, WBINVD, "WBINVD or WBNOINVD")                               \
    X(55, XSETBV, "XSETBV")                                           \
    X(56, APIC_WRITE, "APIC write")                                   \
    X(57, RDRAND, "RDRAND")                                           \
    X(58, INVPCID, "INVPCID")                                         \
    X(59, VMFUNC, "VMFUNC")                                           \
    X(60, ENCLS, "ENCLS")                                             \
    X(61, RDSEED, "RDSEED")                                           \
    X(62, PML_FULL, "page-modification log full")                     \
    X(63, XSAVES, "XSAVES")                                           \
    X(64, XRSTORS, "XRSTORS")                                         \
    X(67, UMWAIT, "UMWAIT")                                           \
    X(68, TPAUSE, "TPAUSE")                                           \
    X(69, LOADIWKEY, "LOADIWKEY")

enum exit_reason {
#define X(number, name, text) EXIT_##name = number,
    EXIT_REASONS(X)
#undef X
        EXIT_REASON_COUNT
};

#define EXIT_REASON_BASIC 0xffffu /* bits of the basic exit reason */

/* "CR access" and the like; "reserved exit reason" for a number the SDM does not define. */
const char *exit_reason_name(unsigned reason);
