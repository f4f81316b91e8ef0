# SPDX-License-Identifier: BSD-3-Clause
# Functions that build the guest's images. Sourced by the scripts of this folder and tools/mkroot,
# whose variables it uses: guest, busybox.
# shellcheck shell=sh disable=SC2154

: "${SOURCE_DATE_EPOCH:=1735689600}"

# File modes are part of the images, so they must not depend on the caller's umask.
umask 022
PATH=$PATH:/usr/sbin:/sbin

# need PROGRAM...: exits with a message unless all programs are installed.
need() {
    for program in "$@"; do
        command -v "$program" >/dev/null || die "$program" 'not found (tools/deps guest installs it)'
    done
}

# userland DIR: creates the files that all images have: mount points, busybox under all its names,
# guest/rootfs.
userland() {
    mkdir -p "$1/bin" "$1/sbin" "$1/usr/bin" "$1/usr/sbin" "$1/etc" "$1/root" "$1/proc" "$1/sys" "$1/dev" "$1/run" \
        "$1/tmp" "$1/var" "$1/mnt"
    cp "$busybox" "$1/bin/busybox"
    chmod 755 "$1/bin/busybox"
    "${lister:-$busybox}" --list-full | while read -r applet; do
        [ "$applet" = bin/busybox ] || ln -s /bin/busybox "$1/$applet"
    done
    rm -f "$1/sbin/init" "$1/linuxrc"
    cp "$guest/rootfs/sbin/init" "$1/sbin/init"
    cp "$guest/rootfs/etc/profile" "$1/etc/profile"
    echo 'root::0:0:root:/root:/bin/sh' >"$1/etc/passwd"
    echo 'root:x:0:' >"$1/etc/group"
    ln -s /proc/mounts "$1/etc/mtab"
    chmod 755 "$1/sbin/init"
    chmod 644 "$1/etc/passwd" "$1/etc/group" "$1/etc/profile"
}

# same_times DIR: sets one time for all files, so that the image does not depend on when they were
# copied.
same_times() {
    find "$1" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
}
