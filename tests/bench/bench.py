#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Compares runs of the paging benchmark: bare machine, Umbra, KVM with ept=0.

Reads the serial log of a native run and of a run under Umbra. The guest prints, for each test in
order, "R name ops ticks ticks/op"; Umbra prints, when it sees the closing mark of the test with
that id, "X id exits=N pf=N cr=N invvpid0=N invvpid1=N", before or after the guest's line. Ids count
the tests from 1. Umbra may put "name| " before what a guest says. The exit that the closing mark
itself causes is in exits= and is not part of exits/op. KVM's figures are published ones (kvm.csv).

Exit status: 0 the table was printed, 1 a log cannot be used (and why), 2 bad usage.
"""

import argparse
import csv
import os
import re
import sys

KVM_CSV = os.path.join(os.path.dirname(os.path.abspath(__file__)), "kvm.csv")

PREFIX = r"^(?:.*\| |\[[ .\d]+\] )?"
START = re.compile(PREFIX + r"PAGING-BENCH start$")
END = re.compile(PREFIX + r"PAGING-BENCH end$")
RESULT = re.compile(PREFIX + r"R (\w+) (\d+) (\d+) \d+\.\d$")
EXITS = re.compile(PREFIX + r"X (\d+)((?: \w+=\d+)+)$")
FAILURE = re.compile(PREFIX + r"(DIE .*|BAD exception.*|\S+: FAIL.*)$")

COLUMNS = ["test", "ops", "native", "Umbra", "exits/op", "x native", "KVM ept=0", "KVM exits/op"]


class BadLog(Exception):
    """Why a log cannot be used, in a sentence that names it."""


class Log:
    """One run: results as (name, ops, ticks) in order, counters by id."""

    def __init__(self, path, text):
        self.path = path
        self.results = []
        self.counters = {}
        self.started = self.ended = False
        for line in text.splitlines():
            self.read(line.rstrip())
        self.check_whole()

    def error(self, why):
        return BadLog(f"{self.path}: {why}")

    def read(self, line):
        if match := FAILURE.match(line):
            raise self.error(f"the guest failed: {match[1]}")
        if START.match(line):
            if self.started:
                raise self.error("the benchmark starts twice")
            self.started = True
        elif END.match(line):
            self.ended = True
        elif match := RESULT.match(line):
            self.results.append((match[1], int(match[2]), int(match[3])))
        elif match := EXITS.match(line):
            self.add_counters(int(match[1]), match[2])

    def add_counters(self, number, words):
        if number in self.counters:
            raise self.error(f"two X lines for test {number}")
        pairs = (word.split("=") for word in words.split())
        self.counters[number] = {key: int(value) for key, value in pairs}

    def check_whole(self):
        if not self.started:
            raise self.error("no benchmark in it (no line 'PAGING-BENCH start')")
        if not self.ended:
            last = f"its last result is {self.results[-1][0]}" if self.results else "no result"
            raise self.error(f"truncated: no line 'PAGING-BENCH end', {last}")

    def check_tests(self, kvm):
        """The very tests of kvm.csv, in its order, with its numbers of operations."""
        names = [name for name, _, _ in self.results]
        for name in kvm:
            if name not in names:
                raise self.error(f"test {name} is missing")
        if names != list(kvm):
            raise self.error("tests are repeated, unknown or out of order: " + " ".join(names))
        for name, ops, _ in self.results:
            if ops != int(kvm[name]["ops"]):
                raise self.error(f"test {name} has {ops} operations, not {kvm[name]['ops']}")

    def exits(self, number, name):
        """Exits of a test, without that of its closing mark."""
        if number not in self.counters:
            raise self.error(f"no X line for test {number} ({name})")
        count = self.counters[number].get("exits")
        if count is None:
            raise self.error(f"no exits= in the X line of test {number} ({name})")
        if count == 0:
            raise self.error(f"test {number} ({name}) has exits=0: the closing mark is an exit")
        return count - 1


def read_log(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return Log(path, file.read())
    except OSError as error:
        raise BadLog(f"{path}: {error.strerror}") from error


def read_kvm(path=KVM_CSV):
    with open(path, encoding="utf-8") as file:
        lines = [line for line in file if not line.startswith("#")]
    return {row["test"]: row for row in csv.DictReader(lines)}


def number(value):
    """Four digits of interest: 183, 45.9, 3.72."""
    value = float(value)
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def rows(native, umbra, kvm):
    native.check_tests(kvm)
    umbra.check_tests(kvm)
    for i, (name, ops, ticks) in enumerate(umbra.results):
        native_ticks = native.results[i][2]
        yield [
            name,
            str(ops),
            number(native_ticks / ops),
            number(ticks / ops),
            f"{umbra.exits(i + 1, name) / ops:.3f}",
            number(ticks / native_ticks),
            number(kvm[name]["ticks_per_op"]),
            kvm[name]["exits_per_op"],
        ]


def text_table(table):
    widths = [max(len(row[i]) for row in table) for i in range(len(COLUMNS))]
    for row in table:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        yield "  ".join(cells)


def markdown_table(table):
    lines = ["| " + " | ".join(row) + " |" for row in table]
    return [lines[0], "|---" + "|---:" * (len(COLUMNS) - 1) + "|"] + lines[1:]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("native", help="serial log of the native run")
    parser.add_argument("umbra", help="serial log of the run under Umbra")
    parser.add_argument("--markdown", action="store_true", help="a table for documents")
    options = parser.parse_args(arguments)
    try:
        native, umbra = read_log(options.native), read_log(options.umbra)
        table = [COLUMNS] + list(rows(native, umbra, read_kvm()))
    except BadLog as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print("\n".join(markdown_table(table) if options.markdown else text_table(table)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
