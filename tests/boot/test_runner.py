# SPDX-License-Identifier: MIT
"""The runner itself: DESIGN section 5, qemu.sh and tools/console.py.

A tiny kernel stands in for Umbra (fixtures/echo.asm): it prints what GRUB hands over and ends with
the status that its command line names. QEMU's own emulation boots it in a second and is used for
all that does not need Bochs.
"""

import gzip
import os
import random
import re
import shutil
import signal
import socket
import termios
import time
from pathlib import Path

import pytest

from umbra import connect, console, finish, free_port, run, start

KVM = (
    os.access("/dev/kvm", os.R_OK | os.W_OK)
    and Path("/sys/module/kvm_intel/parameters/nested").exists()
    and Path("/sys/module/kvm_intel/parameters/nested").read_text()[0] in "Y1"
)
GUEST = ("--guest", "/bin/sh")
CTRL_C, ESCAPE = b"\x03", b"\x1d"


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch):
    """Every test has its own TMPDIR; no run may leave a folder or a process in it."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    assert not emulators(folder), "an emulator was left behind"
    assert not list(folder.iterdir()), "a work folder was left behind"


def emulators(work):
    """The processes that run in a work folder."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if str(work) in os.readlink(link):
                found.append(int(link.parent.name))
        except OSError:  # gone, or not ours
            pass
    return found


def wait_until(condition, seconds=10):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


@pytest.fixture
def echo(echo_elf):
    """echo(WORDS, ARGS...): the stand-in with these words in its command line, on tcg."""

    def boot(hv="", *args, machine="tcg", timeout=20):
        given = ("--hv", hv) if hv is not None else ()
        return run("--machine", machine, *given, *args, timeout=timeout, elf=echo_elf)

    return boot


def unquote(text):
    """The words of a boot string, by the rules in lib/options.h."""
    words, word, quote, i = [], None, "", 0
    while i < len(text):
        c = text[i]
        if c == "\\" and text[i + 1 : i + 2] in ("\\", "'", '"'):
            i += 1
            word = (word or "") + text[i]
        elif quote:
            quote, word = ("", word) if c == quote else (quote, word + c)
        elif c in "'\"":
            quote, word = c, word or ""
        elif c == " ":
            words += [] if word is None else [word]
            word = None
        else:
            word = (word or "") + c
        i += 1
    assert not quote, f"open quote in {text!r}"
    return words + ([] if word is None else [word])


def modules(result):
    """The words of each module, in order."""
    found = re.findall(r"^module size=\w+ sum=\w+ (.*)$", result.text, re.MULTILINE)
    return [unquote(text) for text in found]


# ---- What is refused before anything is made --------------------------------------------------

BAD_USAGE = [
    (["--frobnicate"], "--frobnicate"),
    (["-x"], "-x"),
    (["umbra.elf"], "umbra.elf"),
    (["--machine"], "--machine"),
    (["--machine", "vbox"], "vbox"),
    (["--machine", ""], "--machine"),
    (["--firmware", "coreboot"], "coreboot"),
    (["--cpu", ""], "--cpu"),
    (["--cpu", "i4004", "--machine", "tcg"], "i4004"),
    (["--cpu", "i4004", "--machine", "bochs"], "i4004"),
    (["--cpu", ".*", "--machine", "bochs"], ".*"),
    (["--cpus", "many"], "many"),
    (["--cpus", "0"], "--cpus"),
    (["--memory", "-5"], "-5"),
    (["--memory", "12x"], "12x"),
    (["--memory", "99999999999999999999"], "--memory"),
    (["--serial", "com1"], "com1"),
    (["--serial", "file:"], "file:"),
    (["--serial", "tcp:http"], "http"),
    (["--serial", "tcp:65536"], "65536"),
    (["--serial", "tcp:"], "tcp:"),
    (["--timeout", "soon"], "soon"),
    (["--timeout", "0"], "--timeout"),
    (["--timeout", "-1"], "-1"),
    (["--hv", 'a="b c'], "quote"),
    (["--hv", "a\nb"], "--hv"),
    (["--name", "a"], "--name"),
    (["--mem", "16"], "--mem"),
    (["--cmdline", "x"], "--cmdline"),
    (["--options", "a=b"], "--options"),
    ([*GUEST, "--name", "two words"], "two words"),
    ([*GUEST, "--name", ""], "--name"),
    ([*GUEST, "--name", "sixteen-letters-"], "sixteen-letters-"),
    ([*GUEST, "--name", "a", *GUEST, "--name", "a"], "two guests"),
    ([*GUEST, "--mem", "0"], "--mem"),
    ([*GUEST, "--mem", "1.5"], "1.5"),
    ([*GUEST, "--cmdline", "a\tb"], "--cmdline"),
    ([*GUEST, "--options", "'a=b"], "quote"),
    ([*GUEST, "--options", "guest=b"], "guest=b"),
    ([*GUEST, "--options"], "--options"),
    (["--guest"], "--guest"),
    (["--iso", "/bin/sh", *GUEST], "--iso"),
    (["--iso", "/bin/sh", "--hv", ""], "--iso"),
    (["--keep", ""], "--keep"),
    (["--keep", "/proc/nowhere"], "/proc/nowhere"),
    (["--keep", "/etc"], "/etc"),
    # Not handled yet, and said so.
    (["--gdb", "tcp:1234"], "not handled yet: --gdb"),
    (["--cpus", "2"], "not handled yet: --cpus 2"),
    ([*GUEST, "--initrd", "/bin/sh"], "not handled yet: --initrd"),
    ([*GUEST, "--module", "/bin/sh"], "not handled yet: --module"),
    (["--machine", "bochs", "--firmware", "efi"], "not handled yet: --firmware efi"),
]


@pytest.mark.parametrize("args, word", BAD_USAGE, ids=[" ".join(args) for args, _ in BAD_USAGE])
def test_bad_usage(echo_elf, args, word):
    run(*args, elf=echo_elf).refuses(2, word)


@pytest.mark.parametrize("path", ["/nowhere/guest.elf", "/etc", ""])
@pytest.mark.parametrize("option", ["--guest", "--iso"])
def test_unreadable_file(echo_elf, option, path):
    run("--machine", "tcg", option, path, elf=echo_elf).refuses(2, option, f"'{path}'")


def test_unreadable_umbra(tmp_path):
    run("--machine", "tcg", elf=tmp_path / "umbra.elf").refuses(2, "run make first")
    run("--machine", "tcg", elf=tmp_path).refuses(2, str(tmp_path))



def test_serial_that_cannot_be_opened(echo):
    echo("", "--serial", "file:/nowhere/x").refuses(2, "file:/nowhere/x", "No such file")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        echo("", "--serial", f"tcp:{port}").refuses(2, f"tcp:{port}", "in use")


def test_help():
    result = run("--help").succeeds()
    of_the_machine = "machine firmware cpu cpus memory serial gdb timeout hv iso keep"
    of_a_guest = "name mem cmdline initrd module options"
    for option in (of_the_machine + " " + of_a_guest).split():
        result.says(f"^  --{option} ")


# ---- Machines ---------------------------------------------------------------------------------


def test_kvm(echo):
    result = echo("status=1", machine="kvm")
    if KVM:
        result.ends(1)
    else:
        result.refuses(4, "'kvm'", "nested VMX")


@pytest.mark.parametrize("machine", [(), ("--machine", "bochs"), ("--machine", "tcg")])
def test_no_emulator(echo_elf, tmp_path, monkeypatch, machine):
    for tool in ("dirname", "cat"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    monkeypatch.setenv("PATH", str(tmp_path))
    missing = "qemu-system-x86_64" if "tcg" in machine else "bochs"
    run(*machine, elf=echo_elf).refuses(4, f"{missing} is not installed", "tools/deps.sh")


def test_emulator_that_does_not_start(echo, tmp_path, monkeypatch):
    qemu = tmp_path / "qemu-system-x86_64"
    qemu.write_text('#!/bin/sh\n[ "$2" = help ] && echo max && exit\necho no luck >&2\nexit 1\n')
    qemu.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    result = echo().ends(4)
    assert "did not start" in result.notes and "no luck" in result.notes, result


def test_bochs(echo, echo_elf, tmp_path):
    """Two Bochs at the same time, from one ISO: neither disturbs the other, equal to the tick."""
    first = echo("status=5", "--keep", tmp_path / "kept", machine="bochs").ends(5, reason="echo")
    again = ("--machine", "bochs", "--iso", tmp_path / "kept/umbra.iso")
    with start(*again, elf=echo_elf) as one, start(*again, elf=echo_elf) as two:
        results = [finish(one).ends(5), finish(two).ends(5)]
    assert first.says("^ticks=")
    assert [result.lines for result in results] == [first.lines] * 2


def test_efi(echo):
    echo("status=7", "--firmware", "efi", *GUEST).ends(7).says("^module .* guest=sh")


def test_memory(echo):
    def has(result, mib):
        assert int(result.succeeds().says("^memory KiB=(.*)")[1], 16) // 1024 + 1 in (mib - 1, mib)

    has(echo("", "--memory", 100), 100)
    has(echo(""), 256)
    guests = [*GUEST, "--mem", 300, *GUEST, "--options", "mem=1G", *GUEST]
    has(echo("", *guests), 1536)  # 128 + 300 + 1024 + 32, rounded up to a multiple of 64


# ---- How a run ends ---------------------------------------------------------------------------


@pytest.mark.parametrize("words, last", [("noend", "^ticks="), ("more", "^one more line")])
def test_no_end_line(echo, words, last):
    """The end line counts only where it is the last."""
    result = echo(words).ends(3)
    assert "without its end line" in result.notes, result
    result.says(last)


def test_grub_says_why(echo_elf):
    run("--machine", "tcg", elf="/bin/sh", timeout=20).ends(3).says("no multiboot header")


def test_end_line_but_no_end(echo):
    result = echo("linger status=4").ends(4)
    assert 3 < result.seconds < 9, result


def test_timeout(echo):
    result = echo("hang", timeout=2).ends(124)
    assert "out of time after 2 s" in result.notes, result
    assert 2 <= result.seconds < 6, result


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal(echo_elf, number):
    with start("--machine", "tcg", "--hv", "hang", elf=echo_elf) as process:
        assert process.stdout.readline()
        process.send_signal(number)
        finish(process).ends(128 + number)


def test_signal_before_the_machine(echo_elf, work, tmp_path, monkeypatch):
    """While the ISO is being made nobody but the script itself can tidy up."""
    slow = tmp_path / "grub-mkrescue"
    slow.write_text("#!/bin/sh\nsleep 1\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with start("--machine", "tcg", "--hv", "hang", elf=echo_elf) as process:
        wait_until(lambda: list(work.iterdir()))
        process.send_signal(signal.SIGTERM)
        finish(process).ends(143)


@pytest.mark.parametrize("machine", ["bochs", "tcg"])
def test_emulator_does_not_survive_a_kill(echo_elf, work, machine):
    with start("--machine", machine, "--hv", "hang", elf=echo_elf) as process:
        wait_until(lambda: process.pid not in (found := emulators(work)) and found)
        process.kill()
        finish(process).ends(-signal.SIGKILL)
    wait_until(lambda: not emulators(work))
    for folder in work.iterdir():  # nobody was left to do it
        shutil.rmtree(folder)


def test_nobody_reads(echo_elf):
    """As in qemu.sh | head -1."""
    with start("--machine", "tcg", "--hv", "echo", elf=echo_elf, timeout=8) as process:
        process.stdout.close()
        assert process.wait(20) == 128 + signal.SIGPIPE


# ---- What reaches Umbra -----------------------------------------------------------------------

AWKWARD = [
    "",
    "plain",
    "two words",
    " leading, trailing and  double  spaces ",
    "it's",
    "'quoted'",
    'say "hello there"',
    '"',
    "'",
    "'\"'",
    "back\\slash",
    "\\",
    "two \\\\ and a last \\",
    "\\n \\x41 \\\\x41 \\' \\\"",
    "$HOME ${x} $(id) `id` $'x' $",
    "; halt # no comment",
    "{ a } | b > c < d & e && f || ! g",
    "* ? [a-z] ~ /boot/*",
    "%d %n %%",
    "K=V cmdline=x guest=y",
    "--nounzip -x",
    "Umläute, ß, é, 日本",
    "console=ttyS0,115200 nokaslr",
    bytes(range(128, 256)).decode(errors="surrogateescape"),  # no text at all
]


def random_texts():
    dice = random.Random(1)
    letters = "ab  \\\\''\"\"$;#=&x4{}<>|*?!ä"
    return ["".join(dice.choices(letters, k=dice.randrange(1, 60))) for _ in range(40)]


def test_command_lines_arrive_as_they_are(echo):
    texts = AWKWARD + random_texts()
    args = [word for text in texts for word in ("--guest", "/dev/null", "--cmdline", text)]
    found = modules(echo("", *args).succeeds())
    assert [words[2] for words in found] == [f"cmdline={text}" for text in texts]
    assert {len(words) for words in found} == {3}


WORDS = [
    ("a=b c", ["a=b", "c"]),
    ("  a=b   c  ", ["a=b", "c"]),
    ("a='b c' \"d=e f\" g=\"h\"'i'", ["a=b c", "d=e f", "g=hi"]),
    ("a=\"it's\" b='say \"x\"'", ["a=it's", 'b=say "x"']),
    ("a=\\' b=\\\" c=\\\\ d=\\e", ["a='", 'b="', "c=\\", "d=\\e"]),
    ("a='\\'' b", ["a='", "b"]),
    ("a= b=''", ["a=", "b="]),
    ("a=$x;#y b=ä&c", ["a=$x;#y", "b=ä&c"]),
    ("", []),
]


def test_words_of_options(echo):
    """Those of each guest, and all together as those of the hypervisor."""
    args = [word for text, _ in WORDS for word in ("--guest", "/dev/null", "--options", text)]
    result = echo(" ".join(text for text, _ in WORDS), *args).succeeds()
    assert [words[2:] for words in modules(result)] == [expected for _, expected in WORDS]
    expected = [word for _, words in WORDS for word in words]
    assert unquote(result.says("^cmdline (.*)")[1]) == expected


def test_names_and_sizes(echo, tmp_path):
    for name in ("a.elf", "b c.img", "much-too-long-a-name.x86.elf", ".hidden", "vmlinuz-6.1"):
        (tmp_path / name).touch()
    files = ["a.elf", "a.elf", "a.elf", "b c.img", "much-too-long-a-name.x86.elf"]
    files += ["much-too-long-a-name.x86.elf", ".hidden", "vmlinuz-6.1"]
    args = [word for name in files for word in ("--guest", tmp_path / name)]
    args += ["--mem", 64, "--guest", tmp_path / "a.elf", "--name", "a-2", "--options", "mem=8M x=y"]
    assert [words for words in modules(echo("", *args).succeeds())] == [
        ["guest=a", "mem=32M"],
        ["guest=a-3", "mem=32M"],
        ["guest=a-4", "mem=32M"],
        ["guest=b_c", "mem=32M"],
        ["guest=much-too-long-a", "mem=32M"],
        ["guest=much-too-long-2", "mem=32M"],
        ["guest=.hidden", "mem=32M"],
        ["guest=vmlinuz-6", "mem=64M"],
        ["guest=a-2", "mem=8M", "x=y"],
    ]


def test_contents_of_modules(echo, tmp_path):
    """In order and complete; what was packed by gzip arrives unpacked."""
    dice = random.Random(2)
    contents = [dice.randbytes(size) for size in (1, 4096, 5000, 1_000_000)]
    args = []
    for number, content in enumerate(contents):
        path = tmp_path / f"g{number}"
        path.write_bytes(gzip.compress(content) if number == 2 else content)
        args += ["--guest", path]
    found = re.findall("^module size=(.*) sum=(.*) guest=g", echo("", *args).succeeds().text, re.M)
    assert found == [(f"{len(data):08X}", f"{sum(data):08X}") for data in contents]


def test_bundled_guests(echo_elf, tmp_path):
    """Without --guest: those of bundled.list that exist, in its order."""
    guests = tmp_path / "guests"
    guests.mkdir()
    elf = shutil.copy(echo_elf, tmp_path / "umbra.elf")
    for name in ("a.elf", "b.elf", "c.elf"):
        (guests / name).touch()
    bare = run("--machine", "tcg", elf=elf).succeeds()
    assert modules(bare) == []
    (guests / "bundled.list").write_text(
        "# guests\n\nc.elf see mem=64M cmdline=\"x y\"\nnot-built.elf n\na.elf ay expect=pass"
    )
    assert modules(run("--machine", "tcg", elf=elf).succeeds()) == [
        ["guest=see", "cmdline=x y", "mem=64M"],
        ["guest=ay", "mem=32M", "expect=pass"],
    ]


# ---- The serial line --------------------------------------------------------------------------


def test_serial_file(echo, tmp_path):
    path = tmp_path / "serial.log"
    path.write_text("old" * 1000)
    result = echo("status=3", "--serial", f"file:{path}").ends(3)
    assert not result.output, result
    assert path.read_text().endswith("umbra: end status=3 reason=echo\n"), path.read_text()
    result = echo("", "--serial", "file:/dev/full").ends(4)
    assert "cannot write the console: No space left" in result.notes, result


def test_serial_tcp(echo_elf, work):
    port = free_port()
    args = ("--machine", "tcg", "--serial", f"tcp:{port}", "--hv", "echo status=2")
    with start(*args, elf=echo_elf) as process:
        relay = Path(f"/proc/{process.pid}/cmdline")
        wait_until(lambda: b"tools/console.py" in relay.read_bytes())
        time.sleep(1)
        assert not emulators(work), "the machine did not wait for its client"
        with connect(port) as client, client.makefile("rb") as reader:
            assert reader.readline().startswith(b"cmdline echo")
            client.sendall(b"hello, q")
            heard = reader.read()  # to the end of the run
        assert b"hello, q" in heard and heard.endswith(b"umbra: end status=2 reason=echo\r\n")
        result = finish(process).ends(2)
    assert not result.output, result


def test_serial_tcp_client_comes_back(echo_elf):
    port = free_port()
    args = ("--machine", "tcg", "--serial", f"tcp:{port}", "--hv", "echo status=2")
    with start(*args, elf=echo_elf) as process:
        with connect(port) as client:
            assert client.recv(1)
        with connect(port) as client:
            client.sendall(b"q")
            finish(process).ends(2)


def test_keyboard_is_read_only_from_a_terminal(echo_elf):
    inner, outer = os.pipe()
    os.write(outer, b"q")
    with start("--machine", "tcg", "--hv", "echo", elf=echo_elf, stdin=inner, timeout=2) as process:
        finish(process).ends(124)
    assert os.read(inner, 10) == b"q"
    os.close(inner)
    os.close(outer)


@pytest.mark.parametrize("machine", ["bochs", "tcg"])
def test_terminal(echo_elf, machine):
    args = ("--machine", machine, "--hv", "echo status=6")
    with console(*args, elf=echo_elf, timeout=20) as terminal:
        before = termios.tcgetattr(terminal.child_fd)
        terminal.expect(b"Ctrl-C twice")
        terminal.expect(b"memory KiB")
        assert termios.tcgetattr(terminal.child_fd) != before
        for typed in (b"hello", b"\r", CTRL_C, ESCAPE, b"\x1a\x11\x13\x04\x7f", "ä".encode()):
            terminal.send(typed)
            terminal.expect_exact(typed)
        terminal.send(b"q")
        terminal.expect(b"umbra: end status=6")
        terminal.wait()
        assert terminal.exitstatus == 6
        assert termios.tcgetattr(terminal.child_fd) == before


def test_ctrl_c_twice(echo_elf):
    with console("--machine", "tcg", "--hv", "echo", elf=echo_elf, timeout=20) as terminal:
        before = termios.tcgetattr(terminal.child_fd)
        terminal.expect(b"memory KiB")
        terminal.send(CTRL_C)
        terminal.expect_exact(CTRL_C)
        time.sleep(1.2)
        terminal.send(CTRL_C)
        terminal.expect_exact(CTRL_C)
        terminal.send(CTRL_C)
        terminal.wait()
        assert terminal.exitstatus == 130
        assert termios.tcgetattr(terminal.child_fd) == before


# ---- Native runs and ISOs to keep ---------------------------------------------------------------


def test_native_bad_usage(echo_elf):
    for number, words in (("0", ["--native", "0"]), ("2", ["only 1 guests"]), ("17", ["1 to 16"])):
        run("--native", number, "--guest", echo_elf, elf=echo_elf).refuses(2, *words)


def test_make_iso(echo_elf, tmp_path):
    """The ISO is left where it was asked for, and nothing runs."""
    path = tmp_path / "kept.iso"
    made = run("--machine", "tcg", "--make-iso", path, elf=echo_elf).succeeds()
    assert path.stat().st_size > 0 and made.text == "", made
