# SPDX-License-Identifier: MIT
"""The panic screen (DESIGN section 4): every self-test of vmm/selftest.c that fails by itself.

One run each, two at a time. A screen has to suffice to file a bug: the reason with the exception's
name, registers, a backtrace by name from the function at fault up to umbra_main, the VMCS by field
name where one is current, the last VM exits.
"""

import concurrent.futures
import re
import shutil
import subprocess

import pytest

from umbra import ROOT, run

ELF = ROOT / "build/umbra.elf"
SCREEN_MAX = 100  # lines
AT_A_TIME = 2

# self-test: reason, error code, function at fault
TRAPS = {
    "divide": ("#DE divide error", 0, "fail_divide"),
    "null": ("#PF page fault at address 0$", 0x2, "fail_null"),
    "text-write": ("#PF page fault at address {text_start}$", 0x3, "fail_text_write"),
    "data-execute": ("#PF page fault at address ffffffff80[0-9a-f]+$", 0x11, "fail_data_execute"),
    "non-canonical": ("#GP general protection", 0, "fail_non_canonical"),
    "guard-page": ("#PF page fault at address {boot_stack_guard}$", 0x2, "fail_guard_page"),
    "stack-overflow": ("#DF double fault", 0, "fail_recurse"),
    "int-debug": ("#DB debug exception", 0, "raise_int1"),
    "int-nmi": ("non-maskable interrupt", 0, "raise_int2"),
    "int-breakpoint": ("#BP breakpoint", 0, "raise_int3"),
    "int-overflow": ("#OF overflow", 0, "raise_int4"),
    "int-bound": ("#BR bound range exceeded", 0, "raise_int5"),
    "invalid-opcode": ("#UD invalid opcode", 0, "raise_ud2"),
    "int-device": ("#NM device not available", 0, "raise_int7"),
    "segment": ("#GP general protection", 0x7FFC, "raise_segment_fault"),
    "stack-segment": ("#SS stack-segment fault", 0, "raise_stack_fault"),
    "int-x87": ("#MF x87 floating-point error", 0, "raise_int16"),
    "int-machine-check": ("#MC machine check", 0, "raise_int18"),
    "int-simd": ("#XM SIMD floating-point exception", 0, "raise_int19"),
}
# Panics without an exception: reason, function
CALLS = {
    "assertion": ("assertion .*zero == 1", "fail_assertion"),
    "vmcs-field": ("VMREAD of VMCS field 0xffff failed", "fail_vmcs_field"),
    "entry-fail": (
        "VM entry failed: VM-instruction error 7, VM entry with invalid control field",
        "engine_provoke_entry_failure",
    ),
}




@pytest.fixture(scope="module")
def screens(tmp_path_factory):
    """Of every self-test, its Result."""
    elf = tmp_path_factory.mktemp("umbra") / "umbra.elf"  # a folder without bundled guests
    shutil.copy(ELF, elf)
    names = [*TRAPS, *CALLS]
    with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
        results = pool.map(lambda name: run("--hv", f"selftest={name}", elf=elf), names)
        return dict(zip(names, results))


@pytest.fixture(scope="module")
def symbols():
    """Addresses by name, 16 digits."""
    text = subprocess.run(["nm", ELF], capture_output=True, text=True, check=True).stdout
    return {name: address for address, _, name in map(str.split, text.splitlines())}


def screen_of(result):
    """The lines of the panic screen, without the end line."""
    starts = [i for i, line in enumerate(result.lines) if line.startswith("==== umbra panic: ")]
    assert len(starts) == 1, result
    return result.lines[starts[0] : result.lines.index("", starts[0])]


def backtrace_of(result):
    lines = screen_of(result)
    found = []
    for line in lines[lines.index("backtrace:") + 1 :]:
        if re.fullmatch(r"  \.\.\. and \d+ times more", line):
            continue
        match = re.fullmatch(r"  [0-9a-f]{16}(?: (\w+)\+0x[0-9a-f]+)?", line)
        if not match:
            break
        found.append(match[1])
    return found


def check_frame(result, reason):
    """What every screen has."""
    result.ends(3, reason="panic: " + reason)
    result.says(r"^==== umbra panic: " + reason.rstrip("$"))
    assert len(screen_of(result)) <= SCREEN_MAX, result
    shown = int(result.says(r"^last (\d+) of \d+ VM exits")[1])
    exits = [line for line in result.lines if re.match("  tsc .* vm .* rip .* qualification", line)]
    assert len(exits) == shown, result


@pytest.mark.parametrize("name", TRAPS)
def test_exception(screens, symbols, name):
    reason, error_code, function = TRAPS[name]
    result = screens[name]
    check_frame(result, reason.format(**symbols))
    assert int(result.says("^error code ([0-9a-f]+)  cr2")[1], 16) == error_code, result
    for group in ("cr2 cr3 cr0 cr4", "rax rbx rcx rdx", "rsi rdi rbp rsp", "r8 r9 r10 r11",
                  "r12 r13 r14 r15", "rflags cs ss"):
        result.says(r"(^|  )" + r"\s+[0-9a-f]+  ".join(group.split()) + r"\s+[0-9a-f]+$")
    rip = result.says(r"^  rip ([0-9a-f]{16})(?: (\w+)\+0x[0-9a-f]+)?$")
    assert function in [rip[2], *backtrace_of(result)], result


@pytest.mark.parametrize("name", CALLS)
def test_call(screens, name):
    reason, function = CALLS[name]
    check_frame(screens[name], reason)
    assert function in backtrace_of(screens[name]), screens[name]


# That fault is provoked by way of RBP, which is then no frame pointer.
FRAMELESS = "stack-segment"


@pytest.mark.parametrize("name", [name for name in (*TRAPS, *CALLS) if name != FRAMELESS])
def test_backtrace_reaches_the_beginning(screens, name):
    assert "umbra_main" in backtrace_of(screens[name]), screens[name]


def test_vmcs_by_name(screens):
    result = screens["entry-fail"]
    for field in ("GUEST_RIP", "GUEST_CR3", "HOST_RSP", "PIN_BASED_CONTROLS", "EXCEPTION_BITMAP"):
        result.says(rf"\b{field} +[0-9a-f]+\b")
    result.says(r"\bVM_INSTRUCTION_ERROR +7\b")
    for name in TRAPS:
        screens[name].never_says("GUEST_RIP")  # no VMCS is current: nothing is invented


def test_stack_overflow_runs_on_another_stack(screens, symbols):
    """The #PF could not be pushed; where it happened is the guard page, by CR2."""
    cr2 = int(screens["stack-overflow"].says("  cr2 ([0-9a-f]+)")[1], 16)
    guard = int(symbols["boot_stack_guard"], 16)
    assert guard <= cr2 < guard + 4096, screens["stack-overflow"]


def test_panic_while_a_guest_runs():
    """The screen as it comes when it is needed: a real VMCS, real exits."""
    result = run("--hv", "selftest=panic-in-guest", "--guest", ROOT / "build/guests/hello.elf")
    check_frame(result, "self-test: panic while guest hello ran")
    backtrace = backtrace_of(result)
    assert {"vcpu_run", "guests_run", "umbra_main"} <= set(backtrace), result
    assert int(result.says(r"\bGUEST_RIP +([0-9a-f]+)")[1], 16) >= 0x100000
    result.says(r"^last 12 of 64 VM exits")
    result.says(r": 0 exception or NMI$")


def test_unexpected_interrupt():
    """It is named, ended, and nothing else happens."""
    result = run("--hv", "selftest=int-33", "--guest", ROOT / "build/guests/hello.elf")
    result.succeeds().says("warning: interrupt 33 came though every source is masked")
