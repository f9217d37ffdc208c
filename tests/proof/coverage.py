#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints which lines and branches of mm/ the tests have run: coverage.py BUILD-FOLDER.

Reads what gcc --coverage left in BUILD-FOLDER/mm by gcov, which comes with gcc; no other package
is needed. A header's inline functions are compiled into many files: a line or branch of theirs
counts if it ran in one of them. What did not run is listed below the table, panics apart: the
branch of an ASSERT that fails is not counted at all.
"""

import collections
import glob
import json
import os
import subprocess
import sys


def gcov(folder):
    """All lines of mm/: {file: {line: [count, [branch counts]]}}."""
    files = collections.defaultdict(dict)
    for data in sorted(glob.glob(os.path.join(folder, "mm", "*.gcda"))):
        output = subprocess.run(["gcov", "--json-format", "--branch-probabilities", "--stdout", data],
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
        for file in json.loads(output)["files"]:
            if file["file"].startswith("mm/"):
                add(files[file["file"]], file["lines"])
    return files


def add(known, lines):
    for line in lines:
        counts = [branch["count"] for branch in line["branches"] if not branch["throw"]]
        before, branches = known.get(line["line_number"], (0, []))
        if len(branches) == len(counts):
            counts = [a + b for a, b in zip(branches, counts)]
        elif not counts:
            counts = branches
        known[line["line_number"]] = (before + line["count"], counts)


def percent(part, whole):
    return f"{part:4} of {whole:4} {100 * part / whole if whole else 100:6.1f}%"


def main():
    files = gcov(sys.argv[1])
    if not files:
        print("coverage: no data")
        return 1
    total = [0, 0, 0, 0]
    missed = []
    print(f"\n{'':18}{'lines':>21}{'branches':>21}")
    for name in sorted(files):
        row = [0, 0, 0, 0]
        with open(name, encoding="utf-8") as source:
            text = source.read().splitlines()
        for number, (count, branches) in sorted(files[name].items()):
            if "ASSERT(" in text[number - 1] or "panic(" in text[number - 1]:
                branches = []
            row[0] += count > 0
            row[1] += 1
            row[2] += sum(b > 0 for b in branches)
            row[3] += len(branches)
            if not count or not all(branches):
                what = "never" if not count else f"{branches.count(0)} of {len(branches)} branches"
                missed.append(f"{name}:{number}: {what}: {text[number - 1].strip()}")
        print(f"{name:18}{percent(row[0], row[1]):>21}{percent(row[2], row[3]):>21}")
        total = [a + b for a, b in zip(total, row)]
    print(f"{'mm/':18}{percent(total[0], total[1]):>21}{percent(total[2], total[3]):>21}")
    print("\nnot run:" if missed else "\neverything was run")
    for line in missed:
        print("  " + line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
