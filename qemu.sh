#!/bin/bash
# SPDX-License-Identifier: MIT
#
# qemu.sh: runs Umbra on the best machine there is (./qemu.sh --help).
#
# A run is a GRUB ISO built on the spot, an emulator, and a relay for its serial line:
#
#   1. the words of the command line are checked, all of them, before anything is made
#   2. a work folder of its own receives umbra.elf, the guests and a grub.cfg; grub-mkrescue
#      makes the ISO of it. Nothing is shared between two runs, so they cannot meet
#   3. tools/console.py takes over this process: it starts the emulator, copies the serial line,
#      and ends with the status that Umbra's last line names. Removing the folder is its last act
#
# Machines: kvm (QEMU with nested VMX), bochs (VMX in software; its time stamp counter counts
# instructions, so figures repeat to the tick), tcg (QEMU's own emulation, which has no VMX).
#
# Text on its way to Umbra passes two quotings: GRUB's script language, where '...' is literal,
# and GRUB's loader, which puts a word that has a space into double quotes and a backslash before
# \ ' and " (grub-core/lib/cmdline.c). grub_word() does the first, lib/options.c in Umbra undoes
# the second.
#
# UMBRA_ELF in the environment names another umbra.elf; its folder is then taken for build/.
#
# Exit status: 0 every guest succeeded, 1 one did not, 2 bad usage, 3 Umbra stopped, 4 no machine
# to run on, 124 out of time, 130 Ctrl-C.

set -u
shopt -u patsub_replacement 2>/dev/null # bash 5.2: '&' in a replacement is an '&'
LC_ALL=C                                # words are bytes

usage() {
    cat <<'EOF'
usage: ./qemu.sh [OPTION]... [--guest FILE [GUEST OPTION]...]...

Runs Umbra with these guests, or with the bundled ones if there is no --guest.

  --machine kvm|bochs|tcg   kvm: QEMU with nested VMX; bochs: VMX in software; tcg: QEMU without
                            VMX, where Umbra can only refuse. Default: kvm if possible, else bochs
  --firmware bios|efi       default bios
  --cpu MODEL               processor of the machine; default broadwell_ult (bochs), host (kvm),
                            max (tcg)
  --cpus N                  processors; default 1
  --memory MIB              memory of the machine; default: that of the guests and 128, at least 256
  --serial stdio|file:PATH|tcp:PORT
                            where the console is; a TCP client is waited for; default stdio
  --gdb tcp:PORT            not handled yet
  --timeout S               end the run after S seconds, status 124
  --hv "OPTIONS"            options of the hypervisor, words as in lib/options.h
  --iso FILE                boot this ISO as it is (no --hv, no --guest)
  --native N                no Umbra: start guest N (1 is the first) of this ISO on the bare machine
  --make-iso FILE           make the ISO, leave it in FILE, run nothing
  --keep DIR                use DIR, new or empty, as work folder, and keep it; the ISO in it is
                            DIR/umbra.iso
  --help                    this text

Guest options, each for the --guest before it:

  --name NAME               [A-Za-z0-9_.-], at most 15; default: from the file's name
  --mem MIB                 memory of the guest; default 32
  --cmdline TEXT            its command line
  --initrd FILE             not handled yet
  --module FILE             not handled yet
  --options "K=V ..."       more keys of this guest (docs/)

Status: 0 every guest succeeded (natively: it said PASS), 1 one did not, 2 bad usage, 3 Umbra stopped, 4 no machine to run
on, 124 out of time.
EOF
}

die() { # STATUS TEXT
    printf 'qemu.sh: %s\n' "$2" >&2
    exit "$1"
}

bad() { die 2 "$1"; }

# ---- Words of the command line ---------------------------------------------------------------

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 4
ELF=${UMBRA_ELF:-$ROOT/build/umbra.elf}
DEFAULT_MEM=32

# An ISO boots Umbra, or one of its guests on the bare machine, as the machine's clock says: in the
# year NATIVE_YEAR + N guest N, else Umbra. So one ISO serves both, and nobody has to press a key.
NATIVE_YEAR=2010
NATIVE_MAX=16

machine='' firmware=bios cpu='' memory='' serial=stdio timeout='' iso='' keep='' native=0
make_iso_file=''
hv_words=''
hv_given=''
guests=0 # guest number i has these:
guest_file=() guest_name=() guest_mem=() guest_cmdline=() guest_words=()

is_number() { [[ $1 =~ ^[1-9][0-9]{0,6}$ ]]; }

is_port() { is_number "$1" && (($1 <= 65535)); }

check_number() { is_number "$2" || bad "$1 wants a number above 0, not '$2'"; }

check_given() { [[ -n $2 ]] || bad "$1 wants a value, not ''"; }

check_one_of() { # OPTION WORD CHOICE...
    local option=$1 word=$2 choice
    shift 2
    for choice; do
        [[ $word == "$choice" ]] && return
    done
    bad "$option wants one of: $*, not '$word'"
}

check_text() { # OPTION TEXT
    case $2 in
        *[[:cntrl:]]*) bad "$1: control characters cannot be handed over" ;;
    esac
}

check_file() { # OPTION FILE
    [[ -e $2 ]] || bad "$1: cannot read '$2': no such file"
    [[ ! -d $2 && -r $2 ]] || bad "$1: cannot read '$2'"
}

check_serial() {
    case $1 in
        stdio) ;;
        file:?*) ;;
        tcp:*) is_port "${1#tcp:}" || bad "--serial tcp: wants a port, not '${1#tcp:}'" ;;
        *) bad "--serial wants stdio, file:PATH or tcp:PORT, not '$1'" ;;
    esac
}

check_timeout() {
    [[ $1 =~ ^[0-9]{1,7}(\.[0-9]+)?$ && $1 =~ [1-9] ]] || bad "--timeout wants seconds, not '$1'"
}

check_name() {
    [[ $1 =~ ^[A-Za-z0-9_.-]{1,15}$ ]] ||
        bad "--name wants 1 to 15 of A-Z a-z 0-9 _ . -, not '$1'"
}

# Splits TEXT as Umbra does (lib/options.h) into the array words.
split_words() { # OPTION TEXT
    local text=$2 quote='' word='' in_word='' i c
    check_text "$1" "$text"
    words=()
    for ((i = 0; i < ${#text}; i++)); do
        c=${text:i:1}
        case $quote$c in
            [\"\']) quote=$c in_word=1 ;;
            \"\" | \'\') quote='' ;;
            ' ')
                [[ -n $in_word ]] && words+=("$word")
                word='' in_word=''
                ;;
            *\\)
                case ${text:i+1:1} in
                    [\\\"\']) i=$((i + 1)) c=${text:i:1} ;;
                esac
                word+=$c in_word=1
                ;;
            *) word+=$c in_word=1 ;;
        esac
    done
    [[ -z $quote ]] || bad "$1: a quote is not closed in: $text"
    [[ -n $in_word ]] && words+=("$word")
    return 0
}

# A word as a literal of GRUB's script language, with a space in front.
grub_word() { printf " '%s'" "${1//\'/\'\\\'\'}"; }

set_native() {
    check_number --native "$1"
    (($1 <= NATIVE_MAX)) || bad "--native wants a number from 1 to $NATIVE_MAX, not '$1'"
    native=$1
}

set_hv() {
    local word
    split_words --hv "$1"
    hv_given=1 hv_words=''
    for word in ${words[@]+"${words[@]}"}; do
        hv_words+=$(grub_word "$word")
    done
}

add_guest() { # FILE
    guest_file[guests]=$1 guest_name[guests]='' guest_mem[guests]=''
    guest_cmdline[guests]='' guest_words[guests]=''
    guests=$((guests + 1))
}

# The last guest gets these words. Its memory is noted, its name has one place only.
add_guest_words() { # OPTION WORD...
    local option=$1 last=$((guests - 1)) word
    shift
    for word; do
        case $word in
            guest=*) bad "$option: '$word': the name of a guest is given by --name" ;;
            mem=*) note_mem $last "${word#mem=}" ;;
            cmdline=*)
                guest_cmdline[last]=$(grub_word "$word") # apart: natively it is all there is
                continue
                ;;
        esac
        guest_words[last]+=$(grub_word "$word")
    done
}

# For the size of the machine only: what is no size is Umbra's to complain about.
note_mem() { # GUEST SIZE
    local number=${2%[KMG]}
    guest_mem[$1]=$DEFAULT_MEM
    is_number "$number" || return 0
    case $2 in
        *G) guest_mem[$1]=$((number * 1024)) ;;
        *M) guest_mem[$1]=$number ;;
        *K) guest_mem[$1]=$((number / 1024 + 1)) ;;
        *) guest_mem[$1]=$((number / 1048576 + 1)) ;;
    esac
}

parse_guest_option() { # OPTION VALUE
    local last=$((guests - 1))
    ((guests > 0)) || bad "$1 belongs to a guest: it has to come after a --guest"
    case $1 in
        --name) check_name "$2" && guest_name[last]=$2 ;;
        --mem) check_number "$1" "$2" && guest_mem[last]=$2 guest_words[last]+=" 'mem=$2M'" ;;
        --cmdline) check_text "$1" "$2" && guest_cmdline[last]=$(grub_word "cmdline=$2") ;;
        --options) split_words "$1" "$2" && add_guest_words "$1" ${words[@]+"${words[@]}"} ;;
        --initrd | --module) bad "not handled yet: $1" ;;
    esac
}

parse_option() { # OPTION VALUE
    case $1 in
        --machine) check_one_of "$1" "$2" kvm bochs tcg && machine=$2 ;;
        --firmware) check_one_of "$1" "$2" bios efi && firmware=$2 ;;
        --cpu) check_given "$1" "$2" && cpu=$2 ;;
        --cpus)
            check_number "$1" "$2"
            (($2 == 1)) || bad "not handled yet: --cpus $2"
            ;;
        --memory) check_number "$1" "$2" && memory=$2 ;;
        --serial) check_serial "$2" && serial=$2 ;;
        --gdb) bad "not handled yet: --gdb" ;;
        --timeout) check_timeout "$2" && timeout=$2 ;;
        --hv) set_hv "$2" ;;
        --iso) check_file "$1" "$2" && iso=$2 ;;
        --keep) check_given "$1" "$2" && keep=$2 ;;
        --native) set_native "$2" ;;
        --make-iso) check_given "$1" "$2" && make_iso_file=$2 ;;
        --guest) check_file "$1" "$2" && add_guest "$2" ;;
        *) parse_guest_option "$1" "$2" ;;
    esac
}

parse() {
    while (($# > 0)); do
        case $1 in
            --help | -h)
                usage
                exit 0
                ;;
            --machine | --firmware | --cpu | --cpus | --memory | --serial | --gdb | --timeout | \
                --hv | --iso | --keep | --native | --make-iso | --guest | --name | --mem | --cmdline | --initrd | \
                --module | --options)
                (($# > 1)) || bad "$1 wants a value"
                parse_option "$1" "$2"
                shift 2
                ;;
            -*) bad "unknown option: $1 (see ./qemu.sh --help)" ;;
            *) bad "unexpected word: $1 (see ./qemu.sh --help)" ;;
        esac
    done
}

# ---- Guests ----------------------------------------------------------------------------------

# build/guests/bundled.list has a line per guest: FILE NAME WORD...
add_bundled_guests() {
    local folder lines line words
    folder=$(dirname "$ELF")/guests
    [[ -r $folder/bundled.list ]] || return 0
    mapfile -t lines <"$folder/bundled.list"
    for line in ${lines[@]+"${lines[@]}"}; do
        [[ -z $line || $line == '#'* ]] && continue
        split_words bundled.list "$line"
        [[ -r $folder/${words[0]} ]] || continue
        ((${#words[@]} > 1)) || bad "bundled.list: no name for ${words[0]}"
        add_guest "$folder/${words[0]}"
        parse_guest_option --name "${words[1]}"
        add_guest_words bundled.list "${words[@]:2}"
    done
}

name_taken() { # NAME
    local name
    for name in "${guest_name[@]}"; do
        [[ $name == "$1" ]] && return 0
    done
    return 1
}

# The base name without its ending, cut, with a number if another guest has it.
default_name() { # FILE
    local base=${1##*/} name number=2
    [[ $base == ?*.* ]] && base=${base%.*}
    base=${base//[^A-Za-z0-9_.-]/_}
    name=${base:0:15}
    while name_taken "$name"; do
        name=${base:0:$((14 - ${#number}))}-$number
        number=$((number + 1))
    done
    printf %s "$name"
}

name_guests() {
    local i j
    for ((i = 0; i < guests; i++)); do
        for ((j = 0; j < i; j++)); do
            [[ -n ${guest_name[i]} && ${guest_name[i]} == "${guest_name[j]}" ]] &&
                bad "--name ${guest_name[i]}: two guests have this name"
        done
    done
    for ((i = 0; i < guests; i++)); do
        [[ -n ${guest_name[i]} ]] || guest_name[i]=$(default_name "${guest_file[i]}")
    done
}

# 128 MiB and what the guests have, a multiple of 64, at least 256.
default_memory() {
    local sum=128 mem
    for mem in ${guest_mem[@]+"${guest_mem[@]}"}; do
        sum=$((sum + ${mem:-$DEFAULT_MEM}))
    done
    sum=$(((sum + 63) / 64 * 64))
    echo $((sum < 256 ? 256 : sum))
}

# ---- Machines: what each lacks here (nothing if it can be had), and how it is started ---------

has() { command -v "$1" >/dev/null; }

first_file() { # FILE...
    local file
    for file; do
        [[ -r $file ]] && printf %s "$file" && return
    done
    return 1
}

tcg_lacks() {
    has qemu-system-x86_64 || echo "qemu-system-x86_64 is not installed"
}

kvm_lacks() {
    local nested=''
    tcg_lacks
    [[ -r /dev/kvm && -w /dev/kvm ]] || echo "/dev/kvm cannot be read and written"
    read -r nested 2>/dev/null </sys/module/kvm_intel/parameters/nested
    [[ $nested == [Y1] ]] || echo "KVM offers no nested VMX (module kvm_intel, parameter nested)"
}

bochs_bios() {
    first_file /usr/share/bochs/BIOS-bochs-latest /usr/local/share/bochs/BIOS-bochs-latest
}

bochs_vgabios() {
    first_file /usr/share/bochs/VGABIOS-lgpl-latest{,.bin} /usr/share/vgabios/vgabios.bin \
        /usr/local/share/bochs/VGABIOS-lgpl-latest{,.bin}
}

bochs_lacks() {
    has bochs || echo "bochs is not installed"
    bochs_bios >/dev/null || echo "BIOS-bochs-latest is not installed (package bochsbios)"
    bochs_vgabios >/dev/null || echo "VGABIOS-lgpl-latest is not installed (package vgabios)"
}

choose_machine() {
    if [[ -n $machine ]]; then
        require_machine
    elif [[ -z $(kvm_lacks) ]]; then
        machine=kvm
    else
        machine=bochs
        require_machine
    fi
}

require_machine() {
    local lacks hint=''
    lacks=$("${machine}_lacks")
    [[ $lacks == *installed* ]] && hint=' (try tools/deps.sh run)'
    [[ -z $lacks ]] || die 4 "no machine '$machine' here: ${lacks//$'\n'/, }$hint"
}

check_cpu() {
    case $machine in
        bochs)
            : "${cpu:=broadwell_ult}"
            bochs --help cpu 2>&1 | grep -qxF -- "$cpu" || bad "--cpu: bochs knows no '$cpu'"
            ;;
        kvm | tcg)
            [[ -n $cpu ]] || case $machine in kvm) cpu=host,+vmx ;; tcg) cpu=max ;; esac
            qemu-system-x86_64 -cpu help | awk '{ print $1; print $2 }' |
                grep -qxF -- "${cpu%%,*}" || bad "--cpu: qemu knows no '${cpu%%,*}'"
            ;;
    esac
}

# The machine's clock at its start: a fixed day of 2001, or of the year that says --native.
clock_year() { echo $((native ? NATIVE_YEAR + native : 2001)); }

clock_seconds() { date --utc --date="$(clock_year)-09-09 01:46:40" +%s; }

# bochsrc and the debugger's first command, for a Bochs that has a debugger.
prepare_bochs() {
    console+=(--pty --fill "$work/bochsrc" --log "$work/bochs.log")
    command=(bochs -q -f bochsrc)
    if bochs --help 2>&1 | grep -q -- '^ *-rc '; then
        echo c >"$work/rc"
        command+=(-rc rc)
    fi
    cat >"$work/bochsrc" <<EOF
config_interface: textconfig
display_library: term
romimage: file=$(bochs_bios)
vgaromimage: file=$(bochs_vgabios)
megs: $memory
cpu: model=$cpu, count=1, ips=500000000, reset_on_triple_fault=0
clock: sync=none, time0=$(clock_seconds)
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path=umbra.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=socket-client, dev=127.0.0.1:@PORT@
log: bochs.log
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
speaker: enabled=0
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
port_e9_hack: enabled=0
EOF
}

prepare_qemu() { # ACCELERATOR
    command=(qemu-system-x86_64 -machine pc -accel "$1" -cpu "$cpu" -m "$memory"
        -rtc "base=$(clock_year)-09-09T01:46:40" -no-user-config -nodefaults -vga std -display none -no-reboot -boot d
        -drive 'if=ide,media=cdrom,format=raw,readonly=on,file=umbra.iso'
        -chardev 'socket,id=com1,host=127.0.0.1,port=@PORT@' -serial chardev:com1
        -device 'isa-debug-exit,iobase=0xf4,iosize=0x04')
    [[ $firmware == efi ]] && prepare_efi
}

prepare_efi() {
    local code vars
    code=$(first_file /usr/share/OVMF/OVMF_CODE{_4M,}.fd)
    vars=$(first_file "${code/CODE/VARS}") || die 4 "no EFI firmware here (package ovmf)"
    cp "$vars" "$work/efivars.fd" || die 4 "cannot write to $work"
    command+=(-drive "if=pflash,unit=0,format=raw,readonly=on,file=$code"
        -drive 'if=pflash,unit=1,format=raw,file=efivars.fd')
}

# ---- Work folder and ISO ---------------------------------------------------------------------

make_work_folder() {
    work=''
    if [[ -n $keep ]]; then
        mkdir -p -- "$keep" 2>/dev/null || bad "--keep: cannot make '$keep'"
        work=$(cd -- "$keep" && pwd) || bad "--keep: cannot use '$keep'"
        [[ -z $(ls -A -- "$work") ]] || bad "--keep: '$keep' is not empty"
        return
    fi
    trap '[[ -z $work ]] || rm -rf -- "$work"' EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    work=$(mktemp -d "${TMPDIR:-/tmp}/umbra.XXXXXXXX") || die 4 "cannot make a work folder"
    console+=(--remove "$work")
}

# One line of grub.cfg. What GRUB has to say about a failure comes on the serial line.
grub_line() { # TEXT
    printf 'if %s; then true; else\n' "$1"
    printf '  serial --unit=0 --speed=115200; terminal_output serial\n  %s\n  halt\nfi\n' "$1"
}

write_umbra_entry() {
    local i words
    grub_line "multiboot2 /boot/umbra.elf$hv_words"
    for ((i = 0; i < guests; i++)); do
        words=" 'guest=${guest_name[i]}'"
        [[ -n ${guest_mem[i]} ]] || words+=" 'mem=${DEFAULT_MEM}M'"
        grub_line "module2 /boot/g$i.img$words${guest_cmdline[i]}${guest_words[i]}"
    done
}

write_grub_cfg() {
    local i
    echo 'insmod gzio'
    echo 'insmod datehook'
    [[ $firmware == efi ]] && echo 'insmod all_video'
    for ((i = 0; i < guests && i < NATIVE_MAX; i++)); do
        echo "if [ \"\$YEAR\" = $((NATIVE_YEAR + i + 1)) ]; then"
        grub_line "multiboot2 /boot/g$i.img${guest_cmdline[i]/cmdline=/}"
        echo 'else'
    done
    write_umbra_entry
    for ((; i > 0; i--)); do
        echo fi
    done
    echo boot
}

# What grub-mkrescue has to know about the firmware: GRUB's platform, and for a BIOS also the
# modules that grub.cfg needs, as each further one costs it time to find these.
set_grub_options() {
    local modules="normal multiboot2 gzio serial terminal halt true test datehook"
    case $firmware in
        bios) grub_options=(-d /usr/lib/grub/i386-pc --install-modules="$modules") ;;
        efi) grub_options=(-d /usr/lib/grub/x86_64-efi) ;;
    esac
}

# Bochs makes a seek last as long as its share of the whole disc, 80 ms from end to end, and its
# BIOS spins meanwhile. On a disc that is nearly empty GRUB is there in less than half the time.
pad_iso() {
    [[ $machine == bochs ]] && truncate -s 1G "$work/umbra.iso"
    return 0
}

make_iso() {
    local i grub_options
    set_grub_options
    has grub-mkrescue || die 4 "grub-mkrescue is not installed (try tools/deps.sh run)"
    [[ -d ${grub_options[1]} ]] ||
        die 4 "${grub_options[1]} is not installed (try tools/deps.sh run)"
    if ! { mkdir -p "$work/iso/boot/grub" && cp -- "$ELF" "$work/iso/boot/umbra.elf" &&
        write_grub_cfg >"$work/iso/boot/grub/grub.cfg"; }; then
        die 4 "cannot write to $work"
    fi
    for ((i = 0; i < guests; i++)); do
        cp -- "${guest_file[i]}" "$work/iso/boot/g$i.img" || bad "cannot copy '${guest_file[i]}'"
    done
    if ! TMPDIR=$work grub-mkrescue "${grub_options[@]}" \
        --fonts= --locales= --themes= -o "$work/umbra.iso" "$work/iso" \
        >"$work/mkrescue.log" 2>&1; then
        cat "$work/mkrescue.log" >&2
        die 4 "grub-mkrescue cannot make the ISO (above: why)"
    fi
    pad_iso
}

leave_iso() {
    mv -- "$work/umbra.iso" "$make_iso_file" || die 4 "cannot write '$make_iso_file'"
    exit 0
}

use_iso() {
    ln -s -- "$(realpath -- "$iso")" "$work/umbra.iso" || die 4 "cannot write to $work"
}

# ---- The run ---------------------------------------------------------------------------------

check_inputs() {
    if [[ -n $iso ]]; then
        [[ $guests-$hv_given == 0- ]] || bad "--iso boots as it is: no --guest and no --hv"
        return
    fi
    [[ -e $ELF ]] || bad "there is no $ELF: run make first"
    check_file umbra.elf "$ELF"
    ((guests > 0)) || add_bundled_guests
    name_guests
    ((native <= guests)) || bad "--native $native: there are only $guests guests"
}

main() {
    parse "$@"
    check_inputs
    choose_machine
    [[ $machine/$firmware != bochs/efi ]] || bad "not handled yet: --firmware efi with bochs"
    check_cpu
    memory=${memory:-$(default_memory)}
    has python3 || die 4 "python3 is not installed (try tools/deps.sh run)"
    console=() command=()
    make_work_folder
    if [[ -n $iso ]]; then use_iso; else make_iso; fi
    [[ -z $make_iso_file ]] || leave_iso
    ((native == 0)) || console+=(--end guest)
    case $machine in
        bochs) prepare_bochs ;;
        *) prepare_qemu "$machine" ;;
    esac
    [[ -z $timeout ]] || console+=(--timeout "$timeout")
    exec python3 -I -S "$ROOT/tools/console.py" --serial "$serial" --folder "$work" \
        "${console[@]}" -- "${command[@]}"
}

main "$@"
