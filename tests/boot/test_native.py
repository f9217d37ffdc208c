# SPDX-License-Identifier: MIT
"""The bundled paging guests on the bare emulator and under Umbra, from one ISO.

Each guest holds what it sees against its own expectations or model; here what it prints is compared
between the two machines as well, line by line. Under Umbra the shadow tables are audited.
"""

import concurrent.futures

import pytest

from umbra import ROOT, run

LONG = 240  # seconds
BENCH = "bench"  # its figures differ, of course; `make bench` compares them


def bundled():
    """Names of the guests in build/guests/bundled.list, in order."""
    lines = (ROOT / "guests/bundled.list").read_text().splitlines()
    return [line.split()[1] for line in lines if line and not line.startswith("#")]


NAMES = bundled()
PAGING = [name for name in NAMES if name != BENCH]


@pytest.fixture(scope="module")
def iso(tmp_path_factory):
    path = tmp_path_factory.mktemp("native") / "umbra.iso"
    run("--machine", "bochs", "--hv", "audit=on", "--make-iso", path).succeeds()
    return path


@pytest.fixture(scope="module")
def under_umbra(iso):
    return run("--machine", "bochs", "--iso", iso, "--memory", 512, timeout=LONG)


@pytest.fixture(scope="module")
def natively(iso):
    """Of every paging guest, its Result on the bare machine."""

    def boot(name):
        number = NAMES.index(name) + 1
        return run("--machine", "bochs", "--iso", iso, "--memory", 512, "--native", number, timeout=LONG)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return dict(zip(PAGING, pool.map(boot, PAGING)))


def lines_of(result, name, prefix=""):
    """What the guest printed of itself: its own lines, without Umbra's mark."""
    marked = [line[len(prefix) :] for line in result.lines if line.startswith(prefix)]
    return [line for line in marked if line.startswith(name)]


def test_all_pass_under_umbra(under_umbra):
    under_umbra.succeeds()
    for name in NAMES:
        under_umbra.says(rf"^{name}\| {name}: PASS$")


@pytest.mark.parametrize("name", PAGING)
def test_same_as_on_the_bare_machine(name, natively, under_umbra):
    native = natively[name].succeeds()
    bare = lines_of(native, name)
    virtual = lines_of(under_umbra, name, f"{name}| ")
    assert bare[-1] == f"{name}: PASS", native
    assert bare == virtual, under_umbra
