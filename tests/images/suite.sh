#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Boot tests of the minimal guest kernel, run by tests/images/kernel on the host with KVM; every
# function test_NAME is a test. Arguments: the names of the tests to run; default: all, in this order.
#
# Kernel parameters are quoted for the kernel, and $ in them is for the guest's shell.
# shellcheck disable=SC2016
# shellcheck source=tests/boot/lib.sh
. ./lib.sh

# minimal KERNEL APPEND OPTION...: boots the kernel from a copy of fio.img, without an initramfs.
minimal() {
    kernel=$1 append=$(one_line "$2")
    shift 2
    cp fio.img disk.img
    boot --kernel "$kernel" --append "quiet $append" --disk disk.img "$@"
}

# The engines with which disks are measured, and both kinds of fio's jobs: processes and threads.
fio_jobs='for engine in libaio io_uring psync; do for thread in 0 1; do
    fio --name=job --numjobs=2 --directory=/root --size=256k --bs=4k --rw=randrw --direct=1 --iodepth=8
        --verify=crc32c --ioengine=$engine --thread=$thread --output=/tmp/fio && echo fio-$engine-$thread-good; done; done;'

# finds_all KERNEL CPUS OPTION...: checks that the guest finds both disks, the clock and the CPUs, that
# fio works, and that the guest powers off.
finds_all() {
    kernel=$1 cpus=$2
    shift 2
    dd if=/dev/zero of=second.img bs=1024 seek=4095 count=1 2>/dev/null
    minimal "$kernel" "run=\"$fio_jobs
        echo acpi-\$(ls -d /sys/firmware/acpi 2>/dev/null | wc -l) tree-\$(ls -d /proc/device-tree 2>/dev/null | wc -l);
        echo cpus-\$(nproc) clock-\$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource);
        echo blocks-\$(cat /sys/block/vdb/size) modules-\$(ls /proc/modules 2>&1 | grep -c No.such);
        echo y >/root/written\"" --cpus "$cpus" --disk second.img "$@"
    rm -f second.img
    want_code 0
    want "cpus-$cpus clock-kvm-clock"
    want 'blocks-8192 modules-1'
    for engine in libaio io_uring psync; do
        want "fio-$engine-0-good"
        want "fio-$engine-1-good"
    done
    want 'microvm-guest: init reached'
    want_clean disk.img
    [ "$(contents disk.img /root/written)" = y ] || fail 'nothing was written'
}

with_acpi() {
    finds_all "$1" "$2"
    want 'acpi-1 tree-0'
}

with_tree() {
    finds_all "$1" "$2" --describe fdt
    want 'acpi-0 tree-1'
}

# without_acpi KERNEL: the guest finds the disks on the command line and one CPU, and reboots by the
# keyboard controller.
without_acpi() {
    minimal "$1" 'acpi=off reboot=k run="echo acpi-$(ls -d /sys/firmware/acpi 2>/dev/null | wc -l) cpus-$(nproc);
        ls /sys/bus/platform/drivers/virtio-mmio; echo y >/root/written; sync; mount -o remount,ro /; reboot -f"' --cpus 2
    want_code 4
    want 'acpi-0 cpus-1'
    want 'virtio-mmio.0'
    want_clean disk.img
    [ "$(contents disk.img /root/written)" = y ] || fail 'nothing was written'
}

test_bzimage_one_cpu() {
    with_acpi bzImage 1
}

test_bzimage_two_cpus() {
    with_acpi bzImage 2
}

test_elf_one_cpu() {
    with_acpi vmlinux 1
}

test_elf_two_cpus() {
    with_acpi vmlinux 2
}

test_bzimage_without_acpi() {
    without_acpi bzImage
}

test_elf_without_acpi() {
    without_acpi vmlinux
}

test_bzimage_one_cpu_device_tree() {
    with_tree bzImage 1
}

test_elf_two_cpus_device_tree() {
    with_tree vmlinux 2
}

# Interrupts are pins of the I/O APIC, and the guest finds pvpanic.
test_device_tree_interrupts_and_panic() {
    minimal bzImage 'run="cat /proc/interrupts; echo c >/proc/sysrq-trigger"' --describe fdt
    want_code 5
    want 'Kernel panic'
    want '4-edge      ttyS0'
    want '5-edge      virtio0'
}

# `make run KERNEL=...` boots this kernel with the stock kernel's initramfs, whose modules it ignores.
test_initramfs() {
    cp root.img disk.img
    boot --kernel bzImage --initrd initramfs.cpio.gz --disk disk.img \
        --append 'quiet root=/dev/vda rw run="echo release-$(uname -r)-end; echo y >/root/written"'
    want_code 0
    want 'release-6.1.'
    want 'microvm-end'
    unwanted insmod
    want_clean disk.img
    [ "$(contents disk.img /root/written)" = y ] || fail 'nothing was written'
}

# The kernel has /dev/mem: its init writes the status of run= to the register of --exit-port.
test_exit_port() {
    minimal bzImage 'run="exit 3"' --exit-port 0xf4
    want_code 3
    want_clean disk.img
}

test_panic_is_reported() {
    minimal bzImage 'run="echo c >/proc/sysrq-trigger"'
    want_code 5
    want 'Kernel panic'
}

mkdir -p out
# shellcheck disable=SC2046 # a list
[ $# -gt 0 ] || set -- $(sed -n 's/^test_\([a-z0-9_]*\)().*/\1/p' suite.sh)
for test in "$@"; do
    run_test "test_$test"
done
rm -f disk.img
echo "guest-kernel: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
