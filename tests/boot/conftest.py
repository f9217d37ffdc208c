# SPDX-License-Identifier: MIT
"""What all boot tests share."""

import os
import subprocess
from pathlib import Path

import pytest

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture(scope="session")
def echo_elf(tmp_path_factory):
    """The kernel of fixtures/echo.asm, which stands in for Umbra when the runner is tested."""
    folder = tmp_path_factory.mktemp("echo")
    elf, obj = folder / "echo.elf", folder / "echo.o"
    linker = os.environ.get("CROSS_COMPILE", "") + "ld"
    subprocess.run(["nasm", "-f", "elf32", FIXTURES / "echo.asm", "-o", obj], check=True)
    subprocess.run(
        [linker, "-m", "elf_i386", "-z", "noexecstack", "-Ttext", "0x200000", "-o", elf, obj],
        check=True,
    )
    return elf
