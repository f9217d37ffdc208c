# SPDX-License-Identifier: MIT
"""Whole runs of Umbra through qemu.sh, for the tests in this folder.

    run("--hv", "audit=on", "--guest", path)            -> Result: status, text, lines, notes
    run(...).succeeds()                                 or .ends(3, reason="no VMX")
    result.says(r"a: PASS"), result.never_says(r"FAIL") regular expressions on single lines
    with start("--serial", f"tcp:{port}") as process    a run to talk to while it goes
    with console(...) as terminal                       pexpect on a terminal, as a user has it

A failure shows the command, what was expected and the last lines of the run. A run that hangs is
ended by qemu.sh itself (--timeout), status 124; if even that fails, by an exception here.
"""

import contextlib
import os
import re
import shlex
import socket
import subprocess
import time
from pathlib import Path

import pexpect

ROOT = Path(__file__).resolve().parents[2]
RUNNER = ROOT / "qemu.sh"
TIMEOUT = 60  # seconds a run may take unless its test says otherwise
SPARE = 20  # seconds that making the ISO and ending the machine may take on top
SHOWN = 60  # lines of a run that a failure shows


class Result:
    """What a run came to. text and lines: the serial line; notes: what qemu.sh itself said."""

    def __init__(self, command, status, output, notes, seconds):
        self.command = command
        self.status = status
        self.output = output
        self.text = output.decode(errors="surrogateescape").replace("\r", "")
        self.lines = self.text.split("\n")
        self.notes = notes.decode(errors="surrogateescape")
        self.seconds = seconds

    def ends(self, status, reason=None):
        """The status, and a regular expression that the end line's reason has to contain."""
        __tracebackhide__ = True
        if self.status != status:
            self.fail(f"status {status} expected, not {self.status}")
        if reason is not None:
            self.says(rf"^umbra: end status={status} reason=.*({reason})")
        return self

    def succeeds(self):
        __tracebackhide__ = True
        return self.ends(0)

    def refuses(self, status, *words):
        """qemu.sh itself says no: one line with all these words, and no machine was started."""
        __tracebackhide__ = True
        self.ends(status)
        if self.output or self.notes.count("\n") != 1:
            self.fail("one line of explanation and nothing else expected")
        for word in words:
            if word not in self.notes:
                self.fail(f"the explanation does not contain {word!r}")
        return self

    def says(self, pattern):
        """The first match of pattern in a line."""
        __tracebackhide__ = True
        for line in self.lines:
            match = re.search(pattern, line)
            if match:
                return match
        return self.fail(f"no line matches {pattern!r}")

    def never_says(self, pattern):
        __tracebackhide__ = True
        for line in self.lines:
            if re.search(pattern, line):
                self.fail(f"a line matches {pattern!r}: {line!r}")
        return self

    def fail(self, what):
        __tracebackhide__ = True
        raise AssertionError(f"{what}\n{self}")

    def __str__(self):
        shown = "\n".join(f"    | {line}" for line in self.lines[-SHOWN:])
        notes = "\n".join(f"    ! {line}" for line in self.notes.splitlines()[-SHOWN:])
        return (
            f"  {self.command}\n  status {self.status} after {self.seconds:.1f} s,"
            f" {len(self.lines)} lines, the last are:\n{shown}\n{notes}"
        )


def command_line(args, timeout):
    args = [os.fspath(arg) if not isinstance(arg, int) else str(arg) for arg in args]
    given = ["--timeout", str(timeout)] if timeout and "--timeout" not in args else []
    return [str(RUNNER)] + given + args


def environment(elf=None):
    return dict(os.environ, **({"UMBRA_ELF": str(elf)} if elf else {}))


@contextlib.contextmanager
def start(*args, timeout=TIMEOUT, elf=None, stdin=subprocess.DEVNULL):
    """A run as subprocess.Popen with pipes; finish(process) makes a Result of it."""
    process = subprocess.Popen(
        command_line(args, timeout),
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(elf),
    )
    process.started = time.monotonic()
    process.limit = timeout or TIMEOUT
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(SPARE)
        process.stdout.close()
        process.stderr.close()


def finish(process):
    """Waits for the end of what start() began."""
    output, notes = process.communicate(timeout=process.limit + SPARE)
    seconds = time.monotonic() - process.started
    return Result(shlex.join(process.args), process.returncode, output, notes, seconds)


def run(*args, timeout=TIMEOUT, elf=None):
    """A run from start to end, nothing on its standard input."""
    with start(*args, timeout=timeout, elf=elf) as process:
        return finish(process)


@contextlib.contextmanager
def console(*args, timeout=TIMEOUT, elf=None):
    """A run on a terminal of its own: a pexpect.spawn (bytes); expect() waits timeout seconds."""
    command = command_line(args, timeout)
    terminal = pexpect.spawn(command[0], command[1:], env=environment(elf), timeout=timeout)
    terminal.delaybeforesend = None
    try:
        yield terminal
    finally:
        terminal.close(force=True)


def free_port():
    """A port of 127.0.0.1 that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def connect(port, seconds=15):
    """A connection to a port that somebody is about to open."""
    until = time.monotonic() + seconds
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=seconds)
        except ConnectionRefusedError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
