# SPDX-License-Identifier: BSD-3-Clause
# Functions that build the guest's images. Sourced by guest/build and guest/fio-image, whose
# variables it uses: guest, busybox, work.
# shellcheck shell=sh disable=SC2154

hash_seed=6d696372-6f76-4d00-8000-726f6f740002
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

# make_ext4 DIR IMAGE SIZE LABEL UUID: creates an ext4 image with the files of DIR, owned by root.
make_ext4() {
    same_times "$1"
    rm -f "$2.new"
    truncate -s "$3" "$2.new"
    # The journal is small because the disk is. Older versions of e2fsprogs read E2FSPROGS_FAKE_TIME
    # instead of SOURCE_DATE_EPOCH.
    export E2FSPROGS_FAKE_TIME="$SOURCE_DATE_EPOCH"
    mke2fs -q -t ext4 -b 4096 -L "$4" -U "$5" -J size=4 -d "$1" \
        -E "root_owner=0:0,hash_seed=$hash_seed,lazy_itable_init=0,lazy_journal_init=0" "$2.new"
    # mke2fs copies owner and change time from the files, where only root could set them; debugfs
    # sets them in the image.
    (cd "$1" && find . -mindepth 1 | LC_ALL=C sort) | while read -r file; do
        for field in 'uid 0' 'gid 0' "ctime @$SOURCE_DATE_EPOCH" "atime @$SOURCE_DATE_EPOCH" \
            "crtime @$SOURCE_DATE_EPOCH"; do
            echo "set_inode_field \"${file#.}\" $field"
        done
    done >"$work/owners"
    debugfs -w -f "$work/owners" "$2.new" >"$work/log" 2>&1
    ! grep -v -e '^debugfs: ' -e '^debugfs [0-9]' "$work/log" >&2 || die "$2" 'its owners cannot be set'
    mv "$2.new" "$2"
}
