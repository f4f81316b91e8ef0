# SPDX-License-Identifier: BSD-3-Clause
# The emulated host seen from outside: builds its initramfs and its disk, boots it, brings back the exit status.
# Sourced by tools/kvmhost, whose variables it uses: work, place, arch, machine, memory, cpus, pid_file, timeout, tty, out,
# child.
# shellcheck shell=sh disable=SC2154

# In the order they need each other.
host_modules='virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk virtio_console
    irqbypass kvm kvm-amd'
# Room for the command's own files, on top of those it is given.
host_space_mb=2048
# How long the emulated host may take beyond the command's own time before it counts as hung.
host_grace=60

quote() {
    printf "'"
    printf '%s' "$1" | sed "s/'/'\\\\''/g"
    printf "' "
}

# add_libraries FILE: the libraries and the loader of an ELF file, at the paths they have here.
add_libraries() {
    [ "$(head -c 4 "$1" 2>/dev/null | od -An -t x1 | tr -d ' ')" = 7f454c46 ] || return 0
    # A static program makes ldd fail, and needs nothing.
    if [ "$arch" != "$(uname -m)" ]; then
        add_foreign_libraries "$1"
        return 0
    fi
    { ldd "$1" 2>/dev/null || true; } | sed -n 's/^.*=> \(\/[^ ]*\) .*$/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*$/\1/p' |
        while read -r library; do
            [ ! -e "$work/root$library" ] || continue
            mkdir -p "$work/root$(dirname "$library")"
            cp -L "$library" "$work/root$library"
        done
}

# add_foreign_libraries FILE: the same for one that cannot be asked here: from the sysroot and the cross compiler's.
add_foreign_libraries() {
    readelf -ld "$1" 2>/dev/null |
        sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p; s/.*program interpreter: \/lib\/\(.*\)\]/\1/p' >"$work/needed"
    for library in $(cat "$work/needed"); do
        [ ! -e "$root/lib/$library" ] || continue
        for dir in "$work/sysroot/usr/lib/$arch-linux-gnu" "/usr/$arch-linux-gnu/lib"; do
            [ -e "$dir/$library" ] || continue
            mkdir -p "$root/lib"
            cp -L "$dir/$library" "$root/lib/$library"
            add_foreign_libraries "$dir/$library"
            break
        done
    done
}

# make_host COMMAND [ARG]...: $work/host.cpio, and $work/disk.img with the working directory. Nothing is compressed:
# to write it is quicker than to unpack it there.
make_host() {
    root=$work/root
    case $arch in
    x86_64) "$tools/fetch-kernel" "$work/kernel" ;;
    aarch64) "$tools/fetch-kernel" "$work/kernel" arm64 ;;
    esac >&2 || fail kernel 'none for the emulated host'
    if [ "$arch" = "$(uname -m)" ]; then
        busybox=$(command -v busybox) || fail busybox 'is not here (package busybox-static)'
    else
        "$tools/fetch-sysroot" "$work/sysroot" >&2 || fail sysroot 'none for the emulated host'
        busybox=$work/sysroot/bin/busybox
    fi
    mkdir -p "$root/bin" "$root/proc" "$root/sys" "$root/dev" "$root/work" "$root/tmp" "$root/run" "$root/etc"
    cp "$busybox" "$root/bin/busybox"
    add_libraries "$busybox"
    ln -s busybox "$root/bin/sh"
    cp "$tools/emuhost/init" "$root/init"
    chmod 755 "$root/init" "$root/bin/busybox"
    # shellcheck disable=SC2086 # a list
    copy_modules "$work/kernel/modules" "$root/modules" $host_modules
    find "$work/dir" -type f >"$work/files"
    while read -r file; do
        add_libraries "$file"
    done <"$work/files"
    {
        echo "tty=$tty timeout=$timeout merge=$merge disks=$(wc -l <"$work/disks")"
        # The size of the terminal is not known to a serial line.
        [ "$tty" = no ] || echo "size='$(stty size <&3 2>/dev/null || true)'"
        printf 'set -- '
        for word in "$@"; do
            quote "$word"
        done
        echo
    } >"$root/etc/command"
    (cd "$root" && find . | cpio --quiet -o -H newc -R 0:0) >"$work/host.cpio"

    size=$(($(du -sm "$work/dir" | cut -f 1) + host_space_mb))
    truncate -s "${size}M" "$work/disk.img"
    PATH=$PATH:/usr/sbin:/sbin mke2fs -q -t ext4 -O ^has_journal -d "$work/dir" "$work/disk.img" ||
        fail disk.img 'cannot be made'
    rm -rf "$root" "$work/dir"
}

# one_cpu: the number of a processor that this process may use, not always the same one.
one_cpu() {
    # shellcheck disable=SC2046 # a list
    set -- $(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status | tr ',' '\n' |
        while IFS=- read -r first last; do seq "$first" "${last:-$first}"; done)
    shift $(($$ % $#))
    echo "$1"
}

# tell_stolen PID: once a second, to port and file, for how many seconds until now an emulated processor had something to do
# and waited for one of this machine's: in each second, that which waited the longest.
tell_stolen() {
    total=0
    : >"$work/delays"
    while kill -0 "$1" 2>/dev/null; do
        for task in /proc/"$1"/task/*; do
            case $(cat "$task/comm") in
            CPU*) read -r _ delay _ <"$task/schedstat" && echo "$task $delay" ;;
            esac
        done >"$work/delays.new" 2>/dev/null
        total=$(awk -v total=$total 'NR == FNR { was[$1] = $2; next }
            $1 in was && $2 - was[$1] > most { most = $2 - was[$1] }
            END { printf "%.0f", total + most }' "$work/delays" "$work/delays.new")
        mv "$work/delays.new" "$work/delays"
        echo $((total / 1000000000)) | tee "$work/stolen.new"
        mv "$work/stolen.new" "$work/stolen"
        sleep 1
    done
}

# watch_host PID: ends the emulated machine when the command's time and some more is over: then it did not end the command
# itself, and hangs. Where its processors are is asked first.
watch_host() {
    [ "$timeout" != 0 ] || return 0
    deadline=$(($(date +%s) + timeout + host_grace)) stolen=0
    while [ $(($(date +%s) - stolen)) -lt $deadline ]; do
        sleep 1
        kill -0 "$1" 2>/dev/null || return 0
        [ ! -e "$work/stolen" ] || read -r stolen <"$work/stolen"
    done
    touch "$work/hung"
    for question in 'info status' 'info registers -a' 'info registers -a' 'info lapic' 'info pic'; do
        echo "$question" >"$work/monitor.in"
        sleep 1
    done
    kill -TERM "$1"
}

# boot_host: the emulated machine until it ends. Its kernel's console is the second serial port, kept in $work/console.
# The command talks through the first one if it has a terminal, so that nothing of its keys is lost on the way; else
# through virtio ports, which unlike a serial line have an end of file.
boot_host() {
    mkfifo "$work/stdout" "$work/stderr"
    # A reader that goes away ends its output, not the command; and the emulator cannot bear a pipe without a reader.
    { cat || cat >/dev/null; } <"$work/stdout" &
    cats=$!
    { cat || cat >/dev/null; } <"$work/stderr" >&2 &
    cats="$cats $!"
    # Held open here, so that the readers neither wait for the emulator nor end before it if it fails to start.
    exec 4>"$work/stdout" 5>"$work/stderr"

    timer=
    case $arch in
    x86_64)
        console=ttyS1
        # The kernel would test its timer: it counts interrupts during a few milliseconds, and panics ("IO-APIC + timer
        # doesn't work!") if this machine is too busy to let the emulator raise them in that time.
        timer=' no_timer_check'
        set -- -M "q35$machine" -cpu EPYC,+svm,+npt -kernel "$work/kernel/vmlinux"
        ;;
    aarch64)
        console=ttyAMA0
        # Pointers are signed by something that is quicker to emulate than the architecture's cipher.
        case $machine in
        *,gic-version=*) ;;
        *) machine=$machine,gic-version=3 ;;
        esac
        set -- -M "virt,virtualization=on$machine" -cpu max,pauth-impdef=on -kernel "$work/kernel/vmlinuz"
        ;;
    esac
    set -- "$@" -accel tcg,thread=multi -smp "$cpus" -m "$memory" -no-reboot \
        -name emuhost,debug-threads=on -nodefaults -no-user-config -display none \
        -initrd "$work/host.cpio" -append "console=$console panic=-1 quiet mitigations=off$timer"
    n=0
    while read -r disk; do
        set -- "$@" -drive "if=virtio,format=raw,file=$(echo "$disk" | sed 's/,/,,/g')"
        n=$((n + 1))
    done <"$work/disks"
    # Nobody looks at the work disk after a crash of this machine: no need to wait for the real disk.
    set -- "$@" -drive "if=virtio,format=raw,cache=unsafe,file=$work/disk.img"
    set -- "$@" -device virtio-serial-pci \
        -chardev "file,id=status,path=$work/status" -device virtserialport,chardev=status,name=status \
        -chardev "file,id=stdout,path=$work/stdout" -device virtserialport,chardev=stdout,name=stdout \
        -chardev "file,id=stderr,path=$work/stderr" -device virtserialport,chardev=stderr,name=stderr \
        -chardev "pipe,id=stolen,path=$work/port" -device virtserialport,chardev=stolen,name=stolen
    # The emulator makes its input and output non-blocking, also for others who have the same pipe open: cat would end at
    # the first full pipe. So it has standard output only where that is a terminal.
    if [ "$tty" = yes ]; then
        set -- "$@" -chardev stdio,id=tty,signal=off -serial chardev:tty
        saved=$(stty -g <&3 2>/dev/null || true)
        exec 7>&1
    else
        # On x86_64 the first port is the terminal's.
        [ "$arch" = aarch64 ] || set -- "$@" -serial null
        set -- "$@" -chardev stdio,id=stdin -device virtserialport,chardev=stdin,name=stdin
        saved=
        exec 7>/dev/null
    fi

    # Held open for both directions, so that nobody waits for the other end; nothing comes out.
    mkfifo "$work/port.in" "$work/port.out"
    exec 8<>"$work/port.in"
    # Only for watch_host.
    mkfifo "$work/monitor.in" "$work/monitor.out"
    cat "$work/monitor.out" >"$work/answers" &
    cats="$cats $!"
    exec 6>"$work/monitor.out"
    set -- "$@" -serial "file:$work/console" -chardev "pipe,id=monitor,path=$work/monitor" -mon chardev=monitor

    # All of its threads on one processor: QEMU's VMRUN changes the virtual processor's set of pending interrupts without
    # the lock or a locked instruction, and an interrupt that another thread raises in that moment is lost. (QEMU 7.2 to
    # 10.0: orl $0x100,interrupt_request against the device thread's CPU_INTERRUPT_POLL; seen as an idle emulated host
    # with a timer interrupt in its APIC's IRR and nothing pending in the processor.) On one processor a single
    # instruction cannot be torn. It costs nothing that could be measured.
    pinned=
    [ "$arch" = aarch64 ] || pinned="taskset -c $(one_cpu)"
    $pinned "qemu-system-$arch" "$@" <&3 >&7 4>&- 5>&- 6>&- 8>&- 2>"$work/qemu.log" &
    child=$!
    echo "$child" >"$pid_file"
    tell_stolen "$child" </dev/null >&8 2>/dev/null 4>&- 5>&- 6>&- 7>&- &
    teller=$!
    watch_host "$child" </dev/null >/dev/null 2>&1 4>&- 5>&- 6>&- 7>&- 8>&- &
    wait "$child" && ended=0 || ended=$?
    child=
    # It writes where all is about to be removed.
    kill "$teller" 2>/dev/null || true
    wait "$teller" 2>/dev/null || true
    exec 4>&- 5>&- 6>&- 7>&- 8>&-
    # shellcheck disable=SC2086 # a list
    wait $cats || true
    [ -z "$saved" ] || stty "$saved" <&3
}

# keep_console: the path of a copy of the host's console that outlives this run.
keep_console() {
    kept=$(mktemp "${TMPDIR:-/tmp}/kvmhost-console.XXXXXX")
    cat "$work/qemu.log" "$work/console" "$work/answers" >"$kept" 2>/dev/null || true
    echo "$kept"
}

# fail_without_status: the emulated host has ended, and its command has not. What the emulator
# itself said tells most, if it did not start or was ended; else the console of the host's kernel
# does.
fail_without_status() {
    if [ -s "$work/qemu.log" ]; then
        tail -n 5 "$work/qemu.log" | sed 's/^/kvmhost: emulator: /' >&2
    elif [ -s "$work/console" ]; then
        tail -n 5 "$work/console" | tr -d '\r' | sed 's/^/kvmhost: console: /' >&2
    fi
    how="with status $ended"
    [ "$ended" -le 128 ] || how="by signal $((ended - 128))"
    fail 'emulated host' "the emulator ended $how before the command did; all that it said: $(keep_console)"
}

run_emulated() {
    command -v "qemu-system-$arch" >/dev/null ||
        fail "qemu-system-$arch" 'is not here, and the emulated host needs it (package qemu-system-x86 or qemu-system-arm)'
    # Two ports would lose the order of what goes to the same place.
    merge=no
    [ "$(readlink /proc/self/fd/1)" != "$(readlink /proc/self/fd/2)" ] || merge=yes
    make_host "$@"
    boot_host

    if [ -n "$out" ] && [ -s "$work/disk.img" ]; then
        mkdir -p "$work/dir"
        # Its complaints are about owners, which only root can set.
        PATH=$PATH:/usr/sbin:/sbin debugfs -R "rdump /out $work/dir" "$work/disk.img" >/dev/null 2>&1 || true
        [ ! -d "$work/dir/out" ] || collect
    fi
    [ ! -e "$work/hung" ] || die 'emulated host' "hung; its console and registers: $(keep_console)" 124
    status=
    [ ! -s "$work/status" ] || status=$(tr -cd 0-9 <"$work/status")
    [ -n "$status" ] || fail_without_status
    if [ "$status" = 124 ]; then
        echo "kvmhost: took longer than ${timeout}s; the emulated host's console: $(keep_console)" >&2
    fi
    exit "$status"
}
