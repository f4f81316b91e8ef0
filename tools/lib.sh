# SPDX-License-Identifier: BSD-3-Clause
# Functions that several tools share. Sourced, not run; works in dash, bash and busybox ash.
# shellcheck shell=sh

# die WHAT REASON [STATUS]: one line on stderr, "tool: what: reason", and the end.
die() {
    printf '%s: %s: %s\n' "${0##*/}" "$1" "$2" >&2
    exit "${3:-1}"
}

# cache_dir: where downloads are kept, created if it is not there yet. A machine without a home (some CI runners) gets
# one in the build directory.
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

# cpu_has_virt: the processor itself runs guests. /dev/kvm alone says little: there are machines whose KVM emulates in
# software and cannot boot Linux.
cpu_has_virt() {
    # On arm64 nothing else is called KVM, and it is there only where the kernel was entered at EL2.
    case $(uname -m) in
    aarch64) [ -e /dev/kvm ] ;;
    *) grep -Eqw 'vmx|svm' /proc/cpuinfo ;;
    esac
}

# deb_arch: this machine's architecture by Debian's name.
deb_arch() {
    case $(uname -m) in
    aarch64) echo arm64 ;;
    *) echo amd64 ;;
    esac
}

# kvm_usable: cpu_has_virt, and this user may open /dev/kvm.
kvm_usable() {
    cpu_has_virt && [ -r /dev/kvm ] && [ -w /dev/kvm ]
}

# copy_modules TREE DIR NAME...: kernel modules of TREE as DIR/10-NAME.ko, DIR/11-NAME.ko ..., so that a shell's glob
# gives them in this order; unpacked, since insmod knows no compression. What the kernel has built in is left out.
copy_modules() {
    modules_tree=$1 modules_dir=$2 modules_n=10
    shift 2
    mkdir -p "$modules_dir"
    for module in "$@"; do
        module_file=$(find "$modules_tree/" -name "$module.ko*" | head -n 1)
        module_copy=$modules_dir/$modules_n-$module.ko
        case $module_file in
        *.ko) cp "$module_file" "$module_copy" ;;
        *.ko.xz) xz -dc "$module_file" >"$module_copy" ;;
        *.ko.zst) zstd -dcq "$module_file" >"$module_copy" ;;
        esac
        modules_n=$((modules_n + 1))
    done
}

# apt_get ARG...: apt-get with what it writes kept in $apt_dir, out of the system's way; its words are in $apt_dir/log. Its
# sandbox user could not write there. $apt_arch, if it is set: packages of that architecture.
apt_get() {
    mkdir -p "$apt_dir/cache/archives/partial" "$apt_dir/lists/partial"
    apt-get -q -o APT::Sandbox::User=root -o Dir::Cache="$apt_dir/cache" -o Debug::NoLocking=1 \
        ${apt_arch:+-o APT::Architecture="$apt_arch" -o APT::Architectures="$apt_arch"} "$@" >"$apt_dir/log" 2>&1
}

# with_lists COMMAND...: a command that uses apt, with the machine's package lists. They may be missing (a fresh image),
# name a version that is gone, or not be those of $apt_arch; only root can renew them. Then once more with new lists in
# $apt_dir: COMMAND gets the options for that.
with_lists() {
    command -v apt-get >/dev/null || die apt-get 'is not here: this is not a Debian system'
    [ -n "${apt_arch:-}" ] || ! "$@" || return 0
    echo "${0##*/}: getting package lists"
    apt_get -o Dir::State::Lists="$apt_dir/lists" update && "$@" -o Dir::State::Lists="$apt_dir/lists"
}

# unpack_package NAME: downloads Debian's package of that name and unpacks it into $work/x, without installing it. Its
# version is left in $work/version. Downloads nothing that depends on it.
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

# download_package NAME [OPTION...]: into $work/deb; OPTION goes to apt.
download_package() {
    package=$1
    shift
    mkdir -p "$work/deb"
    (cd "$work/deb" && apt_get "$@" download "$package")
}
