#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Linux tests, run by tests/linux/run on the host with KVM; every function test_NAME is a test.
# Arguments: short or long, then the names of the tests to run; default: all, in this order. The
# guest's part is tests/linux/guest.sh.
#
# shellcheck source=tests/boot/lib.sh
. ./lib.sh

limit=300
mib=1048576
loop='' more=''

# guest COMMAND OPTION...: boots a guest that executes COMMAND, without input, and waits for its
# end; $more is added to its kernel's command line. begin COMMAND OPTION...: starts such a guest in
# the background, which reads lines from its console.
guest() {
    command=$1
    shift
    boot --kernel "$stock" --initrd initramfs.cpio --append "quiet $lean $more run=\"t $command\"" --cpus 2 "$@"
}

begin() {
    command=$1
    shift
    # Each guest gets a new pipe, so that it does not read lines meant for another. The pipe is open
    # at both ends: its reader neither waits for the writer nor sees an end of file.
    rm -f input
    mkfifo input
    exec 8<>input
    # shellcheck disable=SC2034 # for lib.sh
    input=input
    start --kernel "$stock" --initrd initramfs.cpio --append "quiet $lean run=\"t $command\"" --cpus 2 "$@"
}

send() {
    echo >&8
}

# end: waits for the end of the guest in the background.
end() {
    # The shell may print that the process was killed.
    wait "$pid" 2>/dev/null
    code=$?
    echo >>"$log"
}

# want_good: checks that the guest found no error, and ended by itself.
want_good() {
    unwanted WRONG
    want_code 0
    want 'done '
    unwanted 'Call Trace'
}

# image NAME MIB: creates an empty image.
image() {
    rm -f "$1"
    truncate -s "$2M" "$1"
}

# file_system NAME MIB
file_system() {
    image "$1" "$2"
    ./mke2fs -q -F -t ext4 -b 4096 -m 0 "$1" >>out/mke2fs.log 2>&1 || fail "mke2fs $1"
}

# judge WHAT COMMAND...: fails the test if the command fails; its output goes to the log.
judge() {
    what=$1
    shift
    "$@" >>"$log" 2>&1 || fail "$what"
}

# same IMAGE SEED OFFSET LEN: checks that the image has fill's data there. OFFSET and LEN are
# multiples of 64 KiB.
same() {
    [ "$(dd if="$1" bs=65536 skip=$(($3 / 65536)) count=$(($4 / 65536)) 2>/dev/null | md5sum)" = \
        "$(./fsload fill "$2" "$3" "$4" | md5sum)" ] || fail "$1: other data than written at $3"
}

size_of() {
    wc -c <"$1"
}

# resources: prints the numbers of threads and descriptors of the VM, without the kernel's io_uring
# workers, which come and go.
resources() {
    echo "threads $(cat /proc/"$pid"/task/*/comm | grep -vc '^iou-wrk') descriptors $(find "/proc/$pid/fd" | wc -l)"
}

# may_mount: succeeds if this host allows the tests to mount file systems; otherwise skips the test.
may_mount() {
    if [ "$(id -u)" = 0 ] && mkdir -p small && mount -t tmpfs -o size=64k tmpfs small 2>/dev/null; then
        umount small
        return 0
    fi
    skip='this host does not permit mounts'
    return 1
}

# lend FILE [-r]: sets $loop to a loop device of FILE; skips the test if the host has none.
lend() {
    # The module fits the emulated host's kernel only.
    [ "${KVMHOST:-}" != emulated ] || [ -e /dev/loop-control ] || insmod ./loop.ko
    # Another process may take the free device first, so this is retried.
    for _ in 1 2 3 4 5; do
        loop=$(losetup -f 2>/dev/null)
        # shellcheck disable=SC2086 # an option or nothing
        [ -n "$loop" ] && losetup ${2:-} "$loop" "$1" 2>/dev/null && return 0
    done
    loop=''
    skip='this host lends no loop devices'
    return 1
}

# give_back: releases the test's mounts and loop devices.
give_back() {
    umount small 2>/dev/null
    [ -z "$loop" ] || losetup -d "$loop"
    loop=''
}

# ---- fio ----

test_fio_depths() {
    image disk.img $((fio_mb * 2))
    guest "fio_depths $fio_mb" --disk disk.img
    want_good
}

test_fio_kinds_of_disk() {
    for disk in a b c d; do
        image $disk.img "$fio_mb"
    done
    guest "fio_disks $((fio_mb / 2)) /dev/vda /dev/vdb /dev/vdc /dev/vdd" --disk a.img --disk b.img,direct=off \
        --disk c.img,engine=sync --disk d.img,queue-size=4
    want_good
    rm -f a.img b.img c.img d.img
}

# fio must detect errors: one bit of the data that it wrote is inverted in one of two copies.
test_fio_finds_a_flipped_bit() {
    image disk.img 4
    guest fio_write --disk disk.img
    want_good
    cp disk.img flipped.img
    flip flipped.img $((mib + 12345))
    [ "$(cmp -l disk.img flipped.img | wc -l)" = 1 ] || fail 'the bit was not inverted'
    guest fio_read --disk disk.img,readonly --disk flipped.img,readonly
    want_good
    want 'verify failed at file /dev/vdb'
    rm -f flipped.img
}

# counts: prints how many requests each of two disks has completed.
counts() {
    ./microvm-ctl socket stats --prometheus | awk 'match($0, /^microvm_requests_total.disk="[01]"/) {
        n[substr($0, RLENGTH - 1, 1)] += $2 } END { print n[0] + 0, n[1] + 0 }'
}

# now: prints the host's clock, in hundredths of a second.
now() {
    cut -d ' ' -f 1 /proc/uptime | tr -d .
}

# within RATE BURST DEPTH COUNT: checks a throttle. While the first disk completes COUNT requests,
# they are no more than a token bucket of BURST that is filled at RATE passes, plus DEPTH that had
# passed before; the second disk completes more.
within() {
    since=$(now) before=$(counts)
    while after=$(counts) && did=$((${after% *} - ${before% *})) && [ "$did" -lt "$4" ]; do
        kill -0 "$pid" 2>/dev/null || { fail 'ended under a limit' && return 1; }
        sleep 0.1
    done
    # Both readings of the clock are rounded down.
    took=$(($(now) + 2 - since)) other=$((${after#* } - ${before#* }))
    may=$(($2 + $3 + $1 * took / 100))
    echo "limit $1: $did requests in $took hundredths of a second, of $may; without a limit $other" >>"$log.limits"
    [ "$did" -le $may ] || fail "limit $1: $did requests, where $may could pass"
    [ $other -gt "$did" ] || fail "limit $1: $did requests, and of the disk without a limit $other"
}

# Uses the device's counters: fio waits for throttled requests without knowing it. An emulated guest
# reads some hundred times per second, or ten on a busy machine, so COUNT must be more than it
# completes between a few polls of the counters.
test_fio_within_limits() {
    image disk.img 4
    image second.img 4
    rm -f socket
    begin 'fio_until_told /dev/vda /dev/vdb' --disk disk.img,iops=2,iops-burst=1 --disk second.img --control socket
    if await 'ready under-load'; then
        within 2 1 8 30
        ./microvm-ctl socket limit 0 iops=4,iops-burst=10 >>"$log.limits" || fail 'the limit cannot be changed'
        within 4 10 8 60
        ./microvm-ctl socket limit 0 none >>"$log.limits" || fail 'the limit cannot be lifted'
        send
    fi
    end
    want_good
    rm -f second.img socket
}

# ---- file systems ----

fsload_on() {
    file_system disk.img 32
    guest "fsload 4 $fs_steps 1234" --memory 128M --disk "disk.img$1"
    want_good
    want_clean disk.img
    mkdir seen
    ./debugfs -R 'rdump / seen' disk.img >/dev/null 2>&1
    judge 'the files outside of the guest' ./fsload check seen 4 "$fs_steps" 1234
    rm -rf seen
}

test_fsload() {
    fsload_on ''
}

test_fsload_cached() {
    fsload_on ,direct=off
}

# ended_under_fsload SIGNAL CODE: checks that files reported as stable are on the disk after the
# signal.
ended_under_fsload() {
    file_system disk.img 48
    begin 'keep 3' --disk disk.img --stop-timeout 0
    if await "kept k2-$keep_files-" && await "kept k0-$keep_files-"; then
        kill "-$1" "$pid"
    fi
    end
    [ "$code" = "$2" ] || fail "exit code $code instead of $2"
    unwanted WRONG
    want_replayed disk.img
    mkdir seen
    ./debugfs -R 'rdump / seen' disk.img >/dev/null 2>&1
    # An incomplete last line is ignored.
    names=$(tr -d '\r' <"$log" | sed -n 's/^kept \(k[0-9-]*\) ok$/\1/p')
    # shellcheck disable=SC2086 # a list
    judge 'the files reported as stable' ./fsload kept seen $names
    echo "$(echo "$names" | wc -l) files" >>"$log"
    rm -rf seen
}

test_fsload_ended_by_sigterm() {
    ended_under_fsload TERM 7
}

# microvm cannot handle SIGKILL.
test_fsload_ended_by_sigkill() {
    ended_under_fsload KILL 137
}

# ---- the driver ----

# rebound BUS DRIVER
rebound() {
    image disk.img 4
    image second.img 4
    begin "rebind $1 $2 $rounds /dev/vda /dev/vdb" --disk disk.img --disk second.img,engine=sync
    await 'ready first-round' && before=$(resources) && send
    await 'ready last-round' && after=$(resources) && send
    end
    want_good
    [ "$before" = "$after" ] || fail "$before, and after $rounds rounds $after"
    for image in disk.img second.img; do
        same $image "$rounds" 0 $mib
        same $image 2000 $mib $mib
    done
    rm -f second.img
}

test_driver_unbound_under_load() {
    rebound virtio virtio_blk
}

test_transport_unbound_under_load() {
    rebound platform virtio-mmio
}

# kexec HOW GENERATIONS APPEND: another kernel takes the machine over.
kexec() {
    if [ "$(uname -m)" = aarch64 ]; then
        # shellcheck disable=SC2034 # for lib.sh
        skip="Debian's arm64 kernel has no kexec_file_load"
        return
    fi
    image disk.img 4
    # A disk consists of whole sectors, so the files are padded.
    for file in vmlinuz kexec.cpio; do
        cp $file $file.img
        truncate -s $((($(size_of $file) + 511) / 512 * 512)) $file.img
    done
    more=$3
    guest "kexec $1 $2 $(size_of vmlinuz) $(size_of kexec.cpio)" --memory 512M --disk disk.img \
        --disk vmlinuz.img,readonly --disk kexec.cpio.img,readonly
    more=''
    # want_good does not apply: a panic prints a call trace.
    unwanted WRONG
    want_code 0
    want 'done '
    [ "$(grep -c 'init reached' "$log")" = $(($2 + 1)) ] || fail 'not all of the kernels have run'
    rm -f vmlinuz.img kexec.cpio.img
}

# The crash kernel finds the devices running, with requests in flight.
test_crash_kernel_takes_over() {
    kexec panic 1 crashkernel=192M
}

# Before this kexec the drivers reset the devices, without waiting for requests.
test_kexec_under_load() {
    kexec jump "$generations" ''
}

# ---- the host ----

# truncated CUT
truncated() {
    for image in a b c; do
        image $image.img 4
    done
    begin "truncated $((4 * mib)) $1 /dev/vda /dev/vdb /dev/vdc" --disk a.img --disk b.img,direct=off \
        --disk c.img,engine=sync
    await 'ready to-cut' && truncate -s "$1" a.img && truncate -s "$1" b.img && truncate -s "$1" c.img && send
    end
    want_good
    for image in a b c; do
        [ "$(size_of $image.img)" = $((3 * mib + 65536)) ] || fail "$image.img has $(size_of $image.img) bytes"
        same $image.img 1 0 $mib
        same $image.img 2 $((3 * mib)) 65536
        rm -f $image.img
    done
}

test_image_truncated() {
    truncated $((mib + 65536))
}

test_image_truncated_within_a_sector() {
    truncated $((mib + 65536 + 700))
}

test_image_truncated_under_load() {
    image disk.img 4
    begin truncated_load --disk disk.img
    if await 'ready under-load'; then
        for size in 0 1000 $mib 512 2000000 0 3000000 65536 0; do
            truncate -s "$size" disk.img
            sleep 0.1
        done
        kill -0 "$pid" || fail 'microvm is gone'
        send
    fi
    end
    want_good
    same disk.img 3 0 $((4 * mib))
}

# no_space DISK-OPTIONS: image and ballast are on a full file system, at small/.
no_space() {
    head -c $((8 * mib)) /dev/zero >small/ballast
    truncate -s 12M small/disk.img
    begin "no_space $((12 * mib))" --disk "small/disk.img$1"
    await 'ready full' && rm small/ballast && sync && send
    end
    want_good
    want 'Input/output error'
    same small/disk.img 3 $mib $((11 * mib))
}

test_no_space_on_tmpfs() {
    may_mount || return
    mount -t tmpfs -o size=16m tmpfs small
    no_space ''
}

test_no_space_on_tmpfs_sync() {
    may_mount || return
    mount -t tmpfs -o size=16m tmpfs small
    no_space ,engine=sync
}

# This test bypasses the page cache, which a tmpfs cannot.
test_no_space_on_ext4() {
    may_mount || return
    file_system small.img 18
    lend small.img || return
    mount -t ext4 "$loop" small
    no_space ,direct=on
    give_back
    judge 'e2fsck of the file system that was full' ./e2fsck -fn small.img
    rm -f small.img
}

# await_stop: waits until the disk has stopped the VM.
await_stop() {
    while :; do
        seen=$(./microvm-ctl socket status 2>/dev/null)
        case $seen in
        *'stopped by write: No space left on device'*) break ;;
        *'stopped by'*) fail "stopped by something else: $seen" && return 1 ;;
        esac
        kill -0 "$pid" 2>/dev/null || { fail 'ended before a disk stopped it' && return 1; }
        sleep 0.1
    done
}

# room_later DISK-OPTIONS: like no_space, but the VM waits for room, and the guest does not notice.
# The VM has --user, and so a supervisor, too.
room_later() {
    head -c $((8 * mib)) /dev/zero >small/ballast
    truncate -s 12M small/disk.img
    rm -f socket
    begin "room_later $((12 * mib))" --disk "small/disk.img,werror=stop$1" --control socket --user 4321:8765
    await 'ready to-fill' || return
    : >"$log.events"
    ./microvm-ctl socket events >>"$log.events" &
    watcher=$!
    # When the listener has seen this event, it is connected and misses no later one.
    until grep -q resumed "$log.events"; do
        ./microvm-ctl socket pause && ./microvm-ctl socket resume
        sleep 0.1
    done
    send
    # The first resume is without room, the second one with it.
    await_stop && ./microvm-ctl socket resume
    await_stop && rm small/ballast && sync && ./microvm-ctl socket resume
    end
    wait $watcher
    want_good
    unwanted 'I/O error'
    [ "$(grep -c 'stopped.*No space left on device' "$log.events")" -ge 2 ] || fail 'not stopped twice, or no event of it'
    rm -f socket
    same small/disk.img 1 0 $mib
    same small/disk.img 3 $mib $((11 * mib))
}

test_room_later_on_tmpfs() {
    may_mount || return
    mount -t tmpfs -o size=16m tmpfs small
    room_later ''
}

test_room_later_on_ext4() {
    may_mount || return
    file_system small.img 18
    lend small.img || return
    mount -t ext4 "$loop" small
    room_later ,direct=on
    give_back
    judge 'e2fsck of the file system that was full' ./e2fsck -fn small.img
    rm -f small.img
}

# allocated FILE: prints how many KiB are allocated for it on the host.
allocated() {
    sync
    echo $(($(stat -c '%b * %B' "$1") / 1024))
}

test_discard_and_zeroes() {
    image a.img 4
    image b.img 4
    image c.img 4
    begin 'ranges /dev/vda /dev/vdb /dev/vdc' --disk a.img --disk b.img,engine=libaio --disk c.img,discard=off
    await 'ready written' && before=$(allocated a.img) && send
    await 'ready changed' && a=$(allocated a.img) b=$(allocated b.img) c=$(allocated c.img) && send
    end
    want_good
    [ "$a" -le $((before - 2048)) ] || fail "a.img: $before KiB, and with 2 MiB given back $a"
    [ "$b" -le $((before - 2048)) ] || fail "b.img: $before KiB, and with 2 MiB given back $b"
    [ "$c" -ge "$before" ] || fail "c.img: $before KiB, and with discard=off $c"
    for image in a b c; do
        [ "$(size_of $image.img)" = $((4 * mib)) ] || fail "$image.img has $(size_of $image.img) bytes"
        same $image.img 3 0 $mib
        same $image.img 4 $((3 * mib)) 65536
        dd if=$image.img bs=65536 skip=32 count=16 2>/dev/null | tr -d '\0' | grep -q . && fail "$image.img: no zeros"
        rm -f $image.img
    done
}

test_fstrim() {
    file_system disk.img 48
    begin fstrim --disk disk.img
    await 'ready written' && before=$(allocated disk.img) && send
    await 'ready trimmed' && after=$(allocated disk.img) && send
    end
    want_good
    [ "$after" -le $((before - 15 * 1024)) ] || fail "$before KiB, and with a file of 16 MiB deleted and trimmed $after"
    want_clean disk.img
}

test_block_device() {
    image disk.img 4
    ./fsload fill 5 0 $mib | dd of=disk.img conv=notrunc 2>/dev/null
    lend disk.img || return
    guest "device $((4 * mib))" --disk "$loop,direct=on"
    want_good
    give_back
    same disk.img 5 0 $mib
    same disk.img 6 $mib $mib
}

test_block_device_readonly() {
    image disk.img 4
    ./fsload fill 5 0 $mib | dd of=disk.img conv=notrunc 2>/dev/null
    was=$(md5sum <disk.img)
    lend disk.img -r || return
    boot --kernel vmlinuz --disk "$loop"
    want_code 3
    want "$loop"
    want readonly
    guest device_readonly --disk "$loop,readonly"
    want_good
    give_back
    [ "$(md5sum <disk.img)" = "$was" ] || fail 'the image has changed'
}

# A guest boots from a block device, and a device that is mounted on the host is refused.
test_block_device_boots() {
    cp root.img disk.img
    lend disk.img || return
    boot --kernel vmlinuz --initrd initramfs.cpio --disk "$loop" \
        --append 'quiet root=/dev/vda rw run="mount | grep vda; echo z >/root/file"'
    want_code 0
    want '/dev/vda on / type ext4 (rw'
    if mkdir -p small && mount -t ext4 "$loop" small 2>/dev/null; then
        [ "$(cat small/root/file)" = z ] || fail 'nothing was written'
        boot --kernel vmlinuz --disk "$loop"
        want_code 3
        want 'in use'
    fi
    give_back
    want_clean disk.img
}

# ---- the end ----

# ends BY CODE: the guest ends with writes to both disks in flight. All stable data must be there,
# and each sector of the rest must be old or new.
ends() {
    image disk.img 4
    image second.img 4
    begin "end $1" --disk disk.img --disk "second.img,engine=sync" --stop-timeout 1
    if [ "$1" = wait ]; then
        await 'ready flooded' && kill -TERM "$pid"
    fi
    end
    want_code "$2"
    unwanted WRONG
    for image in disk.img second.img; do
        same $image 3 0 65536
        same $image 1 65536 $((mib - 65536))
        judge "a sector of $image" ./fsload sectors $image $mib $mib 1 2
        [ "$(sed -n 's/^sectors [0-9]* //p' "$log" | tail -n 1)" -gt 0 ] || fail "$image: there was no load"
    done
    rm -f second.img
}

test_poweroff_under_load() {
    ends poweroff 0
}

test_reboot_under_load() {
    ends reboot 4
}

# Without pvpanic, panic=-1 makes a panic a reboot, and the console shows the panic.
test_crash_under_load() {
    ends crash 5
}

test_sigterm_under_load() {
    ends wait 7
}

mkdir -p out
trap give_back EXIT
trap 'exit 143' HUP INT TERM

# Tests that resemble others run in the long form only.
relatives='room_later_on_tmpfs fsload_cached image_truncated no_space_on_tmpfs_sync reboot_under_load'

case $1 in
long) fio_mb=64 fs_steps=20000 keep_files=60 rounds=30 generations=3 relatives='' limit=1800 ;;
*) fio_mb=4 fs_steps=500 keep_files=6 rounds=3 generations=1 ;;
esac
shift
if [ $# = 0 ]; then
    # shellcheck disable=SC2013 # a name is a word
    for test in $(sed -n 's/^test_\([a-z0-9_]*\)().*/\1/p' suite.sh); do
        case " $relatives " in
        *" $test "*) ;;
        *) set -- "$@" "$test" ;;
        esac
    done
fi
for test in "$@"; do
    run_test "test_$test"
    give_back
done
rm -f disk.img input
echo "linux ${KVMHOST:-}: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
