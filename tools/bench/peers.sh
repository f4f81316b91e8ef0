# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
# Part of tools/blkbench, sourced: builds the command lines in $command. Uses the variables of the
# options.

# guest_words OP DEPTH SECONDS: prints the guest's kernel command line.
guest_words() {
    echo "op=$1 depth=$2 seconds=$3 bs=$bs mode=$mode tsc_khz=$tsc_khz wait=1 $guest_options"
}

# ours_command BINARY DISK-OPTIONS FILE OP DEPTH SECONDS
ours_command() {
    command=("$1" --kernel "$bare/blkbench.bz" --memory 256M --disk "${3//,/,,}${2:+,$2}"
        --append "$(guest_words "$4" "$5" "$6")")
}

# qemu_command AIO POLL-NS FILE OP DEPTH SECONDS. The arch-capabilities MSR is off because some
# software KVM cannot set it.
qemu_command() {
    command=("$qemu" -name blkbench,debug-threads=on -no-user-config -nodefaults -display none -no-reboot
        -M 'microvm,x-option-roms=off,pit=off,pic=off,isa-serial=on,rtc=off,auto-kernel-cmdline=on,acpi=off'
        -accel kvm -cpu 'host,-arch-capabilities' -m 256 -smp 1 -serial stdio
        -global virtio-mmio.force-legacy=false -object "iothread,id=io0,poll-max-ns=$2"
        -drive "if=none,id=d0,file=${3//,/,,},format=raw,cache=none,aio=$1"
        -device virtio-blk-device,drive=d0,iothread=io0
        -kernel "$bare/blkbench.elf" -append "$(guest_words "$4" "$5" "$6")")
}

# fio_command ENGINE HOW FILE OP DEPTH SECONDS. HOW: plain, batch, or fixed, which is batch with
# registered buffers and a registered file.
fio_command() {
    local rw=rand$4
    [ "$4" != randrw ] || rw=randrw
    command=(fio --name=blkbench "--filename=${3//:/\\:}" "--ioengine=$1" --direct=1 "--bs=$bs" "--rw=$rw" "--iodepth=$5"
        "--runtime=$6" --time_based --ramp_time=$((100 * $6))ms --norandommap --randrepeat=0 --thread
        --lat_percentiles=1 --clat_percentiles=0 --percentile_list=50:99:99.9 --output-format=json)
    [ "$2" = plain ] || command+=("--iodepth_batch_submit=$5" "--iodepth_batch_complete_max=$5")
    [ "$2" != fixed ] || command+=(--fixedbufs=1 --registerfiles=1)
}

# fio_result FILE: prints the results in fio's JSON in the format of the guest's line, with fio's
# CPU time: iops= requests= ... cpu=NS per request.
fio_result() {
    awk '
        function value(text) { sub(/.*: */, "", text); sub(/,.*/, "", text); return text + 0 }
        /^ *"(read|write|trim|sync)" : \{/ { dir = $1; gsub(/"/, "", dir); in_lat = 0 }
        /^ *"(lat_ns)" : \{/ { in_lat = 1 }
        /^ *"(slat_ns|clat_ns)" : \{/ { in_lat = 0 }
        /"usr_cpu"/ { cpu += value($0) }
        /"sys_cpu"/ { cpu += value($0) }
        dir != "read" && dir != "write" { next }
        /"iops" :/ { iops[dir] = value($0) }
        /"total_ios" :/ { ios[dir] = value($0) }
        in_lat && /"max" :/ { max[dir] = value($0) }
        in_lat && /"50.000000" :/ { p50[dir] = value($0) }
        in_lat && /"99.000000" :/ { p99[dir] = value($0) }
        in_lat && /"99.900000" :/ { p999[dir] = value($0) }
        /"runtime" :/ { if (value($0) > ms) ms = value($0) }
        END {
            # The percentiles of a mixed workload are those of the slower direction.
            d = p99["write"] > p99["read"] ? "write" : "read"
            total = iops["read"] + iops["write"]
            if (!total)
                exit 1
            printf "iops=%d requests=%d p50=%d p99=%d p999=%d max=%d cpu=%d\n", total, ios["read"] + ios["write"],
                p50[d], p99[d], p999[d], max[d], cpu / 100 * 1e9 / total
        }' "$1"
}
