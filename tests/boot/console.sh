# SPDX-License-Identifier: BSD-3-Clause
# Boot tests of the console and of the guest's shell. Sourced by suite.sh.
# shellcheck shell=sh
# Some variables are those of lib.sh; $ in kernel parameters and typed lines is for the guest's shell.
# shellcheck disable=SC2016,SC2034,SC2154

# A console on pipes: a shell that reads its commands from a pipe. The guest ends after its input
# has ended. Lines that are typed ahead appear once, and without escape sequences.
# shellcheck disable=SC2094 # the log is read while it grows
test_console_pipe() {
    new_log
    : >"$log"
    {
        tries=0
        until grep -q 'microvm-guest: shell' "$log" || [ $tries -ge $((limit * 10)) ]; do
            tries=$((tries + 1))
            sleep 0.1
        done
        printf 'echo typed-$((40+2))\necho twice-$((41+2))\nexit\n'
    } | {
        microvm --kernel vmlinuz --initrd initramfs.cpio.gz --append 'quiet terminal=no' 2>&1
        echo $? >code
    } | cat >"$log"
    code=$(cat code)
    want_code 0
    want 'typed-42'
    [ "$(grep -c 'echo t[a-z]*-\$' "$log")" = 2 ] || fail 'the commands are not there once'
    unwanted "$(printf '\033')"
}

# shown PATTERN: waits until the console that is being written to $log shows it; fails if microvm
# has ended before.
shown() {
    until grep -q "$1" "$log"; do
        [ ! -e code ] || return 1
        sleep 0.1
    done
}

# type_key SIGNAL KEY ECHO: types a program that sleeps, then the key while it sleeps, and then a
# command that prints the program's exit status. The terminal drops input that arrives before it has
# handled the key.
type_key() {
    printf 'sh -c "echo asleep-$((1+1))-%s; exec sleep 1000"\n' "$1"
    # shellcheck disable=SC2059 # the key
    shown "asleep-2-$1" && printf "$2"
    shown "$3" && printf 'echo ended-by-%s-$?\n' "$1"
    shown "ended-by-$1-[0-9]"
}

# keys_interrupt APPEND [OPTION]...: the programs in the guest's shell ignore neither SIGINT nor
# SIGQUIT, and Ctrl-C and Ctrl-\ end the one in the foreground.
# shellcheck disable=SC2094 # the log is read while it grows
keys_interrupt() {
    new_log
    : >"$log"
    append=$1
    shift
    rm -f code
    {
        shown 'microvm-guest: shell' && printf 'sed -n "s/^SigIgn:./ignored-/p" /proc/self/status\n'
        shown 'ignored-[0-9a-f]' && type_key INT '\003' '\^C' && type_key QUIT '\034' "\\^\\\\"
        printf 'exit\n'
    } | {
        microvm --kernel vmlinuz --initrd initramfs.cpio.gz --append "quiet $append" "$@" 2>&1
        echo $? >code
    } | cat >"$log"
    code=$(cat code)
    ignored=$(sed -n 's/^ignored-\([0-9a-f]\{16\}\).*/\1/p' "$log")
    # SIGINT is bit 1, and SIGQUIT bit 2.
    [ $((0x${ignored:-6} & 6)) = 0 ] || fail "SigIgn of a program is ${ignored:-not shown}"
    want 'ended-by-INT-130'
    want 'ended-by-QUIT-131'
    want_code 0
}

test_ctrl_c_ignored_in_initramfs() {
    keys_interrupt ''
}

test_ctrl_c_ignored_on_root_disk() {
    cp root.img disk.img
    keys_interrupt 'root=/dev/vda rw' --disk disk.img
    want_clean disk.img
}

test_ctrl_c_ignored_on_fio_disk() {
    cp fio.img disk.img
    keys_interrupt 'root=/dev/vda rw' --disk disk.img
    want_clean disk.img
}

# `reboot` and `poweroff` in the guest's shell send a signal to process 1, which waits for the
# shell.
# shellcheck disable=SC2094 # the log is read while it grows
test_reboot_from_shell() {
    new_log
    : >"$log"
    rm -f code
    {
        shown 'microvm:.*#' && echo reboot
        shown 'no such text'
    } | {
        microvm --kernel vmlinuz --initrd initramfs.cpio.gz --append quiet 2>&1
        echo $? >code
    } | cat >"$log"
    code=$(cat code)
    want_code 4
}

# Programs that tools/kvmhost runs ignore neither signal.
test_ctrl_c_ignored_in_kvmhost() {
    log=out/$name.log
    grep '^Sig' /proc/self/status >"$log"
    ignored=$(sed -n 's/^SigIgn:.//p' "$log")
    [ $((0x$ignored & 6)) = 0 ] || fail "SigIgn of a program is $ignored"
}

# Input that is there before the guest listens. The early console reads the line status for each
# byte that it sends, which does not count as listening, and the driver empties the FIFO when it
# opens the port.
test_console_early_input() {
    printf 'echo typed-$((40+2))\nexit\n' >early
    new_log
    microvm --kernel vmlinuz --initrd initramfs.cpio.gz --append 'earlyprintk=serial,ttyS0,115200' <early >"$log" 2>&1
    code=$?
    want_code 0
    want 'typed-42'
    rm early
}

# A reader that goes away loses the output, but does not stop the guest.
test_console_closed() {
    cp root.img disk.img
    new_log
    {
        microvm --kernel vmlinuz --initrd initramfs.cpio.gz --disk disk.img \
            --append 'quiet root=/dev/vda rw run="seq 3000; echo y >/root/after"' </dev/null 2>"$log"
        echo $? >code
    } | head -n 1 >>"$log"
    code=$(cat code)
    want_code 0
    want_clean disk.img
    [ "$(contents disk.img /root/after)" = y ] || fail 'the guest did not get to its end'
}

test_console_off() {
    cp root.img disk.img
    boot_stock 'root=/dev/vda rw run="echo unheard; echo y >/root/quiet"' --console off --disk disk.img
    want_code 0
    unwanted 'microvm-guest'
    want_clean disk.img
    [ "$(contents disk.img /root/quiet)" = y ] || fail 'nothing was written'
}

# answer ROWS COLUMNS LINE: plays a terminal of this size for the next question of the guest's shell,
# and then types the line.
answer() {
    asked=$((asked + 1))
    until [ "$(grep -o '\[6n' "$log" | wc -l)" -ge $asked ]; do
        [ ! -e code ] || return 1
        sleep 0.1
    done
    printf '\033[%s;%sR%s\n' "$1" "$2" "$3"
}

# The shell asks for the size of the terminal before each prompt, and so follows one that is resized.
# shellcheck disable=SC2094 # the log is read while it grows
test_console_terminal_size() {
    new_log
    : >"$log"
    rm -f code
    asked=0
    {
        answer 33 111 'stty size' && answer 44 55 'stty size' && answer 44 55 exit
    } | {
        microvm --kernel vmlinuz --initrd initramfs.cpio.gz --append 'quiet terminal=yes' 2>&1
        echo $? >code
    } | cat >"$log"
    code=$(cat code)
    want_code 0
    want '33 111'
    want '44 55'
}
