#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Runs each line of ./suites as a command in the emulated host. tests/emulated/run starts it there,
# in a directory with the parts of the tree that the suites need, bash, Python and some programs;
# all other programs are busybox's.
# shellcheck shell=dash
mkdir -p /usr/bin
ln -s "$PWD/bin/bash" /bin/bash
ln -s "$PWD/python/bin/python3" /usr/bin/python3
ln -s /bin/env /usr/bin/env
export PATH="$PWD/bin:/usr/bin:$PATH" PYTHONHOME="$PWD/python" TMPDIR="$PWD/tmp" PYTHONUTF8=1 LC_ALL=C
# Other users access their files through this directory.
mkdir -p tmp
chmod 755 . tmp

[ -c /dev/kvm ] || {
    echo 'not ok  the emulated host has no /dev/kvm'
    echo 'emulated: 0 passed, 1 failed'
    exit 1
}
status=0
while read -r suite; do
    echo "emulated: $suite"
    read -r began _ </proc/uptime
    # shellcheck disable=SC2086 # a command line
    $suite </dev/null || status=1
    read -r ended _ </proc/uptime
    echo "        $((${ended%.*} - ${began%.*})) s"
done <suites
# Files that a failed suite has kept.
[ ! -d build/kill ] || cp -r build/kill out/
exit $status
