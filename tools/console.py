#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The relay between a machine's first serial port and whoever looks at it.

    console.py [--serial stdio|file:PATH|tcp:PORT] [--timeout S] [--pty] [--folder DIR]
               [--end umbra|guest] [--fill FILE] [--log FILE] [--remove DIR] -- COMMAND...

It listens on a port of 127.0.0.1 that the kernel picks, so that two runs never meet, writes that
port in place of @PORT@ into COMMAND and FILE, starts COMMAND (an emulator whose COM1 is a socket
client) in a session of its own, and copies bytes both ways. The machine is never slowed down or
sped up by what happens here: Bochs reads its serial socket by emulated time, and it is only
written to when a user types.

What the run came to is read from the machine's last line, "umbra: end status=N reason=...".
After such a line the machine has GRACE seconds to go away by itself or to say that this was not
its last line; then it is killed. Nothing outlives this process: the emulator dies with it.

Exit status: N; 2 if the serial line cannot be opened; 3 if the machine stopped without that
line; 4 if it did not even start; 124 out of time; 128 + signal if one ended the run.

One loop, select(): signals arrive through a wake-up descriptor, every descriptor that is written
to is asked first, so a stopped terminal or a stuck pipe holds up nothing but the machine's output.
"""

import argparse
import ctypes
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import termios
import time

GRACE = 3.0  # seconds from the end line to the kill
DOUBLE = 1.0  # seconds within which a second Ctrl-C ends the run
TAIL = 64 * 1024  # bytes of the machine's output that are remembered
COMPLAINT = 4 * 1024  # bytes of what the emulator itself says that are remembered
CHUNK = 4096  # bytes read at a time
BACKLOG = 64 * 1024  # bytes on their way to the user at which the machine is no longer read
CTRL_C = 0x03

# The last line of a run: Umbra's, or that of a bundled guest on the bare machine.
END_LINES = {
    "umbra": re.compile(rb"umbra: end status=(\d{1,3})(?:\s.*)?"),
    "guest": re.compile(rb"[\w.-]+: (PASS|FAIL)(?:\s.*)?"),
}
VERDICTS = {b"PASS": 0, b"FAIL": 1}
ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[()].|.)|[^\t\n -~\x80-\xff]")
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


class Ended(Exception):
    """The run is over, for a reason that is not the machine's end line."""

    def __init__(self, status, text=None):
        super().__init__(text)
        self.status = status


def say(text):
    try:
        print(f"qemu.sh: {text}", file=sys.stderr, flush=True)
    except OSError:  # nobody there
        pass


def last_lines(data, count):
    """The last lines of what a machine or an emulator wrote, fit for a terminal."""
    text = ESCAPES.sub(b"", data.replace(b"\r", b"\n")).decode(errors="replace")
    return [line.rstrip() for line in text.split("\n") if line.strip()][-count:]


# ---- The user's side: three kinds with one face ----------------------------------------------
#
# present    somebody is there: the machine may start
# pending    bytes on their way to the user
# sources()  descriptors to read;  sink()  descriptor to write, or None
# read(fd)   what came from there for the machine
# patience   seconds to wait at the end for the pending bytes to go; None: for ever


class Output:
    """A file, or standard output without a keyboard."""

    present = True
    patience = None

    def __init__(self, fd):
        self.fd = fd
        self.pending = bytearray()
        self.portion = 256 if os.isatty(fd) else 4096  # what goes without blocking, after select()

    def sources(self):
        return []

    def sink(self):
        return self.fd

    def write(self):
        try:
            del self.pending[: os.write(self.fd, self.pending[: self.portion])]
        except BlockingIOError:
            pass
        except BrokenPipeError as error:  # nobody reads: end as a program that did not care
            raise Ended(128 + signal.SIGPIPE) from error
        except OSError as error:
            raise Ended(4, f"cannot write the console: {error.strerror}") from error

    def close(self):
        pass


class Terminal(Output):
    """Standard output, and a keyboard in raw mode (but for output, where a bare LF may come)."""

    def __init__(self, keyboard, fd):
        super().__init__(fd)
        self.keyboard = keyboard
        self.last_ctrl_c = -DOUBLE
        self.saved = termios.tcgetattr(keyboard)
        raw = termios.tcgetattr(keyboard)
        raw[0] &= ~(termios.BRKINT | termios.ICRNL | termios.INPCK | termios.ISTRIP | termios.IXON)
        raw[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN | termios.ISIG)
        raw[6][termios.VMIN], raw[6][termios.VTIME] = 1, 0
        say("Ctrl-] is Umbra's escape key; Ctrl-C twice within a second ends the run")
        termios.tcsetattr(keyboard, termios.TCSADRAIN, raw)

    def sources(self):
        return [] if self.keyboard is None else [self.keyboard]

    def read(self, fd):
        try:
            data = os.read(fd, CHUNK)
        except OSError:  # the terminal is gone
            data = b""
        if not data:
            self.restore()
        for _ in range(data.count(CTRL_C)):
            now = time.monotonic()
            if now - self.last_ctrl_c < DOUBLE:
                raise Ended(128 + signal.SIGINT)
            self.last_ctrl_c = now
        return data

    def restore(self):
        keyboard, self.keyboard = self.keyboard, None
        if keyboard is not None:
            termios.tcsetattr(keyboard, termios.TCSANOW, self.saved)

    def close(self):
        self.restore()


class Client:
    """A TCP client, one at a time; when it leaves, output is dropped until the next one comes."""

    patience = GRACE

    def __init__(self, port):
        self.server = listen(port)
        self.client = None
        self.present = False
        self.pending = bytearray()

    def sources(self):
        return [self.client or self.server]

    def sink(self):
        if self.present and not self.client:
            self.pending.clear()
        return self.client

    def read(self, fd):
        if fd is self.server:
            self.client, _ = self.server.accept()
            self.client.setblocking(False)
            self.present = True
            return b""
        try:
            data = self.client.recv(CHUNK)
        except OSError:
            data = b""
        if not data:
            self.leave()
        return data

    def write(self):
        try:
            del self.pending[: self.client.send(self.pending[:BACKLOG])]
        except BlockingIOError:
            pass
        except OSError:
            self.leave()

    def leave(self):
        self.client.close()
        self.client = None
        self.pending.clear()

    def close(self):
        for end in (self.client, self.server):
            if end:
                end.close()


def listen(port):
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("127.0.0.1", port))
    server.listen(1)
    return server


def is_open(fd):
    try:
        os.fstat(fd)
        return True
    except OSError:
        return False


def has_keyboard():
    """A terminal on standard input, and we are not in its background."""
    try:
        return os.isatty(0) and os.tcgetpgrp(0) == os.getpgrp()
    except OSError:  # a terminal, but not the one that controls us
        return True


def open_user(spec):
    kind, _, rest = spec.partition(":")
    try:
        if kind == "file":
            return Output(os.open(rest, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666))
        if kind == "tcp":
            return Client(int(rest))
    except OSError as error:
        raise Ended(2, f"--serial {spec}: {error.strerror}") from error
    return Terminal(0, 1) if has_keyboard() else Output(1)


# ---- The machine's side ----------------------------------------------------------------------


class Machine:
    """The emulator: a child in its own session, its serial connection, and what it complains of."""

    def __init__(self, options):
        self.options = options
        self.child = None
        self.serial = None
        self.eof = False  # the serial line is read to its end
        self.pending = bytearray()
        self.complaint = bytearray()
        self.server = listen(0)
        self.mouth = None  # where the emulator's own output is read

    def start(self):
        port = str(self.server.getsockname()[1])
        if self.options.fill:
            fill(self.options.fill, port)
        command = [word.replace("@PORT@", port) for word in self.options.command]
        self.mouth, inner = pty.openpty() if self.options.pty else os.pipe()
        own_terminal = self.options.pty
        parent = os.getpid()

        def prepare():  # in the child
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)
            if own_terminal:
                fcntl.ioctl(inner, termios.TIOCSCTTY, 0)

        try:
            self.child = subprocess.Popen(
                command,
                stdin=inner if own_terminal else subprocess.DEVNULL,
                stdout=inner,
                stderr=inner,
                cwd=self.options.folder,
                env=dict(os.environ, TERM="xterm"),
                start_new_session=True,
                preexec_fn=prepare,
            )
        except OSError as error:
            raise Ended(4, f"cannot start {command[0]}: {error.strerror}") from error
        finally:
            os.close(inner)

    def sources(self):
        found = [] if self.mouth is None else [self.mouth]
        if self.server:
            found.append(self.server)
        return found

    def read(self, fd):
        if fd is self.server:
            self.serial, _ = self.server.accept()
            self.serial.setblocking(False)
            self.server.close()
            self.server = None
        else:
            self.listen_to_complaint()

    def listen_to_complaint(self):
        try:
            data = os.read(self.mouth, CHUNK)
        except OSError:  # EIO: the last process on the pty is gone
            data = b""
        self.complaint += data
        del self.complaint[:-COMPLAINT]
        if not data:
            os.close(self.mouth)
            self.mouth = None

    def receive(self):
        try:
            data = self.serial.recv(CHUNK)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        self.eof = not data
        return data

    def send(self):
        try:
            del self.pending[: self.serial.send(self.pending)]
        except BlockingIOError:
            pass
        except OSError:
            self.pending.clear()

    def gone(self):
        return self.child is not None and self.child.poll() is not None

    def kill(self):
        if self.child and self.child.poll() is None:
            os.killpg(self.child.pid, signal.SIGKILL)
            self.child.wait()

    def fate(self):
        code = self.child.poll()
        return f"signal {-code}" if code and code < 0 else f"exit status {code}"


def fill(path, port):
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        text = file.read()
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text.replace("@PORT@", port))


# ---- The loop --------------------------------------------------------------------------------


class Relay:
    def __init__(self, options, user, machine, signals):
        self.options = options
        self.user = user
        self.machine = machine
        self.tail = bytearray()
        self.deadline = time.monotonic() + options.timeout if options.timeout else None
        self.kill_at = None  # set by the end line and by the end of the serial line
        self.signals = signals

    def run(self):
        """The status of the run; or raises Ended."""
        while not self.finished():
            if self.user.present and not self.machine.child:
                self.machine.start()
            self.turn()
            self.judge_time()
        self.drain(self.user.patience)
        return self.status()

    def finished(self):
        """The machine is gone and all it said has been read."""
        machine = self.machine
        if not machine.gone():
            return False
        if machine.server and select.select([machine.server], [], [], 0)[0]:
            return False  # it came and went before we looked
        return machine.eof or not machine.serial

    def turn(self):
        user, machine = self.user, self.machine
        reads = [self.signals] + machine.sources()
        writes = []
        if len(machine.pending) < CHUNK:
            reads += user.sources()
        if machine.serial and not machine.eof:
            reads += [machine.serial] if len(user.pending) < BACKLOG else []
            writes += [machine.serial] if machine.pending else []
        if user.sink() is not None and user.pending:
            writes.append(user.sink())
        readable, writable, _ = select.select(reads, writes, [], self.patience())
        for fd in readable:
            self.read(fd)
        for fd in writable:
            if fd is machine.serial:
                machine.send()
            elif fd is user.sink():
                user.write()

    def read(self, fd):
        if fd is self.signals:
            self.read_signals()
        elif fd in self.machine.sources():
            self.machine.read(fd)
        elif fd is self.machine.serial:
            self.hear(self.machine.receive())
        elif fd in self.user.sources():
            self.machine.pending += self.user.read(fd)

    def read_signals(self):
        for number in self.signals.recv(64):
            if number != signal.SIGCHLD:
                raise Ended(128 + number)

    def hear(self, data):
        self.user.pending += data
        self.tail += data
        del self.tail[:-TAIL]
        if self.machine.eof or self.end_line_is_whole():
            self.kill_at = self.kill_at or time.monotonic() + GRACE
        else:
            self.kill_at = None

    def end_line_is_whole(self):
        after = self.tail[len(self.tail.rstrip()) :]
        return b"\n" in after and self.end_status() is not None

    def end_status(self):
        """The status in the last line, if that is an end line."""
        last = bytes(self.tail).rstrip().rpartition(b"\n")[2].strip()
        match = END_LINES[self.options.end].fullmatch(last)
        if not match:
            return None
        verdict = VERDICTS.get(match[1])
        return min(int(match[1]), 255) if verdict is None else verdict

    def patience(self):
        """Seconds until something happens by itself; None: nothing does."""
        next_time = self.kill_at or self.deadline
        return None if next_time is None else max(0.0, next_time - time.monotonic())

    def judge_time(self):
        now = time.monotonic()
        if self.kill_at:
            if now >= self.kill_at:
                self.machine.kill()
                self.kill_at = None
        elif self.deadline and now >= self.deadline:
            raise Ended(124, f"out of time after {self.options.timeout:g} s")

    def drain(self, patience):
        """The user gets the rest, for so many seconds at most; None: at the user's pace."""
        until = None if patience is None else time.monotonic() + patience
        while self.user.pending and self.user.sink() is not None:
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                return
            readable, writable, _ = select.select([self.signals], [self.user.sink()], [], left)
            if readable:
                self.read_signals()
            if writable:
                self.user.write()

    def status(self):
        while self.machine.mouth is not None:
            if not select.select([self.machine.mouth], [], [], 0.1)[0]:
                break
            self.machine.listen_to_complaint()
        status = self.end_status()
        if status is not None:
            return status
        started = self.machine.serial is not None
        self.machine.kill()
        what = "stopped without its end line" if started else "did not start"
        raise Ended(3 if started else 4, f"the machine {what} ({self.machine.fate()})")

    def last_words(self, status):
        """What a user needs to see when the run went wrong and may not have seen."""
        if self.options.serial != "stdio":
            for line in last_lines(self.tail, 20):
                say(f"  serial: {line}")
        if status != 124:
            for line in self.reason():
                say(f"  {line}")

    def reason(self):
        """What the emulator says about its end: in its log, else on its terminal."""
        found = []
        if self.options.log and os.path.exists(self.options.log):
            with open(self.options.log, "rb") as file:
                found = last_lines(file.read()[-COMPLAINT:], 8)
        return found or last_lines(self.machine.complaint, 12)


def catch_signals():
    """Where the numbers of signals arrive (to be kept whole). Those ignored at start stay so."""
    outer, inner = socket.socketpair()
    outer.setblocking(False)
    inner.setblocking(False)
    signal.set_wakeup_fd(inner.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    return outer, inner


def parse():
    parser = argparse.ArgumentParser(description="relay of a machine's serial port")
    parser.add_argument("--serial", default="stdio")
    parser.add_argument("--timeout", type=float)
    parser.add_argument("--end", choices=END_LINES, default="umbra", help="whose last line it is")
    parser.add_argument("--pty", action="store_true", help="the emulator needs a terminal")
    parser.add_argument("--folder", help="where the emulator runs")
    parser.add_argument("--fill", help="file in which @PORT@ is replaced")
    parser.add_argument("--log", help="the emulator's log, shown when it fails")
    parser.add_argument("--remove", help="folder removed at the end")
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


def run(options):
    for fd in (0, 1, 2):
        if not is_open(fd):
            os.open(os.devnull, os.O_RDWR)  # else a socket of ours would take its place
    signals = catch_signals()
    machine = Machine(options)
    user = relay = None
    try:
        user = open_user(options.serial)
        relay = Relay(options, user, machine, signals[0])
        return relay.run()
    except Ended as end:
        give_up(end, machine, user, relay)
        return end.status
    finally:
        machine.kill()
        if user:
            user.close()
        if options.remove:
            shutil.rmtree(options.remove, ignore_errors=True)


def give_up(end, machine, user, relay):
    """The user gets what there is, then the reason on a terminal that is as it was."""
    machine.kill()
    if relay:
        try:
            relay.drain(1.0)
        except (Ended, OSError):
            pass
    if user:
        user.close()
    if end.args[0]:
        say(end.args[0])
    if relay and machine.child and end.status in (3, 4, 124):
        relay.last_words(end.status)


if __name__ == "__main__":
    sys.exit(run(parse()))
