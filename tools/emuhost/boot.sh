# SPDX-License-Identifier: BSD-3-Clause
# The emulated host from the outside: builds its initramfs and its disk, boots it, and returns the
# exit status. Sourced by tools/kvmhost, whose variables it uses: work, place, arch, machine,
# memory, cpus, pid_file, timeout, tty, out, child.
# shellcheck shell=sh disable=SC2154

# Kernel modules in the order of their dependencies.
host_modules='virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk virtio_console
    irqbypass kvm kvm-amd'
# Free space on the work disk for files that the command creates.
host_space_mb=2048
# Seconds that the emulated host may take beyond the command's time limit before it counts as hung.
host_grace=60

quote() {
    printf "'"
    printf '%s' "$1" | sed "s/'/'\\\\''/g"
    printf "' "
}

# add_libraries FILE: copies the libraries and the loader of an ELF file to the same paths in the
# initramfs.
add_libraries() {
    [ "$(head -c 4 "$1" 2>/dev/null | od -An -t x1 | tr -d ' ')" = 7f454c46 ] || return 0
    # ldd fails for a static program, which needs no libraries.
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

# add_foreign_libraries FILE: copies the libraries of an ELF file of another architecture, which ldd
# cannot read, from the sysroot and from the cross compiler.
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

# make_host COMMAND [ARG]...: creates $work/host.cpio, and $work/disk.img with the working
# directory. Neither is compressed: writing it is quicker than unpacking it in the emulated host.
make_host() {
    root=$work/root
    case $arch in
    x86_64) "$tools/fetch-kernel" "$work/kernel" ;;
    aarch64) "$tools/fetch-kernel" "$work/kernel" arm64 ;;
    esac >&2 || fail kernel 'none for the emulated host'
    if [ "$arch" = "$(uname -m)" ]; then
        busybox=$(command -v busybox) || fail busybox 'not found (package busybox-static)'
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
        # A serial line does not transmit the size of the terminal.
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

# one_cpu: prints the number of a CPU that this process may use; the choice varies with the process
# id.
one_cpu() {
    # shellcheck disable=SC2046 # a list
    set -- $(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' /proc/self/status | tr ',' '\n' |
        while IFS=- read -r first last; do seq "$first" "${last:-$first}"; done)
    shift $(($$ % $#))
    echo "$1"
}

# tell_stolen PID: writes to the port and to a file, once a second, the steal time so far: the
# seconds that an emulated CPU was runnable without a CPU of this machine. For each second, the
# emulated CPU that waited the longest counts. The loop starts no process but sleep, because it runs
# as long as the emulated machine.
tell_stolen() {
    total=0
    while kill -0 "$1" 2>/dev/null; do
        most=0
        for task in /proc/"$1"/task/*; do
            id=${task##*/}
            read -r comm <"$task/comm" || continue
            case $comm in
            CPU*) read -r _ delay _ <"$task/schedstat" || continue ;;
            *) continue ;;
            esac
            eval "before=\${delay_$id:-$delay} delay_$id=$delay"
            [ $((delay - before)) -le $most ] || most=$((delay - before))
        done
        total=$((total + most))
        # The file is overwritten in place, so that its reader never finds it empty.
        printf '%10d\n' $((total / 1000000000)) 1<>"$work/stolen"
        echo $((total / 1000000000))
        sleep 1
    done
}

# watch_host PID: ends the emulated machine when it exceeds the command's time limit and the grace
# period: then the emulated host has not ended the command itself, and hangs. The state of the CPUs
# is recorded first.
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

# boot_host: runs the emulated machine to its end. Its kernel's console is the second serial port,
# recorded in $work/console. With a terminal the command uses the first serial port, so that no
# special key is lost on the way; otherwise virtio ports, which unlike a serial line have an end of
# file.
boot_host() {
    mkfifo "$work/stdout" "$work/stderr"
    # When a reader of the output goes away, cat discards the rest: the command must not be ended,
    # and the emulator fails on a pipe without a reader.
    { cat || cat >/dev/null; } <"$work/stdout" &
    cats=$!
    { cat || cat >/dev/null; } <"$work/stderr" >&2 &
    cats="$cats $!"
    # This shell keeps the pipes open, so that the readers neither wait for the emulator nor end
    # before it if it fails to start.
    exec 4>"$work/stdout" 5>"$work/stderr"

    timer=
    # The kernel's own hardening is not what is tested here, and is slow to emulate. The sandbox needs
    # Landlock.
    lean='mitigations=off init_on_alloc=0 hardened_usercopy=off lsm=landlock,yama'
    case $arch in
    x86_64)
        console=ttyS1
        # The kernel's timer check counts interrupts for a few milliseconds, and panics ("IO-APIC +
        # timer doesn't work!") if this machine is too busy for the emulator to raise them in that
        # time.
        timer=' no_timer_check'
        set -- -M "q35$machine" -cpu EPYC,+svm,+npt -kernel "$work/kernel/vmlinux"
        ;;
    aarch64)
        console=ttyAMA0
        # pauth-impdef signs pointers with an algorithm that is quicker to emulate than the
        # architecture's QARMA.
        case $machine in
        *,gic-version=*) ;;
        *) machine=$machine,gic-version=3 ;;
        esac
        set -- -M "virt,virtualization=on$machine" -cpu max,pauth-impdef=on -kernel "$work/kernel/vmlinuz"
        ;;
    esac
    set -- "$@" -accel tcg,thread=multi -smp "$cpus" -m "$memory" -no-reboot \
        -name emuhost,debug-threads=on -nodefaults -no-user-config -display none \
        -initrd "$work/host.cpio" -append "console=$console panic=-1 quiet $lean$timer"
    n=0
    while read -r disk; do
        set -- "$@" -drive "if=virtio,format=raw,file=$(echo "$disk" | sed 's/,/,,/g')"
        n=$((n + 1))
    done <"$work/disks"
    # The work disk is not used after a crash of this machine, so its writes need not wait for the
    # real disk.
    set -- "$@" -drive "if=virtio,format=raw,cache=unsafe,file=$work/disk.img"
    set -- "$@" -device virtio-serial-pci \
        -chardev "file,id=status,path=$work/status" -device virtserialport,chardev=status,name=status \
        -chardev "file,id=stdout,path=$work/stdout" -device virtserialport,chardev=stdout,name=stdout \
        -chardev "file,id=stderr,path=$work/stderr" -device virtserialport,chardev=stderr,name=stderr \
        -chardev "pipe,id=stolen,path=$work/port" -device virtserialport,chardev=stolen,name=stolen
    # The emulator makes its standard input and output non-blocking, also for other processes that
    # share the pipe: cat would fail at the first full pipe. So the emulator gets standard output
    # only where that is a terminal.
    if [ "$tty" = yes ]; then
        set -- "$@" -chardev stdio,id=tty,signal=off -serial chardev:tty
        saved=$(stty -g <&3 2>/dev/null || true)
        exec 7>&1
    else
        # On x86_64 the first serial port belongs to the terminal.
        [ "$arch" = aarch64 ] || set -- "$@" -serial null
        set -- "$@" -chardev stdio,id=stdin -device virtserialport,chardev=stdin,name=stdin
        saved=
        exec 7>/dev/null
    fi

    # The pipe is open in both directions, so that no open blocks; the emulator writes nothing to
    # it.
    mkfifo "$work/port.in" "$work/port.out"
    exec 8<>"$work/port.in"
    # watch_host uses the QEMU monitor.
    mkfifo "$work/monitor.in" "$work/monitor.out"
    cat "$work/monitor.out" >"$work/answers" &
    cats="$cats $!"
    exec 6>"$work/monitor.out"
    set -- "$@" -serial "file:$work/console" -chardev "pipe,id=monitor,path=$work/monitor" -mon chardev=monitor

    # All threads of the emulator run on one CPU: QEMU's VMRUN changes the virtual CPU's set of
    # pending interrupts without the lock or a locked instruction, and an interrupt that another
    # thread raises at that moment is lost. (QEMU 7.2 to 10.0: orl $0x100,interrupt_request against
    # the device thread's CPU_INTERRUPT_POLL; seen as an idle emulated host with a timer interrupt
    # in its APIC's IRR and nothing pending in the CPU.) On one CPU a single instruction cannot be
    # interrupted halfway. The cost is not measurable.
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
    # The process writes into the directory that is about to be removed.
    kill "$teller" 2>/dev/null || true
    wait "$teller" 2>/dev/null || true
    exec 4>&- 5>&- 6>&- 7>&- 8>&-
    # shellcheck disable=SC2086 # a list
    wait $cats || true
    [ -z "$saved" ] || stty "$saved" <&3
}

# keep_console: saves a copy of the host's console that outlives this run, and prints its path.
keep_console() {
    kept=$(mktemp "${TMPDIR:-/tmp}/kvmhost-console.XXXXXX")
    cat "$work/qemu.log" "$work/console" "$work/answers" >"$kept" 2>/dev/null || true
    echo "$kept"
}

# fail_without_status: reports that the emulated host has ended without the command's exit status.
# If the emulator failed to start or was killed, its own messages explain most; otherwise the
# console of the host's kernel does.
fail_without_status() {
    if [ -s "$work/qemu.log" ]; then
        tail -n 5 "$work/qemu.log" | sed 's/^/kvmhost: emulator: /' >&2
    elif [ -s "$work/console" ]; then
        tail -n 5 "$work/console" | tr -d '\r' | sed 's/^/kvmhost: console: /' >&2
    fi
    how="with status $ended"
    [ "$ended" -le 128 ] || how="by signal $((ended - 128))"
    fail 'emulated host' "the emulator ended $how before the command did; its output: $(keep_console)"
}

run_emulated() {
    command -v "qemu-system-$arch" >/dev/null ||
        fail "qemu-system-$arch" 'not found, but required for the emulated host (package qemu-system-x86 or qemu-system-arm)'
    # Separate ports would lose the order of output that goes to one file.
    merge=no
    [ "$(readlink /proc/self/fd/1)" != "$(readlink /proc/self/fd/2)" ] || merge=yes
    make_host "$@"
    boot_host

    if [ -n "$out" ] && [ -s "$work/disk.img" ]; then
        mkdir -p "$work/dir"
        # debugfs complains that it cannot set owners, which only root can.
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
