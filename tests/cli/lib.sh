# SPDX-License-Identifier: BSD-3-Clause
# Shell functions of the suites in this directory. Sourced by bash.

# shellcheck disable=SC2034 # for the suites
passed=0 failed=0 skipped=0
# Prefix of a command, with a time limit.
limit='timeout -s KILL 30'
[ "${KVMHOST:-}" != emulated ] || limit='timeout -s KILL 300'

# check NAME EXPECTED ACTUAL: reports a test, which passes if both texts are equal. The file `err` is
# printed after a failure.
check() {
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
        printf 'ok      %s\n' "$1"
    else
        failed=$((failed + 1))
        printf 'FAILED  %s: expected %s, got %s\n' "$1" "$2" "$3"
        sed 's/^/        /' err 2>/dev/null
    fi
}

# skip NAME REASON [NUMBER]: reports that a test, or a number of tests, cannot run.
skip() {
    skipped=$((skipped + ${3:-1}))
    printf 'skip    %s: %s\n' "$1" "$2"
}
