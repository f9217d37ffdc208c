/* SPDX-License-Identifier: MIT */
/* CPUID: answered by the policy in vmm/cpuid.c. */
#include "vmm/cpuid.h"
#include "vmm/exit/exit.h"

enum exit_action exit_cpuid(struct vcpu *vcpu, const struct engine_exit *exit)
{
    uint64_t *gprs = vcpu->engine.gprs;
    struct cpuid_result r = cpuid_guest((uint32_t)gprs[GPR_RAX], (uint32_t)gprs[GPR_RCX]);

    (void)exit;
    gprs[GPR_RAX] = r.eax;
    gprs[GPR_RBX] = r.ebx;
    gprs[GPR_RCX] = r.ecx;
    gprs[GPR_RDX] = r.edx;
    return EXIT_SKIP;
}
