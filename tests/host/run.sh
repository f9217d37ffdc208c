#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Runs cmocka programs, two at a time, and counts their tests. A program that dies counts as one
# failed test more. Skipped tests are counted apart. The last line is "N passed, N failed".

set -u
out=$(mktemp -d) || exit 1
trap 'rm -rf "$out"' EXIT

export CMOCKA_MESSAGE_OUTPUT=TAP
printf '%s\n' "$@" | xargs -P 2 -I{} sh -c '
    name=$(basename "$1")
    "$1" >"$2/$name.tap" 2>"$2/$name.err"
    echo $? >"$2/$name.status"' sh {} "$out"

passed=0
failed=0
skipped=0
for program in "$@"; do
    name=$(basename "$program")
    ok=$(grep -cE '^ok ' "$out/$name.tap")
    bad=$(grep -cE '^not ok ' "$out/$name.tap")
    skip=$(grep -ciE '^ok .*# *skip' "$out/$name.tap")
    status=$(cat "$out/$name.status" 2>/dev/null || echo none)
    [ "$status" != 0 ] && [ "$bad" = 0 ] && bad=1
    [ "$ok" = 0 ] && [ "$bad" = 0 ] && bad=1
    passed=$((passed + ok - skip))
    failed=$((failed + bad))
    skipped=$((skipped + skip))
    if [ "$bad" = 0 ]; then
        printf 'ok      host: %s, %s tests\n' "$name" "$ok"
    else
        printf 'FAILED  host: %s, status %s\n' "$name" "$status"
        grep -E '^not ok|^#' "$out/$name.tap" | head -40
        tail -40 "$out/$name.err"
    fi
    grep -E '^count: ' "$out/$name.tap" "$out/$name.err" -h | sed 's/^count: /        /'
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
