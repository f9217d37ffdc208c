#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the proofs of tests/proof/prove.c with CBMC, two at a time.

    tests/proof/prove.py [--only TITLE]... [--jobs N] [--broken]

Each claim is printed with its result, the checks that CBMC adds by itself (pointers, bounds,
shifts, overflow, and that every loop was unwound far enough) as one line a run. Then the same runs
are made with every claim replaced by "false": a claim that still holds in all of them was never
reached, so it proves nothing, and counts as failed. Last line: N passed, N failed.

--broken asks instead whether the proofs can fail: each mistake of BROKEN is made in a private copy
of mm/, and the proof that is named beside it has to refuse it.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import shutil
import subprocess
import sys
import time

import mutants

ROOT = mutants.ROOT
BUILD = os.path.join(ROOT, "build", "prove")
SOURCES = ["tests/proof/prove.c", "tests/proof/spec.c", "mm/walk.c", "mm/paging.c"]

# A title, the function, how often the loops over levels run, with the test that ends them, and how
# many swaps may be lost in one fault (which is walked again then: twice the work for the prover).
Proof = collections.namedtuple("Proof", "title function levels races", defaults=[1])
PROOFS = [
    Proof("TRAP", "prove_trap", 5),
    Proof("PDPTE load", "prove_load_pdptes", 5),
    Proof("walk, unpaged", "prove_walk_none", 2),
    Proof("walk, 32-bit", "prove_walk_32bit", 3),
    Proof("walk, PAE", "prove_walk_pae", 3),
    Proof("walk, 4-level", "prove_walk_4level", 5),
    Proof("walk, 5-level", "prove_walk_5level", 6),
    Proof("shadow, unpaged", "prove_shadow_none", 2),
    Proof("shadow, 32-bit", "prove_shadow_32bit", 3),
    Proof("shadow, PAE", "prove_shadow_pae", 3),
    Proof("shadow, 4-level", "prove_shadow_4level", 5),
    Proof("shadow, 5-level", "prove_shadow_5level", 6, 0),
]
SWAPS = 10       # SWAPS_MAX in prove.c
OTHER_LOOPS = 6  # over levels and PDPTEs in the harness

# Mistakes of mutants.txt, and the proof that must fail.
BROKEN = [
    ("D is set by reads", "walk, 32-bit"),
    ("A is set in the leaf only", "walk, 4-level"),
    ("a lost race goes unnoticed", "walk, PAE"),
    ("CR0.WP is ignored", "walk, 32-bit"),
    ("NX is not reserved without NXE", "walk, PAE"),
    ("PAE bits 62:52 are ignored", "walk, PAE"),
    ("PSE-36's address bits are off by one", "walk, 32-bit"),
    ("PSE-36 by MAXPHYADDR instead of min(40, MAXPHYADDR)", "walk, 32-bit"),
    ("reserved bits lose to a lower absent entry", "walk, 4-level"),
    ("bit 7 of PML4 entries is ignored", "walk, 5-level"),
    ("1 GiB pages without CPUID's leave", "walk, 4-level"),
    ("protection keys guard fetches", "walk, 4-level"),
    ("error code: I/D without PAE", "walk, 32-bit"),
    ("PDPTEs without P are checked", "PDPTE load"),
    ("TRAP is usable", "TRAP"),
    ("W is given before D", "shadow, 32-bit"),
    ("ROM is writable", "shadow, PAE"),
    ("a WP=0 write leaves the page to the user too", "shadow, 32-bit"),
    ("a WP=0 write makes a user page executable past SMEP", "shadow, PAE"),
    ("a WP=0 write turns SMAP off", "shadow, 32-bit"),
    ("the protection key does not reach the leaf", "shadow, 5-level"),
    ("a WP=0 write to a write-disabled key is filled for ever", "shadow, 5-level"),
    ("a changed leaf is not flushed on refill", "shadow, 32-bit"),
    ("a lost race is not walked again", "shadow, 32-bit"),
    ("the frame is the region's first", "shadow, unpaged"),
]


def cbmc_command():
    found = subprocess.run([os.path.join(ROOT, "tools", "cbmc.sh")], stdout=subprocess.PIPE,
                           text=True, check=False)
    if found.returncode != 0:
        print("prove: CBMC is needed, and it cannot be had here: nothing was proven")
        sys.exit(1)
    return found.stdout.split()


def run(cbmc, proof, folder, *options):
    """CBMC's results, a list of (description, status), and the seconds; None if it went wrong."""
    before = time.monotonic()
    loops = (f"mmu_fault.0:{proof.races + 2},walk_translate.0:{proof.levels},"
             f"walk_set_flags.0:{proof.levels},has_flag.0:{SWAPS + 1}")
    command = [*cbmc, "-I.", "-I" + ROOT, *SOURCES, "--function", proof.function,
               "--unwind", str(OTHER_LOOPS), "--unwindset", loops, "--unwinding-assertions",
               f"-DRACES={proof.races}", "--drop-unused-functions", "--slice-formula", "--json-ui", *options]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    log = os.path.join(BUILD, proof.function + ".json")
    with open(log, "w", encoding="utf-8") as file:
        file.write(done.stdout)
    try:
        results = [item for item in json.loads(done.stdout) if "result" in item][0]["result"]
    except (ValueError, IndexError):
        return None, time.monotonic() - before
    return [(r["description"], r["status"]) for r in results], time.monotonic() - before


class Tally:
    """Prints results and counts them."""

    def __init__(self):
        self.passed = self.failed = 0

    def say(self, ok, text):
        self.passed += ok
        self.failed += not ok
        print(f"{'ok     ' if ok else 'FAILED '} prove: {text}", flush=True)

    def end(self):
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed else 0


def report(tally, proof, results, seconds):
    if results is None:
        tally.say(False, f"{proof.title}: CBMC gave no result, see build/prove/{proof.function}.json")
        return
    print(f"== {proof.title}: {seconds:.0f} s")
    claims = collections.OrderedDict()
    others = []
    for description, status in results:
        if description.startswith("claim: "):
            claims.setdefault(description[7:], []).append(status)
        else:
            others.append((description, status))
    for claim, statuses in claims.items():
        tally.say(all(s == "SUCCESS" for s in statuses), f"{proof.title}: {claim}")
    wrong = [description for description, status in others if status != "SUCCESS"]
    tally.say(not wrong, f"{proof.title}: {len(others)} checks of pointers, bounds, shifts,"
                         " arithmetic and unwinding")
    for description in wrong:
        print("        " + description)


def prove(cbmc, proofs, jobs):
    tally = Tally()
    everything, reached = set(), set()

    def task(proof):
        held = run(cbmc, proof, ROOT)
        return held, run(cbmc, proof, ROOT, "-DPROVE_REACH", "--no-standard-checks")[0]

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for proof, ((results, seconds), reach) in zip(proofs, pool.map(task, proofs)):
            report(tally, proof, results, seconds)
            for description, status in reach or []:
                if description.startswith("claim: "):
                    everything.add(description)
                    if status == "FAILURE":
                        reached.add(description)
    idle = sorted(everything - reached)
    tally.say(bool(everything) and not idle, f"{len(everything)} claims are all reached")
    for description in idle:
        print("        never reached: " + description[7:])
    return tally.end()


def refuse(cbmc, jobs):
    """Whether each mistake of BROKEN makes its proof fail."""
    tally = Tally()
    sources = {}
    for file in mutants.FILES:
        with open(os.path.join(ROOT, file), encoding="utf-8") as source:
            sources[file] = source.read()
    made = {m.name: m for m in mutants.chosen(sources)}
    by_title = {p.title: p for p in PROOFS}

    def task(row):
        name, title = row
        folder = os.path.join(BUILD, "broken-" + str(BROKEN.index(row)))
        for source in ("mm", "tests/proof"):
            shutil.copytree(os.path.join(ROOT, source), os.path.join(folder, source))
        with open(os.path.join(folder, made[name].file), "w", encoding="utf-8") as file:
            file.write(made[name].text)
        return run(cbmc, by_title[title], folder, "--no-standard-checks")[0]

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for (name, title), results in zip(BROKEN, pool.map(task, BROKEN)):
            broken = [d for d, status in results or [] if status == "FAILURE"]
            tally.say(bool(broken), f"{title}: refuses '{name}'"
                                    f" ({broken[0] if broken else 'NO CLAIM FAILED'})")
    return tally.end()


def main():
    parser = argparse.ArgumentParser(description="proofs about mm/")
    parser.add_argument("--only", action="append", help="only the proof of this title")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--broken", action="store_true", help="see that the proofs can fail")
    options = parser.parse_args()
    cbmc = cbmc_command()
    shutil.rmtree(BUILD, ignore_errors=True)
    os.makedirs(BUILD)
    if options.broken:
        return refuse(cbmc, options.jobs)
    proofs = [p for p in PROOFS if not options.only or p.title in options.only]
    return prove(cbmc, proofs, options.jobs)


if __name__ == "__main__":
    sys.exit(main())
