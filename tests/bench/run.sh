#!/bin/bash
# SPDX-License-Identifier: MIT
#
# make bench: runs guests/bench natively and under Umbra from the same ISO on the same emulator,
# and prints ticks and exits per operation beside KVM's published figures. BENCH_CPU chooses the
# model, BENCH_OUT the folder where the logs stay.

set -u
cd "$(dirname "$0")/../.." || exit 1
CPU=${BENCH_CPU:-corei7_skylake_x}
OUT=${BENCH_OUT:-build/bench}

boot() {
    ./qemu.sh --machine bochs --cpu "$CPU" --memory 384 --timeout 300 --iso "$OUT/bench.iso" "$@" \
        </dev/null
}

mkdir -p "$OUT" || exit 1
echo "bench: Bochs, $CPU, ips 500M, one ISO: natively, then under Umbra"
./qemu.sh --machine bochs --make-iso "$OUT/bench.iso" --guest build/guests/bench.elf --mem 256 &&
    boot --serial "file:$OUT/native.log" --native 1 &&
    boot --serial "file:$OUT/umbra.log" || exit
python3 tests/bench/bench.py "$OUT/native.log" "$OUT/umbra.log" "$@"
