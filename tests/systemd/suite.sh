#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Runs in the emulated host for tests/systemd/run: creates the files that systemd expects, and starts
# it.
cd /work || exit 2
mkdir -p /usr/bin /etc/systemd/system /etc/microvm /lib/systemd/system /var/tmp /home /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup || exit 2
mount -t tmpfs -o mode=755 tmpfs /run || exit 2
echo 'root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/false' >/etc/passwd
echo 'root:x:0:
nogroup:x:65534:' >/etc/group
echo 'NAME=test' >/etc/os-release
echo 0123456789abcdef0123456789abcdef >/etc/machine-id
cp microvm systemctl /usr/bin/
cp ./*.target microvm@.service /lib/systemd/system/
for file in vm-init evdev.ko button.ko; do
    ./debugfs -w -R "write $file /$file" root.img >>out/debugfs 2>&1
done
./debugfs -w -R 'sif /vm-init mode 0100755' root.img >>out/debugfs 2>&1

# vm NAME APPEND: creates the disks of a VM and its file in /etc/microvm.
vm() {
    cp root.img "$1.img"
    truncate -s 4096 "$1.flag"
    echo "OPTIONS=--kernel /work/vmlinuz --initrd /work/initramfs.cpio.gz --append 'root=/dev/vda rw init=/vm-init $2'" \
        "--disk /work/$1.img --disk /work/$1.flag --log /work/out/$1.log --log-level debug" >"/etc/microvm/$1.conf"
}
vm plain ''
vm reboots first=reboot
vm broken ''
rm broken.img
vm loops always=reboot
# The limit is lower than the unit's, because emulated boots take longer.
mkdir /etc/systemd/system/microvm@loops.service.d
echo '[Unit]
StartLimitBurst=3' >/etc/systemd/system/microvm@loops.service.d/burst.conf

echo '[Unit]
Description=The tests
SuccessAction=exit-force
FailureAction=exit-force
[Service]
Type=oneshot
ExecStart=/bin/sh /work/inside.sh
StandardOutput=file:/work/out/result
StandardError=file:/work/out/errors' >/etc/systemd/system/check.service
env -i PATH=/bin:/usr/bin container=microvm-test unshare -p -f -m sh -c \
    'mount -t proc proc /proc; exec /work/systemd --unit=check.service --log-target=console --log-level=info' >out/systemd 2>&1 </dev/null
dmesg >out/dmesg
cat out/result
grep -q '^systemd: ' out/result || exit 3
! grep -q '^not ok' out/result
