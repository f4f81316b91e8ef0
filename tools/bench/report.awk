# SPDX-License-Identifier: BSD-3-Clause
# The report of tools/blkbench: tables of medians from lines "run FILE OP DEPTH VARIANT KIND
# key=value...", and, with json=FILE, the same values as JSON. KIND is ours, qemu or fio. Lines
# "calls FILE OP DEPTH VARIANT N" give the system calls per request. Ratios are to the best median
# of that kind in the same table; those of a variant "...nopoll..." to QEMU's best variant whose
# name does not contain "poll".

function median(where, key,    n, i, j, list, v) {
    n = 0
    for (i = 1; i <= runs[where]; i++)
        if ((where, key, i) in value)
            list[++n] = value[where, key, i]
    if (!n)
        return "-"
    for (i = 2; i <= n; i++) {
        v = list[i]
        for (j = i - 1; j > 0 && list[j] > v; j--)
            list[j + 1] = list[j]
        list[j + 1] = v
    }
    lowest = list[1]
    highest = list[n]
    return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
}

function us(ns) { return ns == "-" ? "-" : sprintf("%.1f", ns / 1000) }
function ratio(a, b) { return b ? sprintf("%.2f", a / b) : "-" }
function field(key, v, last) { return v == "-" ? "" : sprintf("\"%s\": %s%s", key, v, last ? "" : ", ") }

$1 == "run" {
    table = $2 SUBSEP $3 SUBSEP $4
    where = table SUBSEP $5
    if (!(table in tables)) {
        tables[table] = 1
        order[++count] = table
    }
    if (!(where in runs))
        variants[table] = variants[table] " " $5
    kind[where] = $6
    n = ++runs[where]
    for (i = 7; i <= NF; i++) {
        split($i, pair, "=")
        value[where, pair[1], n] = pair[2] + 0
    }
}

$1 == "calls" { calls[$2, $3, $4, $5] = $6 }

END {
    if (json)
        printf "[" >json
    for (t = 1; t <= count; t++) {
        table = order[t]
        split(table, part, SUBSEP)
        split("", best)
        n = split(variants[table], name, " ")
        for (i = 1; i <= n; i++) {
            where = table SUBSEP name[i]
            iops[i] = median(where, "iops")
            low[i] = lowest
            high[i] = highest
            if (iops[i] > best[kind[where]])
                best[kind[where]] = iops[i]
            if (kind[where] == "qemu" && name[i] !~ /poll/ && iops[i] > best["nopoll"])
                best["nopoll"] = iops[i]
        }
        printf "\n%s, %s, depth %d\n", part[1], part[2], part[3]
        printf "  %-26s %9s %6s %7s %7s %8s %8s %8s %8s %8s %7s %7s %5s %4s\n", "", "IOPS", "+-%", "/QEMU", "/fio",
            "p50 us", "p99 us", "p999 us", "CPU us", "syscalls", "kicks", "irqs", "wait%", "runs"
        for (i = 1; i <= n; i++) {
            where = table SUBSEP name[i]
            nr = (where in calls) ? sprintf("%.3f", calls[where]) : "-"
            kicks = median(where, "kicks")
            irqs = median(where, "irqs")
            p50 = median(where, "p50"); p99 = median(where, "p99"); p999 = median(where, "p999")
            cpu = median(where, "cpu")
            printf "  %-26s %9d %6.1f %7s %7s %8s %8s %8s %8s %8s %7s %7s %5s %4d\n", name[i], iops[i],
                iops[i] ? (high[i] - low[i]) * 50 / iops[i] : 0, ratio(iops[i], best[name[i] ~ /nopoll/ ? "nopoll" : "qemu"]),
                ratio(iops[i], best["fio"]), us(p50), us(p99), us(p999), cpu == "-" ? cpu : sprintf("%.2f", cpu / 1000),
                nr, kicks == "-" ? kicks : sprintf("%.3f", kicks), irqs == "-" ? irqs : sprintf("%.3f", irqs),
                median(where, "wait"), runs[where]
            if (!json)
                continue
            printf "%s\n  { \"file\": \"%s\", \"op\": \"%s\", \"depth\": %d, \"variant\": \"%s\", \"kind\": \"%s\", ",
                comma, part[1], part[2], part[3], name[i], kind[where] >json
            comma = ","
            printf "\"runs\": %d, \"iops\": %d, \"iops_min\": %d, \"iops_max\": %d", runs[where], iops[i], low[i], high[i] >json
            extra = field("p50_ns", p50) field("p99_ns", p99) field("p999_ns", p999) field("cpu_ns", cpu) \
                field("syscalls", nr) field("kicks", kicks) field("irqs", irqs) field("wait_percent", median(where, "wait"))
            sub(/, $/, "", extra)
            printf "%s%s }", extra == "" ? "" : ", ", extra >json
        }
    }
    if (json)
        printf "\n]\n" >json
    if (!count)
        print "blkbench: nothing was measured"
}
