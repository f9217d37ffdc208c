#!/bin/bash
# SPDX-License-Identifier: MIT
#
# deps.sh run|test: installs what `make run` or `make test` needs and this machine lacks, as Debian
# packages; `test` includes `run`. Says which; says and does nothing if all is there.
#
# What is there is asked of the file system, a row of the table each, not of dpkg: that takes
# milliseconds, so make can call this every time, and what came from elsewhere counts as well.
# Without apt-get, or without the right to use it, the packages are named and the status is 1.

set -u

CROSS_COMPILE=${CROSS_COMPILE:-}

say() { echo "tools/deps.sh: $*"; }

# A command, or a file matching a pattern, that stands for its package.
has() { # COMMAND|PATTERN
    case $1 in
        /*) compgen -G "$1" >/dev/null ;;
        *) command -v "$1" >/dev/null ;;
    esac
}

missing=()

need() { # PACKAGE COMMAND|PATTERN
    has "$2" || missing+=("$1")
}

# As in qemu.sh.
kvm_offers_vmx() {
    local nested=''
    [[ -r /dev/kvm && -w /dev/kvm ]] || return
    read -r nested 2>/dev/null </sys/module/kvm_intel/parameters/nested
    [[ $nested == [Y1] ]]
}

# Debian names a cross compiler after its prefix: x86_64-linux-gnu- is in gcc-x86-64-linux-gnu.
need_compiler() {
    local target=${CROSS_COMPILE%-} suffix
    target=${target##*/}
    suffix=${target:+-${target//_/-}}
    need "gcc$suffix" "${CROSS_COMPILE}gcc"
    need "binutils$suffix" "${CROSS_COMPILE}ld"
}

need_machine() {
    if kvm_offers_vmx; then
        need qemu-system-x86 qemu-system-x86_64
        return
    fi
    need bochs bochs
    need bochsbios '/usr/share/bochs/BIOS-bochs-latest'
    need vgabios '/usr/share/bochs/VGABIOS-lgpl-latest*'
    need bochs-term '/usr/lib/*/bochs/plugins/libbx_term_gui.so*'
}

need_for_run() {
    need_compiler
    need make make
    need nasm nasm
    need grub-pc-bin /usr/lib/grub/i386-pc/multiboot2.mod
    need grub-common grub-mkrescue
    need xorriso xorriso
    need mtools mformat
    need python3 python3
    need_machine
}

need_for_test() {
    need gcc gcc # host tests run here, whatever the hypervisor is built with
    need libc6-dev /usr/include/stdio.h
    need clang clang
    need clang-format clang-format
    need llvm llvm-symbolizer
    need libclang-rt-dev '/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a'
    need cppcheck cppcheck
    need libcmocka-dev /usr/include/cmocka.h
    need python3-pytest /usr/lib/python3/dist-packages/pytest
    need python3-pexpect /usr/lib/python3/dist-packages/pexpect
    need qemu-system-x86 qemu-system-x86_64
    need ovmf '/usr/share/OVMF/OVMF_CODE*.fd'
    need grub-efi-amd64-bin /usr/lib/grub/x86_64-efi/multiboot2.mod
    need universal-ctags ctags
}

as_root=()

become_root() {
    [[ $(id -u) == 0 ]] && return
    has sudo || return
    as_root=(sudo)
}

apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y -o DPkg::Lock::Timeout=120 "$@"
}

install_missing() {
    local options=(--no-install-recommends install "${missing[@]}")
    has '/var/lib/apt/lists/*Packages*' || apt update || return
    apt "${options[@]}" || { apt update && apt "${options[@]}"; }
}

main() {
    case ${1:-} in
        run) need_for_run ;;
        test) need_for_run && need_for_test ;;
        *) say "usage: tools/deps.sh run|test" >&2 && exit 2 ;;
    esac
    mapfile -t missing < <(((${#missing[@]} == 0)) || printf '%s\n' "${missing[@]}" | sort -u)
    ((${#missing[@]} > 0)) || exit 0
    if ! has apt-get || ! become_root; then
        say "please install: ${missing[*]}" >&2
        exit 1
    fi
    say "installing: ${missing[*]}"
    install_missing || { say "cannot install: ${missing[*]}" >&2 && exit 1; }
}

main "$@"
