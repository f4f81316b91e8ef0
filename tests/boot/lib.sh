# SPDX-License-Identifier: BSD-3-Clause
# Shell functions of the boot tests. Sourced by suite.sh, which runs in dash or busybox ash, in a
# directory with the files that tests/boot/run names.
# shellcheck shell=sh

# Time limit of a boot in seconds. The emulated host needs at most 5 on an idle machine.
limit=120
# File that is the serial input of a VM started in the background.
input=/dev/null
passed=0 failed=0 skipped=0
name='' reason='' skip='' code='' log='' boots=0

# fail REASON: marks the running test as failed; the first reason is reported.
fail() {
    [ -n "$reason" ] || reason=$1
}

# new_log: sets $log to a new file for the console of the next boot.
new_log() {
    boots=$((boots + 1))
    log=out/$name.$boots.log
}

# where_it_is PID: prints what each thread is doing in the host's kernel, and KVM's counters of the
# guest.
where_it_is() {
    for task in /proc/"$1"/task/*; do
        echo "== $(cat "$task/comm") $(cat "$task/stat")"
        cat "$task/syscall" "$task/stack"
    done
    [ -d /sys/kernel/debug/kvm ] || mount -t debugfs debugfs /sys/kernel/debug
    grep . /sys/kernel/debug/kvm/"$1"-*/vcpu*/* | sed 's,.*/vcpu,vcpu,' | grep -v ':0$'
}

# clock: sets $now in seconds, less the steal time of an emulated host (tools/emuhost/init): with
# five other emulated hosts on two CPUs, a boot of 5 seconds was seen to take 110.
clock() {
    stolen=0
    [ "${KVMHOST:-}" != emulated ] || read -r stolen </run/stolen
    read -r now _ </proc/uptime
    now=$((${now%.*} - stolen))
}

# watch PID: ends the process after $limit seconds, and records its state first. It sends SIGKILL,
# which cannot be confused with an exit code of microvm.
watch() {
    clock
    deadline=$((now + limit))
    while [ "$now" -lt "$deadline" ]; do
        sleep 1
        kill -0 "$1" 2>/dev/null || return 0
        clock
    done
    where_it_is "$1" >"$log.hung" 2>&1
    sleep 2
    where_it_is "$1" >"$log.hung2" 2>&1
    kill -KILL "$1"
}

# microvm OPTION...: runs microvm with the caller's input and output, and with a time limit.
microvm() {
    {
        # Without the redirection, the shell would give a background command /dev/null as its input.
        ./microvm "$@" <&3 3<&- &
        microvm_pid=$!
    } 3<&0
    watch "$microvm_pid" </dev/null >/dev/null 2>&1 &
    microvm_watch=$!
    wait "$microvm_pid"
    microvm_code=$?
    kill "$microvm_watch" 2>/dev/null
    return "$microvm_code"
}

# boot OPTION...: runs microvm without input until it ends; sets $code and $log.
boot() {
    new_log
    microvm "$@" </dev/null >"$log" 2>&1
    code=$?
}

# start OPTION...: starts microvm in the background; sets $pid and $log. The caller waits for the
# end with: wait "$pid".
start() {
    new_log
    : >"$log"
    ./microvm "$@" <"$input" >"$log" 2>&1 &
    pid=$!
    watch "$pid" </dev/null >/dev/null 2>&1 &
}

# one_line TEXT: prints TEXT without line breaks and indentation.
one_line() {
    printf '%s' "$1" | tr '\n' ' ' | tr -s ' '
}

# The guest's kernel, which takes seconds less in an emulated host than the compressed one, and its
# options: the kernel's own hardening and the self-tests of its crypto functions are slow to emulate.
stock=vmlinux
lean='mitigations=off init_on_alloc=0 hardened_usercopy=off lsm=yama cryptomgr.notests'

# boot_stock APPEND OPTION..., start_stock APPEND OPTION...: call boot or start with the stock
# kernel and the initramfs. APPEND is added to the kernel's command line.
boot_stock() {
    append=$(one_line "$1")
    shift
    boot --kernel "$stock" --initrd initramfs.cpio.gz --append "quiet $lean $append" "$@"
}

start_stock() {
    append=$(one_line "$1")
    shift
    start --kernel "$stock" --initrd initramfs.cpio.gz --append "quiet $lean $append" "$@"
}

# await TEXT: waits until TEXT is on the console of the VM in the background; fails if the VM ends
# before. (The shell notices the end when it runs the next command.)
await() {
    while ! grep -qF "$1" "$log"; do
        if ! kill -0 "$pid" 2>/dev/null; then
            fail "ended without '$1' on the console"
            return 1
        fi
        sleep 0.1
    done
}

want_code() {
    if [ "$code" = 137 ]; then
        fail "not ended after ${limit}s"
    elif [ "$code" != "$1" ]; then
        fail "exit code $code instead of $1"
    fi
}

# want TEXT, unwanted TEXT: check the last console. The kernel is quiet, so the console does not
# repeat the command.
want() {
    grep -qF -e "$1" "$log" || fail "no '$1' on the console"
}

unwanted() {
    ! grep -qF -e "$1" "$log" || fail "'$1' on the console"
}

# want_clean IMAGE: checks that its file system is clean, and needs no journal replay.
want_clean() {
    ./e2fsck -fn "$1" >>"$log" 2>&1 || fail "e2fsck -fn $1: status $?"
}

# want_replayed IMAGE: checks that its file system is clean after a journal replay.
want_replayed() {
    ./e2fsck -fp "$1" >>"$log" 2>&1
    [ $? -le 1 ] || fail "e2fsck -fp $1: more than the journal had to be repaired"
    want_clean "$1"
}

# contents IMAGE PATH: prints a file in the image.
contents() {
    ./debugfs -R "cat $2" "$1" 2>/dev/null
}

# flip IMAGE AT: inverts a bit of the byte at offset AT.
flip() {
    byte=$(dd if="$1" bs=1 skip="$2" count=1 2>/dev/null | od -An -t u1 | tr -d ' ')
    # shellcheck disable=SC2059 # the format is the byte
    printf "\\$(printf %o $((byte ^ 16)))" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

# run_test FUNCTION: runs a test and prints a line for it; after a failure, also the end of its last
# console.
run_test() {
    name=${1#test_} reason='' skip='' boots=0 log=/dev/null
    began=$(date +%s)
    "$1"
    took=$(($(date +%s) - began))s
    if [ -n "$reason" ]; then
        failed=$((failed + 1))
        echo "not ok $name ($took): $reason; end of $log:"
        tail -n 20 "$log" | tr -d '\r' | sed 's/^/    /'
    elif [ -n "$skip" ]; then
        skipped=$((skipped + 1))
        echo "skip $name: $skip"
    else
        passed=$((passed + 1))
        echo "ok $name ($took)"
    fi
}
