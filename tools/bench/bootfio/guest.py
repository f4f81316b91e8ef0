# SPDX-License-Identifier: BSD-3-Clause
"""fio jobs one after the other in a running guest, and on the host."""

import math
import os
import re
import time
from contextlib import suppress

from . import fiojson, matrix, monitors
from .errors import RowFailed
from .probe import Probe, per_request

# The guest evaluates the shell commands that arrive on its console, and answers with lines "mark
# ...". `cat | sh` would not do: busybox's cat uses sendfile, which holds the pipe's lock while it
# waits for data.
SHELL = "stty -echo 2>/dev/null; set -f; echo mark ready; while read -r l; do eval $l; done"
# While fio runs, only its end is printed on the console; its JSON follows later, in lines of
# bounded length.
FIO = ("f() { fio \"$@\" --output=/tmp/fio.out </dev/null >/tmp/fio.err 2>&1; s=$?; echo mark fio $s; "
       "[ $s = 0 ] || tail -n 3 /tmp/fio.err; }; "
       "j() { tr -d ' \\n' </tmp/fio.out | fold -w 1000; echo; echo mark json; }")

# Bounds of runs with a fixed number of requests. TIMED: a run takes at least this many seconds,
# unless that needs more than MOST times the requests. WALL: a run takes at most about this many
# seconds of this machine's time, because the emulator's clock stops while its host waits for the
# disk.
TIMED, MOST, WALL = 0.8, 30, 60


class Guest:
    """One monitor with its guest, which is started on demand and restarted after a failure."""

    def __init__(self, variant, context):
        self.variant, self.context, self.place = variant, context, context.place
        self.disk = context.disk_of(variant)
        self.process = self.probe = None
        self.argv = []
        self.scale = {}

    def log_path(self, what):
        return os.path.join(self.context.logs, f"{self.variant.name}-{what}.log")

    def up(self):
        if self.process:
            return
        self.argv = monitors.command(self.variant, self.context.setup, self.disk, SHELL, self.place)
        log = open(self.log_path("fio"), "a", encoding="utf-8")
        terminal = [self.context.on_tty] if self.variant.wants_terminal and self.context.on_tty else []
        self.process = self.place.start(terminal + self.argv, self.variant.name, log, pinned=True)
        self.await_mark("ready")
        self.probe = Probe(self.place, self.process.pid)
        if self.variant.wants_terminal:
            # lkvm's four serial ports read from one terminal. The first port takes 64 bytes. When
            # more bytes arrive at once, each other port takes a part, keeps it because no process
            # reads there, and takes nothing again. This comment is what they take.
            self.place.say(self.process, "#" * 512)
        self.place.say(self.process, FIO)

    def await_mark(self, word):
        """Waits for the line "mark WORD [number]". Returns (stamp, number, the lines before it)."""
        last, before = "", []
        try:
            while item := self.process.line(self.context.timeout):
                stamp, text = item
                text = text.strip("\r")
                # A kernel message may precede the mark on the same line. A kernel message that
                # shows the command line contains the word, too, but does not end with it.
                found = re.search(rf"mark {word} *(\d*)\s*$", text)
                if found:
                    return stamp, found[1], before
                before.append(text)
                last = text.strip() or last
        except RowFailed as silence:
            raise RowFailed(f"{silence} (the console ends: {last[-100:] or 'nothing'})") from None
        raise RowFailed(f"ended with status {self.process.status}: {last[-100:] or 'no output'}")

    def fio(self, words):
        """Runs fio once. Returns the seconds by the place's clock."""
        began = self.place.clock()
        self.place.say(self.process, "f " + " ".join(words))
        stamp, status, _ = self.await_mark("fio")
        if status != "0":
            self.place.say(self.process, "echo mark json")
            _, _, before = self.await_mark("json")
            raise RowFailed(f"fio: {' '.join(before)[-160:] or 'exit status ' + status}")
        return stamp - began

    def result(self):
        self.place.say(self.process, "j")
        return fiojson.parse("".join(self.await_mark("json")[2]))

    def look(self):
        return self.probe.look()

    def words(self, row, **how):
        context = self.context
        return matrix.fio_words(row, context.setup.guest_disk, context.options.engine, context.bytes, **how)

    def measure(self, row):
        """Measures a row once. Returns fio's results and the cost per request."""
        self.up()
        options = self.context.options
        if not self.place.emulated:
            self.fio(self.words(row, seconds=options.warm_up))
            before = self.look()
            self.fio(self.words(row, seconds=options.seconds))
            after = self.look()
            result = self.result()
        else:
            result, before, after = self._counted(row)
        result.update(per_request(before, after, result["requests"]))
        return result

    def _counted(self, row):
        """Measures by the emulator's clock: the difference of a long and a short run cancels fio's
        own start and end."""
        few, many = matrix.counts(row, *self.context.options.counts)
        if row not in self.scale:
            self.scale[row] = self._warm_up(row, few, many)
        many *= self.scale[row]
        # The short run is repeated, and its minimum counts: a disturbed short run would be
        # subtracted from the long one and make the rate far too high. A disturbed long run only
        # makes it lower.
        short = min(self.fio(self.words(row, requests=few)) for _ in range(2))
        before = self.look()
        long = self.fio(self.words(row, requests=many))
        after = self.look()
        result = self.result()
        if long <= short:
            raise RowFailed("too few requests to be timed")
        by_fio = result["iops"]
        result["iops"] = (many - few) * row.jobs / (long - short)
        result["bandwidth"] = result["bandwidth"] * result["iops"] / by_fio
        return result, before, after

    def _warm_up(self, row, few, many):
        """Returns the factor by which the long run has to grow, so that a clock of hundredths can
        time it."""
        began = time.monotonic()
        long = self.fio(self.words(row, requests=many))
        wall = time.monotonic() - began
        short = self.fio(self.words(row, requests=few))
        if wall > WALL:
            raise RowFailed(f"too slow to be measured: {many} requests of each job take {wall:.0f} s (--counts asks for fewer)")
        return min(MOST, max(1, math.ceil(TIMED / max(long - short, 0.01))), max(1, int(WALL / max(wall, 0.01))))

    def memory(self):
        return self.probe.memory(self.context.setup.memory_mb) if self.probe else None

    def down(self, failed=False):
        """Powers the guest off; kills the monitor if the guest failed or does not power off."""
        process, self.process, self.probe = self.process, None, None
        if not process:
            return
        with suppress(RowFailed):
            if not failed:
                self.place.say(process, self.variant.power_off)
                for _ in process.lines(min(10, self.context.timeout)):
                    pass
        self.place.kill(process)
        process.close_log()


class Host(Guest):
    """fio on the host, without a guest: the upper bound."""

    def up(self):
        self.process = None

    def fio(self, words):
        began = self.place.clock()
        log = open(self.log_path("fio"), "w", encoding="utf-8")
        process = self.place.start([self.context.fio] + words, self.variant.name, log, pinned=True)
        lines, stamp = [], began
        try:
            while item := process.line(self.context.timeout):
                stamp = item[0]
                lines.append(item[1])
        finally:
            self.place.kill(process)
            process.close_log()
        self.text = "\n".join(lines)
        if process.status:
            raise RowFailed(f"fio: {' '.join(self.text.split())[-160:] or 'exit status ' + str(process.status)}")
        return stamp - began

    def result(self):
        return fiojson.parse(self.text)

    def look(self):
        return {"cpu": None, "exits": None, "irqs": None}

    def words(self, row, **how):
        context = self.context
        return matrix.fio_words(row, self.disk, context.options.engine, context.bytes, **how)

    def memory(self):
        return None

    def down(self, failed=False):
        pass
