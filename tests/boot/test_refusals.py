# SPDX-License-Identifier: MIT
"""Machines that lack something, played by the self-tests of vmm/selftest.c: what is required and
missing is named by its bit and stops the boot with status 3; what is optional has a fallback, which
the log names and on which guests run all the same.
"""

import pytest

from umbra import ROOT, run

HELLO = ("--guest", ROOT / "build/guests/hello.elf", "--mem", 16)

MISSING = {
    "no-vmx": r"error: .*no VMX.*CPUID\.1:ECX bit 5 is clear",
    "vmx-locked": r"error: .*IA32_FEATURE_CONTROL \(MSR 0x3a\) is 0x1, bit 0 .*set, bit 2 .*clear",
    "no-hlt-exiting": r'error: VMX lacks "HLT exiting": bit 39 of IA32_VMX_PROCBASED_CTLS'
    r" \(MSR 0x48e\) is clear",
}

FALLBACKS = {
    "no-vpid": [
        r"vmx: .*VPID off",
        r"vmx: no VPID; instead: every VM entry and exit flushes",
    ],
    "no-narrow-invvpid": [r"vmx: .*VPID on, INVVPID types single all$"],
    "no-efer-controls": [r"vmx: no load IA32_EFER at exit; instead: MSR lists"],
    "no-secondary-controls": [
        r"vmx: .*VPID off",
        r"vmx: no secondary controls; instead: none of them",
        r"vmx: no VPID; instead: every VM entry and exit flushes",
    ],
}


@pytest.mark.parametrize("name", MISSING)
def test_required(name):
    result = run("--hv", f"selftest={name}", *HELLO).ends(3, reason="cannot run guests")
    result.says(MISSING[name])
    assert result.text.count("error: ") == 1, result
    result.never_says("guest hello")
    result.never_says("panic")


@pytest.mark.parametrize("name", FALLBACKS)
def test_fallback(name):
    result = run("--hv", f"selftest={name}", *HELLO).succeeds()
    result.says("hello: PASS")
    for pattern in FALLBACKS[name]:
        result.says(pattern)
