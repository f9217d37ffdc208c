#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Mutation testing of mm/: makes one mistake at a time and asks whether a host test notices.

    tests/proof/mutants.py [--chosen] [--file mm/NAME.c]... [--every N] [--jobs N] [--list]

The mistakes are those of tests/proof/mutants.txt, each chosen by hand, and without --chosen also
those that SCRIPTED makes of every comparison, mask, flush and so on. A snapshot of the sources is
compiled once into build/mutants; for each mutant only the file that it changes is compiled anew
and the tests relinked, in a folder of the worker's own. A mutant is killed by the first test that
fails, crashes or does not end. Not counted are mutants that do not compile, and those for which
the compiler makes the very same machine code.

Survivors that tests/proof/survivors.md explains are accepted; any other makes the status 1.
"""

import argparse
import collections
import concurrent.futures
import os
import queue
import re
import resource
import shutil
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, "build", "mutants")
BASE = os.path.join(BUILD, "base")  # the snapshot
ARCHIVE = os.path.join(BASE, "base.a")
CHOSEN = os.path.join(ROOT, "tests", "proof", "mutants.txt")
SURVIVORS = os.path.join(ROOT, "tests", "proof", "survivors.md")

FOLDERS = ("mm", "lib", "arch", "tests/host")  # what the snapshot needs
FILES = ["mm/" + name for name in (
    "walk.c", "mmu.c", "vtlb.c", "paging.c", "gpm.c", "pool.c", "frames.c", "hostmap.c", "spte.h")]
TESTS = ["test_vtlb", "test_mmu", "test_frames", "test_hostmap", "test_gpm", "test_walk",
         "test_histories"]  # the slowest last
# The test that most likely notices comes first.
NEAREST = {"mm/gpm.c": "test_gpm", "mm/frames.c": "test_frames", "mm/hostmap.c": "test_hostmap",
           "mm/mmu.c": "test_mmu", "mm/walk.c": "test_mmu", "mm/paging.c": "test_mmu"}
CFLAGS = ["-std=gnu17", "-O2", "-g0", "-w"]
MEMORY = 16 << 30  # address space: an arena of a test has 8 GiB
SLOWER = 5  # a mutant may take so many times as long as the unchanged program
LEAST_SECONDS = 5

Mutant = collections.namedtuple("Mutant", "name file line old new text")


# ---- mutations ----

def blanked(text):
    """The text with comments, strings and preprocessor includes replaced by spaces."""
    def spaces(match):
        return re.sub(r"[^\n]", " ", match.group())
    return re.sub(r'/\*.*?\*/|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|^#\s*(?:include|pragma).*?$',
                  spaces, text, flags=re.S | re.M)


def closing(code, at):
    """The index after the bracket that closes the one at code[at]."""
    depth = 0
    for i in range(at, len(code)):
        depth += (code[i] in "([{") - (code[i] in ")]}")
        if depth == 0:
            return i + 1
    return len(code)


def term_end(code, at):
    """Where the operand of | that begins at code[at] ends."""
    while at < len(code):
        if code[at] in "([{":
            at = closing(code, at)
        elif code[at] in ")]},;?:|^" or code.startswith("&&", at):
            return at
        else:
            at += 1
    return at


def term_start(code, at):
    """Where the operand of | that ends before code[at] starts."""
    depth = 0
    while at > 0:
        c = code[at - 1]
        depth += (c in ")]}") - (c in "([{")
        if depth < 0 or depth == 0 and (c in ",;?:|^=" or code[at - 2:at] == "&&"):
            return at
        at -= 1
    return at


def swaps(pattern, *replacements):
    """A rule: what pattern's group 1 matches becomes each of the replacements."""
    def rule(code):
        for match in re.finditer(pattern, code, re.M):
            for new in replacements:
                yield match.start(1), match.end(1), new
    return rule


def less(code):
    for match in re.finditer(r"(?<=[\w)\] ])(<=|>=|<|>)(?= )(?<!->)", code):
        old = match.group(1)
        if code[match.start() - 1] in "<>-" or code[match.end()] in "<>=":
            continue
        for new in {"<": ("<=", ">="), "<=": ("<", ">"), ">": (">=", "<="), ">=": (">", "<")}[old]:
            yield match.start(1), match.end(1), new


def masks(code):
    for match in re.finditer(r"(?<=[\w)\]] )&=? (~?)(?=[\w(])", code):
        if match.group(1):
            yield match.start(1), match.end(1), ""
        else:
            yield match.end(), match.end(), "~"


def dropped_terms(code):
    for match in re.finditer(r"(?<!\|)\|(?![|=])", code):
        start = term_start(code, match.start())
        if not re.search(r"(?<!\|)\|\s*$", code[:start]):
            yield start, match.end(), ""
        yield match.start(), term_end(code, match.end()), ""


def conditions(code):
    for match in re.finditer(r"\b(?:if|while) \(", code):
        end = closing(code, match.end() - 1)
        yield match.end() - 1, end, "(!" + code[match.end() - 1:end] + ")"


def ternaries(code):
    for match in re.finditer(r"\?", code):
        colon = term_end(code, match.end())
        while colon < len(code) and code[colon] != ":":
            colon = term_end(code, colon + 1) if code[colon] in "|^&" else len(code)
        if colon < len(code):
            yield match.start(), match.start(), "? 0 "
            yield match.start(), match.start(), "? 1 "


STATEMENT = re.compile(
    r"^[ \t]+((?:[a-z]\w*\([^;{}]*\)"  # a call
    r"|[*\w.>\[\]-]+(?:\([^;{}]*\))?[\w.>\[\]-]* (?:[|&^+-]|<<|>>)?= [^;{}]*"  # an assignment
    r"|[\w.>\[\]-]+(?:\+\+|--));)$", re.M)


def removed_statements(code):
    for match in STATEMENT.finditer(code):
        if re.match(r"(?:return|goto|else|panic)\b", match.group(1)):
            continue
        yield match.start(1), match.end(1), "(void)0;"


def off_by_one(code):
    for match in re.finditer(r"(?<![\w.])(\d+)(u|ull|l)?\b(?!\.)", code):
        value, suffix = int(match.group(1)), match.group(2) or ""
        yield match.start(), match.end(), str(value + 1) + suffix
        if value > 1:
            yield match.start(), match.end(), str(value - 1) + suffix


SCRIPTED = [
    ("== to !=", swaps(r"(?<=[ ])(==)(?= )", "!=")),
    ("!= to ==", swaps(r"(?<=[ ])(!=)(?= )", "==")),
    ("comparison", less),
    ("&& to ||", swaps(r"(&&)", "||")),
    ("|| to &&", swaps(r"(\|\|)", "&&")),
    ("mask inverted", masks),
    ("term dropped", dropped_terms),
    ("! dropped", swaps(r"(!)(?![=])", "")),
    ("condition negated", conditions),
    ("condition forced", ternaries),
    ("statement removed", removed_statements),
    ("true for false", swaps(r"\b(false)\b", "true")),
    ("false for true", swaps(r"\b(true)\b", "false")),
    ("off by one", off_by_one),
    ("+ for -", swaps(r"(?<=[\w)\]]) (-)(?= )", "+")),
    ("- for +", swaps(r"(?<=[\w)\]]) (\+)(?= )", "-")),
    ("<< for >>", swaps(r"(?<= )(>>)(?= )", "<<")),
    (">> for <<", swaps(r"(?<= )(<<)(?= )", ">>")),
]


def squeezed(text):
    return " ".join(text.split())


def mutant(name, file, text, span, new):
    """The mutant of text whose characters span[0] to span[1] become new; shown as whole lines."""
    changed = text[:span[0]] + new + text[span[1]:]
    first = text.rfind("\n", 0, span[0]) + 1
    last = text.find("\n", max(span[1] - 1, span[0]))
    after = last + len(changed) - len(text)
    return Mutant(name, file, text.count("\n", 0, span[0]) + 1, squeezed(text[first:last]),
                  squeezed(changed[first:after]), changed)


def scripted(file, text):
    code = blanked(text)
    seen = set()
    for name, rule in SCRIPTED:
        for start, end, new in rule(code):
            made = mutant(name, file, text, (start, end), new)
            if made.text not in seen and made.text != text:
                seen.add(made.text)
                yield made


def chosen(sources):
    """The mutants of mutants.txt: '== name', the file, '-' lines and '+' lines."""
    with open(CHOSEN, encoding="utf-8") as table:
        blocks = re.split(r"^== ", table.read(), flags=re.M)[1:]
    for block in blocks:
        name, file, *lines = [line for line in block.splitlines() if line.strip()]
        old = "\n".join(line[2:] for line in lines if line.startswith("-"))
        new = "\n".join(line[2:] for line in lines if line.startswith("+"))
        text = sources[file]
        if text.count(old) != 1:
            sys.exit(f"{CHOSEN}: '{name}': its old text is {text.count(old)} times in {file}")
        start = text.index(old)
        yield mutant(name, file, text, (start, start + len(old)), new)


def accepted():
    """The survivors that survivors.md explains: blocks ```diff, a file, '-' line, '+' line."""
    if not os.path.exists(SURVIVORS):
        return set()
    with open(SURVIVORS, encoding="utf-8") as file:
        text = file.read()
    pairs = set()
    for block in re.findall(r"^```diff\n(.*?)^```", text, re.S | re.M):
        path, old = None, ""
        for line in block.splitlines():
            if line.startswith("-"):
                old = squeezed(line[1:])
            elif line.startswith("+"):
                pairs.add((path, old, squeezed(line[1:])))
            elif line.strip():
                path = line.strip()
    return pairs


# ---- building and running ----

def limits():
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def compile_c(folder, source, target):
    """Compiles folder/source, with headers of the snapshot where folder has none of its own."""
    command = ["gcc", *CFLAGS, "-I.", "-I" + BASE, "-c", source, "-o", target]
    return subprocess.run(command, cwd=folder, stderr=subprocess.DEVNULL, check=False).returncode == 0


def object_of(folder, source):
    return os.path.join(folder, source.replace("/", "_") + ".o")


def link(objects, target):
    """Links objects and what they need of the snapshot; returns the files that were taken of it."""
    done = subprocess.run(["gcc", "-Wl,--trace,--trace", "-o", target, *objects, ARCHIVE, "-lcmocka"],
                          stdout=subprocess.PIPE, text=True, check=True)
    return set(re.findall(r"base\.a\)?\(?(\w+\.c)\.o", done.stdout))


def test_source(test):
    return f"tests/host/{test}.c"


def run_test(program, seconds):
    """The status of a test program, ended at its first failure, and how long it took."""
    before = time.monotonic()
    with subprocess.Popen([program], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, preexec_fn=limits) as process:
        timer = threading.Timer(seconds, process.kill)
        timer.start()
        for line in process.stderr:
            if b"[  FAILED  ]" in line:
                process.kill()
        status = process.wait()
        timer.cancel()
    took = time.monotonic() - before
    return ("timeout" if took >= seconds else status), took


class Baseline:
    """The unchanged sources, compiled; and the tests that there are, with their times."""

    def __init__(self, jobs):
        shutil.rmtree(BUILD, ignore_errors=True)
        for folder in FOLDERS:
            shutil.copytree(os.path.join(ROOT, folder), os.path.join(BASE, folder))
        names = sorted(os.listdir(os.path.join(BASE, "tests/host")))
        self.tests = [t for t in TESTS if t + ".c" in names]
        self.sources = [f"{folder}/{name}" for folder in ("mm", "lib", "tests/host")
                        for name in sorted(os.listdir(os.path.join(BASE, folder)))
                        if name.endswith(".c") and not name.startswith(("test_", "fuzz_"))
                        and f"{folder}/{name}" != "lib/string.c"]
        everything = self.sources + [test_source(t) for t in self.tests]
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            done = list(pool.map(lambda s: compile_c(BASE, s, object_of(BASE, s)), everything))
        for source, ok in zip(everything, done):
            if not ok:
                sys.exit(f"{source} does not compile")
        subprocess.run(["ar", "rcs", ARCHIVE, *(object_of(BASE, s) for s in self.sources)], check=True)
        self.seconds = {}
        self.concerns = {}  # the files that a test is linked to
        for test in self.tests:
            program = os.path.join(BASE, test)
            self.concerns[test] = link([object_of(BASE, test_source(test))], program)
            status, seconds = run_test(program, 600)
            if status != 0:
                sys.exit(f"{test} fails without any mutation (status {status}): mend that first")
            self.seconds[test] = max(LEAST_SECONDS, SLOWER * seconds)
            print(f"        {test}: {seconds:.1f} s", flush=True)
        for file in FILES:
            if file.endswith(".c") and not self.tests_of(file):
                sys.exit(f"no test is linked to {file}")

    def tests_of(self, file):
        """The tests that file can matter to, the likeliest first."""
        name = file.replace("/", "_")
        fitting = [t for t in self.tests if file.endswith(".h") or name in self.concerns[t]]
        return sorted(fitting, key=lambda t: t != NEAREST.get(file))


def judge(baseline, folder, made):
    """What became of a mutant: (verdict, detail); folder is the worker's own."""
    path = os.path.join(folder, made.file)
    mine = [made.file]
    if made.file.endswith(".h"):
        mine = baseline.sources + [test_source(t) for t in baseline.tests]
    shutil.rmtree(folder, ignore_errors=True)
    for source in mine:
        os.makedirs(os.path.dirname(os.path.join(folder, source)), exist_ok=True)
        shutil.copy(os.path.join(BASE, source), os.path.join(folder, source))
    with open(path, "w", encoding="utf-8") as file:
        file.write(made.text)
    if not all(compile_c(folder, s, object_of(folder, s)) for s in mine):
        return "no compile", ""
    if all(same_bytes(object_of(folder, s), object_of(BASE, s)) for s in mine):
        return "same code", ""
    for test in baseline.tests_of(made.file):
        program = os.path.join(folder, test)
        needed = [s for s in mine if s.replace("/", "_") in baseline.concerns[test]]
        link([object_of(folder, s) for s in needed] +
             [object_of(folder if test_source(test) in mine else BASE, test_source(test))], program)
        status, _ = run_test(program, baseline.seconds[test])
        if status != 0:
            return "killed", f"{test} ({status})"
    return "survived", ""


def same_bytes(a, b):
    with open(a, "rb") as one, open(b, "rb") as other:
        return one.read() == other.read()


def show(made):
    print(f"{made.file}:{made.line}: {made.name}\n-   {made.old}\n+   {made.new}")


def mutants_of(options):
    sources = {}
    for file in FILES:
        with open(os.path.join(ROOT if options.list else BASE, file), encoding="utf-8") as source:
            sources[file] = source.read()
    found = list(chosen(sources))
    if not options.chosen:
        for file in FILES:
            found += scripted(file, sources[file])
    return [m for m in found if not options.file or m.file in options.file][::options.every]


def run_all(baseline, mutants, jobs):
    """Judges all mutants with jobs workers; yields (mutant, verdict, detail) in their order."""
    folders = queue.Queue()
    for i in range(jobs):
        folders.put(os.path.join(BUILD, f"worker{i}"))

    def task(made):
        folder = folders.get()
        try:
            return judge(baseline, folder, made)
        finally:
            folders.put(folder)

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for made, (verdict, detail) in zip(mutants, pool.map(task, mutants)):
            yield made, verdict, detail


def main():
    parser = argparse.ArgumentParser(description="mutation testing of mm/")
    parser.add_argument("--chosen", action="store_true", help="only those of mutants.txt")
    parser.add_argument("--file", action="append", help="only mutants of this file")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each Nth mutant")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--list", action="store_true", help="show the mutants, run nothing")
    options = parser.parse_args()
    if options.list:
        for made in mutants_of(options):
            show(made)
        return 0
    before = time.monotonic()
    baseline = Baseline(options.jobs)
    mutants = mutants_of(options)
    print(f"        {len(mutants)} mutants", flush=True)
    counts = collections.Counter()
    survivors = []
    for number, (made, verdict, detail) in enumerate(run_all(baseline, mutants, options.jobs), 1):
        counts[verdict] += 1
        if verdict == "survived":
            survivors.append(made)
        if verdict == "survived" or options.chosen:
            print(f"{verdict:9} {made.file}:{made.line}: {made.name} {detail}", flush=True)
        elif number % 50 == 0:
            print(f"        {number} of {len(mutants)}, {counts['survived']} survived,"
                  f" {time.monotonic() - before:.0f} s", flush=True)
    return report(counts, survivors, time.monotonic() - before)


def report(counts, survivors, seconds):
    explained = accepted()
    unexplained = [m for m in survivors if (m.file, m.old, m.new) not in explained]
    for title, some in (("explained in survivors.md", [m for m in survivors if m not in unexplained]),
                        ("NOT EXPLAINED", unexplained)):
        if some:
            print(f"\n== survivors {title}: {len(some)}")
            for made in some:
                show(made)
    print(f"\n{counts['same code']} made the same machine code, {counts['no compile']} did not"
          f" compile: not counted; {len(unexplained)} survivors not explained; {seconds:.0f} s")
    print(f"{counts['killed']} killed, {counts['survived']} survived")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
