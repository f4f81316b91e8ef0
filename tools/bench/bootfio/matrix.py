# SPDX-License-Identifier: BSD-3-Clause
"""The rows of the matrix (fio jobs), their names, and fio's arguments for them."""

from collections import namedtuple

WORKLOADS = {
    "randread": ["--rw=randread"],
    "randwrite": ["--rw=randwrite"],
    "seqread": ["--rw=read"],
    "seqwrite": ["--rw=write"],
    "randrw+fsync": ["--rw=randrw", "--fsync=16"],
}
SIZES = {"4k": 4096, "64k": 65536, "1m": 1048576}

# Variants of microvm by their disk options, then a set of rows for each size of run, as blocks of
# (workloads, sizes, depths).
OURS_QUICK = ["microvm:", "microvm-libaio:engine=libaio"]
OURS_FULL = OURS_QUICK + ["microvm-sync:engine=sync", "microvm-nopoll:poll-us=0", "microvm-1queue:queues=1"]
QUICK = [
    (["randread", "randwrite"], ["4k"], [1, 32]),
    (["randrw+fsync"], ["4k"], [32]),
    (["seqread", "seqwrite"], ["1m"], [4]),
]
EMULATED = [
    (["randread"], ["4k"], [1, 32]),
    (["seqread"], ["64k"], [4]),
]
FULL = [(list(WORKLOADS), list(SIZES), [1, 4, 32, 128])]


class Row(namedtuple("Row", "workload bs depth jobs")):
    """One row of the matrix: a fio job."""

    def __str__(self):
        jobs = f", {self.jobs} jobs" if self.jobs > 1 else ""
        return f"{self.workload} {self.bs} depth {self.depth}{jobs}"


def rows(blocks, jobs):
    """Expands (workloads, sizes, depths) blocks to rows."""
    return [
        Row(workload, bs, depth, j)
        for workloads, sizes, depths in blocks
        for workload in workloads
        for bs in sizes
        for depth in depths
        for j in jobs
    ]


def fio_words(row, filename, engine, file_bytes, seconds=None, requests=None):
    """Returns fio's arguments for a row: a run of some seconds, or of some requests for each job.
    Colons are escaped because fio splits file names there."""
    words = [
        "--name=job", "--filename=" + filename.replace(":", "\\:"), f"--bs={row.bs}", "--direct=1", "--thread",
        f"--ioengine={engine}", f"--iodepth={row.depth}", "--norandommap", "--randrepeat=0", "--group_reporting",
        "--eta=never", "--lat_percentiles=1", "--clat_percentiles=0", "--percentile_list=50:99:99.9",
        "--output-format=json",
    ] + WORKLOADS[row.workload]
    share = file_bytes // row.jobs // SIZES["1m"] * SIZES["1m"]
    words.append(f"--numjobs={row.jobs}")
    if row.jobs > 1:
        words += [f"--size={share}", f"--offset_increment={share}"]
    else:
        words.append(f"--size={file_bytes}")
    if seconds is not None:
        return words + ["--time_based", f"--runtime={round(seconds * 1000)}ms"]
    return words + [f"--number_ios={requests}", f"--io_size={(requests + 1) * SIZES[row.bs]}"]


def counts(row, few, many):
    """Returns the numbers of requests of the short and the long run. Larger requests are fewer, so
    that at most four times the data is moved; but the short run fills the queue once, and the long
    one several times more."""
    divide = {"4k": 1, "64k": 4, "1m": 64}[row.bs]
    few = max(few // divide, row.depth)
    return few, max(many // divide, few + 3 * row.depth)


def buffers(row):
    """Returns the bytes that fio needs for its requests in flight."""
    return row.depth * row.jobs * SIZES[row.bs]
