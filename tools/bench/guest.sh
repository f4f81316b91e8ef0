# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Part of tools/blkbench, sourced: runs the measuring guest once under a monitor and measures the
# cost of the monitor's threads. Uses $work (a directory) and $counter (perf, strace or none).
#
# Results: guest_result: the guest's line of results; guest_cpu: CPU time of all threads except the
# vCPU between begin and end, in ns; guest_wait: time that all threads were runnable without a CPU,
# in ns; guest_calls: system calls of the threads except the vCPU, if they were counted;
# guest_error: why there is no result.
guest_pid='' counter_pid=''

# thread_ns TID: prints the CPU time so far in ns; exact while the thread sleeps.
thread_ns() {
    local ns rest
    read -r ns rest 2>/dev/null <"/proc/$guest_pid/task/$1/schedstat" || ns=0
    echo "$ns"
}

threads() {
    local task
    for task in "/proc/$guest_pid/task/"*; do
        [ -d "$task" ] && echo "${task##*/}"
    done
}

# waited_ns: prints the time that all threads, with the vCPU, were runnable without a CPU, in ns.
waited_ns() {
    local tid ns waited sum=0
    for tid in $(threads); do
        read -r ns waited _ 2>/dev/null <"/proc/$guest_pid/task/$tid/schedstat" && sum=$((sum + waited))
    done
    echo "$sum"
}

# find_vcpu: while the guest polls its serial port and does nothing else, the only busy thread is
# the vCPU.
find_vcpu() {
    local tid grown most try
    local -A before
    for try in 1 2 3 4 5 6 7 8 9 10; do
        most=1000000
        for tid in $(threads); do before[$tid]=$(thread_ns "$tid"); done
        sleep 0.0$((try + 2))
        for tid in $(threads); do
            grown=$(($(thread_ns "$tid") - ${before[$tid]:-0}))
            [ $grown -gt $most ] && most=$grown vcpu=$tid
        done
        [ $most -gt 1000000 ] && return 0
    done
    return 1
}

others() {
    threads | grep -vx "$vcpu"
}

others_ns() {
    local tid sum=0
    for tid in $(others); do sum=$((sum + $(thread_ns "$tid"))); done
    echo $sum
}

# perf_begin TID,...: starts counting. Status 1: perf has exited, as it does when a worker thread
# exits before perf attaches to it.
perf_begin() {
    local ack=''
    rm -f "$work/ctl" "$work/ack"
    mkfifo "$work/ctl" "$work/ack"
    perf stat -x ' ' -o "$work/calls" -e raw_syscalls:sys_enter -D -1 --control "fifo:$work/ctl,$work/ack" -t "$1" \
        >/dev/null 2>&1 </dev/null &
    counter_pid=$!
    exec {ctl}<>"$work/ctl" {acks}<>"$work/ack"
    echo enable >&"$ctl"
    for _ in $(seq 200); do
        read -r -t 0.1 ack <&"$acks" && break
        kill -0 $counter_pid 2>/dev/null || break
    done
    exec {ctl}>&- {acks}<&-
    [ -n "$ack" ] && return
    kill $counter_pid 2>/dev/null
    wait $counter_pid
    counter_pid=''
    return 1
}

# calls_begin: starts to count the system calls of all threads except the vCPU. perf also counts
# those of threads that these start later.
calls_begin() {
    local tids tid try want args=()
    case $counter in
    perf)
        for try in 1 2 3 4 5; do
            tids=$(others | paste -sd ,)
            perf_begin "$tids" && return
        done
        guest_error="perf: not attached, $try times"
        ;;
    strace)
        mapfile -t tids < <(others)
        for tid in "${tids[@]}"; do args+=(-p "$tid"); done
        # strace -f would attach to the vCPU as well.
        strace -c -U name,calls -o "$work/calls" "${args[@]}" >/dev/null 2>"$work/attached" </dev/null &
        counter_pid=$!
        want=${#tids[@]}
        for try in $(seq 100); do
            [ "$(grep -c attached "$work/attached")" -ge "$want" ] && return
            sleep 0.05
        done
        guest_error="strace: not attached after $((try / 20)) s"
        ;;
    esac
}

calls_end() {
    kill -INT $counter_pid 2>/dev/null
    wait $counter_pid
    counter_pid=
    calls_read
}

calls_read() {
    case $counter in
    perf) guest_calls=$(awk '/sys_enter/ { print $1 }' "$work/calls") ;;
    strace) guest_calls=$(awk '$1 == "total" { print $2 }' "$work/calls") ;;
    esac
}

# guest_stop: ends the processes that this file started.
guest_stop() {
    local pid
    for pid in $counter_pid $guest_pid; do
        kill "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    done
    counter_pid='' guest_pid=''
}

# guest_line LINE COUNT: handles a line that the guest printed.
guest_line() {
    case $1 in
    *begin)
        find_vcpu || guest_error='no thread looks like a vCPU'
        [ "$2" = no ] || calls_begin
        began=$(others_ns)
        waiting=$(waited_ns)
        echo >&"$in"
        ;;
    end)
        guest_cpu=$(($(others_ns) - began))
        guest_wait=$(($(waited_ns) - waiting))
        [ "$2" = no ] || calls_end
        echo >&"$in"
        ;;
    result*) guest_result=${1#result } ;;
    FAILED* | skip*) guest_error=$1 ;;
    esac
}

# guest_run SECONDS COUNT COMMAND...: runs the guest. COUNT: whether to count system calls, yes or
# no. Status 1: no result, see $guest_error.
guest_run() {
    local limit=$(($1 + $1 / 5 + 60)) count=$2 line part in out vcpu='' began=0 waiting=0 status
    shift 2
    guest_result='' guest_cpu='' guest_wait='' guest_calls='' guest_error=''
    # shellcheck disable=SC2094 # the command and this shell have different ends of the fifos
    "$@" <"$work/in" >"$work/out" 2>"$work/err" &
    guest_pid=$!
    exec {in}>"$work/in" {out}<"$work/out"
    limit=$((SECONDS + limit)) line=''
    while :; do
        # The read times out after a second, so that a signal is handled; a partial line is kept.
        read -r -t 1 part <&"$out"
        status=$?
        line+=${part%$'\r'}
        if [ $status = 0 ]; then
            guest_line "$line" "$count"
            line=''
        elif [ $status -le 128 ]; then
            break
        elif [ $SECONDS -ge $limit ]; then
            guest_error='no end in sight'
            break
        fi
        [ -z "$guest_error" ] || break
    done
    [ -n "$guest_result" ] && [ -z "$guest_error" ] || kill "$guest_pid" 2>/dev/null
    wait "$guest_pid"
    status=$?
    guest_pid=
    exec {in}>&- {out}<&-
    [ -z "$counter_pid" ] || guest_stop
    [ -n "$guest_error$guest_result" ] || guest_error="exit code $status: $(grep -v '^$' "$work/err" | tail -n 1)"
    [ -z "$guest_error" ]
}
