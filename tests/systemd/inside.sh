#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The tests themselves, as a service of the systemd in question.
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

# heard VM: until its guest would hear the button, as it has written.
heard() {
    until [ "$(head -c 5 "/work/$1.flag")" = ready ]; do
        case $(show "$1" ActiveState) in
        failed | inactive) fail "$1 has ended before"; return 1 ;;
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

# left VM: what is left of it.
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
    # Seen from this systemd's own namespace.
    [ "$(sed -n 's/^NSpid:.*[[:space:]]//p' "/proc/$inner/status")" = 1 ] || fail 'the VM is not process 1 of its namespace'
    [ "$(sed -n 's/^Uid:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/$inner/status")" = 65534 ] || fail "the VM is not nobody's"
    [ -S /run/microvm/plain/control ] || fail 'no control socket'
    [ -S /run/microvm/plain/console ] || fail 'no console'
}

test_stop_is_the_power_button() {
    heard plain
    systemctl stop microvm@plain
    is plain ActiveState inactive
    is plain Result success
    is plain ExecMainStatus 0
    grep -q 'SIGTERM: pressing the power button' /work/out/plain.log || fail 'no button was pressed'
    grep -q 'ends: guest-poweroff' /work/out/plain.log || fail 'the guest has not powered off'
    [ -z "$(left plain)" ] || fail "left: $(left plain)"
}

test_reboot_is_a_restart() {
    start reboots
    heard reboots
    is reboots ActiveState active
    is reboots NRestarts 1
    systemctl stop microvm@reboots
    is reboots Result success
}

test_reboot_without_end_is_given_up() {
    start loops
    until [ "$(show loops ActiveState)" = failed ]; do
        if [ "$(show loops NRestarts)" -gt 3 ]; then
            fail 'it is restarted for ever'
            systemctl stop microvm@loops
            return
        fi
        sleep 0.5
    done
    is loops ExecMainStatus 4
    runs=$(grep -c 'ends: guest-reboot' /work/out/loops.log)
    [ "$runs" = 3 ] || fail "it has run $runs times and not 3"
    [ -z "$(left loops)" ] || fail "left: $(left loops)"
}

test_start_without_kvm_fails() {
    mv /dev/kvm /dev/kvm.away
    start plain 2>/dev/null && fail 'a start without /dev/kvm is a success'
    is plain ActiveState inactive
    is plain AssertResult no
    mv /dev/kvm.away /dev/kvm
}

test_set_up_that_fails() {
    start broken 2>/dev/null && fail 'it has started'
    is broken ActiveState failed
    is broken ExecMainStatus 3
    [ -z "$(left broken)" ] || fail "left: $(left broken)"
}

test_kill_9() {
    start plain
    heard plain
    kill -9 "$(show plain MainPID)"
    until [ "$(show plain ActiveState)" = failed ]; do sleep 0.1; done
    is plain Result signal
    [ -z "$(left plain)" ] || fail "left: $(left plain)"
    start plain || fail 'it does not start again'
    heard plain
    systemctl stop microvm@plain
    is plain Result success
}

for test in test_start test_stop_is_the_power_button test_reboot_is_a_restart test_set_up_that_fails \
    test_start_without_kvm_fails test_kill_9 test_reboot_without_end_is_given_up; do
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
