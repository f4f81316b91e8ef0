#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Tests with Debian and systemd, run by tests/distro/run on the host with KVM; every function
# test_NAME is a test. They run in this order on the same disk, whose file system the caller checks at
# the end. After a failure, the rest is skipped.
#
#   suite.sh FS TABLE KERNEL      as in tests/distro/run
#
# $ in a typed line is for the guest's shell.
# shellcheck disable=SC2016
# shellcheck source=tests/boot/lib.sh
. ./lib.sh

fs=$1 table=$2 kernel=$3
# systemd needs up to a minute of processor time in the emulated host.
limit=1200
root=/dev/vda
[ "$table" = plain ] || root=/dev/vda1

# start_debian OPTION...: starts it with a console to which `type_line` types. $lean makes it quicker
# in an emulated host. systemd says which units fail.
start_debian() {
    rm -f keys
    mkfifo keys
    input=keys
    # Opened for both directions, the FIFO has a writer before the VM opens it.
    exec 8<>keys
    start --kernel vmlinuz --initrd initrd --memory 512M --disk disk.img --disk second.img \
        --append "root=$root quiet $lean systemd.show_status=error" "$@"
    began_boot=$(date +%s)
}

type_line() {
    printf '%s\n' "$1" >&8
}

# log_in: waits for the login prompt, and logs in. The shell's prompt ends with "# ".
log_in() {
    await 'login: ' || return 1
    echo "    login prompt after $(($(date +%s) - began_boot)) s"
    type_line root
    await ':~# '
}

# ends CODE: waits for the end of the VM.
ends() {
    wait "$pid"
    code=$?
    want_code "$1"
}

# session LINE CODE [OPTION]...: logs in, types the line, and waits for the VM's end.
session() {
    line=$1 code_wanted=$2
    shift 2
    start_debian "$@"
    if log_in; then type_line "$line"; fi
    ends "$code_wanted"
}

# said WORD: prints the rest of the console's line "WORD-...".
said() {
    tr -d '\r' <"$log" | sed -n "s/^\(.\[?2004l\)\?$1-//p" | tail -n 1
}

# state: a command that prints whether all of Debian has started.
state='echo state-$(systemctl is-system-running --wait); systemctl --failed --no-pager --no-legend --plain'

test_login_trim_swap_and_reboot() {
    session "$state; findmnt -n -o SOURCE,FSTYPE / | tr -s ' '; echo release-\$(uname -r); fstrim -v /
        mkswap /dev/vdb >/dev/null && swapon /dev/vdb && echo swaps-\$(grep -c ^/dev/vdb /proc/swaps)
        echo kept >/root/kept; systemctl reboot" 4
    want 'state-running'
    want "$root $fs"
    release=$(said release)
    case $kernel,$release in
    generic,*-cloud-* | generic,*-rt-* | *,) fail "the kernel is ${release:-not named}" ;;
    generic,* | cloud,*-cloud-* | rt,*-rt-*) ;;
    *) fail "the kernel is $release" ;;
    esac
    want 'trimmed'
    want 'swaps-1'
}

# grow: a command that makes the partition and the file system as large as the disk.
grow() {
    case $table in
    gpt) printf '%s' 'sfdisk -q --relocate gpt-bak-std /dev/vda; ' ;;
    esac
    [ "$table" = plain ] || printf '%s' 'echo , + | sfdisk -q --no-reread --force -N 1 /dev/vda; partx -u /dev/vda; '
    case $fs in
    ext4) echo "resize2fs $root" ;;
    xfs) echo 'xfs_growfs /' ;;
    btrfs) echo 'btrfs filesystem resize max /' ;;
    esac
}

# The disk grows while it is in use. The kernel panics when the file system has grown as well.
test_resize_and_panic() {
    # busybox's wc would read the whole disk.
    size=$(stat -c %s disk.img)
    start_debian --control socket
    if log_in; then
        type_line 'echo kept-$(cat /root/kept)-$((6*7)); echo was-$(df --output=size -BM / | tail -n 1 | tr -dc 0-9)'
        await 'kept-kept-42'
        ./microvm-ctl socket resize 0 $(((size >> 20) + 256))M >>"$log" || fail 'resize'
        type_line "until [ \$(cat /sys/block/vda/size) = $(((size >> 9) + (256 << 11))) ]; do sleep 0.1; done; echo grown-\$((6*7))"
        await 'grown-42' && type_line "$(grow); echo is-\$(df --output=size -BM / | tail -n 1 | tr -dc 0-9); sync; echo c >/proc/sysrq-trigger"
    fi
    ends 5
    want 'Kernel panic'
    was=$(said was) is=$(said is)
    [ $((${is:-0} - ${was:-0})) -ge 200 ] || fail "the file system has ${is:-no} MiB, and had ${was:-no}"
}

# The file system replays its journal after the panic.
test_power_off_after_the_panic() {
    session "$state; echo kept-\$(cat /root/kept)-\$((6*7)); systemctl poweroff" 0
    want 'state-running'
    want 'kept-kept-42'
}

# SIGTERM presses the power button, which systemd-logind handles.
test_power_button() {
    start_debian --stop-timeout 1200
    if log_in; then
        type_line 'systemctl is-active systemd-logind; echo ready-$((6*7))'
        await 'ready-42' && kill -TERM "$pid"
    fi
    ends 0
}

mkdir -p out
sed -n 's/^test_\([a-z0-9_]*\)().*/\1/p' suite.sh >tests
while read -r test; do
    if [ "$failed" = 0 ]; then
        run_test "test_$test"
    else
        skipped=$((skipped + 1))
    fi
done <tests
# The caller checks its file system.
mv disk.img out/
echo "distro: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
