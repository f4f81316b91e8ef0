#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Boot tests of aarch64, run by tests/boot/arm64 on the emulated arm64 host; every function
# test_NAME is a test. Arguments: the names of the tests to run; default: all but gicv2, in this
# order. The caller checks the file systems in out/disk.img.N.
#
# shellcheck disable=SC2016
# shellcheck source=tests/boot/lib.sh
. ./lib.sh
stock=vmlinuz

disks=0
# Compatible string in the device tree; a native host may have either version.
gic=arm,gic-v3
[ "${KVMHOST:-}" != native ] || gic='arm,gic-v3\|arm,cortex-a15-gic'
# Unit tests need more time on an emulated host.
export CK_DEFAULT_TIMEOUT=120
keep_disk() {
    disks=$((disks + 1))
    mv disk.img "out/disk.img.$disks"
}

# keeps OPTION...: checks that the next boot finds what one boot has written.
keeps() {
    cp root.img disk.img
    boot_stock 'root=/dev/vda rw run="mount | grep vda; uname -m;
        echo cpus-$(nproc); echo kept-$((6*7)) >/root/file"' --disk disk.img "$@"
    want_code 0
    want '/dev/vda on / type ext4 (rw'
    want aarch64
    boot_stock 'root=/dev/vda rw run="cat /root/file"' --disk disk.img "$@"
    want_code 0
    want 'kept-42'
    keep_disk
}

test_disk_keeps_what_is_written() {
    keeps
    grep -q 'cpus-1' out/disk_keeps_what_is_written.1.log || fail 'not one CPU'
}

test_two_cpus_two_disks() {
    cp root.img disk.img
    dd if=/dev/zero of=second.img bs=1024 seek=16383 count=1 2>/dev/null
    boot_stock 'root=/dev/vda rw run="echo cpus-$(nproc) serial-$(cat /sys/block/vdb/serial);
        head -c 8000000 /dev/urandom >/tmp/r;
        taskset 1 dd if=/tmp/r of=/root/copy bs=64k conv=fsync & taskset 2 dd if=/tmp/r of=/dev/vdb bs=64k conv=fsync;
        wait; echo sum-$(md5sum </tmp/r); cmp /tmp/r /root/copy && echo same-$((1+1))"' \
        --cpus 2 --disk disk.img --disk second.img,serial=second-disk
    want_code 0
    want 'cpus-2 serial-second-disk'
    want 'same-2'
    want "sum-$(head -c 8000000 second.img | md5sum | cut -c 1-32)"
    rm -f second.img
    keep_disk
}

test_gzip_kernel_initrd_only() {
    boot --kernel vmlinuz.gz --initrd initramfs.cpio.gz --append 'quiet run="echo disks-$(ls /sys/block | grep -c vd)"'
    want_code 0
    want 'disks-0'
}

test_reboot() {
    boot_stock 'run="reboot -f"'
    want_code 4
}

test_exit_port() {
    cp root.img disk.img
    boot_stock 'root=/dev/vda rw run="exit 3"' --exit-port 0xf4 --disk disk.img
    want_code 3
    keep_disk
}

# The machine has no pvpanic: panic=-1 makes a panic a reboot, and the console shows the panic.
test_panic() {
    boot_stock 'run="echo c >/proc/sysrq-trigger"'
    want_code 5
    want 'Kernel panic'
}

test_console_off_engine_sync() {
    cp root.img disk.img
    boot_stock 'root=/dev/vda rw run="echo unheard; echo heard-$((1+1)) >/root/quiet"' --console off --disk disk.img,engine=sync
    want_code 0
    unwanted 'microvm-guest'
    boot_stock 'root=/dev/vda rw run="cat /root/quiet"' --disk disk.img,engine=libaio
    want_code 0
    want 'heard-2'
    keep_disk
}

# fio COMMAND OPTION...: boots a guest in which fio verifies every block (tests/linux/guest.sh) and
# must find no error.
fio() {
    command=$1
    shift
    boot --kernel "$stock" --initrd fio.cpio --append "quiet $lean run=\"t $command\"" "$@"
    want_code 0
    want "done ${command%% *}"
    unwanted WRONG
}

test_fio_checks_every_block() {
    truncate -s 4M uring.img libaio.img
    fio 'fio_engines /dev/vda /dev/vdb' --cpus 2 --disk uring.img --disk libaio.img,engine=libaio
    rm -f uring.img libaio.img
}

test_fio_finds_a_flipped_bit() {
    rm -f good.img
    truncate -s 4M good.img
    fio fio_write --disk good.img
    cp good.img flipped.img
    flip flipped.img 1060921
    fio fio_read --disk good.img,readonly --disk flipped.img,readonly
    want 'verify failed at file /dev/vdb'
    rm -f good.img flipped.img
}

test_dump_dtb() {
    new_log
    microvm --kernel vmlinuz --memory 300M --cpus 3 --dump-dtb out/tree.dtb </dev/null >"$log" 2>&1
    code=$?
    want_code 0
    grep -q "$gic" out/tree.dtb || fail 'the tree does not describe the interrupt controller'
}

test_no_acpi() {
    boot --kernel vmlinuz --describe acpi
    want_code 3
    want '--describe acpi: not supported on this architecture'
}

# Unit tests that depend on the CPU or the kernel: rings and memory ordering, engines, the filters
# of the sandbox.
test_units() {
    new_log
    while read -r program files; do
        before=$(date +%s)
        # shellcheck disable=SC2086 # a list
        UNIT_TMP=. "./units/$program" $files </dev/null >>"$log" 2>&1 || fail "$program"
        echo "-- $program: $(($(date +%s) - before)) s" >>"$log"
    done <<EOF
request hostmem irqline
engine ioengine ioengine_libaio ioengine_sync ioengine_uring
sandbox sandbox
virtio virtio_mmio
vring vring vring_chain vring_in_order vring_indirect vring_notify vring_order
vring vring_packed vring_packed_notify
EOF
}

# GICv2, on a host that has no GICv3: see tests/boot/arm64.
test_gicv2() {
    microvm --kernel vmlinuz --dump-dtb out/gicv2.dtb </dev/null || fail 'no tree'
    grep -q arm,cortex-a15-gic out/gicv2.dtb || fail 'the tree does not describe a GICv2'
    keeps --cpus 2
    # The freestanding guest detects an extra interrupt, which Linux would ignore.
    dd if=/dev/zero of=second.img bs=1024 seek=16383 count=1 2>/dev/null
    cp second.img first.img
    boot --kernel polite.img --cpus 2 --append 'few=1 tests=interrupt,no_interrupt,two_' --disk first.img --disk second.img
    want_code 0
    want 'ok two_disks_with_interrupts_of_their_own'
    rm first.img second.img
}

mkdir -p out
# shellcheck disable=SC2046 # a list
[ $# -gt 0 ] || set -- $(sed -n 's/^test_\([a-z0-9_]*\)().*/\1/p' suite.sh | grep -v gicv2)
for test in "$@"; do
    run_test "test_$test"
done
echo "boot arm64: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
