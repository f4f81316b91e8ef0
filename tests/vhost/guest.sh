#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# /init of the guests of tests/vhost/run: loads the modules, and executes the lines that come from the serial port. The output of
# a line ends with "@@" and its exit status.
export PATH=/usr/bin:/usr/sbin:/bin:/sbin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /tmp
mount -t tmpfs tmp /tmp
for module in /modules/*.ko; do insmod "$module"; done
exec </dev/ttyS0 >/dev/ttyS0 2>&1
stty -echo -onlcr
echo '@@ ready'
while read -r line; do
    eval "$line"
    echo "@@ $?"
done
poweroff -f
