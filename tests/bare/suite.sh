#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Boots the freestanding guests of guest/bare, by each boot protocol, with each engine; run by
# tests/bare/run in a directory with the guests, microvm and nothing else. Prints a line for each
# boot, and for each failed test; writes the names of the passed tests to out/passed, for
# `tests/rows`.
set -u
passed=0 failed=0
# Time limit of a boot in seconds: 100 times its duration on a quiet machine, 10 times that in the
# emulated host.
limit=300
# File that is the guest's serial input; empty: none.
input=
sectors=32768
mkdir -p out
: >out/passed
: >out/skipped

# fail NAME REASON
fail() {
    failed=$((failed + 1))
    echo "not ok $1: $2"
}

# filled FILE: creates an image whose bytes are all 0xc3.
filled() {
    tr '\0' '\303' </dev/zero | head -c $((sectors * 512)) >"$1"
}

# boot NAME CODE KERNEL APPEND OPTION...: boots once; counts the guest's tests, and NAME as a test
# of the exit code.
boot() {
    name=$1 code=$2 kernel=$3 append=$4 log=out/$1.log
    shift 4
    began=$(date +%s)
    timeout -s KILL $limit ./microvm --kernel "$kernel" --cpus 2 --append "cpus=2 sectors=$sectors $few $append" "$@" \
        >"$log" 2>"$log.err" <"${input:-/dev/null}"
    status=$? took=$(($(date +%s) - began))
    good=$(grep -c '^ok ' "$log")
    bad=$(grep -c '^FAILED' "$log")
    passed=$((passed + good))
    failed=$((failed + bad))
    sed -n 's/^ok \([a-z0-9_]*\).*/\1/p' "$log" >>out/passed
    sed -n 's/^skip \([a-z0-9_]*\).*/\1/p' "$log" >>out/skipped
    grep '^FAILED' "$log" | sed "s/^FAILED/not ok $name:/"
    if [ $status != "$code" ]; then
        fail "$name" "microvm's exit code $status instead of $code; the ends of its logs:"
        tail -n 5 "$log" "$log.err"
    elif [ "$bad" = 0 ]; then
        passed=$((passed + 1))
        echo "ok $name: $good tests in the guest (${took}s)"
    fi
    # The log is bounded, however often the guest misbehaves.
    lines=$(wc -l <"$log.err")
    [ "$lines" -le 100 ] || fail "$name" "$lines lines in microvm's log"
}

# same NAME WHAT EXPECTED ACTUAL
same() {
    if [ "$3" = "$4" ]; then
        passed=$((passed + 1))
    else
        fail "$1" "$2: $3 before, $4 after"
    fi
}

# The emulated host has one CPU for two vCPUs that wait for each other, so tests are shorter.
few=
[ "${KVMHOST:-}" != emulated ] || few='few=1'

# Two boot protocols with the suffixes of their files; and the log message of an exit that KVM
# cannot handle.
case $(uname -m) in
x86_64)
    one=bzImage suffix=bz other=PVH other_suffix=elf
    # With hardware virtualization this ends in a triple fault.
    not_handled='internal error\|triple fault'
    clock=tsc_khz=1000000
    ;;
aarch64)
    one=Image suffix=img other=Image-gz other_suffix=img.gz
    not_handled='unhandled KVM exit 28'
    clock=
    ;;
esac

size() { wc -c <"$1"; }
# upper FILE: prints a checksum of the sectors beyond those that the hostile guest writes to.
upper() { tail -c +4194305 "$1" | md5sum; }

filled second.img
second=$(md5sum <second.img)

# polite NAME KERNEL DISK-OPTIONS
polite() {
    filled disk.img
    boot "polite-$1" 0 "$2" '' --disk "disk.img$3" --disk second.img,readonly
    same "polite-$1" 'size of the image' $((sectors * 512)) "$(size disk.img)"
}

# hostile NAME KERNEL DISK-OPTIONS OPTION...
hostile() {
    run=hostile-$1 image=$2 disk=disk.img$3
    shift 3
    filled disk.img
    before=$(upper disk.img)
    boot "$run" 0 "$image" '' --disk "$disk" --disk second.img,readonly "$@"
    same "$run" 'size of the image' $((sectors * 512)) "$(size disk.img)"
    same "$run" 'sectors it wrote nothing to' "$before" "$(upper disk.img)"
    same "$run" 'the read-only disk' "$second" "$(md5sum <second.img)"
    boot "$run-again" 0 "$image" "tests=row39_still rebooted=$sectors" --disk "$disk"
}

# crash TEST END CODE MESSAGE OPTION...: the guest dies with eight writes of 64 KiB in flight; then
# each of their sectors must be old or new. The log must contain MESSAGE, unless that is empty.
crash() {
    test=$1 end=$2 code=$3 message=$4
    shift 4
    before=$failed
    filled disk.img
    boot "$test" "$code" "hostile.$suffix" "tests=$test end=$end" --disk disk.img "$@"
    [ -z "$message" ] || grep -q "$message" "out/$test.log.err" ||
        fail "$test" "no '$message' in the log: $(cat "out/$test.log.err")"
    i=0
    while [ $i -lt 8 ]; do
        i=$((i + 1))
        new=$(printf '\\%o' $((0x11 * i)))
        rest=$(dd if=disk.img bs=65536 skip=$i count=1 2>/dev/null | tr -d "\\303$new" | wc -c)
        same "$test" "bytes of write $i that are neither old nor new" 0 "$rest"
    done
    # The test ended with its VM, so the guest could not report it as passed.
    [ $failed != "$before" ] || echo "$test" >>out/passed
}

# quit_when_said LINE FILE: quits the VM by its control socket when FILE has LINE, while the file
# `keep` exists.
quit_when_said() {
    while [ -e keep ] && ! grep -qs "^$1" "$2"; do sleep 0.01; done
    ./microvm-ctl socket quit
}

polite "$one" "polite.$suffix" ,packed=on,in-order=on
polite "$other-sync" "polite.$other_suffix" ,engine=sync
filled disk.img
before=$(md5sum <disk.img)
boot polite-ephemeral 0 "polite.$suffix" '' --disk disk.img,ephemeral --disk second.img,readonly
same polite-ephemeral 'the image' "$before" "$(md5sum <disk.img)"
hostile "$one" "hostile.$suffix" ,packed=on
hostile "$other-sync" "hostile.$other_suffix" ,engine=sync
if [ "$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo)" -gt 6000000 ]; then
    hostile "$one-cached-5G" "hostile.$suffix" ,direct=off --memory 5G
else
    echo "skip hostile-$one-cached-5G: this host has less memory"
fi
# The attacks on rings, repeated with packed rings.
filled disk.img
boot hostile-packed 0 "hostile.$suffix" \
    'packed=1 tests=row02,row03,row04,row05,row06,row07,row08,row09,row10,row12,row13,row15,row17,row19,row21,row26,row27' \
    --disk disk.img,packed=on --disk second.img,readonly
same hostile-packed 'size of the image' $((sectors * 512)) "$(size disk.img)"
crash row41_internal_error_with_writes_in_flight internal-error 6 "$not_handled"
case $(uname -m) in
x86_64) crash row41_triple_fault_with_writes_in_flight triple-fault 6 'triple fault' ;;
aarch64)
    : >keep
    endless=row41_exceptions_without_end_with_writes_in_flight
    quit_when_said now out/$endless.log &
    crash $endless exceptions 7 '' --control socket
    rm keep
    wait
    ;;
esac

# thread_times FILE: prints each thread of the process whose id is in FILE, and its CPU time in
# ticks.
thread_times() {
    cat "/proc/$(cat "$1")/task/"*/stat 2>/dev/null | sed 's/ (.*) / /' | awk '{ print $1, $13 + $14 }'
}

# busiest BEFORE: reads the output of thread_times, and prints the CPU time that the two busiest
# threads have used since BEFORE.
busiest() {
    awk 'NR == FNR { before[$1] = $2; next }
        { t = $2 - before[$1]; if (t > a) { b = a; a = t } else if (t > b) b = t }
        END { print a + 0, b + 0 }' "$1" -
}

# The first vCPU runs all the time; the second waits for INIT, with an NMI and an SMI pending.
if [ "$(uname -m)" = x86_64 ]; then
    test=cpu_never_started_uses_no_cpu_time_after_nmi_and_smi
    echo '0 0' >busy
    : >keep
    {
        while [ -e keep ] && ! grep -qs '^now' out/$test.log; do sleep 0.01; done
        thread_times pid >before
        while [ -e keep ] && [ "$(cut -d ' ' -f 1 busy)" -lt 50 ]; do
            sleep 0.1
            thread_times pid | busiest before >busy
        done
        ./microvm-ctl socket quit
    } &
    boot $test 7 "hostile.$suffix" "tests=$test end=endless" --control socket --pidfile pid
    rm keep
    wait
    read -r first second <busy
    if [ "$first" -ge 50 ] && [ $((second * 4)) -lt "$first" ]; then
        passed=$((passed + 1))
        echo $test >>out/passed
    else
        fail $test "$first and $second ticks of CPU time in the two busiest threads"
    fi
fi

# The measuring guest, as a functional test: each way to wait, to use descriptors and to end.
requests=4000
[ "${KVMHOST:-}" != emulated ] || requests=200

# Options of the measured disk.
keys=

# measure NAME REQUESTS APPEND OPTION...
measure() {
    run=blkbench-$1 count=$2 how=$3
    shift 3
    boot "$run" 0 "blkbench.$suffix" "$clock requests=$count $how" --disk "disk.img$keys" "$@"
    grep -Eq "^result iops=[0-9]+ requests=$count .* errors=0$" "out/$run.log" || fail "$run" 'no such result'
}

filled disk.img
measure poll $requests 'depth=8' --stats on
# The statistics must include the requests and their latency.
seen=$(sed -n 's/.*disk.img, queue 0: read: \([0-9]*\) requests, 0 failed, \([0-9]*\) bytes; .* in us: .*/\1 \2/p' out/blkbench-poll.log.err)
seen=${seen:-0 0}
{ [ "${seen% *}" -ge $requests ] && [ "${seen#* }" = $((${seen% *} * 4096)) ] &&
    grep -q 'in the ring .* notify the driver' out/blkbench-poll.log.err; } ||
    fail blkbench-poll "no such statistics: $seen"
measure poll-without-event-idx $requests 'depth=8 event_idx=0 op=randrw'
measure irq $requests 'depth=8 mode=irq'
measure irq-without-event-idx $requests 'depth=8 mode=irq event_idx=0 indirect=1'
measure irq-each 300 'depth=1 mode=irq event_idx=0' --stats on
# On every x86_64 host registers are memory: only their set-up causes exits, not the interrupts.
exits=$(sed -n 's/.* exits: MMIO .*, virtio-blk: \([0-9]*\) in .*/\1/p' out/blkbench-irq-each.log.err)
[ "$(uname -m)" != x86_64 ] || [ "${exits:-1000}" -le 40 ] ||
    fail blkbench-irq-each "${exits:-no count of} exits for 300 interrupts"
measure deepest $requests 'depth=256 op=randrw'
printf '\n\n' >answers
input=answers
measure starts-on-input $requests 'depth=8 wait=1'
# All input is there from the beginning, when no driver listens yet, and it is longer than the FIFO.
typed=what-was-typed-before-the-guest-polled
printf %s $typed >answers
boot input-by-polling 0 "polite.$suffix" "tests=input_arrives_at_a_guest_that_polls typed=$typed" --disk disk.img
input=
# The span is written once, and then verified.
measure verified-write 256 'depth=16 op=write seq=1 span=1048576 verify=1'
measure verified-poll $requests 'depth=16 span=1048576 verify=1'
measure verified-irq $requests 'depth=16 span=1048576 verify=1 mode=irq indirect=1 op=randrw'
# paused: pauses and resumes by the control socket while `keep` exists.
paused() {
    while [ -e keep ]; do
        ./microvm-ctl socket pause 2>/dev/null || continue
        ./microvm-ctl socket resume 2>/dev/null || continue
        echo once
    done >pauses
}
# record_events: writes the events of the VM to `event-log` while `keep` exists.
record_events() {
    while [ -e keep ] && ! ./microvm-ctl socket events >>event-log 2>/dev/null; do sleep 0.01; done
}
for mode in poll irq; do
    : >keep
    paused &
    measure "paused-$mode" $((requests * 4)) "depth=16 span=1048576 verify=1 mode=$mode op=randrw" --control socket
    rm keep
    wait
    [ -s pauses ] || fail "paused-$mode" 'the VM was never paused'
done
# resized: changes the size by the control socket while `keep` exists and the guest reads it.
resized() {
    while [ -e keep ]; do
        for size in 2147483647K 2147483648K; do
            ./microvm-ctl socket resize 0 $size >/dev/null 2>&1 || continue
        done
    done
}
truncate -s 1M resized.img
: >keep
resized &
boot resized 0 "polite.$suffix" 'tests=capacity_is resizes=50' --disk resized.img --control socket
rm -f keep resized.img
wait
# limited: changes limits continuously, so that requests wait for the thread's timer; the seccomp
# filters must allow that.
limited() {
    while [ -e keep ]; do
        ./microvm-ctl socket limit 0 iops=2000,iops-burst=4 2>/dev/null || continue
        ./microvm-ctl socket limit 0 iops=3000,bps=50M,bps-burst=64K 2>/dev/null || continue
        echo once
    done >limits
}
for engine in io_uring libaio sync; do
    filled disk.img
    keys=,iops=1000,iops-burst=4,engine=$engine
    measure "throttled-$engine" 200 'depth=8' --stats on
    grep -q ' [1-9][0-9]* throttled' "out/blkbench-throttled-$engine.log.err" ||
        fail "throttled-$engine" 'no request was throttled'
    : >keep
    limited &
    measure "limited-$engine" 400 'depth=8 op=randrw mode=irq' --control socket
    rm keep
    wait
    [ -s limits ] || fail "limited-$engine" 'the limits were never changed'
done
keys=
filled disk.img
: >keep
record_events &
boot hostile-events 0 "hostile.$suffix" tests=row1 --disk disk.img --control socket
rm keep
wait
grep -q '^queue-broken disk=0 queue=0 why=' event-log || fail hostile-events 'no event of a broken queue'

# A disk whose host has room for only a part of it: each time that stops the VM, more room is made.
# Another boot verifies the data.
#
# stopped TIMES: waits until the stop has been reported more than TIMES times; false: the VM has
# ended. The first stop may precede the listener: then a resume without more room repeats it.
stopped() {
    until [ "$(grep -c '^stopped ' roomy)" -gt "$1" ]; do
        [ -e keep ] || return 1
        [ "$1" != 0 ] || ! ./microvm-ctl socket status | grep -q 'stopped by' || ./microvm-ctl socket resume
        sleep 0.01
    done 2>/dev/null
}
room() {
    stops=0
    while stopped "$stops"; do
        stops=$(grep -c '^stopped ' roomy)
        mount -o "remount,size=$((stops + 2))m" small
        ./microvm-ctl socket resume
    done
}
listen() {
    while [ -e keep ] && ! ./microvm-ctl socket events >>roomy 2>/dev/null; do sleep 0.01; done
}
# small: mounts a file system of its own. The previous one may stay in use by a kernel thread for a
# while.
small() {
    umount -l small 2>/dev/null
    mount -t tmpfs -o size=1m tmpfs small 2>/dev/null && truncate -s 8M small/disk.img
}
# full ENGINE KEY: tests the engine on a full file system; KEY: further disk options.
full() {
    engine=$1 all="seq=1 span=8388608 verify=1"
    rm -f roomy
    small
    : >keep
    listen &
    room &
    run=full-$engine
    boot "$run" 0 "blkbench.$suffix" "$clock requests=2048 depth=32 op=write $all" \
        --disk "small/disk.img,engine=$engine,$2" --control socket
    rm keep
    wait
    [ "$(grep -c '^stopped disk=0 queue=0 operation=write error=No space' roomy)" -ge 2 ] ||
        fail "$run" "the VM was not stopped twice: $(cat roomy)"
    boot "$run-read" 0 "blkbench.$suffix" "$clock requests=2048 depth=32 $all" --disk small/disk.img
}
if [ "$(id -u)" = 0 ] && mkdir -p small && small; then
    full io_uring poll-us=0
    full libaio packed=on
    full sync in-order=on
    # A parked request does not delay the end of the VM.
    rm -f roomy
    small
    : >keep
    listen &
    { stopped 0 && ./microvm-ctl socket quit; } &
    boot full-quit 7 "blkbench.$suffix" "$clock requests=2048 depth=32 op=write seq=1" \
        --disk small/disk.img,rerror=stop,werror=stop --control socket
    rm keep
    wait
    umount -l small
else
    echo 'full    skip: this user mounts no file system' >>out/skipped
fi

# A test that was skipped in one boot and passed in another is not reported as skipped.
sort -u out/passed -o out/passed
sort -u out/skipped | grep -vxF -f out/passed >out/never
while read -r name; do
    echo "skip $name: $(grep -h "^skip $name" out/*.log | head -n 1 | sed 's/.*: //')"
done <out/never
skipped=$(grep -c . out/never)
echo "bare ${KVMHOST:-}: $passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
