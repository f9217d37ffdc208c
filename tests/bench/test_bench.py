# SPDX-License-Identifier: MIT
"""What bench.py makes of good and of damaged logs."""

import os
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bench  # noqa: E402

KVM = bench.read_kvm()
SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bench.py")


def result(name, ticks_per_op):
    ops = int(KVM[name]["ops"])
    return f"R {name} {ops} {ops * ticks_per_op} {ticks_per_op}.0"


def native_lines(ticks_per_op=10):
    results = [result(name, ticks_per_op) for name in KVM]
    return ["PAGING-BENCH start", *results, "PAGING-BENCH end", "bench: PASS"]


def exits(number, count):
    return f"X {number} exits={count} pf={count} cr=0 invvpid0=0 invvpid1=0"


def umbra_lines(x_first=True, prefix="bench| "):
    """Every test: 25 ticks and one exit an operation, and the closing mark's exit."""
    lines = [prefix + "PAGING-BENCH start"]
    for number, name in enumerate(KVM, 1):
        pair = [exits(number, int(KVM[name]["ops"]) + 1), prefix + result(name, 25)]
        lines += pair if x_first else reversed(pair)
    return lines + [prefix + "PAGING-BENCH end", prefix + "bench: PASS"]


@pytest.fixture
def compare(tmp_path, capsys):
    def run(native, umbra, *options):
        for name, lines in ("native.log", native), ("umbra.log", umbra):
            (tmp_path / name).write_text("\n".join(lines) + "\n")
        status = bench.main([str(tmp_path / "native.log"), str(tmp_path / "umbra.log"), *options])
        output = capsys.readouterr()
        return status, output.out, output.err

    return run


def replaced(lines, old, new):
    """The lines with the one that contains old replaced, or dropped."""
    assert sum(old in line for line in lines) == 1
    return [new if old in line else line for line in lines if new is not None or old not in line]


def test_kvm_table_is_the_published_one():
    assert len(KVM) == 27
    assert KVM["pf_map"] == {
        "test": "pf_map", "ops": "4096", "ticks_per_op": "6696", "exits_per_op": "2.002",
    }


@pytest.mark.parametrize("x_first", [True, False])
@pytest.mark.parametrize("prefix", ["", "bench| ", "[    1.234567] bench| "])
def test_table(compare, x_first, prefix):
    status, out, err = compare(native_lines(), umbra_lines(x_first, prefix))
    assert (status, err) == (0, "")
    rows = [line.split() for line in out.splitlines()]
    assert len(rows) == 1 + 27
    assert ["pf_map", "4096", "10.0", "25.0", "1.000", "2.50", "6696", "2.002"] in rows


def test_closing_mark_is_not_counted(compare):
    lines = replaced(umbra_lines(), "X 1 ", exits(1, 1))
    _, out, _ = compare(native_lines(), lines)
    assert out.splitlines()[1].split()[4] == "0.000"


def test_all_lines_are_aligned(compare):
    _, out, _ = compare(native_lines(), umbra_lines())
    assert len({len(line) for line in out.splitlines()}) == 1


def test_markdown(compare):
    status, out, _ = compare(native_lines(), umbra_lines(), "--markdown")
    lines = out.splitlines()
    assert status == 0
    assert {line.count("|") for line in lines} == {len(bench.COLUMNS) + 1}
    assert lines[1].startswith("|---|---:|")
    assert lines[2].startswith("| ctl_alu | 20000 | 10.0 | 25.0 | 1.000 | 2.50 |")


def test_carriage_returns_and_noise(compare):
    lines = ["umbra: 1 guest", *(line + "\r" for line in umbra_lines()), "umbra: end status=0"]
    assert compare(native_lines(), lines)[0] == 0


DAMAGED = {
    "missing test": (
        lambda lines: replaced(lines, "R aging ", None), "test aging is missing"),
    "truncated": (
        lambda lines: lines[:12], "truncated: no line 'PAGING-BENCH end', its last result is"),
    "line cut in two": (
        lambda lines: replaced(lines, "R cow_mark ", "bench| R cow_mark 1024 25"),
        "test cow_mark is missing"),
    "empty": (lambda lines: [], "no benchmark in it"),
    "die": (
        lambda lines: lines[:9] + ["bench| DIE #PF 0000000000001000"],
        "the guest failed: DIE #PF 0000000000001000"),
    "fail": (
        lambda lines: lines[:9] + ["bench| bench: FAIL out of frames"],
        "the guest failed: bench: FAIL out of frames"),
    "operations": (
        lambda lines: replaced(lines, "R cpuid ", "R cpuid 7 70 10.0"),
        "test cpuid has 7 operations, not 2000"),
    "unknown test": (
        lambda lines: [*lines, "R new 1 1 1.0"], "out of order"),
    "two runs": (lambda lines: lines + lines, "starts twice"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_native_log(compare, damage):
    change, sentence = DAMAGED[damage]
    status, out, err = compare(change(native_lines()), umbra_lines())
    assert (status, out) == (1, "")
    assert "native.log: " in err and sentence in err


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_umbra_log(compare, damage):
    change, sentence = DAMAGED[damage]
    status, out, err = compare(native_lines(), change(umbra_lines()))
    assert (status, out) == (1, "")
    assert "umbra.log: " in err and sentence in err


@pytest.mark.parametrize("new, sentence", [
    (None, "no X line for test 5 (fill_rd_ad1)"),
    ("X 5 pf=3", "no exits= in the X line of test 5 (fill_rd_ad1)"),
    ("X 5 exits=0 pf=0", "test 5 (fill_rd_ad1) has exits=0"),
    ("X 4 exits=3 pf=0", "two X lines for test 4"),
])
def test_damaged_counters(compare, new, sentence):
    status, _, err = compare(native_lines(), replaced(umbra_lines(), "X 5 ", new))
    assert status == 1 and sentence in err


def test_status_of_the_program(tmp_path):
    missing = str(tmp_path / "none.log")
    run = subprocess.run([sys.executable, SCRIPT, missing, missing], capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stderr == f"bench: {missing}: No such file or directory\n"
