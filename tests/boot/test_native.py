# SPDX-License-Identifier: MIT
"""The bundled paging guests on the bare emulator and under Umbra, from one ISO.

Each guest holds what it sees against its own expectations or model; here what it prints is compared
between the two machines as well, line by line. Under Umbra the shadow tables are audited.
"""

import concurrent.futures

import pytest

from umbra import ROOT, run

LONG = 300  # seconds
BENCH = "bench"  # its figures differ, of course; `make bench` compares them


def bundled():
    """The guests of guests/bundled.list but the benchmark: [image, name, option...] each."""
    lines = (ROOT / "guests/bundled.list").read_text().splitlines()
    rows = [line.split() for line in lines if line and not line.startswith("#")]
    return [row for row in rows if row[1] != BENCH]


ROWS = bundled()
NAMES = [row[1] for row in ROWS]


@pytest.fixture(scope="module")
def iso(tmp_path_factory):
    path = tmp_path_factory.mktemp("native") / "umbra.iso"
    words = []
    for image, name, *options in ROWS:
        words += ["--guest", ROOT / "build/guests" / image, "--name", name]
        words += ["--options", " ".join(options)]
    run("--machine", "bochs", "--hv", "audit=on", "--make-iso", path, *words).succeeds()
    return path


@pytest.fixture(scope="module")
def runs(iso):
    """By name of the guest its Result on the bare machine; by None the Result under Umbra."""

    def boot(name):
        native = () if name is None else ("--native", NAMES.index(name) + 1)
        return run("--machine", "bochs", "--iso", iso, "--memory", 256, *native, timeout=LONG)

    everything = [None, *NAMES]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return dict(zip(everything, pool.map(boot, everything)))


def lines_of(result, name, prefix=""):
    """What the guest printed of itself: its own lines, without Umbra's mark."""
    marked = [line[len(prefix) :] for line in result.lines if line.startswith(prefix)]
    return [line for line in marked if line.startswith(name)]


def test_all_pass_under_umbra(runs):
    runs[None].succeeds()
    for name in NAMES:
        runs[None].says(rf"^{name}\| {name}: PASS$")


@pytest.mark.parametrize("name", NAMES)
def test_same_as_on_the_bare_machine(name, runs):
    native = runs[name].succeeds()
    bare = lines_of(native, name)
    virtual = lines_of(runs[None], name, f"{name}| ")
    assert bare[-1] == f"{name}: PASS", native
    assert bare == virtual, runs[None]


def test_benchmark_and_its_marks():
    """The benchmark runs to its end; each test has a line of exits, plausible where it is known."""
    bench = ROOT / "build/guests/bench.elf"
    result = run("--machine", "bochs", "--guest", bench, "--mem", 256, timeout=LONG).succeeds()
    marks = [line.split() for line in result.lines if line.startswith("X ")]
    assert [int(mark[1]) for mark in marks] == list(range(1, 28)), result
    exits = {int(mark[1]): int(mark[2].removeprefix("exits=")) for mark in marks}
    assert exits[1] == 1 and exits[3] == 2001 and exits[4] == 1001, result  # alu, cpuid, IN
    result.says(r"^bench\| R ctl_alu 20000 36\d+ 180\.0$")
