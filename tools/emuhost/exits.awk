# SPDX-License-Identifier: BSD-3-Clause
# From KVM's trace events (kvm_pio, kvm_mmio, kvm_userspace_exit, kvm_exit) to counts: "user CAUSE" for exits to user space,
# by port or address, and "kvm REASON" for all exits. The event of an access that was answered in the kernel has no exit to
# user space with it. A write is told before its exit, and so is a read of memory; a read of a port when it is back.

{
    match($0, /-[0-9]+ +\[/)
    thread = substr($0, RSTART, RLENGTH)
}

/ kvm_exit: / {
    sub(/.* reason /, "")
    count["kvm " $1]++
    # Whatever the last access was, it was answered in the kernel.
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
