# SPDX-License-Identifier: BSD-3-Clause
"""Where monitors and fio run: on this machine, or in the emulated host (tools/kvmhost). Both start
processes, and stamp each output line with the place's own clock."""

import os
import queue
import shlex
import signal
import subprocess
import tempfile
import threading
import time

from .errors import Fatal, RowFailed


class Process:
    """A process in a place. A reader thread feeds its lines; everything else runs on the main
    thread."""

    def __init__(self, name, log):
        self.name, self.log = name, log
        self.pid = self.status = self.started = self.popen = self.key = None
        self._queue = queue.Queue()
        self._ended = False

    def feed(self, stamp, text):
        """Queues a line, or, after the last line, the exit status (an int). Called by the reader
        thread."""
        self._queue.put((stamp, text))

    def line(self, timeout):
        """Returns the next (stamp, line), or None at the end. Raises RowFailed after `timeout`
        seconds without a line."""
        if self._ended:
            return None
        try:
            stamp, text = self._queue.get(timeout=timeout)
        except queue.Empty:
            raise RowFailed(f"no output within {timeout:g} s") from None
        if isinstance(text, int):
            self._ended, self.status, self.ended = True, text, stamp
            return None
        if self.log:
            self.log.write(text + "\n")
            self.log.flush()
        return stamp, text

    def close_log(self):
        if self.log:
            self.log.close()
            self.log = None

    def lines(self, timeout):
        while (item := self.line(timeout)) is not None:
            yield item[1]


class Place:
    """Base class of both places."""

    timeout = 60

    def run(self, argv, timeout=None):
        """Runs a command to its end. Returns (status, lines)."""
        process = self.start(argv, "command")
        try:
            found = list(process.lines(timeout or self.timeout))
        finally:
            self.kill(process)
        return process.status, found

    def must(self, argv, what, timeout=None):
        """Runs a command that has to succeed before anything can be measured; raises Fatal if it
        fails."""
        status, lines = self.run(argv, timeout)
        if status:
            raise Fatal(what, (lines or [f"exit status {status}"])[-1])
        return lines


class Local(Place):
    """The machine that this program runs on."""

    name, emulated = "native", False
    clock_name = "the monotonic clock"

    def __init__(self, directory, cpus=None):
        self.directory = directory
        self._prefix = ["taskset", "-c", ",".join(map(str, cpus))] if cpus else []
        self._running = []

    @staticmethod
    def clock():
        return time.monotonic()

    @staticmethod
    def stage(path, _name):
        return os.path.abspath(path)

    def open(self):
        pass

    def start(self, argv, name, log=None, pinned=False):
        process = Process(name, log)
        process.started = self.clock()
        try:
            process.popen = subprocess.Popen(
                (self._prefix if pinned else []) + list(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, start_new_session=True, cwd=self.directory)
        except OSError as error:
            raise RowFailed(f"{argv[0]}: {error.strerror}") from error
        process.pid = process.popen.pid
        self._running.append(process)
        threading.Thread(target=self._pump, args=(process,), daemon=True).start()
        return process

    def _pump(self, process):
        for line in process.popen.stdout:
            process.feed(self.clock(), line.decode("utf-8", "replace").rstrip("\r\n"))
        status = process.popen.wait()
        process.feed(self.clock(), status)

    @staticmethod
    def say(process, text):
        try:
            process.popen.stdin.write(text.encode() + b"\n")
            process.popen.stdin.flush()
        except OSError as error:
            raise RowFailed(f"takes no input: {error.strerror}") from error

    def kill(self, process):
        # The process has its own session, so its group has no other members. The group is signalled
        # only before the process has been waited for: its number may be reused afterwards.
        if process.popen.poll() is None:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.popen.wait()
        if process in self._running:
            self._running.remove(process)

    @staticmethod
    def read(path):
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def write(self, name, text):
        """Writes a file beside the disks. Returns its path."""
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def close(self):
        for process in list(self._running):
            self.kill(process)


class Remote(Place):
    """The emulated host, where tools/emuhost/boot-and-fio reads commands on its standard input. Its
    clock is the CPU time of the emulator, so other load on this machine does not count; while a
    guest has work, the emulator's single CPU is never idle."""

    name, emulated = "emulated", True
    clock_name = "the emulator's CPU time"
    timeout = 600
    memory_mb = 2048

    def __init__(self, top, out, timeout):
        self._top, self._files, self._timeout = top, [], timeout
        self._work = tempfile.TemporaryDirectory(prefix="boot-and-fio.")
        self._pid_file = os.path.join(self._work.name, "pid")
        self._out = out
        self._known, self._next, self._popen = {}, 0, None
        self.directory = "."
        self.stage(os.path.join(top, "tools/emuhost/boot-and-fio"), "agent")

    def clock(self):
        """Returns seconds, with a resolution of a hundredth."""
        try:
            with open(self._pid_file, encoding="ascii") as file:
                pid = int(file.read())
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                fields = file.read().rsplit(")", 1)[1].split()
        except (OSError, ValueError, IndexError):
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stage(self, path, name):
        self._files += ["--file", f"{os.path.abspath(path)}:{name}"]
        return "./" + name

    def open(self):
        with open(os.path.join(self._out, "emulated-host.log"), "w", encoding="utf-8") as log:
            self._popen = subprocess.Popen(
                [os.path.join(self._top, "tools/kvmhost"), "--timeout", str(self._timeout), "--pid-file", self._pid_file,
                 "--memory", str(self.memory_mb)] + self._files + ["--", "sh", "./agent"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True,
                env={**os.environ, "KVMHOST": "emulated"})
        ready = self._popen.stdout.readline()
        if ready.strip() != b"agent ready":
            self.close()
            raise Fatal("emulated host", f"does not come up (see {log.name})")
        threading.Thread(target=self._pump, daemon=True).start()

    def _pump(self):
        for raw in self._popen.stdout:
            stamp = self.clock()
            key, kind, text = (raw.decode("utf-8", "replace").rstrip("\r\n") + "  ").split(" ", 2)
            process = self._known.get(key)
            if process is None:
                continue
            text = text[:-2].rstrip("\r")
            if kind == "end":
                process.feed(stamp, int(text) if text.isdigit() else 1)
            elif process.pid is None and text.startswith("pid "):
                process.pid = int(text[4:])
            else:
                process.feed(stamp, text)
        for process in self._known.values():
            process.feed(0.0, 255)

    def _tell(self, text):
        try:
            self._popen.stdin.write(text.encode() + b"\n")
            self._popen.stdin.flush()
        except OSError as error:
            raise Fatal("emulated host", "is gone; see emulated-host.log") from error

    def start(self, argv, name, log=None, pinned=False):
        del pinned
        self._next += 1
        process = Process(name, log)
        process.key = f"p{self._next}"
        self._known[process.key] = process
        process.started = self.clock()
        self._tell(f"start {process.key} {shlex.join(argv)}")
        return process

    def say(self, process, text):
        self._tell(f"say {process.key} {text}")

    def kill(self, process):
        if process.pid and process.status is None:
            self._tell(f"kill {process.pid}")

    def read(self, path):
        status, lines = self.run(["cat", path])
        if status:
            raise OSError(path)
        return "\n".join(lines)

    def write(self, name, text):
        """Writes a file and returns its path. Before the host is up only the path is returned: the
        contents are not needed then."""
        if self._popen:
            self.must(["sh", "-c", 'printf %s "$1" >"$2"', "sh", text, name], name)
        return "./" + name

    def close(self):
        if self._popen:
            self._popen.terminate()
            self._popen.wait()
        self._work.cleanup()
