#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The tests, which run as a service of the systemd under test.
passed=0 failed=0 reason=''
export PATH=/bin:/usr/bin

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

# ready VM: waits until its guest has written that it receives the power button.
ready() {
    until [ "$(head -c 5 "/work/$1.flag")" = ready ]; do
        case $(show "$1" ActiveState) in
        failed | inactive) fail "$1 ended too early"; return 1 ;;
        esac
        sleep 0.2
    done
}

# start VM
start() {
    head -c 4096 /dev/zero >/work/zeros
    dd if=/work/zeros of="/work/$1.flag" conv=notrunc 2>/dev/null
    systemctl start "microvm@$1"
}

# left VM: prints its remaining processes and runtime directory.
left() {
    cat "/sys/fs/cgroup/system.slice/system-microvm.slice/microvm@$1.service/cgroup.procs" 2>/dev/null
    [ ! -e "/run/microvm/$1" ] || echo "/run/microvm/$1"
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

test_stop_is_the_power_button() {
    ready plain
    systemctl stop microvm@plain
    is plain ActiveState inactive
    is plain Result success
    is plain ExecMainStatus 0
    grep -q 'SIGTERM: pressing the power button' /work/out/plain.log || fail 'no button was pressed'
    grep -q 'ends: guest-poweroff' /work/out/plain.log || fail 'the guest has not powered off'
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
    runs=$(grep -c 'ends: guest-reboot' /work/out/loops.log)
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

for test in test_start test_stop_is_the_power_button test_reboot_is_a_restart test_set_up_that_fails \
    test_start_without_kvm_fails test_kill_9 test_endless_reboots_reach_the_start_limit; do
    reason=''
    $test
    if [ -z "$reason" ]; then
        passed=$((passed + 1))
        echo "ok ${test#test_}"
    else
        failed=$((failed + 1))
        echo "not ok ${test#test_}: $reason"
    fi
done
echo "systemd: $passed passed, $failed failed, 0 skipped"
