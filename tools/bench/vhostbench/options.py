# SPDX-License-Identifier: BSD-3-Clause
"""The command line of vhost-bench."""

import argparse
import os

from bootfio.options import Parser, listed, number, size

from . import variants

HELP = """\
Measures 4 KiB random reads from vhost-user-blk back ends with one client (tests/bench/vubench): requests per second,
CPU time of the back end per request, latency, doorbells and system calls. Variants take turns, and medians are
compared. microvm-*: microvm-blk; qsd-*: qemu-storage-daemon with an iothread, aio=native, io_uring and threads;
-nopoll: the same without polling; -inflight, -log: with the mirror of requests in flight, with the dirty log;
inprocess: the dataplane of microvm-blk in the client (tests/bench/ringbench), in memory of the same kind; null: the
same at depth 32, over an engine that does nothing; fio: on the host, without vhost-user. Each result is printed as it
comes; tables follow."""
AFTER = """\
exit status: 0 success; 1 a variant of microvm failed; 2 usage; 3 a required file or program is missing; 130, 143 ended
by a signal: the tables of the results so far are printed.

A client that polls (--waits poll) needs a CPU of its own for each queue, and each back end another one. System calls
are counted by perf in runs of their own, which come last. In formats without `indirect`, at most 85 requests fit into a
ring, and larger depths are left out."""

FORMATS = ("split", "packed", "indirect", "packed-indirect", "blkio")
QUICK = {"depths": [1, 4, 32, 128], "queues": [1], "formats": ["indirect"], "files": ["never-written"],
         "waits": ["call"], "runs": 3, "seconds": 0.25, "size": 256 << 20}
# Left out by --quick: on no machine so far were they the best of their kind.
SLOW = ("microvm-libaio", "qsd-threads-nopoll")
FULL = {"depths": [1, 4, 32, 128], "queues": [1, 2], "formats": ["split", "packed", "indirect", "blkio"],
        "files": ["never-written", "cached"], "waits": ["call"], "runs": 5, "seconds": 1, "size": 1 << 30}


def parse(top, words):
    parser = Parser(prog="vhost-bench", description=HELP, epilog=AFTER, allow_abbrev=False,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--quick", action="store_true", help="at most two minutes: fewer and shorter runs, one queue, one format")
    add("--depths", type=listed(each=number(1, 256)), help="requests in flight (1,4,32,128)")
    add("--queues", type=listed(each=number(1, 16)), help="queues, each with a thread on both sides (1,2)")
    add("--formats", type=listed(FORMATS), help=f"ring formats, of: {' '.join(FORMATS)}; blkio: libblkio's client")
    add("--files", type=listed(("never-written", "cached")),
        help="never-written: O_DIRECT from an allocated file, which needs no device; cached: page cache")
    add("--waits", type=listed(("poll", "call")), help="how the client waits: poll, or call: sleep until signalled (call)")
    add("--variants", type=listed(variants.NAMES), help=f"of: {' '.join(variants.NAMES)}")
    add("--runs", type=number(1, 1000), help="interleaved runs of each variant (5)")
    add("--seconds", type=number(0.05, 600, float), help="length of a run (1); 0.1 s precedes as warm-up")
    add("--size", type=size, help="size of the file (1G)")
    add("--dir", default=os.path.join(top, "build/vhost-bench"), help="directory of files and results.jsonl")
    add("--microvm-blk", default=os.path.join(top, "microvm-blk"), metavar="FILE", help="the program (./microvm-blk)")
    options = parser.parse_args(words)
    for name, value in (QUICK if options.quick else FULL).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    options.variants = options.variants or [name for name in variants.NAMES if not options.quick or name not in SLOW]
    options.top = top
    return options
