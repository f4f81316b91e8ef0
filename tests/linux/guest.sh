#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Guest part of the Linux tests, in the initramfs as /bin/t: run="t NAME ARG..." calls guest_NAME.
# The guest prints an error as "WRONG: ..."; its last line is "done NAME" if there was none. Where
# the host has to act, the guest prints "ready ..." and waits for a line on its console.
bad=0
first=1048576

wrong() {
    echo "WRONG: $*"
    bad=1
}

# host WORD: waits until the host has acted.
host() {
    echo "ready $1"
    read -r _ || wrong 'end of input'
}

# has DISK SEED OFFSET LEN: checks that these bytes are fill's, with O_DIRECT. OFFSET and LEN are
# multiples of 64 KiB.
has() {
    fsload fill "$2" "$3" "$4" >/tmp/want
    dd if="$1" bs=64k iflag=direct skip=$(($3 / 65536)) count=$(($4 / 65536)) 2>/dev/null | cmp - /tmp/want ||
        wrong "$1: other data than written at $3"
    rm -f /tmp/want
}

# put DISK SEED OFFSET LEN: writes fill's bytes and makes them stable; fails if dd does.
put() {
    fsload fill "$2" "$3" "$4" | dd of="$1" bs=64k iflag=fullblock oflag=direct seek=$(($3 / 65536)) conv=fsync,notrunc \
        2>/tmp/dd.log
}

# busy DISK: waits until requests are in flight.
busy() {
    while read -r reads writes <"/sys/block/${1#/dev/}/inflight" && [ $((reads + writes)) = 0 ]; do
        [ -e "$1" ] || return
    done
}

# writes DISK: prints how many writes it has completed.
writes() {
    read -r _ _ _ _ count _ <"/sys/block/${1#/dev/}/stat"
    echo "$count"
}

# ---- fio ----

# verify NAME DISK OPTION...: runs fio with verification of every block.
verify() {
    job=$1 disk=$2
    shift 2
    fio --thread --direct=1 --ioengine=libaio --verify=crc32c --verify_fatal=1 --randseed=11 --eta=never \
        --group_reporting --output="/tmp/$job.fio" --name="$job" --filename="$disk" "$@"
    status=$?
    # fio must also have done the I/O that it was given.
    grep -q 'IO depths' "/tmp/$job.fio" || status=none
    [ $status = 0 ] || wrong "fio $job on $disk: status $status"
}

# fio_depths MEGABYTES: several depths; MEGABYTES is the size for each job. The host varies the
# disk's options.
guest_fio_depths() {
    verify one /dev/vda --rw=randwrite --bsrange=512-64k --iodepth=1 --size="$1M"
    verify four /dev/vda --rw=randrw --bsrange=512-256k --iodepth=4 --size="$1M"
    verify deep /dev/vda --rw=randwrite --bsrange=512-256k --iodepth=32 --size="$(($1 * 2))M"
    verify even /dev/vda --rw=randrw --bsrange=4k-256k --ba=4k --iodepth=32 --size="$(($1 * 2))M"
}

# fio_engines DISK...: a short run on each disk; the host gives each another engine.
guest_fio_engines() {
    for disk in "$@"; do
        verify "${disk#/dev/}-one" "$disk" --rw=randwrite --bsrange=512-64k --iodepth=1 --size=1M
        verify "${disk#/dev/}-deep" "$disk" --rw=randwrite --bsrange=512-64k --iodepth=16 --size=2M
    done
}

# fio_disks MEGABYTES DISK...: all disks at once, with two jobs each, on separate ranges and CPUs.
guest_fio_disks() {
    mb=$1
    shift
    for disk in "$@"; do
        for cpu in 0 1; do
            verify "${disk#/dev/}-$cpu" "$disk" --rw=randrw --bsrange=512-128k --iodepth=$((4 + 28 * cpu)) \
                --cpus_allowed=$cpu --offset=$((cpu * mb))M --size="${mb}M" &
            jobs="${jobs:-} $!"
        done
    done
    # The jobs print errors on the console; a variable that they set is lost with their process.
    # shellcheck disable=SC2086 # a list
    wait $jobs
}

# fio_until_told DISK...: random reads of each disk, until the host ends them.
guest_fio_until_told() {
    for disk in "$@"; do
        fio --thread --name=load --filename="$disk" --rw=randread --bs=4k --direct=1 --ioengine=libaio --iodepth=8 \
            --norandommap --time_based --runtime=3600 --eta=never --output="/tmp/load-${disk#/dev/}" &
        jobs="${jobs:-} $!"
    done
    for disk in "$@"; do
        busy "$disk"
    done
    host under-load
    # shellcheck disable=SC2086 # a list
    kill $jobs
    # shellcheck disable=SC2086 # a list
    wait $jobs
    for disk in "$@"; do
        grep -q 'err= 0' "/tmp/load-${disk#/dev/}" || wrong "fio on $disk: $(cat "/tmp/load-${disk#/dev/}")"
    done
}

# rates: for tools/fio-ratio: random reads by fio, repeatedly, for each line "DEPTH NUMBER" of the
# host.
guest_rates() {
    echo 'rates: ready'
    while read -r depth number; do
        fio --thread --name=rates --filename=/dev/vda --rw=randread --bs=4k --direct=1 --ioengine=libaio \
            --iodepth="$depth" --number_ios="$number" --norandommap --randrepeat=0 --minimal --output=/tmp/rates >/dev/null
        # The fields of fio's output: the fifth is its error, the sixth the KiB read.
        echo "rates: $(cut -d ';' -f 5,6 /tmp/rates)"
    done
}

same_fio='--rw=randwrite --bsrange=512-64k --iodepth=16 --size=2M'

guest_fio_write() {
    # shellcheck disable=SC2086 # a list
    verify write /dev/vda $same_fio --do_verify=0 --end_fsync=1
}

# fio_read: two disks with the same data, except for one bit of the second disk, which fio must
# detect.
guest_fio_read() {
    # shellcheck disable=SC2086 # a list
    verify read /dev/vda $same_fio --verify_only
    # shellcheck disable=SC2086 # a list
    wrong_was_found=$(verify flipped /dev/vdb $same_fio --verify_only)
    [ -n "$wrong_was_found" ] || wrong 'fio found nothing'
}

# ---- file systems ----

# fsload PROCS STEPS SEED
guest_fsload() {
    mount -t ext4 /dev/vda /mnt || wrong mount
    fsload mix /mnt "$@" || wrong 'fsload mix'
    umount /mnt || wrong umount
    mount -t ext4 /dev/vda /mnt || wrong mount
    fsload check /mnt "$@" || wrong 'fsload check'
    umount /mnt || wrong umount
}

guest_keep() {
    mount -t ext4 /dev/vda /mnt || wrong mount
    fsload keep /mnt "$1" 7
    wrong 'went on to its end'
}

# ---- the driver ----

# device_of BUS DISK: prints the name of the disk's device on the bus.
device_of() {
    case $1 in
    virtio) basename "$(readlink -f "/sys/block/${2#/dev/}/device")" ;;
    platform) basename "$(readlink -f "/sys/block/${2#/dev/}/device/..")" ;;
    esac
}

# rebound BUS DRIVER DISK ROUND: unbinds the disk's device from its driver while requests are in
# flight, and binds it again.
rebound() {
    disk=$3 nth=$4
    device=$(device_of "$1" "$disk")
    put "$disk" "$nth" 0 $first || wrong "round $nth: dd: $(cat /tmp/dd.log)"
    fsload flood "$disk" 1000 $first $first 8 &
    load=$!
    busy "$disk"
    echo "$device" >"/sys/bus/$1/drivers/$2/unbind" || wrong "round $nth: unbind"
    wait $load || wrong "round $nth: the load"
    [ ! -e "$disk" ] || wrong "round $nth: $disk is still there"
    echo "$device" >"/sys/bus/$1/drivers/$2/bind" || wrong "round $nth: bind"
    until [ -b "$disk" ]; do
        sleep 0.05
    done
    has "$disk" "$nth" 0 $first
    # If an old request were executed late, this data would be overwritten.
    put "$disk" 2000 $first $first || wrong "round $nth: dd after bind: $(cat /tmp/dd.log)"
}

# rebind BUS DRIVER ROUNDS DISK...
guest_rebind() {
    bus=$1 driver=$2 rounds=$3
    shift 3
    round=0
    while [ $round -lt "$rounds" ]; do
        round=$((round + 1))
        for disk in "$@"; do
            rebound "$bus" "$driver" "$disk" $round
        done
        for disk in "$@"; do
            has "$disk" 2000 $first $first
        done
        [ $round != 1 ] || host first-round
    done
    host last-round
}

# kexec HOW GENERATIONS KERNEL-SIZE INITRD-SIZE: the kernel is on /dev/vdb, the initramfs on
# /dev/vdc. HOW: jump or panic.
guest_kexec() {
    generation=$2
    [ -z "${marked:-}" ] || has /dev/vda "$marked" 0 $first
    if [ "$generation" = 0 ]; then
        fsload sectors /dev/vda $first $first 1 1000 || wrong 'a sector that was written to'
        put /dev/vda 5 0 $((2 * first)) || wrong "dd: $(cat /tmp/dd.log)"
        has /dev/vda 5 0 $((2 * first))
        return
    fi
    head -c "$3" /dev/vdb >/tmp/kernel
    head -c "$4" /dev/vdc >/tmp/initrd
    [ -n "${marked:-}" ] || put /dev/vda 1 $first $first || wrong "dd: $(cat /tmp/dd.log)"
    put /dev/vda "$((generation + 100))" 0 $first || wrong "dd: $(cat /tmp/dd.log)"
    load=load cpus=2
    # A panic may happen on any CPU, and the crash kernel cannot start the boot CPU (which would
    # look for firmware), so it uses a single CPU.
    [ "$1" = jump ] || load=on-panic cpus=1
    rekexec $load /tmp/kernel /tmp/initrd "console=ttyS0 reboot=a panic=-1 quiet nr_cpus=$cpus \
        marked=$((generation + 100)) run=\"t kexec $1 $((generation - 1)) $3 $4\"" || wrong "rekexec $load"
    [ $bad = 0 ] || return
    fsload flood /dev/vda 1000 $first $first 8 &
    busy /dev/vda
    if [ "$1" = jump ]; then
        rekexec jump
    else
        echo c >/proc/sysrq-trigger
    fi
    wrong 'rekexec'
}

# ---- the host ----

# truncated TOTAL CUT DISK...: the host truncates the images to CUT bytes. The rest then reads as
# zeros, and can be written.
guest_truncated() {
    total=$1 cut=$2
    shift 2
    for disk in "$@"; do
        put "$disk" 1 0 "$total" || wrong "dd: $(cat /tmp/dd.log)"
    done
    host to-cut
    {
        fsload fill 1 0 "$cut"
        head -c $((total - cut)) /dev/zero
    } >/tmp/cut
    for disk in "$@"; do
        dd if="$disk" bs=64k iflag=direct 2>/tmp/dd.log | cmp - /tmp/cut || wrong "$disk: $(cat /tmp/dd.log)"
        dd if="$disk" bs=512 iflag=direct skip=$((cut / 512 - 100)) count=200 2>/dev/null >/tmp/around
        tail -c +$((cut / 512 * 512 - 51200 + 1)) /tmp/cut | head -c 102400 | cmp - /tmp/around || wrong "$disk by sectors"
        put "$disk" 2 $((3 * first)) 65536 || wrong "dd behind the end: $(cat /tmp/dd.log)"
        has "$disk" 2 $((3 * first)) 65536
        dd if="$disk" bs=64k iflag=direct count=48 2>/dev/null | cmp -n $((3 * first)) - /tmp/cut ||
            wrong "$disk: between the cut and what was written since"
    done
}

# truncated_load: the host truncates the image repeatedly under load.
guest_truncated_load() {
    fsload flood /dev/vda 1000 0 $((2 * first)) 8 &
    load=$!
    while :; do dd if=/dev/vda of=/dev/null bs=64k iflag=direct 2>/dev/null || wrong 'a read'; done &
    reader=$!
    busy /dev/vda
    host under-load
    kill -0 $load || wrong 'a write was refused'
    kill -0 $reader || wrong 'the reader is gone'
    kill $reader
    killall fsload
    put /dev/vda 3 0 $((4 * first)) || wrong "dd: $(cat /tmp/dd.log)"
    has /dev/vda 3 0 $((4 * first))
}

# no_space TOTAL: the host has no room for all of /dev/vda.
guest_no_space() {
    put /dev/vda 1 0 $first || wrong "dd: $(cat /tmp/dd.log)"
    put /dev/vda 2 $first $(($1 - first)) && wrong 'there was room for all'
    grep 'Input/output error' /tmp/dd.log || wrong "dd: $(cat /tmp/dd.log)"
    has /dev/vda 1 0 $first
    [ "$(dd if=/dev/vda bs=64k iflag=direct 2>/dev/null | wc -c)" = "$1" ] || wrong 'it cannot be read to its end'
    # With many writes in flight at once: some succeed, the others fail, and none hangs.
    i=0
    while [ $i -lt 16 ]; do
        i=$((i + 1))
        put /dev/vda $i $(($1 - i * 65536)) 65536 &
    done
    wait
    host full
    put /dev/vda 3 $first $(($1 - first)) || wrong "dd with room again: $(cat /tmp/dd.log)"
    has /dev/vda 3 $first $(($1 - first))
    has /dev/vda 1 0 $first
}

# room_later TOTAL: the host has no room for all of /dev/vda until later; many writes are in flight.
guest_room_later() {
    put /dev/vda 1 0 $first || wrong "dd: $(cat /tmp/dd.log)"
    host to-fill
    at=$first
    while [ $at -lt "$1" ]; do
        { put /dev/vda 3 $at $first || echo "WRONG: dd at $at"; } &
        at=$((at + first))
    done
    wait
    has /dev/vda 3 $first $(($1 - first))
    has /dev/vda 1 0 $first
}

# device LEN: the disk is a block device of the host, with LEN bytes.
guest_device() {
    [ "$(blockdev --getsize64 /dev/vda)" = "$1" ] || wrong "size $(blockdev --getsize64 /dev/vda)"
    has /dev/vda 5 0 $first
    put /dev/vda 6 $first $first || wrong "dd: $(cat /tmp/dd.log)"
    has /dev/vda 6 $first $first
    verify device /dev/vda --rw=randrw --bsrange=512-64k --iodepth=32 --offset=2M --size=2M
}

# zeros DISK OFFSET LEN
zeros() {
    dd if="$1" bs=64k iflag=direct skip=$(($2 / 65536)) count=$(($3 / 65536)) 2>/dev/null | tr -d '\0' | grep -q . &&
        wrong "$1: other data than zeros at $2"
}

# ranges DISK...: writes 4 MiB, of which the second is discarded, the third is zeroed and keeps its
# blocks, and the fourth is zeroed and may lose them. The last disk keeps all of its blocks.
guest_ranges() {
    for disk in "$@"; do
        put "$disk" 3 0 $((4 * first)) || wrong "dd: $(cat /tmp/dd.log)"
    done
    host written
    for disk in "$@"; do
        # Reads run concurrently.
        dd if="$disk" of=/dev/null bs=64k iflag=direct count=16 2>/dev/null &
        reader=$!
        if [ "$(cat "/sys/block/${disk#/dev/}/queue/discard_max_bytes")" = 0 ]; then
            blkdiscard -o $first -l $first "$disk" 2>/dev/null && wrong "$disk: was discarded"
        else
            blkdiscard -o $first -l $first "$disk" || wrong "$disk: blkdiscard"
        fi
        ranges zero "$disk" $((2 * first)) $first || wrong "$disk: zeroing"
        ranges punch "$disk" $((3 * first)) $first || wrong "$disk: zeroing with unmap"
        wait $reader || wrong "$disk: dd"
        has "$disk" 3 0 $first
        zeros "$disk" $((2 * first)) $((2 * first))
    done
    sync
    host changed
    for disk in "$@"; do
        type=/sys/block/${disk#/dev/}/cache_type
        [ "$(cat "$type")" = 'write back' ] || wrong "$type: $(cat "$type")"
        for cache in 'write through' 'write back' 'write through'; do
            echo "$cache" >"$type"
            [ "$(cat "$type")" = "$cache" ] || wrong "$type: $(cat "$type") after $cache"
            put "$disk" 4 $((3 * first)) 65536 || wrong "dd: $(cat /tmp/dd.log)"
        done
        has "$disk" 4 $((3 * first)) 65536
    done
}

# fstrim: a file system on /dev/vda, from which a file has been deleted.
guest_fstrim() {
    mount -t ext4 /dev/vda /mnt || wrong mount
    head -c $((16 * first)) /dev/urandom >/mnt/file
    sync
    host written
    rm /mnt/file
    sync
    fstrim -v /mnt || wrong fstrim
    umount /mnt || wrong umount
    host trimmed
}

guest_device_readonly() {
    has /dev/vda 5 0 $first
    [ "$(blockdev --getro /dev/vda)" = 1 ] || wrong 'can be written'
    put /dev/vda 6 $first $first && wrong 'was written'
}

# ---- the end ----

# end END: two disks are flooded from two CPUs when the guest ends.
guest_end() {
    for disk in a b; do
        put /dev/vd$disk 1 0 $((2 * first)) || wrong "dd: $(cat /tmp/dd.log)"
        put /dev/vd$disk 3 0 65536 || wrong "dd: $(cat /tmp/dd.log)"
    done
    before=$(writes /dev/vda) before_b=$(writes /dev/vdb)
    taskset 1 fsload flood /dev/vda 2 $first $first 8 &
    taskset 2 fsload flood /dev/vdb 2 $first $first 8 &
    dd if=/dev/vda of=/dev/null bs=64k iflag=direct &
    # Requests in flight may be reads only, so the writes are counted.
    until [ "$(writes /dev/vda)" -gt "$before" ] && [ "$(writes /dev/vdb)" -gt "$before_b" ]; do :; done
    busy /dev/vda
    busy /dev/vdb
    [ $bad = 0 ] || return
    case $1 in
    poweroff) poweroff -f ;;
    reboot) reboot -f ;;
    crash) echo c >/proc/sysrq-trigger ;;
    wait) host flooded ;;
    esac
}

name=$1
shift
type "guest_$name" >/dev/null || wrong "no function guest_$name"
"guest_$name" "$@"
[ $bad = 0 ] && echo "done $name"
