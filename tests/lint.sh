#!/bin/bash
# SPDX-License-Identifier: MIT
#
# make lint: what the compiler does not check. Each check is a function that prints what is wrong
# and fails, or prints nothing. The last line is "N passed, N failed, N skipped".

set -u
cd "$(dirname "$0")/.." || exit 1

C_FILES=$(git ls-files --cached --others --exclude-standard '*.c' '*.h')
ALL_FILES=$(git ls-files --cached --others --exclude-standard)
passed=0
failed=0
skipped=0
SKIPPED=77 # what a check returns that cannot be made here

# Prints the lines it gets, and succeeds if there were none.
nothing() {
    ! grep . -
}

# FROM ALLOWED: each include of a file below FROM must match the extended expression ALLOWED.
layer() {
    grep -rnE '^#include "' "$1" --include='*.c' --include='*.h' | grep -vE "#include \"($2)" |
        sed 's/^/include against the arrow: /'
}

CONSTANTS='arch/x86/(pte|regs|msr|cpuid)\.h'

check_layers() {
    {
        layer lib 'lib/'
        layer mm "mm/|lib/|$CONSTANTS"
        layer boot 'boot/|lib/|mm/addr\.h'
        layer drivers 'drivers/|lib/|arch/x86/'
        layer arch 'arch/x86/|lib/|mm/(addr|frames|host|paging)\.h'
        layer guests 'guests/|lib/|mm/addr\.h|arch/x86/(pte|regs|msr|cpuid|insn)\.h'
        grep -rn '#include "arch/x86/vmx/' vmm | grep -v '^vmm/selftest\.c:' |
            sed 's/^/vmm names the engine: /'
    } | nothing
}

# mm asks of its host four functions and lib; nothing else may be undefined in it.
check_mm_symbols() {
    local objects=()
    mapfile -t objects < <(printf 'build/gcc/%s.o\n' mm/*.c)
    make -s "${objects[@]}" >/dev/null && ld -r -o build/mm.o "${objects[@]}" &&
        nm -u build/mm.o | sed 's/^ *U //' |
        grep -vxE 'panic|log_printf|host_ptr|host_tlb_flush|mem(cpy|set|cmp|move)|format' |
            sed 's/^/mm needs what its host does not offer: /' | nothing
}

check_inline_assembly() {
    grep -nE '\b(__)?asm(__)? *(volatile|goto|\()' $C_FILES |
        grep -vE '^(arch/x86/insn\.h|guests/lib/x86\.h|tests/host/fake/)' |
        sed 's/^/inline assembly: /' | nothing
}

check_hexadecimal() {
    grep -nE '\b0x[0-9a-fA-F]+' $(printf '%s\n' $C_FILES | grep '^vmm/') |
        grep -vE ':[0-9]+:(#define| *\*| */\*)' | sed -E 's|/\*.*\*/||' | grep -vE ':[0-9]+: +(\.?[a-z]* = |static const char magic.*)?(\{|\[|0x).*' |
        sed -E 's/"[^"]*"//g' | grep -E '\b0x[0-9a-fA-F]+' | sed 's/^/naked number: /' | nothing
}

check_spdx() {
    local f
    for f in $ALL_FILES; do
        case $f in
            LICENSE | *.csv | *.png | tests/host/corpus/*) continue ;;
        esac
        [ -f "$f" ] && ! head -5 "$f" | grep -q 'SPDX-License-Identifier: MIT' && echo "no SPDX line: $f"
    done | nothing
}

# Versions of clang-format disagree in details; the tree is formatted by this one.
FORMAT_VERSION=14

check_format() {
    local version
    version=$(clang-format --version | grep -oE 'version [0-9]+' | cut -d' ' -f2)
    if [ "$version" != $FORMAT_VERSION ]; then
        echo "clang-format is version $version, not $FORMAT_VERSION"
        return $SKIPPED
    fi
    clang-format --dry-run -Werror $C_FILES
}

check_gcc() {
    make -s build/gcc/umbra.elf guests 2>&1 | nothing
}

check_clang() {
    make -s COMPILER=clang build/clang/umbra.elf 2>&1 | nothing
}

check_cppcheck() {
    cppcheck --quiet --std=c11 --language=c --error-exitcode=1 --inline-suppr -I. -j2 \
        --enable=warning,performance,portability --suppress=missingInclude \
        --suppress=unusedStructMember --suppress=normalCheckLevelMaxBranches --suppress='*:arch/x86/insn.h' \
        boot arch mm lib drivers vmm guests 2>&1 | nothing
}

check_multiboot2() {
    local f
    for f in build/gcc/umbra.elf build/guests/*.elf; do
        grub-file --is-x86-multiboot2 "$f" || echo "no multiboot2 header: $f"
    done | nothing
}

# No segment of the image is both writable and executable.
check_segments() {
    readelf -lW build/gcc/umbra.elf | awk '/LOAD/ && /RWE/ { print "writable and executable:", $0 }' | nothing
}

# Code is read by people: hardly any function is longer than a screen.
check_function_length() {
    ctags -x --c-kinds=f --fields=+ne --output-format=json $(printf '%s\n' $C_FILES | grep -v '^tests/') |
        /usr/bin/python3 -c '
import json, sys
for line in sys.stdin:
    tag = json.loads(line)
    length = tag.get("end", tag["line"]) - tag["line"] + 1
    if length > 60:
        print("{}:{}: {} has {} lines".format(tag["path"], tag["line"], tag["name"], length))' | nothing
}

check_shell() {
    local f
    for f in $(grep -lE '^#!/bin/(ba)?sh' $ALL_FILES); do
        bash -n "$f" || echo "syntax: $f"
    done | nothing
}

run() {
    local output status
    output=$("check_$1" 2>&1)
    status=$?
    case $status in
        0)
            passed=$((passed + 1))
            printf 'ok      lint: %s\n' "$2"
            ;;
        "$SKIPPED")
            skipped=$((skipped + 1))
            printf 'skipped lint: %s: %s\n' "$2" "$output"
            ;;
        *)
            failed=$((failed + 1))
            printf 'FAILED  lint: %s\n%s\n' "$2" "$output"
            ;;
    esac
}

mkdir -p build
run format 'clang-format'
run gcc 'gcc, warnings are errors'
run clang 'clang, warnings are errors'
run layers 'includes point downwards'
run mm_symbols 'undefined symbols of mm'
run inline_assembly 'inline assembly in one header'
run hexadecimal 'no naked hexadecimal in vmm'
run spdx 'SPDX line in each file'
run cppcheck 'cppcheck'
run multiboot2 'multiboot2 headers'
run segments 'no segment writable and executable'
run function_length 'no function longer than 60 lines'
run shell 'shell scripts parse'
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
