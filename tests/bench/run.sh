#!/bin/bash
# SPDX-License-Identifier: MIT
#
# make bench: runs guests/bench natively and under Umbra from the same files on the same emulator,
# and prints ticks and exits per operation beside KVM's published figures. Two runs at a time need
# two processors; BENCH_CPU and BENCH_OUT choose the model and where the logs stay.

set -u
cd "$(dirname "$0")/../.." || exit 1
CPU=${BENCH_CPU:-corei7_skylake_x}
OUT=${BENCH_OUT:-build/bench}
mkdir -p "$OUT"

echo "bench: Bochs, $CPU, ips 500M: native, then under Umbra"
UMBRA_ELF=build/guests/bench.elf ./qemu.sh --machine bochs --cpu "$CPU" --memory 384 --timeout 300 \
    --native --serial "file:$OUT/native.log" </dev/null || exit
./qemu.sh --machine bochs --cpu "$CPU" --memory 384 --timeout 300 --serial "file:$OUT/umbra.log" \
    --guest build/guests/bench.elf --mem 256 </dev/null || exit
/usr/bin/env python3 tests/bench/bench.py "$OUT/native.log" "$OUT/umbra.log" "$@"
