# SPDX-License-Identifier: BSD-3-Clause
"""The session of vhost-bench: the order of the runs, and the end."""

import functools
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

from bootfio.errors import Fatal, Interrupted, RowFailed
from bootfio.stats import median

from . import options as command_line
from . import variants
from .place import Place
from .report import Results, line
from .signals import Signals

QUICK_LIMIT = 110  # seconds after which --quick starts no further run
OVERHEAD = 0.35  # seconds that a run takes besides --seconds, warm-up included
WITHOUT_INDIRECT = 85  # requests that fit into a ring of 256 descriptors


@dataclass(frozen=True)
class Cell:
    """What a run measures."""

    file: str
    format: str
    queues: int
    wait: str
    depth: int


class Session:
    def __init__(self, options, place):
        self.options, self.place = options, place
        self.results = Results()
        self.servers = {}  # file -> variants
        self.cells = [Cell(file, form, queues, wait, depth)
                      for file in options.files for form in options.formats for queues in options.queues
                      for wait in options.waits for depth in options.depths
                      if depth <= WITHOUT_INDIRECT or "indirect" in form or form == "blkio"]
        self.end = time.monotonic() + QUICK_LIMIT if options.quick else None
        self.broken = set()
        self.failed = False
        self.out = open(os.path.join(options.dir, "results.jsonl"), "w", encoding="utf-8")

    def start(self):
        number = 0
        for file in self.options.files:
            self.servers[file] = []
            for name in self.options.variants:
                number += 1
                try:
                    self.servers[file].append(variants.create(name, self.place, number, file))
                except RowFailed as error:
                    self.fail(name, f"{file}: {error}")
        if "blkio" in self.options.formats and not self.place.blkio:
            self.results.skip("blkio", "libblkio's blkio-bench is not there (tools/fetch-libblkio build)")

    def fail(self, name, why):
        self.results.skip(name, why)
        self.failed |= name.startswith("microvm") or name == "inprocess"

    def expected(self):
        """Returns the expected length in seconds."""
        runs = self.options.runs + has_perf()
        each = sum(len(self.servers[cell.file]) for cell in self.cells)
        return runs * each * (self.options.seconds + OVERHEAD) + 3

    def is_late(self):
        late = self.end is not None and time.monotonic() > self.end
        if late:
            self.results.skip("--quick", "two minutes are over: some runs are left out")
        return late

    def one(self, cell, variant, counted):
        if (cell.file, cell.format, variant.name) in self.broken or self.is_late():
            return
        name = f"{cell.file} {cell.format} q{cell.queues} {cell.wait} d{cell.depth} {variant.name}"
        try:
            result = variant.run(cell, min(self.options.seconds, 0.25) if counted else self.options.seconds, counted)
        except RowFailed as error:
            self.broken.add((cell.file, cell.format, variant.name))
            self.fail(name, error)
            return
        if result is None:
            return
        if counted:  # perf changes the rates
            result = {"calls": result["calls"], "iops": None}
        self.results.add(cell, variant.name, result)
        self.out.write(json.dumps({**asdict(cell), "variant": variant.name, **result}) + "\n")
        self.out.flush()
        if not counted:
            print(line(name, result), flush=True)

    def round(self, number, counted=False):
        for cell in self.cells:
            order = self.servers[cell.file]
            # Every other round runs backwards, so that no variant always follows the same other one.
            for variant in reversed(order) if number % 2 else order:
                self.one(cell, variant, counted)

    def measure(self):
        for number in range(self.options.runs):
            self.round(number)
        self.measure_idle()
        if has_perf():
            self.round(0, counted=True)
        else:
            self.results.skip("system calls", "perf cannot count them (package linux-perf, and permission)")

    def measure_idle(self):
        for variant in self.servers[self.options.files[0]]:
            if variant.pid and variant.client == [] and not self.is_late():
                try:
                    self.results.idle[variant.name] = self.idle(variant)
                except RowFailed as error:
                    self.fail(f"{variant.name} idle", error)

    def idle(self, variant):
        """Returns what a back end uses while its rings are live and have no requests."""
        place = self.place
        command = [place.vubench, "--socket", variant.path, "--seconds", "0.2", "--depth", "1", "--wait", "--idle", "1"]
        client = place.spawn(command, stdout=subprocess.PIPE, text=True)
        try:
            if not client.stdout.readline():
                raise RowFailed("no result")
            time.sleep(0.2)  # time in which it may still poll
            count, cpu = [], variants.cpu_ns(variant.pid)
            path = os.path.join(place.work, "calls")
            if has_perf():
                place.count_calls(variant.pid, path, 0.5)
                count = [f"{variants.calls(path) * 2} system calls a second"]
            else:
                time.sleep(0.5)
            cpu = variants.cpu_ns(variant.pid) - cpu
            resident = memory(variant.pid)
        finally:
            place.end(client)
        connects = [run["connect_us"] for cell in self.results.runs.values() for run in cell.get(variant.name, [])
                    if run.get("connect_us")]
        times = f"{median(connects) / 1000:.2f} ms, {min(connects) / 1000:.2f} ms" if connects else "-"
        return ", ".join([times, *count, f"CPU {cpu / 5e6:.2f} %",
                          f"{resident} KiB resident beside guest memory"])

    def report(self):
        for words in self.results.tables():
            print(words)
        print(f"\nall runs: {self.out.name}", flush=True)


def memory(pid):
    """Returns the KiB of a process's resident memory that is not shared memory, which guest memory is."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return sum(int(row.split()[1]) for row in file if row.startswith(("RssAnon:", "RssFile:")))


@functools.cache
def has_perf():
    return bool(shutil.which("perf")) and subprocess.run(
        ["perf", "stat", "-e", "raw_syscalls:sys_enter", "true"], capture_output=True, check=False).returncode == 0


def run(options, signals):
    place = Place(options, signals)
    try:
        for file in options.files:
            place.make_file(file)
        session = Session(options, place)
        session.start()
        minutes = min(session.expected(), QUICK_LIMIT + 10 if options.quick else 1e9) / 60
        print(f"vhost-bench: {os.cpu_count()} CPUs, {platform.system()} {platform.release()}, load {os.getloadavg()[0]:.1f}, "
              f"{options.runs} runs of {options.seconds:g} s, about {minutes:.1f} minutes; Ctrl-C prints what is there",
              flush=True)
        code = 0
        try:
            session.measure()
        except Interrupted as error:
            code = error.code
            print("\nvhost-bench: ended early")
        session.report()
        return code or int(session.failed)
    finally:
        place.close()


def main(top, words):
    try:
        return run(command_line.parse(top, words), Signals())
    except Fatal as error:
        print(f"vhost-bench: {error}", file=sys.stderr)
        return error.code
    except Interrupted as error:
        return error.code
