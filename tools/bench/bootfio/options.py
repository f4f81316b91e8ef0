# SPDX-License-Identifier: BSD-3-Clause
"""The command line of boot-and-fio."""

import argparse
import os
import re

from . import matrix
from .errors import USAGE, Fatal

HELP = """\
Boots a Linux guest with fio under microvm and, interleaved in the same run, under the monitors that are
installed: QEMU's microvm machine (an iothread; aio=native, io_uring, threads), kvmtool's lkvm and
Firecracker; and runs the same fio jobs on the host. Reports throughput, latency, cost per request and boot
times; writes result.json, report.html and its plots."""
AFTER = """\
exit status: 0 success; 1 a row of microvm failed, or --compare found a regression; 2 usage; 3 a required
file or program is missing, or the disk is full; 130, 143 ended by a signal: the results so far are written.

Where the CPU offers no virtualization, everything runs in the emulated host (tools/kvmhost) with few
requests. There only ratios are meaningful, and those of writes less than those of reads: the clock is the
emulator's CPU time, which stands still while the host waits for its disk."""


class Parser(argparse.ArgumentParser):
    """Argument parser that reports a usage error in one line."""

    def error(self, message):
        message = re.sub(r"^argument ", "", message)
        raise Fatal("usage", message + " (see --help)", USAGE)


def number(low, high, kind=int):
    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text} is not a number") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not from {low} to {high}")
        return value

    return parse


def listed(known=None, each=None):
    def parse(text):
        values = text.split(",")
        for value in values:
            if known and value not in known:
                raise argparse.ArgumentTypeError(f"'{value}' is none of: {' '.join(known)}")
        values = [each(value) for value in values] if each else values
        if len(set(values)) != len(values):
            raise argparse.ArgumentTypeError(f"{text} names something twice")
        return values

    return parse


def size(text):
    found = re.fullmatch(r"([1-9]\d{0,9})([KMGTkmgt]?)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text} is not a size (a number with K, M, G or T; MiB without)")
    value = int(found[1]) << {"k": 10, "": 20, "m": 20, "g": 30, "t": 40}[found[2].lower()]
    if not 16 << 20 <= value <= 1 << 40:
        raise argparse.ArgumentTypeError(f"{text} is not from 16M to 1T")
    return value


def file(text):
    if not os.access(text, os.R_OK) or os.path.isdir(text):
        raise argparse.ArgumentTypeError(f"{text} cannot be read")
    return text


def ours(text):
    if not re.fullmatch(r"[A-Za-z0-9._+-]+:[^\s]*", text):
        raise argparse.ArgumentTypeError(f"{text} is not NAME:OPTIONS")
    return text


def binary(text):
    label, equals, path = text.partition("=")
    if not equals:
        label, path = "", text
    if not os.path.isfile(path) or not os.access(path, os.X_OK):
        raise argparse.ArgumentTypeError(f"{path} is no program")
    return label, os.path.abspath(path)


def parser():
    p = Parser(prog="boot-and-fio", description=HELP, epilog=AFTER, allow_abbrev=False,
               formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--quick", action="store_true", help="the most informative rows, in a few minutes (default)")
    p.add_argument("--full", action="store_true", help="the whole matrix, which takes hours")
    g = p.add_argument_group("rows (values that are not given are those of --quick or --full)")
    g.add_argument("--workloads", type=listed(matrix.WORKLOADS), metavar="W,...", help=" ".join(matrix.WORKLOADS))
    g.add_argument("--sizes", type=listed(matrix.SIZES), metavar="S,...", help="request sizes: " + " ".join(matrix.SIZES))
    g.add_argument("--depths", type=listed(each=number(1, 1024)), metavar="N,...", help="requests in flight of each job")
    g.add_argument("--jobs", type=listed(["1", "cpus"]), metavar="J,...", help="1; cpus: one for each virtual CPU")
    g.add_argument("--no-fio", action="store_true", help="boot times only")
    g.add_argument("--no-boot", action="store_true", help="fio only")
    g = p.add_argument_group("monitors")
    g.add_argument("--microvm", type=binary, action="append", metavar="[LABEL=]FILE",
                   help="the binary (./microvm); repeatable, to compare builds")
    g.add_argument("--ours", type=ours, action="append", metavar="NAME:OPTIONS",
                   help="a variant of microvm by its disk's options, as nopoll:poll-us=0; repeatable")
    g.add_argument("--peers", type=listed(["qemu", "lkvm", "firecracker", "host", "none"]), metavar="P,...",
                   help="qemu lkvm firecracker host (all); none")
    g = p.add_argument_group("the guest (default: build/guest-kernel and the fio image if they were built, otherwise the "
                             "stock kernel)")
    g.add_argument("--kernel", type=file, metavar="FILE")
    g.add_argument("--vmlinux", type=file, metavar="FILE", help="the kernel as ELF, which Firecracker needs")
    g.add_argument("--initrd", type=file, metavar="FILE", help="with busybox and fio; runs run=\"...\" and powers off")
    g.add_argument("--rootfs", type=file, metavar="FILE", help="a root disk instead of --initrd")
    g.add_argument("--cpus", type=number(1, 64), metavar="N", help="virtual CPUs (half of the host's, 4 at most)")
    g.add_argument("--memory", type=size, metavar="SIZE", help="guest RAM (256M; more where a row's buffers need it)")
    g = p.add_argument_group("measurement")
    g.add_argument("--runs", type=number(1, 1000), metavar="N", help="repetitions of each row (3; with --full 5)")
    g.add_argument("--boots", type=number(1, 1000), metavar="N", help="boots of each monitor (as many as --runs)")
    g.add_argument("--seconds", type=number(0.05, 3600, float), metavar="S", help="length of one run (1; with --full 3)")
    g.add_argument("--warm-up", type=number(0.05, 600, float), metavar="S", help="unmeasured time before each run (a third of --seconds)")
    g.add_argument("--counts", type=listed(each=number(1, 10**7)), metavar="FEW,MANY", default=[100, 800],
                   help="emulated: requests of 4 KiB in a short and a long run, at least (100,800)")
    g.add_argument("--size", type=size, metavar="SIZE", help="size of each monitor's file (256M, written; emulated: 64M, allocated only)")
    g.add_argument("--engine", choices=["libaio", "io_uring", "psync"], default="libaio", help="fio's I/O engine (libaio)")
    g.add_argument("--pin", choices=["auto", "off"], default="auto",
                   help="auto: pin monitors and fio to CPUs of their own if there are enough")
    g.add_argument("--timeout", type=number(1, 86400, float), metavar="S",
                   help="longest silence of a guest (60 more than --seconds; emulated: 300)")
    g.add_argument("--place", choices=["auto", "native", "emulated"], default="auto")
    g.add_argument("--dir", metavar="DIR", help="directory of the disk files (build/boot-and-fio/data)")
    g.add_argument("--out", metavar="DIR", help="directory of the results (build/boot-and-fio)")
    g = p.add_argument_group("comparison")
    g.add_argument("--compare", nargs=2, type=file, metavar=("OLD", "NEW"), help="compare two result.json files; nothing is run")
    g.add_argument("--floor", type=number(0.1, 90, float), metavar="%", default=5.0,
                   help="how much worse is a regression (5)")
    return p


def parse(argv):
    options = parser().parse_args(argv)
    if options.quick and options.full:
        raise Fatal("usage", "--quick and --full exclude each other", USAGE)
    if options.initrd and options.rootfs:
        raise Fatal("usage", "--initrd and --rootfs exclude each other", USAGE)
    if options.no_fio and options.no_boot:
        raise Fatal("usage", "--no-fio and --no-boot leave nothing to do", USAGE)
    if len(options.counts) != 2 or options.counts[0] >= options.counts[1]:
        raise Fatal("usage", "--counts: two numbers, the first one less", USAGE)
    if options.peers and "none" in options.peers and len(options.peers) > 1:
        raise Fatal("usage", "--peers: none excludes all others", USAGE)
    return options


def blocks(options, emulated):
    """Returns the blocks of rows: those of the preset, or all combinations of the given values,
    where the preset's first block supplies each value that is not given."""
    preset = matrix.FULL if options.full else matrix.EMULATED if emulated else matrix.QUICK
    if not (options.workloads or options.sizes or options.depths):
        return preset
    first = preset[0]
    return [(options.workloads or first[0], options.sizes or first[1], options.depths or first[2])]


def ram(rows):
    """Returns the guest RAM that all of these rows need: fio's buffers in flight, and 128 MiB for
    the rest of a small guest."""
    step = 64 << 20
    return max(256 << 20, (max(map(matrix.buffers, rows), default=0) + (128 << 20) + step - 1) // step * step)


def effective(options, emulated, host_cpus):
    """Fills in the defaults that depend on the place."""
    o = options
    o.runs = o.runs or (5 if o.full else 3)
    o.boots = o.boots or o.runs
    o.seconds = o.seconds or (3.0 if o.full else 1.0)
    o.warm_up = o.warm_up or o.seconds / 3
    o.size = o.size or ((64 if emulated else 256) << 20)
    o.cpus = o.cpus or (1 if emulated else max(1, min(4, host_cpus // 2)))
    o.timeout = o.timeout or (300.0 if emulated else 60.0 + o.seconds)
    o.jobs = sorted({1 if j == "1" else o.cpus for j in o.jobs or (["1", "cpus"] if o.full else ["1"])})
    o.memory = o.memory or ram([] if o.no_fio else matrix.rows(blocks(o, emulated), o.jobs))
    o.peers = [] if o.peers == ["none"] else o.peers or ["qemu", "lkvm", "firecracker", "host"]
    o.ours = o.ours or (matrix.OURS_FULL if o.full else matrix.OURS_QUICK)
    return o
