#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turns `nm -n umbra.elf` on standard input into the symbol table that vmm/symbols.c reads.

The first link of the image uses an empty table (no input), the second the one made from the
first's symbols; the table lies behind the text, so the functions do not move between the two.
"""
import sys

IMAGE_BASE = 0xFFFFFFFF80000000


def functions(lines):
    for line in lines:
        fields = line.split()
        if len(fields) == 3 and fields[1] in "tT" and int(fields[0], 16) >= IMAGE_BASE:
            yield int(fields[0], 16) - IMAGE_BASE, fields[2]


def main():
    table = sorted(dict(functions(sys.stdin)).items())
    print('.section .symbols, "a"\n.balign 8\n.globl symbol_count, symbol_table, symbol_names')
    print(f"symbol_count: .long {len(table)}\n.balign 8\nsymbol_table:")
    offset = 0
    for address, name in table:
        print(f".long {address:#x}, {offset}")
        offset += len(name) + 1
    print("symbol_names:")
    for _, name in table:
        print(f'.asciz "{name}"')
    print('.byte 0\n.section .note.GNU-stack, "", @progbits')


main()
