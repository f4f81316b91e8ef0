# SPDX-License-Identifier: BSD-3-Clause
# Converts KVM's trace events (kvm_pio, kvm_mmio, kvm_userspace_exit, kvm_exit) to counts: "user
# CAUSE" for exits to user space, by port or address, and "kvm REASON" for all exits. An access that
# KVM handles in the kernel has no kvm_userspace_exit. The event of a write, and of a read of
# memory, precedes its exit; that of a port read follows when user space has returned.

{
    match($0, /-[0-9]+ +\[/)
    thread = substr($0, RSTART, RLENGTH)
}

/ kvm_exit: / {
    sub(/.* reason /, "")
    count["kvm " $1]++
    # A new exit shows that the kernel handled the previous access itself.
    last[thread] = ""
}

/ kvm_(pio|mmio): / {
    kind = / kvm_pio: / ? "port" : "MMIO"
    way = /write/ ? "write" : "read"
    match($0, /(at|gpa) 0x[0-9a-f]+/)
    where = substr($0, RSTART, RLENGTH)
    sub(/.* /, "", where)
    cause = "user " kind " " where " " way
    if (kind == "port" && way == "read" && waits[thread]) {
        count[cause]++
        waits[thread] = 0
    } else {
        last[thread] = cause
    }
}

/ kvm_userspace_exit: / {
    total++
    io = /KVM_EXIT_IO /
    if ((io || /KVM_EXIT_MMIO /) && last[thread] != "") {
        count[last[thread]]++
        last[thread] = ""
    } else if (io) {
        waits[thread] = 1
    } else {
        sub(/.*reason /, "")
        count["user " $1]++
    }
}

END {
    for (cause in count)
        print count[cause], cause
    print total + 0, "total"
}
