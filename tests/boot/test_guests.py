# SPDX-License-Identifier: MIT
"""What guests do and how Umbra takes it: fixtures/acts.c and plain.asm, many guests in one run.

Guests run one after another and each has its own part in the log, so most tests here look at one
guest of a run that they share. That run is also a test of its own: whatever a guest did, the ones
behind it must not notice.
"""

import functools
import random
import re
from pathlib import Path

import pytest

from fixtures.kernels import acts, plain
from umbra import ROOT, run

HELLO_ELF = ROOT / "build/guests/hello.elf"
HELLO = ("--guest", HELLO_ELF, "--mem", 16)
KINDS = "success|failure|triple-fault|halted|killed|refused"
LONG = 90  # seconds: many guests


def guest(name, elf, cmdline="", *args):
    return ["--guest", elf, "--name", name, "--cmdline", cmdline, *args]


def end_of(result, name):
    """How a guest ended, and the text of it."""
    return result.says(rf"\] (?:error: )?guest {re.escape(name)}: ({KINDS}): (.*)$").groups()


def said(result, name):
    """The lines a guest printed."""
    return [line.split("| ", 1)[1] for line in result.lines if line.startswith(f"{name}| ")]


# ---- Acts -------------------------------------------------------------------------------------

# scribble and clean are neighbours: nothing of the one may be left for the other.
# act: how it ends, and a regular expression for why
PASSING = """pass scribble clean cpuid cpuid-limit msr efer cr0 cr3 cr4 undefined rights wp user
    step uart cold-stack cold-idt cold-tss iret double-fault serial-fault table-hole
    cr8""".split()
ENDING = {
    "shutdown": ("success", 'it wrote "Shutdown" to port 0x8900'),
    "fail-7": ("failure", "it wrote 7 to port 0xf4"),
    "triple-fault": ("triple-fault", "triple fault at RIP 0x1"),
    "triple-by-stack": ("triple-fault", "page fault at 0x8040000ff8 while a double fault"),
    "hlt": ("halted", "HLT at RIP 0x1.* that nothing can end: interrupts are disabled"),
    "sti-hlt": ("halted", "HLT at RIP 0x1.* that nothing can end: no device .* interrupts"),
    "port-in": ("killed", "1-byte read of port 0x60, where no device is"),
    "port-out": ("killed", "1-byte write to port 0xcf8, where no device is"),
    "outs": ("killed", r"string I/O \(OUTS\) at port 0x3f8"),
    "ins": ("killed", r"string I/O \(INS\) at port 0x3f8"),
    "read-hole": ("killed", "read of guest-physical address 0x20000123 "),
    "write-hole": ("killed", "write of guest-physical address 0x20000456 "),
    "fetch-hole": ("killed", "fetch of guest-physical address 0x20000789 .*at RIP 0x20000789"),
    "push-hole": ("killed", "write of guest-physical address 0x20000ff8 "),
    "event-hole": ("killed", "write of guest-physical address 0x20000ff8 "),
    "write-rom": ("killed", "write of guest-physical address 0xf0000 .*, where ROM is"),
}
DUMPED = ("port-in", "read-hole", "triple-fault")  # the others may end so: dumps take long
AT_ONCE = 15  # guests in a run; Umbra takes 16


def acting_guest(name):
    kind = ENDING.get(name, ("success",))[0]
    expected = kind in ("killed", "triple-fault") and name not in DUMPED
    return guest(name, acts(), f"do={name}", *(["--options", f"expect={kind}"] * expected))


@functools.cache
def batch(number):
    """The run of a part of all acts, with hello behind it."""
    names = [*PASSING, *ENDING][number * AT_ONCE : (number + 1) * AT_ONCE]
    return run(*(word for name in names for word in acting_guest(name)), *HELLO, timeout=LONG)


def acting(name):
    """The run in which an act is."""
    return batch([*PASSING, *ENDING].index(name) // AT_ONCE)


@pytest.mark.parametrize("name", PASSING)
def test_act_passes(name):
    result = acting(name)
    lines = said(result, name)
    assert end_of(result, name) == ("success", "it wrote 0 to port 0xf4"), (lines, result)
    assert lines[-1] == "act: PASS", result


@pytest.mark.parametrize("name", ENDING)
def test_act_ends(name):
    result = acting(name)
    kind, why = end_of(result, name)
    assert kind == ENDING[name][0], result
    assert re.search(ENDING[name][1], why), (why, result)


@pytest.mark.parametrize("name", DUMPED)
def test_dump(name):
    """A guest that is stopped for what it did leaves its registers and its code."""
    result = acting(name)
    start = result.lines.index(f"guest {name}, 4-level paging:")
    dump = "\n".join(result.lines[start + 1 : start + 20])
    for pattern in (
        r"^  rax [0-9a-f]{16} +rcx ", r"^  rip 0{10}10[0-9a-f]{4}  rflags [0-9a-f]+$",
        r"^  cr0 e?8001[0-9a-f]{4}  cr2 [0-9a-f]+  cr3 [0-9a-f]+  cr4 20  efer d00$",
        r"^  cs   0008 base 0{16} limit ffffffff attributes ", r"^  tr   0028 base ",
        r"^  code:( [0-9a-f]{2}){15}$",
    ):
        assert re.search(pattern, dump, re.MULTILINE), (pattern, result)


def test_unknown_msrs_are_logged():
    for text in ("RDMSR 0x1234", "WRMSR 0x1235", "RDMSR 0x3a", "RDMSR 0x480"):
        pattern = rf"warning: guest msr: {text} at RIP 0x10[0-9a-f]+: no such MSR, #GP\(0\)"
        acting("msr").says(pattern)


def test_unknown_msrs_are_logged_once():
    assert acting("cold-idt").text.count("guest cold-idt: RDMSR 0x1234") == 1


def test_bad_values_are_not_unknown_msrs():
    acting("efer").never_says("guest efer: .* no such MSR")


@pytest.mark.parametrize("number", range(-(-(len(PASSING) + len(ENDING)) // AT_ONCE)))
def test_good_guest_behind_bad_ones(number):
    result = batch(number)
    assert said(result, "hello")[-1] == "hello: PASS", result
    names = [*PASSING, *ENDING][number * AT_ONCE : (number + 1) * AT_ONCE]
    bad = sum(f"error: guest {name}: " in result.text for name in names)
    if bad:
        result.ends(1, reason=f"{bad} of {len(names) + 1} guests did not end as")
    else:
        result.succeeds()
    result.never_says("panic")


# ---- What is expected of a guest --------------------------------------------------------------

ENDS = {  # act: the expectation that it meets
    "pass": "pass",
    "triple-fault": "triple-fault",
    "port-in": "killed",
    "fail-7": None,
    "hlt": None,
}


def test_expectations():
    """Each end with each expectation: an error in the log where they differ, and status 1."""
    pairs = [(act, expected) for act in ENDS for expected in ("pass", "triple-fault", "killed")]
    words = []
    for number, (act, expected) in enumerate(pairs):
        words += guest(f"g{number}", acts(), f"do={act}", "--options", f"expect={expected}")
    result = run(*words, timeout=LONG).ends(1, reason="12 of 15 guests did not end as they should")
    for number, (act, expected) in enumerate(pairs):
        line = result.says(rf"guest g{number}: (success|failure|triple|halted|killed)").string
        assert ("] error: " in line) == (ENDS[act] != expected), (act, expected, result)
        dumped = f"guest g{number}, 4-level paging:" in result.lines
        assert dumped == (act in ("triple-fault", "port-in") and ENDS[act] != expected), result


def test_all_as_expected():
    result = run(
        *guest("t", acts(), "do=triple-fault", "--options", "expect=triple-fault"),
        *guest("k", acts(), "do=port-in", "--options", "expect=killed"),
        *guest("p", acts(), "do=shutdown", "--options", "expect=pass"),
    ).succeeds()
    result.says("^umbra: end status=0 reason=all 3 guests succeeded$")
    result.never_says("error:|4-level paging")


# ---- Kernels without paging -------------------------------------------------------------------

MAGIC = {1: "2BADB002", 2: "36D76289"}
TEXTS = [
    "", "plain", "two words", " leading, trailing and  double  spaces ", "it's", "'quoted'",
    'say "hello there"', '"', "'\"'", "back\\slash", "two \\\\ and a last \\", "\\n \\x41 \\' \\\"",
    "$HOME ${x} `id`", "; halt # no comment", "{ a } | b > c && f", "%d %n %s %%",
    "mem=1G guest=x expect=killed", "Umläute, ß, 日本", "console=ttyS0,115200 nokaslr",
    "do-not=confuse", "x" * 200,
]  # fmt: skip


@pytest.mark.parametrize("version", [1, 2])
def test_start_of_a_multiboot_kernel(version):
    """Magic, command line to the letter, memory map; ELF of both classes; ends of all kinds."""
    texts = TEXTS[: len(TEXTS) // 2] if version == 1 else TEXTS[len(TEXTS) // 2 :]
    dice = random.Random(version)
    words, sizes = [], []
    for number, text in enumerate(texts):
        sizes.append(dice.randrange(2, 64))
        elf = plain(version, dice.choice((32, 64)))
        words += guest(f"g{number}", elf, text, "--mem", sizes[-1])
    words += guest("hlt", plain(version, 32), "do=hlt")
    words += guest("clear-pe", plain(version, 64), "do=clear-pe")
    words += guest("cs-limit", plain(version, 32), "do=cs-limit")
    result = run(*words, timeout=LONG).ends(1, reason="3 of 1[34] guests did not end")
    for number, (text, size) in enumerate(zip(texts, sizes)):
        assert said(result, f"g{number}") == [
            f"magic={MAGIC[version]}",
            f"cmdline=[{text}]",
            "range 0000000000000000+000000000009FC00 type 1",
            "range 000000000009FC00+0000000000000400 type 2",
            "range 00000000000F0000+0000000000010000 type 2",
            f"range 0000000000100000+{(size - 1) << 20:016X} type 1",
        ], result
        assert end_of(result, f"g{number}")[0] == "success"
    assert end_of(result, "hlt")[0] == "halted"
    kind, why = end_of(result, "clear-pe")
    assert kind == "killed" and "it cleared CR0.PE: real mode is not handled" in why, result
    assert end_of(result, "cs-limit")[0] == "triple-fault"
    result.says("^guest clear-pe, (no|unpaged|32-bit.*) ?paging")


# ---- What is no guest -------------------------------------------------------------------------


def images(folder):
    """Name: what the refusal says. The files are in folder."""
    noise = random.Random(1).randbytes(50_000)
    hello = HELLO_ELF.read_bytes()
    linux = bytearray(8192)
    linux[0x1FE:0x208] = b"\x55\xaa\xeb\x66HdrS\x0f\x02"
    no_code = bytearray(hello)
    no_code[18:20] = b"\xb7\x00"  # for Arm
    broken_sum = bytearray(plain(2, 32).read_bytes())
    at = broken_sum.index(b"\xd6\x50\x52\xe8")
    broken_sum[at + 12] ^= 1
    high = bytearray(hello)
    table = int.from_bytes(high[32:40], "little")
    high[table + 24 : table + 32] = (0x7FFF_F000).to_bytes(8, "little")  # p_paddr of the first
    rows = {
        "empty": (b"", "the image is empty"),
        "random": (
            noise,
            f"image of unknown kind, its first bytes are {noise[:8].hex(' ')};",
        ),
        "text": (b"not a kernel\n", "first bytes are 6e 6f 74 20 61 20 6b 65; accepted are ELF"),
        "linux": (bytes(linux), r'Linux bzImage \("HdrS" at file offset 0x202\) is not handled'),
        "half": (
            hello[: len(hello) // 8],
            r"ELF program header \d at file offset 0x[0-9a-f]+: segment of 0x[0-9a-f]+ bytes at "
            "file offset 0x[0-9a-f]+ ends after the file's end",
        ),
        "head": (hello[:40], "ELF file without a multiboot header"),
        "arm": (bytes(no_code), r"ELF machine at file offset 18 is 183, not 62"),
        "sum": (bytes(broken_sum), rf"multiboot 2 header at .* 0x{at:x} has a wrong checksum"),
        "high": (bytes(high), r"guest-physical address 0x7ffff000: there is no RAM at 0x7ffff000"),
        "program": (Path("/bin/true").read_bytes(), r"ELF file without a multiboot header"),
    }  # fmt: skip
    for name, (content, _) in rows.items():
        (folder / name).write_bytes(content)
    return {name: pattern for name, (_, pattern) in rows.items()}


def test_bad_images(tmp_path):
    """An error names the guest, what is wrong and where; a good guest beside them runs."""
    patterns = images(tmp_path)
    words = [word for name in patterns for word in guest(name, tmp_path / name)]
    half = len(words) // 2
    result = run(*words[:half], *HELLO, *words[half:], timeout=LONG)
    result.ends(1, reason=f"{len(patterns)} of {len(patterns) + 1} guests did not end")
    result.says("hello: PASS")
    for name, pattern in patterns.items():
        kind, why = end_of(result, name)
        assert kind == "refused" and re.search(pattern, why), (name, why, result)


# ---- Options ----------------------------------------------------------------------------------

NOT_YET = "shadow mmu apic acpi cpuid maxphyaddr on-triple-fault vga".split()
BAD_OPTIONS = {
    "frob=1": 'option "frob" is unknown',
    "expect=sometimes": "option expect=sometimes: expected pass, triple-fault or killed",
    "kind=initrd": r"option kind=initrd: expected kernel \(initrd and module are not handled yet\)",
    "mem=1M": "option mem=1M: expected whole pages from 2M to 3G",
    "mem=4G": "option mem=4G: expected whole pages from 2M to 3G",
    "mem=lots": "option mem=lots: expected whole pages from 2M to 3G",
    **{f"{key}=x": f"option {key}=x: expected nothing: not handled yet" for key in NOT_YET},
}


def test_bad_options():
    """Each is refused by name, at the cost of that guest alone."""
    words = [*HELLO]
    for number, option in enumerate(BAD_OPTIONS):
        words += ["--guest", plain(2, 32), "--name", f"g{number}", "--options", option]
    result = run(*words, "--memory", 256, timeout=LONG)
    result.ends(1, reason=f"{len(BAD_OPTIONS)} of {len(BAD_OPTIONS) + 1} guests")
    result.says("hello: PASS")
    for number, pattern in enumerate(BAD_OPTIONS.values()):
        kind, why = end_of(result, f"g{number}")
        assert kind == "refused" and re.search(pattern, why), (why, result)
        result.never_says(rf"guest g{number}: started")


def test_memory():
    """Guests have it one after another: what one gives back the next one can have."""
    result = run(
        *guest("big", plain(2, 32), "", "--mem", 200),
        *guest("too-big", plain(2, 32), "", "--mem", 300),
        *guest("huge", plain(2, 32), "", "--options", "mem=3G"),
        *guest("again", plain(2, 32), "", "--mem", 200),
        "--memory", 256,
    ).ends(1, reason="2 of 4 guests did not end")  # fmt: skip
    assert end_of(result, "big")[0] == end_of(result, "again")[0] == "success"
    for name, size in (("too-big", 300), ("huge", 3072)):
        kind, why = end_of(result, name)
        assert kind == "refused", result
        assert re.search(rf"no {size} MiB of contiguous host memory left for mem=.*MiB free", why)


@pytest.fixture(scope="module")
def seventeen():
    words = [word for n in range(17) for word in guest(f"g{n}", plain(2, 32), "", "--mem", 2)]
    return run(*words, timeout=LONG)


def test_seventeen_guests(seventeen):
    seventeen.ends(1).says("error: module 17 is left out: at most 16 guests")
    for number in range(16):
        assert end_of(seventeen, f"g{number}")[0] == "success"
    seventeen.never_says("guest g16:")


def test_seventeen_guests_reason(seventeen):
    seventeen.never_says("reason=0 of")
