# SPDX-License-Identifier: BSD-3-Clause
# Shell functions shared by the tools. Sourced, not run; works in dash, bash and busybox ash.
# shellcheck shell=sh

# die WHAT REASON [STATUS]: prints one line on stderr, "tool: what: reason", and exits.
die() {
    printf '%s: %s: %s\n' "${0##*/}" "$1" "$2" >&2
    exit "${3:-1}"
}

# cache_dir: prints the directory for downloads, and creates it if necessary. On a machine without a
# home (some CI runners) it is in the build directory.
cache_dir() {
    for cache_base in "${XDG_CACHE_HOME:-}" "${HOME:+$HOME/.cache}" build/cache; do
        [ -n "$cache_base" ] || continue
        if mkdir -p "$cache_base/microvm" 2>/dev/null && [ -w "$cache_base/microvm" ]; then
            (cd "$cache_base/microvm" && pwd)
            return 0
        fi
    done
    return 1
}

# cpu_has_virt: succeeds if the CPU itself runs guests. The existence of /dev/kvm is not enough on
# x86_64: some machines have a KVM that emulates in software and cannot boot Linux.
cpu_has_virt() {
    # On arm64 there is no such KVM, and /dev/kvm exists only where the kernel was entered at EL2.
    case $(uname -m) in
    aarch64) [ -e /dev/kvm ] ;;
    *) grep -Eqw 'vmx|svm' /proc/cpuinfo ;;
    esac
}

# deb_arch: prints Debian's name of this machine's architecture.
deb_arch() {
    case $(uname -m) in
    aarch64) echo arm64 ;;
    *) echo amd64 ;;
    esac
}

# kvm_opens: succeeds if this process can open /dev/kvm, with or without hardware virtualization.
# Permission bits are not enough: a container may have the node without the right to open it.
kvm_opens() {
    [ -c /dev/kvm ] && (: <>/dev/kvm) 2>/dev/null
}

# kvm_usable: succeeds if the CPU itself runs guests and this process can open /dev/kvm.
kvm_usable() {
    cpu_has_virt && kvm_opens
}

# kernel_release FILE: prints the version of the Linux kernel in FILE, which is also the name of its
# module directory, or nothing if the file does not contain it. The header of a bzImage has the
# offset of the version, less 0x200, at 0x20e; in other formats the version is in the kernel's
# banner.
kernel_release() {
    case $(od -An -N 2 -t x1 "$1" | tr -d ' ')$(od -An -j 514 -N 4 -t x1 "$1" 2>/dev/null | tr -d ' ') in
    *48647253)
        tail -c "+$(($(od -An -j 526 -N 2 -t u2 "$1") + 513))" "$1" 2>/dev/null | head -c 200 | tr '\0' '\n' |
            sed -n '1s/ .*//p'
        ;;
    1f8b*) gzip -dc "$1" | kernel_banner ;;
    *) kernel_banner <"$1" ;;
    esac
}

kernel_banner() {
    LC_ALL=C grep -a -o -m 1 'Linux version [0-9][^ ]*' | sed -n '1s/.* //p'
}

# modules_of KERNEL RELEASE: prints the directories that may have the modules of a kernel file: beside
# a kernel that was unpacked from its package, and where packages install modules.
modules_of() {
    modules_root=$(dirname "$(dirname "$(realpath "$1")")")
    for modules_root in "${modules_root%/}" ''; do
        printf '%s\n' "$modules_root/lib/modules/$2" "$modules_root/usr/lib/modules/$2"
    done | awk '!seen[$0]++'
}

# copy_modules TREE DIR NAME...: copies kernel modules of TREE as DIR/10-NAME.ko, DIR/11-NAME.ko
# ..., each after its dependencies, so that a shell's glob lists them in the order of loading. The
# copies are uncompressed, since busybox's insmod cannot decompress. Names have underscores, as in
# modules' dependencies. Modules that the kernel has built in are skipped.
copy_modules() {
    modules_tree=$1 modules_dir=$2 modules_n=10
    shift 2
    mkdir -p "$modules_dir"
    for module in "$@"; do
        copy_module "$(echo "$module" | tr - _)"
    done
}

# copy_module NAME: copies one module with its dependencies, recursively. Shell variables are
# global, so only the positional arguments keep the list of dependencies across the calls.
copy_module() {
    for module_copy in "$modules_dir"/*-"$1.ko"; do
        [ ! -e "$module_copy" ] || return 0
    done
    module_file=$(find "$modules_tree/" -name "$(echo "$1" | sed 's/_/[-_]/g').ko*" | head -n 1)
    module_copy=$modules_dir/.$1
    case $module_file in
    '') return 0 ;;
    *.xz) xz -dc "$module_file" >"$module_copy" ;;
    *.zst) zstd -dcq "$module_file" >"$module_copy" ;;
    *.gz) gzip -dc "$module_file" >"$module_copy" ;;
    *) cp "$module_file" "$module_copy" ;;
    esac
    # shellcheck disable=SC2046 # a list
    set -- "$1" $(tr '\0' '\n' <"$module_copy" | LC_ALL=C sed -n 's/^depends=//p' | head -n 1 | tr ',-' ' _')
    while [ $# -gt 1 ]; do
        copy_module "$2"
        module_name=$1
        shift 2
        set -- "$module_name" "$@"
    done
    mv "$modules_dir/.$1" "$modules_dir/$modules_n-$1.ko"
    modules_n=$((modules_n + 1))
}

# apt_get ARG...: runs apt-get with all its files in $apt_dir instead of the system's directories;
# its output goes to $apt_dir/log. The sandbox user is root, because apt's own could not write
# there. $apt_arch, if set, selects the architecture of the packages.
apt_get() {
    mkdir -p "$apt_dir/cache/archives/partial" "$apt_dir/lists/partial"
    apt-get -q -o APT::Sandbox::User=root -o Dir::Cache="$apt_dir/cache" -o Debug::NoLocking=1 \
        ${apt_arch:+-o APT::Architecture="$apt_arch" -o APT::Architectures="$apt_arch"} "$@" >"$apt_dir/log" 2>&1
}

# with_lists COMMAND...: runs a command that uses apt, first with the machine's package lists. They
# may be missing (a fresh image), name a version that is gone, or lack $apt_arch, and only root can
# update them. If the command fails, it runs again with new lists in $apt_dir: COMMAND gets the
# options for them.
with_lists() {
    command -v apt-get >/dev/null || die apt-get 'not found; this is not a Debian system'
    [ -n "${apt_arch:-}" ] || ! "$@" || return 0
    echo "${0##*/}: getting package lists"
    apt_get -o Dir::State::Lists="$apt_dir/lists" update && "$@" -o Dir::State::Lists="$apt_dir/lists"
}

# unpack_package NAME: downloads a Debian package without its dependencies, and unpacks it into
# $work/x without installing it. Writes its version to $work/version.
unpack_package() {
    apt_dir=$work/apt
    echo "${0##*/}: downloading $1"
    if ! with_lists download_package "$1"; then
        tail -n 5 "$apt_dir/log" >&2
        die "$1" 'cannot be downloaded'
    fi
    dpkg-deb -f "$work"/deb/*.deb Version >"$work/version" && dpkg -x "$work"/deb/*.deb "$work/x" ||
        die "$1" 'the package cannot be unpacked'
    rm -rf "$work/deb"
}

# download_package NAME [OPTION...]: downloads a package into $work/deb; OPTION is for apt.
download_package() {
    package=$1
    shift
    mkdir -p "$work/deb"
    (cd "$work/deb" && apt_get "$@" download "$package")
}

# download_debian13 PACKAGE...: downloads packages of Debian 13 into $work/deb, whichever release this
# machine has. They come from the mirror that this machine uses, with package lists in $apt_dir.
download_debian13() {
    command -v apt-get >/dev/null || die apt-get 'not found; this is not a Debian system'
    echo "${0##*/}: downloading package lists of Debian 13, and $1"
    mkdir -p "$work/deb"
    # shellcheck disable=SC2016 # apt-get expands the format
    apt_site=$(apt-get indextargets --format '$(SITE)' 'Label: Debian' 2>/dev/null | head -n 1)
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${apt_site:-http://deb.debian.org/debian} trixie main" \
        >"$work/sources.list"
    debian13_apt update && (cd "$work/deb" && debian13_apt download "$@") && return 0
    tail -n 5 "$apt_dir/log" >&2
    die "$1" 'cannot be downloaded from Debian 13'
}

debian13_apt() {
    apt_get -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=- -o Dir::State::Lists="$apt_dir/lists" "$@"
}
