#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Tests with Debian and systemd, run by tests/distro/run on the host with KVM; every function
# test_NAME is a test. Arguments: the names of the tests to run; default: all, in this order. Each
# test leaves a root disk that boots.
#
# $ in a typed line is for the guest's shell.
# shellcheck disable=SC2016
# shellcheck source=tests/boot/lib.sh
. ./lib.sh

# systemd needs half a minute in the emulated host on an idle machine.
limit=900
disk=$KVMHOST_DISK0 second=$KVMHOST_DISK1

# start_debian OPTION...: starts it with a console to which `type_line` types.
start_debian() {
    rm -f keys
    mkfifo keys
    input=keys
    # Opened for both directions, the FIFO has a writer before the VM opens it.
    exec 8<>keys
    start --kernel vmlinuz --initrd initrd --memory 512M --cpus 1 --append 'systemd.show_status=0' --disk "$disk" "$@"
}

type_line() {
    printf '%s\n' "$1" >&8
}

# log_in: waits for the login prompt, and logs in. The shell's prompt ends with "# ".
log_in() {
    await 'login: ' || return 1
    type_line root
    await ':~# '
}

# ends CODE: waits for the end of the VM, and checks the root file system.
ends() {
    wait "$pid"
    code=$?
    want_code "$1"
    [ "$1" = 5 ] || want_clean "$disk"
}

# session LINE CODE [OPTION]...: logs in, types the line, and waits for the VM's end.
session() {
    line=$1 code_wanted=$2
    shift 2
    start_debian "$@"
    if log_in; then type_line "$line"; fi
    ends "$code_wanted"
}

test_login_and_poweroff() {
    start_debian
    if log_in; then
        type_line 'findmnt -n -o SOURCE,FSTYPE /; echo state-$(systemctl is-system-running --wait); systemctl --failed --no-legend; echo kept >/root/kept; systemctl poweroff'
        await 'state-'
    fi
    ends 0
    want '/dev/vda ext4'
    want 'state-running'
}

test_reboot() {
    session 'echo kept-$(cat /root/kept)-$((6*7)); systemctl reboot' 4
    want 'kept-kept-42'
}

# SIGTERM presses the power button, which systemd-logind handles.
test_power_button() {
    start_debian --stop-timeout 600
    if log_in; then
        type_line 'systemctl is-active systemd-logind; echo ready-$((6*7))'
        await 'ready-42' && kill -TERM "$pid"
    fi
    ends 0
}

test_panic() {
    session 'sync; echo c >/proc/sysrq-trigger' 5
    want 'Kernel panic'
}

# After the panic the journal is replayed, and the next end is clean.
test_clean_after_panic() {
    session 'systemctl poweroff' 0
}

test_fstrim_and_swap() {
    session 'fstrim -v /; mkswap /dev/vdb >/dev/null && swapon /dev/vdb && echo swaps-$(grep -c ^/dev/vdb /proc/swaps); systemctl poweroff' 0 \
        --disk "$second"
    want 'bytes) trimmed'
    want 'swaps-1'
}

# MBR and GPT: the second disk gets a table; the partition is found after a reboot as well.
partitions() {
    session "printf 'label: $1\\n,100M\\n,\\n' | sfdisk -q /dev/vdb && mkfs.ext4 -q /dev/vdb2 && echo made-\$((6*7)); systemctl reboot" 4 --disk "$second"
    want 'made-42'
    session 'mount /dev/vdb2 /mnt && echo parts-$(grep -c vdb[12] /proc/partitions)-$(blkid -o value -s PTTYPE /dev/vdb); systemctl poweroff' 0 \
        --disk "$second"
    want "parts-2-$1"
}

test_partitions_mbr() {
    partitions dos
}

test_partitions_gpt() {
    partitions gpt
}

mkdir -p out
# shellcheck disable=SC2046 # a list
[ $# -gt 0 ] || set -- $(sed -n 's/^test_\([a-z0-9_]*\)().*/\1/p' suite.sh)
for test in "$@"; do
    run_test "test_$test"
done
echo "distro: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
