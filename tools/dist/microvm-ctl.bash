# SPDX-License-Identifier: BSD-3-Clause
# Completion of microvm-ctl's command line for bash.

_microvm_ctl() {
    local commands='status stats pause resume flush resize limit snapshot record power-button quit events console' options='--stay --diff --clone-disks --json --prometheus --help --version'
    local current=${COMP_WORDS[COMP_CWORD]} words=
    COMPREPLY=()
    case $COMP_CWORD,$current,${COMP_WORDS[2]-} in
    *,-*,*) words=$options ;;
    1,*) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
    2,*) words=$commands ;;
    4,*,resize) words=image ;;
    4,*,limit) words='none iops= iops-burst= bps= bps-burst=' ;;
    esac
    [ -z "$words" ] || mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -o filenames -F _microvm_ctl microvm-ctl
