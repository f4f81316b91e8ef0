# SPDX-License-Identifier: BSD-3-Clause
# The report of tools/fio-ratio, from lines "NAME DEPTH READS MS". Each run of a name has three
# lines: the first is the warm-up, the second has few reads, the third many. QEMU's names begin with
# qemu-. Incomplete runs are left out.

function median_of(of, name, depth,    n, i, j, list, v) {
    n = runs[name, depth]
    for (i = 1; i <= n; i++) {
        v = of[name, depth, i]
        for (j = i - 1; j > 0 && list[j] > v; j--)
            list[j + 1] = list[j]
        list[j + 1] = v
    }
    return list[int((n + 1) / 2)]
}

function median(name, depth) { return median_of(rate, name, depth) }

# fio's time to start and end varies more than the time of the reads, so the median of the short
# runs is subtracted.
function rates(name, depth,    run, start_ms) {
    start_ms = median_of(few_ms, name, depth)
    for (run = 1; run <= runs[name, depth]; run++)
        rate[name, depth, run] = (many - few) * 1000 / (many_ms[name, depth, run] - start_ms)
}

{
    if (!(($1, "seen") in lines)) {
        lines[$1, "seen"] = 1
        names[++name_count] = $1
    }
    if (!($2 in depth_seen)) {
        depth_seen[$2] = 1
        depths[++depth_count] = $2
    }
    nth = ++lines[$1, $2] % 3
    if (nth == 2) {
        few = $3
        few_ms[$1, $2, runs[$1, $2] + 1] = $4
    } else if (nth == 0) {
        many = $3
        many_ms[$1, $2, ++runs[$1, $2]] = $4
    }
}

END {
    total = runs[names[1], depths[1]]
    if (!total || !runs[names[name_count], depths[depth_count]]) {
        print "fio-ratio: nothing was measured"
        exit 1
    }
    for (d = 1; d <= depth_count; d++)
        for (i = 1; i <= name_count; i++)
            rates(names[i], depths[d])
    for (run = 1; run <= total; run++) {
        for (d = 1; d <= depth_count; d++) {
            text = "run " run ", depth " depths[d] ":"
            for (i = 1; i <= name_count; i++)
                text = text " " names[i] " " (run > runs[names[i], depths[d]] ? "-" : int(rate[names[i], depths[d], run]))
            print text
        }
    }
    summary = "runs=" total
    for (d = 1; d <= depth_count; d++) {
        depth = depths[d]
        best = 0
        for (i = 1; i <= name_count; i++) {
            if (names[i] ~ /^qemu-/ && median(names[i], depth) > best) {
                best = median(names[i], depth)
                which = names[i]
            }
        }
        text = ""
        for (i = 1; i <= name_count; i++) {
            v = median(names[i], depth)
            text = text sprintf(" %s %d", names[i], v)
            if (names[i] !~ /^qemu-/) {
                text = text sprintf(", %.2f of %s;", v / best, which)
                ours = v
            }
        }
        printf "median of %d, depth %d:%s\n", total, depth, text
        sub(/^qemu-/, "", which)
        summary = summary sprintf(" depth%d_microvm=%d depth%d_qemu=%d depth%d_best=%s depth%d_ratio=%.2f", depth, ours, depth,
            best, depth, which, depth, ours / best)
    }
    print "fio-ratio: " summary
}
