#!/bin/bash
# SPDX-License-Identifier: MIT
#
# make test: lint, host tests, fuzzers, boot tests. Shows each stage as it runs and adds up the last lines
# of all; a stage that ends without one counts as one failure. Last line: "N passed, N failed".

set -u
cd "$(dirname "$0")/.." || exit 1
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
passed=0
failed=0
skipped=0

# The number before WORD in the last line of the log that has "passed" or "failed" in it.
count() {
    grep -aE '[0-9]+ (passed|failed)' "$log" | tail -1 | grep -oE "[0-9]+ $1" | cut -d' ' -f1
}

stage() {
    local name=$1 status before=$SECONDS
    shift
    echo "== $name"
    "$@" 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    local p f s
    p=$(count passed)
    f=$(count failed)
    s=$(count skipped)
    [ -n "$p$f" ] || f=1
    [ "$status" != 0 ] && [ "${f:-0}" = 0 ] && f=1
    passed=$((passed + ${p:-0}))
    failed=$((failed + ${f:-0}))
    skipped=$((skipped + ${s:-0}))
    echo "== $name: ${p:-0} passed, ${f:-0} failed, $((SECONDS - before)) s"
}

stage lint tests/lint.sh
stage host make --no-print-directory -j2 test-host
stage fuzz make --no-print-directory -j2 test-fuzz
stage boot make --no-print-directory test-boot
[ "$skipped" = 0 ] || echo "$skipped tests were skipped: they count as neither"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
