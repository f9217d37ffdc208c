# SPDX-License-Identifier: MIT
"""Machines that lack something, played by the self-tests of vmm/selftest.c: what is required and
missing is named by its bit and stops the boot with status 3; what is optional has a fallback, which
the log names and on which guests run all the same.
"""

import concurrent.futures

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


@pytest.fixture(scope="module")
def results():
    """Of every self-test, its Result; two run at a time."""
    names = [*MISSING, *FALLBACKS]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return dict(zip(names, pool.map(lambda n: run("--hv", f"selftest={n}", *HELLO), names)))


@pytest.mark.parametrize("name", MISSING)
def test_required(results, name):
    result = results[name].ends(3, reason="cannot run guests")
    result.says(MISSING[name])
    assert result.text.count("error: ") == 1, result
    result.never_says("guest hello")
    result.never_says("panic")


@pytest.mark.parametrize("name", FALLBACKS)
def test_fallback(results, name):
    result = results[name].succeeds()
    result.says("hello: PASS")
    for pattern in FALLBACKS[name]:
        result.says(pattern)


def test_refused_guest_state():
    """A VM entry that fails for the guest's state stops that guest, with the VMCS by name."""
    hello = ROOT / "build/guests/hello.elf"
    result = run("--hv", "selftest=guest-state", "--guest", hello, "--name", "bad", "--guest", hello)
    result.ends(1, reason="1 of 2 guests")
    result.says("error: guest bad: VM-entry failure: invalid guest state, qualification 0; the VMCS:")
    result.says(r"\bGUEST_RFLAGS +0\b")
    result.says("error: guest bad: killed: the processor refused the guest's state")
    result.says(r"^hello\| hello: PASS")
