#!/bin/bash
# SPDX-License-Identifier: MIT
#
# cbmc.sh: prints the command that runs CBMC, on one line, having fetched it first if need be.
#
# A cbmc on the path is taken as it is. Debian 12 has none, Debian 13 has: then apt-get, with lists,
# cache and status of its own, downloads the package and the libraries it needs; they are unpacked
# into build/cbmc and run by their own loader. The system's apt and dpkg know nothing of it, and no
# right is needed but to write build/. Status 1 if it is not there and cannot be had (offline).

set -u
cd "$(dirname "$0")/.." || exit 1

suite=trixie
packages=(cbmc minisat libstdc++6 libgcc-s1 libc6) # what objdump -p says cbmc needs
tree=$PWD/build/cbmc
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

say() { echo "tools/cbmc.sh: $*" >&2; }

private_apt() { # PLACE ARGUMENTS...
    local place=$1
    shift
    apt-get -q -o Dir="$place" -o Dir::State::status="$place/status" \
        -o Dir::Etc::Parts=/nonexistent -o Dir::Etc::SourceParts=/nonexistent \
        -o APT::Architecture=amd64 -o APT::Architectures=amd64 -o APT::Sandbox::User=root "$@"
}

fetch_into() { # PLACE
    local place=$1 package
    mkdir -p "$place"/{root,etc/apt/preferences.d,var/lib/apt/lists/partial,var/cache/apt/archives/partial} &&
        : >"$place/status" &&
        echo "deb [signed-by=$keyring] http://deb.debian.org/debian $suite main" \
            >"$place/etc/apt/sources.list" || return
    (cd "$place" && private_apt "$place" update && private_apt "$place" download "${packages[@]}") \
        >"$place/log" 2>&1 || {
        grep -E '^(E|Err)' "$place/log" | head -5 >&2
        return 1
    }
    for package in "$place"/*.deb; do
        dpkg-deb -x "$package" "$place/root" || return
        say "unpacked $(basename "$package")"
    done
}

fetch() {
    local place status
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null && [ -r "$keyring" ] || {
        say "needs apt-get, dpkg-deb and $keyring"
        return 1
    }
    say "fetching from Debian $suite into build/cbmc: ${packages[*]}"
    mkdir -p build && place=$(mktemp -d "$PWD/build/cbmc.XXXXXX") || return
    fetch_into "$place"
    status=$?
    [ $status = 0 ] && rm -rf "$tree" && mv "$place/root" "$tree" # whole or not at all
    rm -rf "$place"
    return $status
}

private_command() {
    local lib=$tree/usr/lib/x86_64-linux-gnu
    echo "$lib/ld-linux-x86-64.so.2 --library-path $lib:$tree/usr/lib $tree/usr/bin/cbmc"
}

works() { $(private_command) --version >/dev/null 2>&1; }

main() {
    command -v cbmc && return
    works || { fetch && works; } || {
        say "no cbmc: not installed, and not to be had from Debian $suite"
        return 1
    }
    private_command
}

main
