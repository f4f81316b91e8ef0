# SPDX-License-Identifier: BSD-3-Clause
# Completion of microvm-blk's command line for bash. The values of --disk are completed by the functions of microvm's
# completion, which is beside this file.

if ! declare -F _microvm_disk >/dev/null; then
    for _microvm_file in "${BASH_SOURCE[0]%/*}"/microvm{.bash,}; do
        # shellcheck source=tools/dist/microvm.bash
        [ ! -f "$_microvm_file" ] || . "$_microvm_file"
    done
    unset _microvm_file
fi

_microvm_blk() {
    local options='--socket-path --fd --disk --blk-file --ephemeral-dir --read-only --once --print-capabilities --control --stats --log --log-level --pidfile
        --sandbox --user --core-dump --help --version'
    local option value current
    _microvm_words
    COMPREPLY=()
    case $option in
    --socket-path | --blk-file | --control | --log | --pidfile) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
    --ephemeral-dir) mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
    --user) mapfile -t COMPREPLY < <(compgen -u -- "$current") ;;
    --log-level) mapfile -t COMPREPLY < <(compgen -W 'error warn info debug' -- "$current") ;;
    --sandbox) mapfile -t COMPREPLY < <(compgen -W 'on log off' -- "$current") ;;
    --stats | --core-dump) mapfile -t COMPREPLY < <(compgen -W 'on off' -- "$current") ;;
    --disk) _microvm_disk "$value" "$current" ;;
    --fd) ;;
    *) mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current") ;;
    esac
}

complete -o filenames -F _microvm_blk microvm-blk
