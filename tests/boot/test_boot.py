# SPDX-License-Identifier: MIT
"""From GRUB to the end line, with the bundled hello, on several machines (DESIGN 3 and 5)."""

import re
import shutil

import pytest

from fixtures.kernels import iso, plain
from umbra import ROOT, run

HELLO = ("--guest", ROOT / "build/guests/hello.elf", "--mem", 16)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """One run of hello, and the ISO it left."""
    folder = tmp_path_factory.mktemp("kept") / "run"
    return run("--keep", folder, *HELLO), folder / "umbra.iso"


def tick(result):
    return int(result.says(r"stopped at tick (\d+)$")[1])


def test_hello(kept):
    result = kept[0].succeeds()
    end = result.text.rstrip("\n").split("\n")[-1]
    assert end == "umbra: end status=0 reason=all 1 guests succeeded", result
    result.says(r"^(\[.*\] )?Umbra, a hypervisor with shadow paging$")
    ram, free = map(int, result.says(r"\] memory: (\d+) MiB RAM, (\d+) MiB free$").groups())
    assert 250 <= ram <= 256 and ram - 8 <= free <= ram, result
    result.says(r"\] vmx: revision 0x[0-9a-f]+, true controls, VPID on, INVVPID types .*single")
    result.says(r"\] probe: reserved-bit shadow entries trap$")
    result.says(r"\] probe: monitor trap flag (exits|does not exit)")
    result.says(r"^hello\| hello: PASS$")
    result.says(r"\] guest hello: success: it wrote 0 to port 0xf4$")
    result.never_says(r"error: |warning: |FAIL|skipped|panic")


def test_time_stamps_rise(kept):
    stamps = [float(s) for s in re.findall(r"^\[ *(\d+\.\d{6})\] ", kept[0].text, re.MULTILINE)]
    assert len(stamps) > 5 and stamps == sorted(stamps) and stamps[0] > 0, kept[0]


def test_same_iso_same_tick(kept):
    """Two runs of the same ISO end at the same tick, and say the same on the way."""
    again = run("--iso", kept[1]).succeeds()
    assert tick(again) == tick(kept[0])
    assert again.lines == kept[0].lines


def test_no_guest(tmp_path):
    elf = shutil.copy(ROOT / "build/umbra.elf", tmp_path / "umbra.elf")
    result = run(elf=elf).ends(2, reason="no guest was given")
    result.says(r"warning: .*module2 /boot/kernel\.elf guest=NAME")
    result.says(r"\./qemu\.sh --guest FILE")


def test_unknown_options():
    """Each is named, guests run all the same, and the status says so in the end."""
    words = "frob=1 audit=maybe loglvl=loud selftest=everything console=com9 word escape="
    result = run("--hv", words, *HELLO).ends(2, reason="6 options were not understood")
    result.says("hello: PASS")
    result.says(r'error: hypervisor option "frob=1" is unknown; known: console loglvl audit')
    result.says(r"error: hypervisor option audit=maybe: expected .*off")
    result.says(r"error: hypervisor option loglvl=loud: expected error, warn, info or debug")
    result.says(r"error: hypervisor option selftest=everything: expected ")
    result.says(r"error: hypervisor option console=com9: expected com1, com2, com3 or com4")
    result.says(r'error: hypervisor option "escape=" is unknown')
    result.never_says("word=")  # a word without a value comes from loaders' tools: passed over


def test_options():
    result = run("--hv", "loglvl=error audit=off console=com1", *HELLO).succeeds()
    result.never_says(r"vmx: |probe: |guest hello: ")
    result.says(r"^hello\| hello: PASS$")


MODELS = [
    ("broadwell_ult", ["true controls", "VPID on"]),
    ("corei7_skylake_x", ["true controls", "VPID on"]),
    (
        "core2_penryn_t9600",  # of 2008
        [
            "VPID off",
            "no VPID; instead: every VM entry and exit flushes",
            "no load IA32_EFER at entry; instead: MSR lists",
        ],
    ),
]


@pytest.mark.parametrize("model, lines", MODELS, ids=[model for model, _ in MODELS])
def test_models(model, lines):
    result = run("--cpu", model, *HELLO).succeeds()
    result.says("hello: PASS")
    for line in lines:
        result.says("vmx: .*" + line)


def check_refusal(result):
    result.ends(3, reason="this machine cannot run guests")
    result.says(r"error: .*CPUID\.1:ECX bit 5 is clear")
    result.never_says("panic|guest hello")


@pytest.mark.parametrize("firmware", ["bios", "efi"])
def test_no_vmx_on_tcg(firmware):
    """QEMU's own emulation has no VMX: refused in one line, whichever firmware booted."""
    check_refusal(run("--machine", "tcg", "--firmware", firmware, *HELLO))


def test_grub_alone(tmp_path):
    """The boot strings of DESIGN section 5, written into a grub.cfg by hand."""
    kernel = plain(2, 32)
    image = iso(
        tmp_path,
        "multiboot2 /boot/umbra.elf console=com1 loglvl=info audit=off",
        "module2 /boot/hello.elf guest=hello mem=16M",
        f'module2 /boot/{kernel.name} guest=a mem=8M cmdline="root=/dev/x  quiet"',
        f"module2 /boot/{kernel.name} guest=a mem=8M",  # a name that is taken
        f"module2 /boot/{kernel.name} mem=2M",  # no name
        f"module2 /boot/{kernel.name}",  # nothing at all
        f"module2 /boot/{kernel.name} guest=thisnameistoolong",
        f"module2 /boot/{kernel.name} guest=a/b",
        f"module2 /boot/{kernel.name} guest=long mem=8M cmdline={'x' * 1023}",
        f"module2 /boot/{kernel.name} guest=longer mem=8M cmdline={'x' * 1024}",
        f"module2 /boot/{kernel.name} guest=last mem=8M kind=kernel expect=pass",
        files=(ROOT / "build/guests/hello.elf", kernel),
    )
    result = run("--iso", image, timeout=90).ends(1, reason="4 of 10 guests")
    result.says(r"hello: PASS")
    result.says(r"^a\| cmdline=\[root=/dev/x  quiet\]$")
    for name in ("a", "guest4", "guest5", "long", "last"):
        result.says(rf"guest {name}: success: ")
    result.says(r"guest a: refused: there is a guest of this name already")
    result.says(r"guest thisnameistoolo: refused: option guest=thisnameistoolong: expected 1 to 15")
    result.says(r"guest guest7: refused: option guest=a/b: expected 1 to 15 letters")
    result.says(r"guest longer: refused: option cmdline=x{80}: expected at most 1023 characters")
    pieces = [line[6:] for line in result.lines if line.startswith("long| ")]
    assert "cmdline=[" + "x" * 1023 + "]" in "".join(pieces), result
