#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The tests, which run as a service of the Debian under test, from a read-only disk at /mnt. They write
# their results to the console, and the logs as a tar to /dev/vdc.
passed=0 failed=0 reason=''
mkdir -p /srv/vm/out
cd /srv/vm || exit 1

fail() {
    [ -n "$reason" ] || reason=$1
}

# show VM PROPERTY
show() {
    systemctl show -P "$2" "microvm@$1"
}

# is VM PROPERTY VALUE
is() {
    [ "$(show "$1" "$2")" = "$3" ] || fail "$1: $2 is $(show "$1" "$2") instead of $3"
}

# vm NAME APPEND: creates the disks of a VM and its file in /etc/microvm.
vm() {
    cp root.img "$1.img"
    truncate -s 4096 "$1.flag"
    echo "OPTIONS=--kernel /srv/vm/vmlinuz --initrd /srv/vm/initramfs.cpio.gz --append 'root=/dev/vda rw init=/vm-init $2'" \
        "--disk /srv/vm/$1.img --disk /srv/vm/$1.flag --log /srv/vm/out/$1.log --log-level debug" >"/etc/microvm/$1.conf"
}

set_up() {
    cp /mnt/vmlinuz /mnt/initramfs.cpio.gz /mnt/root.img .
    for file in vm-init evdev.ko button.ko; do
        debugfs -w -R "write /mnt/$file /$file" root.img >>out/debugfs 2>&1
    done
    debugfs -w -R 'sif /vm-init mode 0100755' root.img >>out/debugfs 2>&1
    modprobe kvm-amd
    mkdir -p /etc/microvm
    vm plain ''
    vm reboots first=reboot
    vm broken ''
    rm broken.img
    vm loops always=reboot
    # The limit is lower than the unit's, because emulated boots take longer.
    mkdir /etc/systemd/system/microvm@loops.service.d
    printf '[Unit]\nStartLimitBurst=3\n' >/etc/systemd/system/microvm@loops.service.d/burst.conf
}

# ready VM: waits until its guest has written that it receives the power button.
ready() {
    until [ "$(head -c 5 "$1.flag")" = ready ]; do
        case $(show "$1" ActiveState) in
        failed | inactive) fail "$1 ended too early"; return 1 ;;
        esac
        sleep 0.2
    done
}

# start VM
start() {
    dd if=/dev/zero of="$1.flag" bs=4096 count=1 conv=notrunc 2>/dev/null
    systemctl start "microvm@$1"
}

# left VM: prints its remaining processes and runtime directory.
left() {
    cat "/sys/fs/cgroup/system.slice/system-microvm.slice/microvm@$1.service/cgroup.procs" 2>/dev/null
    [ ! -e "/run/microvm/$1" ] || echo "/run/microvm/$1"
}

# The dependencies of the package are in the root.
test_package_is_installed() {
    dpkg -i /mnt/microvm.deb >out/dpkg 2>&1 || fail "dpkg: $(tail -n 1 out/dpkg)"
    [ -z "$(systemctl --failed --no-legend --no-pager --plain)" ] || fail 'a unit of Debian has failed'
}

test_units_are_valid() {
    for unit in microvm@web.service microvm-blk@web.service microvm-blk@web.socket; do
        systemd-analyze verify --man=no $unit >out/verify 2>&1 || fail "$unit: status $?"
        [ ! -s out/verify ] || fail "$unit: $(head -n 1 out/verify)"
    done
}

# The rating's scale ends at 100.
test_exposure() {
    systemd-analyze security --no-pager --threshold=55 microvm@plain.service >out/security || fail "$(tail -n 1 out/security)"
    echo "    $(tail -n 1 out/security | tr -dc ' -~')"
}

test_start() {
    start plain || fail 'it does not start'
    is plain ActiveState active
    main=$(show plain MainPID)
    [ "$(cat "/proc/$main/comm")" = microvm ] || fail 'the main process is not microvm'
    inner=$(tr -d ' ' <"/proc/$main/task/$main/children")
    # The last ids are those in the innermost namespaces.
    [ "$(sed -n 's/^NSpid:.*[[:space:]]//p' "/proc/$inner/status")" = 1 ] || fail 'the VM is not process 1 of its namespace'
    [ "$(sed -n 's/^Uid:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/$inner/status")" = 65534 ] || fail "the user of the VM is not nobody"
    [ -S /run/microvm/plain/control ] || fail 'no control socket'
    [ -S /run/microvm/plain/console ] || fail 'no console'
}

# reader_of VM COMMAND: starts the command, which attaches to the VM's console; its output is in
# out/VM, and what is written to descriptor 8 is typed. Sets $reader.
reader_of() {
    [ -e /srv/vm/keys ] || mkfifo /srv/vm/keys
    exec 8<>/srv/vm/keys
    $2 </srv/vm/keys >"/srv/vm/out/$1" 2>&1 &
    reader=$!
}

# A line that is typed reaches the guest, and its answer the reader. The VM outlives the session.
test_console() {
    ready plain
    reader_of plain 'microvm-ctl /run/microvm/plain/control console'
    # shellcheck disable=SC2016 # for the guest's shell
    echo 'echo answer-$((6*7))' >&8
    follow answer-42 plain out/plain
    kill "$reader"
    wait "$reader"
    is plain ActiveState active
}

test_status_and_statistics() {
    microvm-ctl /run/microvm/plain/control status >out/status || fail 'no status'
    grep -q '^running, 1 CPUs' out/status || fail "status: $(head -n 1 out/status)"
    microvm-ctl /run/microvm/plain/control stats >out/stats || fail 'no statistics'
    grep -q 'disk 0' out/stats || fail "statistics: $(head -n 1 out/stats)"
}

# follow TEXT VM FILE: waits until the console in FILE shows TEXT; fails when the VM has ended before.
follow() {
    until grep -q "$1" "$3"; do
        [ "$(show "$2" ActiveState)" = active ] || {
            fail "$2 ended too early"
            return 1
        }
        sleep 0.5
    done
}

# The commands of README.md, one on each line, with Debian as the guest.
test_steps_of_the_readme() {
    mkdir readme && cd readme && cp /mnt/debian.img /mnt/vmlinuz.debian /mnt/initrd . && mv vmlinuz.debian vmlinuz
    sed -n '/^### Run it as a service/,/^##* [^R]/s/^    //p' /mnt/README.md >../steps
    while read -r step <&7; do
        case $step in
        *' console '*)
            reader_of web "${step%%#*}"
            follow 'login: ' web /srv/vm/out/web
            kill "$reader"
            ;;
        *) eval "$step" >/srv/vm/out/step 2>&1 || fail "$step: $(tail -n 1 /srv/vm/out/step)" ;;
        esac
    done 7<../steps
    cd /srv/vm || exit 1
    [ "$(wc -l <steps)" -ge 6 ] || fail 'README.md has no such steps'
    is web ActiveState inactive
    is web Result success
}

# All layers of the sandbox are available inside of the restrictions of the unit.
test_sandbox_is_complete() {
    ! grep -q sandbox out/plain.log || fail "$(grep -m 1 sandbox out/plain.log)"
}

test_stop_is_the_power_button() {
    ready plain
    systemctl stop microvm@plain
    is plain ActiveState inactive
    is plain Result success
    is plain ExecMainStatus 0
    grep -q 'SIGTERM: pressing the power button' out/plain.log || fail 'no button was pressed'
    grep -q 'ends: guest-poweroff' out/plain.log || fail 'the guest has not powered off'
    [ -z "$(left plain)" ] || fail "left behind: $(left plain)"
}

test_reboot_is_a_restart() {
    start reboots
    ready reboots
    is reboots ActiveState active
    is reboots NRestarts 1
    systemctl stop microvm@reboots
    is reboots Result success
}

test_endless_reboots_reach_the_start_limit() {
    start loops
    until [ "$(show loops ActiveState)" = failed ]; do
        if [ "$(show loops NRestarts)" -gt 3 ]; then
            fail 'it is restarted without a limit'
            systemctl stop microvm@loops
            return
        fi
        sleep 0.5
    done
    is loops ExecMainStatus 4
    runs=$(grep -c 'ends: guest-reboot' out/loops.log)
    [ "$runs" = 3 ] || fail "it ran $runs times instead of 3"
    [ -z "$(left loops)" ] || fail "left behind: $(left loops)"
}

test_start_without_kvm_fails() {
    mv /dev/kvm /dev/kvm.away
    start plain 2>/dev/null && fail 'a start without /dev/kvm succeeded'
    is plain ActiveState inactive
    is plain AssertResult no
    mv /dev/kvm.away /dev/kvm
}

test_set_up_that_fails() {
    start broken 2>/dev/null && fail 'it started'
    is broken ActiveState failed
    is broken ExecMainStatus 3
    [ -z "$(left broken)" ] || fail "left behind: $(left broken)"
}

test_kill_9() {
    start plain
    ready plain
    kill -9 "$(show plain MainPID)"
    until [ "$(show plain ActiveState)" = failed ]; do sleep 0.1; done
    is plain Result signal
    [ -z "$(left plain)" ] || fail "left behind: $(left plain)"
    start plain || fail 'it does not start again'
    ready plain
    systemctl stop microvm@plain
    is plain Result success
}

set_up
for test in package_is_installed units_are_valid start console status_and_statistics sandbox_is_complete exposure \
    stop_is_the_power_button reboot_is_a_restart set_up_that_fails start_without_kvm_fails kill_9 \
    endless_reboots_reach_the_start_limit steps_of_the_readme; do
    reason='' began=$(date +%s)
    "test_$test"
    if [ -z "$reason" ]; then
        passed=$((passed + 1))
        echo "ok $test ($(($(date +%s) - began)) s)"
    else
        failed=$((failed + 1))
        echo "not ok $test: $reason"
    fi
done
dmesg >out/dmesg
journalctl --no-pager >out/journal
tar -cf /dev/vdc -C out .
sync
echo "systemd: $passed passed, $failed failed, 0 skipped"
