# SPDX-License-Identifier: BSD-3-Clause
# Completion of microvm's command line for bash.

# _microvm_disk_value KEY: prints the values of the --disk key KEY, if it has a fixed set.
_microvm_disk_value() {
    case $1 in
    direct) echo on off auto ;;
    cache) echo writeback writethrough ;;
    rerror) echo report stop ignore ;;
    werror) echo report enospc stop ignore ;;
    blk-size) echo 512 1024 2048 4096 ;;
    engine) echo io_uring libaio sync ;;
    readonly | ephemeral | discard | packed | in-order) echo on off ;;
    esac
}

# _microvm_disk VALUE WORD: completes the --disk value VALUE; WORD is the last of the words into which
# bash has split it.
_microvm_disk() {
    local keys='readonly ephemeral serial= direct= cache= discard= rerror= werror= blk-size= queue-size= packed= in-order=
        engine= queues= iothreads= cpus= poll-us= iops= iops-burst= bps= bps-burst='
    local last=${1##*,}
    case $1,$last in
    *,*,*=*)
        mapfile -t COMPREPLY < <(compgen -W "$(_microvm_disk_value "${last%%=*}")" -- "$2")
        ;;
    *,*,*)
        mapfile -t COMPREPLY < <(compgen -P "${2%,*}," -W "$keys" -- "$last")
        [[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace 2>/dev/null
        ;;
    *) mapfile -t COMPREPLY < <(compgen -f -- "$1") ;;
    esac
}

# _microvm_words: sets the caller's variables. option: the word that the word at the cursor is a value of, or the word before it;
# value: that value, also where bash has split it into words; current: the last of these words.
_microvm_words() {
    local at=$COMP_CWORD
    value=${COMP_WORDS[COMP_CWORD]} current=${COMP_WORDS[COMP_CWORD]}
    # bash splits words at equals signs and colons, and makes these words of their own; join them again.
    while ((at > 1)) && [[ ${COMP_WORDS[at]}${COMP_WORDS[at - 1]} =~ ^[=:]|[=:]$ ]]; do
        at=$((at - 1))
        value=${COMP_WORDS[at]}$value
    done
    # shellcheck disable=SC2034 # for the caller
    option=${COMP_WORDS[at - 1]}
    if [[ $value == --*=* ]]; then
        option=${value%%=*} value=${value#*=}
    fi
    [[ $current != [=:] ]] || current=
}

_microvm() {
    local options='--kernel --initrd --append --cmdline --memory --cpus --console --stats --sandbox --user --core-dump
        --control --snapshot-dir --restore --prefault --advance-clock --pidfile --log --log-level --stop-timeout --exit-port
        --quiet --describe --dump-dtb --disk --ephemeral-dir --help --version'
    local option value current
    _microvm_words
    COMPREPLY=()
    case $option in
    --kernel | --initrd | --control | --pidfile | --log | --dump-dtb) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
    --snapshot-dir | --restore | --ephemeral-dir) mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
    --user) mapfile -t COMPREPLY < <(compgen -u -- "$current") ;;
    --log-level) mapfile -t COMPREPLY < <(compgen -W 'error warn info debug' -- "$current") ;;
    --prefault) mapfile -t COMPREPLY < <(compgen -W 'none set all' -- "$current") ;;
    --describe) mapfile -t COMPREPLY < <(compgen -W 'acpi fdt' -- "$current") ;;
    --sandbox) mapfile -t COMPREPLY < <(compgen -W 'on log off' -- "$current") ;;
    --console)
        case $value in
        file:* | socket:*) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
        *) mapfile -t COMPREPLY < <(compgen -W 'on off pty file: socket:' -- "$current") ;;
        esac
        ;;
    --stats | --quiet | --advance-clock | --core-dump) mapfile -t COMPREPLY < <(compgen -W 'on off' -- "$current") ;;
    --disk) _microvm_disk "$value" "$current" ;;
    --append | --cmdline | --memory | --cpus | --stop-timeout | --exit-port) ;;
    *) mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current") ;;
    esac
}

complete -o filenames -F _microvm microvm
