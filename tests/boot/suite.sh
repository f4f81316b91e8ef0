#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Boot tests, run by tests/boot/run on the host with KVM; every function test_NAME, here and in
# console.sh, is a test. Arguments: the names of the tests to run; default: all, in this order.
#
# Kernel parameters are quoted for the kernel, and $ in them is for the guest's shell.
# shellcheck disable=SC2016
# shellcheck source=tests/boot/lib.sh
. ./lib.sh
# shellcheck source=tests/boot/console.sh
. ./console.sh

test_disk_keeps_what_is_written() {
    cp root.img disk.img
    boot_stock 'root=/dev/vda rw run="mount | grep vda; echo kept-$((6*7)) >/root/file"' --disk disk.img
    want_code 0
    want '/dev/vda on / type ext4 (rw'
    want_clean disk.img
    boot_stock 'root=/dev/vda rw run="cat /root/file"' --disk disk.img
    want_code 0
    want 'kept-42'
    want_clean disk.img
}

test_two_cpus_two_disks() {
    cp root.img disk.img
    rm -f second.img
    dd if=/dev/zero of=second.img bs=1024 seek=16383 count=1 2>/dev/null
    boot_stock 'root=/dev/vda rw run="echo cpus-$(nproc) serial-$(cat /sys/block/vdb/serial);
        sed -n s/^model.name.*:.//p /proc/cpuinfo;
        head -c 8000000 /dev/urandom >/tmp/r;
        taskset 1 dd if=/tmp/r of=/root/copy bs=64k conv=fsync & taskset 2 dd if=/tmp/r of=/dev/vdb bs=64k conv=fsync;
        wait; echo sum-$(md5sum </tmp/r); cmp /tmp/r /root/copy && echo same-$((1+1))"' \
        --cpus 2 --disk disk.img --disk second.img,serial=second-disk
    want_code 0
    want 'cpus-2 serial-second-disk'
    model=$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)
    [ "$(tr -d '\r' <"$log" | grep -cxF "$model")" = 2 ] || fail "the guest's processors are not called $model"
    want 'same-2'
    want "sum-$(head -c 8000000 second.img | md5sum | cut -c 1-32)"
    want_clean disk.img
    rm -f second.img
}

test_readonly_disk() {
    cp root.img disk.img
    before=$(md5sum <disk.img)
    boot_stock 'root=/dev/vda ro run="echo ro-$(blockdev --getro /dev/vda);
        mount -o remount,rw / || echo remount-refused-$((1+1));
        dd if=/dev/zero of=/dev/vda bs=4k count=1 conv=fsync || echo write-refused-$((1+1));
        md5sum /bin/busybox"' --disk disk.img,readonly
    want_code 0
    want 'ro-1'
    want 'remount-refused-2'
    want 'write-refused-2'
    want "$(contents disk.img /bin/busybox | md5sum | cut -c 1-32)"
    [ "$(md5sum <disk.img)" = "$before" ] || fail 'the image has changed'
}

test_elf_vmlinux() {
    cp root.img disk.img
    boot --kernel vmlinux --initrd initramfs.cpio.gz \
        --append 'quiet root=/dev/vda rw run="echo release-$(uname -r); echo x >/root/elf"' --disk disk.img
    want_code 0
    want 'release-6.'
    want_clean disk.img
    [ "$(contents disk.img /root/elf)" = x ] || fail 'nothing was written'
}

# The initrd of tools/mkroot needs no parameters: it mounts the disk that mkroot made of a directory,
# and runs the init there.
test_mkroot_directory() {
    cp dir.img disk.img
    boot --kernel vmlinuz --initrd dir.initrd --append quiet --disk disk.img
    want_code 0
    want 'init-of-the-directory on Linux'
    want '/dev/vda / ext4 rw'
}

# A container's tar without an init and without any command but sh, on a read-only file system whose
# driver is a module, runs its job: files come in on a second disk, and go out as a tar on a third one.
# The init passes the job's status on.
test_mkroot_tar_runs_its_job() {
    dd if=/dev/zero of=out.img bs=1024 seek=1023 count=1 2>/dev/null
    boot --kernel vmlinuz --initrd tar.initrd --append quiet --disk tar.img,readonly --disk data.img,readonly \
        --disk out.img --exit-port 0xf4
    want_code 0
    want 'microvm-guest: run: exit status 0'
    mkdir -p result
    tar -xf out.img -C result >>"$log" 2>&1 || fail 'out.img is no tar'
    [ "$(cat result/output result/status)" = '42 on container
3' ] || fail 'the job left something else'
    rm -rf out.img result
}

test_initrd_only() {
    boot_stock 'run="echo disks-$(ls /sys/block | grep -c vd)"'
    want_code 0
    want 'microvm-guest: init reached'
    want 'disks-0'
    want 'exit status 0'
}

# With a disk and no initrd, microvm tells the kernel to mount the disk. The stock kernel has its
# virtio driver in a module and cannot, but its command line and its panic are visible.
test_default_root() {
    cp root.img disk.img
    boot --kernel vmlinuz --append reboot=k --disk disk.img
    want_code 5
    want ' root=/dev/vda rw'
    want 'Unable to mount root fs'
    boot --kernel vmlinuz --append reboot=k --disk disk.img,readonly
    want ' root=/dev/vda ro'
}

test_cmdline_replaces() {
    boot --kernel vmlinuz --initrd initramfs.cpio.gz \
        --cmdline 'console=ttyS0 quiet panic=-1 run="cat /proc/cmdline"'
    want_code 0
    want 'console=ttyS0 quiet panic=-1 run='
}

test_panic() {
    boot_stock 'run="echo c >/proc/sysrq-trigger"'
    want_code 5
    want 'Kernel panic'
}

# The kernel has no /dev/port: init writes the register in memory.
test_exit_port() {
    cp root.img disk.img
    boot_stock 'root=/dev/vda rw run="exit 3"' --exit-port 0xf4 --disk disk.img
    want_code 3
    want_clean disk.img
}

test_reboot_acpi() {
    boot_stock 'reboot=a run="reboot -f"'
    want_code 4
}

test_reboot_keyboard() {
    boot_stock 'reboot=k run="reboot -f"'
    want_code 4
}

test_triple_fault() {
    boot_stock 'reboot=t run="reboot -f"'
    want_code 6
}

# By the control socket: a larger disk, a pause, and a power button that the guest's button driver
# receives; SIGTERM presses it, too, and the guest powers off. The stock kernel has that driver and
# evdev in modules, which are copied to the disk.
test_control() {
    cp root.img disk.img
    for module in evdev button; do
        ./debugfs -w -R "write $module.ko /$module.ko" disk.img >>out/control.debugfs 2>&1
    done
    rm -f second.img
    dd if=/dev/zero of=second.img bs=1024 seek=16383 count=1 2>/dev/null
    start_stock 'root=/dev/vda rw run="insmod /evdev.ko; insmod /button.ko; exec 5</dev/input/event0;
        echo size-$(cat /sys/block/vdb/size); until [ $(cat /sys/block/vdb/size) = 65536 ]; do sleep 0.1; done;
        dd if=/bin/busybox of=/dev/vdb bs=4k seek=8191 count=1 conv=fsync && echo grown-$((1+1));
        echo key-$(dd bs=24 count=1 <&5 2>/dev/null | od -An -tx1 -j 16 | tr -d [:space:]);
        dd bs=24 count=3 <&5 2>/dev/null >/dev/null;
        echo again-$(dd bs=24 count=1 <&5 2>/dev/null | od -An -tx1 -j 16 | tr -d [:space:])"' \
        --cpus 2 --disk disk.img --disk second.img --control socket
    if await 'size-32768'; then
        ./microvm-ctl socket resize 1 32M >>"$log" || fail 'resize'
        await 'grown-2'
        ./microvm-ctl socket pause || fail 'pause'
        [ "$(./microvm-ctl socket status | head -n 1)" = 'paused, 2 CPUs, 256 MiB' ] || fail 'not paused'
        ./microvm-ctl socket power-button || fail 'power-button'
        sleep 1
        unwanted 'key-01'
        ./microvm-ctl socket resume || fail 'resume'
        if await 'key-0100740001000000'; then
            kill -TERM "$pid"
            await 'again-0100740001000000'
        fi
    fi
    wait "$pid"
    code=$?
    want_code 0
    want_clean disk.img
    [ "$(wc -c <second.img)" = 33554432 ] || fail 'the image has not grown'
    [ "$(tail -c 4096 second.img | md5sum)" = "$(contents disk.img /bin/busybox | head -c 4096 | md5sum)" ] ||
        fail 'what was written behind the old end is not there'
    rm -f second.img socket
}

# A guest with two CPUs that writes to its disk and checks it is replaced, in the middle of that, by one
# that is restored from its snapshot, and that one by another: both go on writing, at the same time of
# their clocks, and nothing on the console complains.
test_snapshot() {
    cp root.img disk.img
    rm -rf snaps && mkdir snaps
    start_stock 'root=/dev/vda rw run="i=0; while [ $i -lt 24 ]; do i=$((i+1));
        head -c 300000 /dev/urandom >/root/f; sync; md5sum /root/f >/tmp/sum; echo 3 >/proc/sys/vm/drop_caches;
        md5sum -c /tmp/sum >/dev/null || echo differs; taskset $((i%2+1)) true; sleep 0.02;
        echo round-$i; done; echo up-$(cut -d. -f1 /proc/uptime) end-$((1+1))"' \
        --cpus 2 --disk disk.img,packed=on --control socket --snapshot-dir snaps
    for round in 4 9; do
        await "round-$round" || break
        ./microvm-ctl socket snapshot "at-$round" --stay >>"$log.ctl" 2>&1 || fail "snapshot in round $round"
        ./microvm-ctl socket quit
        wait "$pid"
        start --restore "snaps/at-$round" --disk disk.img,packed=on --control socket --snapshot-dir snaps
    done
    wait "$pid"
    code=$?
    want_code 0
    want 'end-2'
    unwanted 'differs'
    unwanted 'lockup'
    unwanted 'error'
    want_clean disk.img
    rm -rf snaps socket
}

test_engine_sync() {
    cp root.img disk.img
    boot_stock 'root=/dev/vda rw run="dd if=/dev/zero of=/root/z bs=1M count=8 conv=fsync; md5sum /root/z; echo y >/root/f"' \
        --disk disk.img,engine=sync
    want_code 0
    want "$(head -c 8388608 /dev/zero | md5sum | cut -c 1-32)"
    want_clean disk.img
    [ "$(contents disk.img /root/f)" = y ] || fail 'nothing was written'
}

test_disk_options() {
    cp root.img disk.img
    boot_stock 'root=/dev/vda rw run="cd /sys/block/vda; echo id-$(cat serial) lbs-$(cat queue/logical_block_size);
        echo z >/root/f; sync; echo end-$((1+1))"' \
        --disk disk.img,serial=abc,direct=off,blk-size=4096,queue-size=16
    want_code 0
    want 'id-abc lbs-4096'
    want 'end-2'
    want_clean disk.img
}

test_small_memory() {
    boot_stock 'run="awk /MemTotal/ /proc/meminfo"' --memory "${smallest}M"
    want_code 0
    want 'MemTotal:'
}

# 4 GiB do not fit below the MMIO hole: the guest has two ranges, and uses the upper one first.
test_memory_beyond_hole() {
    if [ "$(awk '/^MemTotal:/ { print $2 }' /proc/meminfo)" -lt 4700000 ]; then
        skip='this host has less than 4.7 GB of memory'
        return
    fi
    cp root.img disk.img
    boot_stock 'root=/dev/vda rw run="awk /MemTotal/ /proc/meminfo; grep RAM /proc/iomem;
        head -c 30000000 /dev/urandom >/tmp/r; cp /tmp/r /root/r; sync; echo 3 >/proc/sys/vm/drop_caches;
        cmp /tmp/r /root/r && echo same-$((1+1))"' --memory 4G --disk disk.img
    want_code 0
    want '100000000-'
    want 'same-2'
    total=$(sed -n 's/^MemTotal: *\([0-9]*\) kB.*/\1/p' "$log")
    [ "${total:-0}" -gt 3900000 ] || fail "the guest has ${total:-no} kB of memory"
    want_clean disk.img
}

test_acpi_off() {
    cp root.img disk.img
    boot_stock 'acpi=off reboot=k run="cat /proc/cmdline; reboot -f"' --disk disk.img
    want_code 4
    want 'microvm-guest: init reached'
    want 'virtio_mmio.device='
}

# sigterm_under_io DISK-OPTIONS: data that was reported to the guest as stable must be on the disk
# after SIGTERM, in a valid file system. Until then no other process can open the image.
sigterm_under_io() {
    cp root.img disk.img
    start_stock 'root=/dev/vda rw run="
        while :; do dd if=/dev/zero of=/root/load bs=64k count=200 2>/dev/null; done & i=0;
        while :; do i=$((i+1)); echo $i >/root/count.new; sync; mv /root/count.new /root/count; sync; echo synced $i; done"' \
        --disk "disk.img$1" --stop-timeout 0
    if await 'synced 5'; then
        (boot_stock '' --disk disk.img && want_code 3 && want disk.img && [ -z "$reason" ]) ||
            fail 'a second VM had the image'
        kill -TERM "$pid"
    fi
    wait "$pid"
    code=$?
    want_code 7
    synced=$(sed -n 's/.*synced \([0-9]*\).*/\1/p' "$log" | tail -n 1)
    want_replayed disk.img
    count=$(contents disk.img /root/count)
    [ "${count:-0}" -ge "${synced:-1}" ] || fail "count is ${count:-missing} on disk, but $synced was synced"
}

test_sigterm_under_io() {
    sigterm_under_io ''
}

test_sigterm_under_io_sync() {
    sigterm_under_io ,engine=sync
}

# Checks microvm's resident memory beyond guest RAM (its largest mapping), after the disk was used.
test_memory_after_io() {
    cp root.img disk.img
    start_stock 'root=/dev/vda rw run="head -c 16000000 /dev/vda >/dev/null;
        dd if=/dev/zero of=/root/z bs=64k count=50 conv=fsync; echo io-$((1+1)); sleep 1000"' --disk disk.img --stop-timeout 0
    await 'io-2' || return
    kib=$(awk '/^Size:/ { size = $2 }
        /^Rss:/ { sum += $2; if (size > largest) { largest = size; ram = $2 } }
        END { print sum - ram }' "/proc/$pid/smaps")
    kill -TERM "$pid"
    wait "$pid"
    code=$?
    want_code 7
    echo "resident beyond guest RAM: $kib KiB" >>"$log"
    if [ "$kib" -le 0 ] || [ "$kib" -gt 2048 ]; then
        fail "$kib KiB are resident beyond guest RAM, 2048 are allowed"
    fi
}

# The smallest memory in which the stock kernel and this initramfs boot, rounded up.
smallest=96

mkdir -p out
# shellcheck disable=SC2046 # a list
[ $# -gt 0 ] || set -- $(sed -n 's/^test_\([a-z0-9_]*\)().*/\1/p' suite.sh console.sh)
for test in "$@"; do
    run_test "test_$test"
done
rm -f disk.img
echo "boot: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
