# SPDX-License-Identifier: BSD-3-Clause
"""Processes, programs and files of a session of vhost-bench."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile

from bootfio.errors import Fatal, RowFailed

from .variants import parse_json


class Place:
    """Owns all processes and temporary files of the session."""

    def __init__(self, options, signals):
        self.options, self.signals = options, signals
        self.formats, self.queues = options.formats, max(options.queues)
        programs = os.path.join(options.top, "build/release/tests/bench")
        self.vubench, self.ringbench = os.path.join(programs, "vubench"), os.path.join(programs, "ringbench")
        self.microvm_blk = os.path.realpath(options.microvm_blk)
        for program in (self.microvm_blk, self.vubench, self.ringbench):
            if not os.access(program, os.X_OK):
                raise Fatal(program, "not found (make vhost-bench builds it)")
        self.blkio = os.path.join(options.top, "build/libblkio/blkio-bench")
        self.blkio = self.blkio if os.access(self.blkio, os.X_OK) else None
        self.processes = set()
        # A socket's path has at most 107 bytes, so that it cannot be below any --dir.
        self.work = tempfile.mkdtemp(prefix="vhost-bench.")

    def file(self, kind):
        return os.path.join(os.path.abspath(self.options.dir), kind + ".img")

    def make_file(self, kind):
        path, size = self.file(kind), self.options.size
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if not os.path.exists(path) or os.path.getsize(path) != size:
                with open(path, "wb") as file:
                    if kind == "never-written":
                        os.posix_fallocate(file.fileno(), 0, size)
                    else:
                        for _ in range(size >> 20):
                            file.write(os.urandom(1 << 20))
            if kind == "cached":
                with open(path, "rb") as file:
                    while file.read(1 << 20):
                        pass
        except OSError as error:
            raise Fatal(path, f"cannot be made: {error.strerror}") from None

    # ---- processes: each has a session of its own, so that Ctrl-C reaches only this program ----

    def spawn(self, command, **options):
        try:
            with self.signals.hold():
                process = subprocess.Popen(command, start_new_session=True, **options)
                self.processes.add(process)
        except OSError as error:
            raise RowFailed(f"{command[0]}: {error.strerror}") from None
        return process

    def end(self, process):
        """Ends a process and its children. It stays registered until it has ended."""
        for signum in (signal.SIGTERM, signal.SIGKILL):
            if process.poll() is None:
                os.killpg(process.pid, signum)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
                break
        self.processes.discard(process)

    def output(self, command, server=None):
        """Runs a client, and returns the JSON that it prints."""
        process = self.spawn(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            out, err = process.communicate(timeout=self.options.seconds + 60)
        except subprocess.TimeoutExpired:
            raise RowFailed("does not end") from None
        finally:
            self.end(process)
        if process.returncode:
            said = (err.strip().splitlines() or ["no message"])[-1]
            raise RowFailed(said + (f"; {server.last_words()}" if server and server.last_words() else ""))
        return parse_json(out)

    def count_calls(self, pid, path, seconds):
        """Counts the system calls of a process for some time, into a file that variants.calls reads."""
        process = self.spawn(["perf", "stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p", str(pid), "-o", path, "--",
                              "sleep", str(seconds)])
        process.wait()
        self.processes.discard(process)

    def close(self):
        for process in list(self.processes):
            self.end(process)
        shutil.rmtree(self.work, ignore_errors=True)
