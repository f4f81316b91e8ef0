# SPDX-License-Identifier: BSD-3-Clause
"""The back ends that are compared, and how a run of each is started."""

import json
import os
import shutil
import socket
import subprocess
import time

from bootfio.errors import RowFailed

POLL_US = 100  # default of microvm-blk
# Name -> (engine, whether it polls, options of the client).
MICROVM = {"microvm-uring": ("io_uring", True, []), "microvm-libaio": ("libaio", True, []),
           "microvm-nopoll": ("io_uring", False, []), "microvm-inflight": ("io_uring", True, ["--inflight"]),
           "microvm-log": ("io_uring", True, ["--log"])}
QSD = {f"qsd-{aio}{suffix}": (aio, not suffix) for aio in ("native", "io_uring", "threads") for suffix in ("", "-nopoll")}
# Name -> options of ringbench.
NULL = {"null": [], "null-inflight": ["--inflight"], "null-log": ["--dirty"]}
NAMES = (*MICROVM, *QSD, "inprocess", *NULL, "fio")


class Variant:
    """A row of the tables. run() raises RowFailed."""

    def __init__(self, name, place):
        self.name, self.place = name, place
        self.pid = None

    def run(self, cell, seconds, counted=False):
        raise NotImplementedError

    def stop(self):
        pass


class Server(Variant):
    """A vhost-user back end; its process lives until stop(). One serves all its cells of one file."""

    def __init__(self, name, place, number, command, client):
        super().__init__(name, place)
        self.client = client
        self.path = os.path.join(place.work, f"{number}.sock")
        self.log = os.path.join(place.work, f"{number}.log")
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = place.spawn(command(self.path), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.pid = self.process.pid
        self.await_socket()

    def await_socket(self):
        end = time.monotonic() + 20
        while True:
            with socket.socket(socket.AF_UNIX) as sock:
                if sock.connect_ex(self.path) == 0:
                    return
            if self.process.poll() is not None or time.monotonic() > end:
                raise RowFailed(self.last_words() or "does not start")
            time.sleep(0.01)

    def last_words(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            lines = log.read().strip().splitlines()
        return lines[-1] if lines else ""

    def command(self, cell, seconds):
        if cell.format == "blkio":
            if not self.place.blkio or self.client:
                return None
            return [self.place.blkio, f"--iodepth={cell.depth}", f"--num-threads={cell.queues}", "--readwrite=randread",
                    f"--runtime={whole(seconds)}", *(["--poll"] if cell.wait == "poll" else []), "virtio-blk-vhost-user",
                    f"path={self.path}"]
        return [self.place.vubench, "--socket", self.path, "--pid", str(self.pid), "--depth", str(cell.depth), "--queues",
                str(cell.queues), "--seconds", str(seconds), *ring_options(cell),
                *(["--wait"] if cell.wait == "call" else []), *self.client]

    def run(self, cell, seconds, counted=False):
        if "packed" in cell.format and self.name in QSD:
            raise RowFailed("it has no packed rings")
        command = self.command(cell, seconds)
        if not command:
            return None
        before = cpu_ns(self.pid)
        perf = ["perf", "stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p", str(self.pid), "-o",
                os.path.join(self.place.work, "calls"), "--"]
        out = self.place.output(perf + command if counted else command, self)
        if cell.format == "blkio":
            out = blkio_result(out, whole(seconds), cpu_ns(self.pid) - before)
        if counted:
            out["calls"] = calls(os.path.join(self.place.work, "calls")) / out["all_requests"]
        return out

    def stop(self):
        self.place.end(self.process)


class InProcess(Variant):
    """The dataplane in the client's process. Variants of NULL do no I/O, and are measured at depth 32 only."""

    def run(self, cell, seconds, counted=False):
        null = self.name in NULL
        if counted or cell.format == "blkio" or null and (cell.depth != 32 or cell.file != self.place.options.files[0]):
            return None
        return self.place.output(
            [self.place.ringbench, "--memfd", "--depth", str(cell.depth), "--queues", str(cell.queues), "--seconds",
             str(seconds), "--poll-us", str(POLL_US), *ring_options(cell), *(["--wait"] if cell.wait == "call" else []),
             *(NULL[self.name] if null else ["--engine", "io_uring", "--file", self.place.file(cell.file)]),
             *(["--buffered"] if cell.file == "cached" else [])])


class Fio(Variant):
    """fio with io_uring. It has no rings, so that it is measured with the first format only."""

    def run(self, cell, seconds, counted=False):
        if counted or cell.format != self.place.formats[0]:
            return None
        out = self.place.output(
            ["fio", "--name=f", f"--filename={self.place.file(cell.file)}", "--readonly", "--rw=randread", "--bs=4k",
             "--ioengine=io_uring", f"--iodepth={cell.depth}", f"--numjobs={cell.queues}", "--group_reporting",
             f"--direct={int(cell.file != 'cached')}", "--time_based", f"--runtime={whole(seconds)}",
             "--ramp_time=100ms", "--norandommap", "--randrepeat=0", "--invalidate=0", "--output-format=json"])
        job = out["jobs"][0]
        read, lat = job["read"], job["read"]["clat_ns"].get("percentile", {})
        share = (job["usr_cpu"] + job["sys_cpu"]) / 100 * cell.queues
        return {"iops": read["iops"], "cpu_ns": share * 1e9 / read["iops"],
                "p50_us": lat.get("50.000000", 0) / 1000, "p99_us": lat.get("99.000000", 0) / 1000}


def ring_options(cell):
    return [f"--{word}" for word in ("packed", "indirect") if word in cell.format]


def cpu_ns(pid):
    """Returns the CPU time of a process, from its clock (clock_getcpuclockid(3))."""
    return time.clock_gettime_ns(~pid << 3 | 2)


def whole(seconds):
    """Returns a length for clients that take whole seconds only."""
    return max(1, round(seconds))


def calls(path):
    """Returns the number of system calls in the output of perf."""
    with open(path, encoding="utf-8") as file:
        for line in file:
            count = line.split(",")[0]
            # perf's word for a process that has not run at all.
            if count.isdigit() or count == "<not counted>":
                return int(count) if count.isdigit() else 0
    raise RowFailed("perf has counted nothing")


def blkio_result(out, seconds, cpu):
    """Converts the result of blkio-bench. The CPU time includes that of the connection."""
    rate = out["aggregate"]["kiops"] * 1000
    return {"iops": rate, "cpu_ns": cpu / (rate * seconds), "all_requests": rate * seconds}


def quoted(path):
    """Doubles commas, as --disk and --blockdev want them."""
    return path.replace(",", ",,")


def microvm(name, place, number, file):
    engine, polls, client = MICROVM[name]
    disk = (f"{quoted(place.file(file))},readonly=on,engine={engine},direct={'off' if file == 'cached' else 'on'},packed=on,"
            f"queues={place.queues},poll-us={POLL_US if polls else 0}")
    return Server(name, place, number, lambda path: [place.microvm_blk, "--socket-path", path, "--disk", disk], client)


def qsd(name, place, number, file):
    aio, polls = QSD[name]
    if file == "cached" and aio == "native":
        raise RowFailed("aio=native has no page cache")
    program = shutil.which("qemu-storage-daemon")
    if not program:
        raise RowFailed("qemu-storage-daemon not found (package qemu-system-common)")
    return Server(name, place, number, lambda path: [
        program, "--object", f"iothread,id=t{'' if polls else ',poll-max-ns=0'}", "--blockdev",
        f"driver=file,node-name=f,filename={quoted(place.file(file))},aio={aio},read-only=on,locking=off,"
        f"cache.direct={'off' if file == 'cached' else 'on'}", "--export",
        f"type=vhost-user-blk,id=e,node-name=f,addr.type=unix,addr.path={path},writable=off,iothread=t,"
        f"num-queues={place.queues}"], [])


def create(name, place, number, file):
    """Starts a variant. Raises RowFailed if this machine does not have it."""
    if name in MICROVM:
        return microvm(name, place, number, file)
    if name in QSD:
        return qsd(name, place, number, file)
    if name == "fio" and not shutil.which("fio"):
        raise RowFailed("fio not found")
    return (Fio if name == "fio" else InProcess)(name, place)


def parse_json(text):
    try:
        return json.loads(text[text.index("{"):])
    except ValueError:
        raise RowFailed("no result") from None
