# SPDX-License-Identifier: BSD-3-Clause
"""Tests of vhost-bench from its command line to its exit code, with runs of a fraction of a second.

The back end is microvm-blk, or a script that simulates one that fails."""

import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

from bootfio.errors import Fatal
from vhostbench import options as command_line

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
BENCH = os.path.join(TOP, "build/release/tests/bench")
PROGRAMS = [os.path.join(TOP, "microvm-blk"), BENCH + "/vubench", BENCH + "/ringbench"]
BUILT = all(os.access(program, os.X_OK) for program in PROGRAMS)


class VhostBench(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="vhost-bench-test.")
        self.addCleanup(shutil.rmtree, self.dir)

    def start(self, *words):
        # Sockets and logs of the session are in TMPDIR.
        return subprocess.Popen(
            [sys.executable, TOP + "/tools/vhost-bench", "--dir", self.dir + "/out", "--size", "16M", *words],
            env=dict(os.environ, TMPDIR=self.dir), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True)

    def finish(self, process):
        out, err = process.communicate(timeout=300)
        self.assertEqual(glob.glob(self.dir + "/vhost-bench.*"), [], "temporary files were left behind")
        return process.returncode, out, err

    def short(self, *words):
        return self.start("--runs", "1", "--seconds", "0.3", "--files", "never-written", "--queues", "1", "--depths", "4", *words)

    def results(self):
        with open(self.dir + "/out/results.jsonl", encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def left(self):
        """Returns the processes whose command line names this test's directory."""
        found = []
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            try:
                with open(path, "rb") as file:
                    words = file.read()
            except OSError:
                continue
            if self.dir.encode() in words:
                found.append(words)
        return found

    def test_wrong_arguments_are_refused_by_name(self):
        for words, text in ((("--depths", "0"), "--depths: 0 is not from 1 to 256"),
                            (("--depths", "x"), "--depths: x is not a number"),
                            (("--queues", "17"), "--queues: 17 is not from 1 to 16"),
                            (("--formats", "split,ring"), "--formats: 'ring' is none of"),
                            (("--formats", "split,split"), "--formats: split,split names something twice"),
                            (("--files", "x"), "--files: 'x' is none of"),
                            (("--waits", "x"), "--waits: 'x' is none of"),
                            (("--variants", "qsd"), "--variants: 'qsd' is none of"),
                            (("--runs", "0"), "--runs: 0 is not from 1 to 1000"),
                            (("--seconds", "0"), "--seconds: 0 is not from 0.05 to 600"),
                            (("--size", "1"), "--size: 1 is not from 16M"),
                            (("--quik",), "unrecognized arguments: --quik")):
            with self.assertRaises(Fatal) as caught:
                command_line.parse(TOP, words)
            self.assertEqual(caught.exception.code, 2)
            self.assertIn(text, str(caught.exception))
        self.assertEqual(self.finish(self.start("--depths", "x")),
                         (2, "", "vhost-bench: usage: --depths: x is not a number (see --help)\n"))

    def test_missing_program_is_named(self):
        code, _, err = self.finish(self.short("--microvm-blk", self.dir + "/none"))
        self.assertEqual(code, 3)
        self.assertIn(f"{self.dir}/none: not found", err)

    @unittest.skipUnless(BUILT, "make microvm-blk bench-programs")
    def test_vubench_refuses_wrong_arguments_by_name(self):
        for words, text in ((("--depth", "0"), "--depth: is not a number in its range"),
                            (("--depth", "86"), "--depth: more than 85 need --indirect"),
                            (("--bytes", "513"), "--bytes: is not a multiple of 512"),
                            (("--seconds", "1x"), "--seconds: is not a number"),
                            (("more",), "more: no such option"),
                            (("--socket", "x" * 200), "--socket: the path is too long"),
                            (("--socket", self.dir + "/none"), "/none: No such file")):
            done = subprocess.run([PROGRAMS[1], "--socket", self.dir + "/s", *words], capture_output=True, text=True, check=False)
            self.assertNotEqual(done.returncode, 0, words)
            self.assertIn(text, done.stderr)

    @unittest.skipUnless(BUILT, "make microvm-blk bench-programs")
    def test_each_format_queue_count_and_way_of_waiting_gives_a_result(self):
        code, out, err = self.finish(self.short(
            "--formats", "split,packed,indirect,packed-indirect", "--queues", "2", "--waits", "call,poll", "--depths", "4,256",
            "--seconds", "0.1", "--variants", "microvm-uring"))
        self.assertEqual(code, 0, out + err)
        runs = [run for run in self.results() if run.get("iops")]
        # Depth 256 needs indirect descriptors.
        self.assertEqual(len(runs), (4 + 2) * 2)
        # On a busy machine the back end may not have run during one of them.
        for column in ("cpu_ns", "p50_us", "kicks"):
            self.assertGreater(sum(run[column] for run in runs), 0, column)
        for run in runs:
            self.assertGreaterEqual(run["p99_us"], run["p50_us"])

    @unittest.skipUnless(BUILT, "make microvm-blk bench-programs")
    def test_variants_are_compared_and_the_rest_is_reported_as_skipped(self):
        # A PATH without qemu-storage-daemon and fio.
        names = os.path.join(self.dir, "bin")
        os.mkdir(names)
        os.symlink(sys.executable, names + "/python3")
        process = subprocess.Popen(
            [sys.executable, TOP + "/tools/vhost-bench", "--dir", self.dir + "/out", "--size", "16M", "--runs", "2", "--seconds",
             "0.1", "--files", "never-written,cached", "--queues", "1", "--depths", "32", "--formats", "indirect", "--variants",
             "microvm-uring,microvm-inflight,inprocess,null,null-log,qsd-native,fio"], stdin=subprocess.DEVNULL,
            env=dict(os.environ, TMPDIR=self.dir, PATH=names), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        code, out, err = self.finish(process)
        self.assertEqual(code, 0, out + err)
        self.assertEqual(out.count(" k/s, CPU "), (3 * 2 + 2) * 2)
        for text in ("2 runs of 0.1 s, about ", "never-written, indirect, depth 32, ", "cached, indirect, depth 32, ",
                     "skipped  qsd-native: never-written: qemu-storage-daemon not found", "skipped  fio: ",
                     "compared: ", "    microvm-uring / inprocess: ", "    microvm-inflight / microvm-uring: ",
                     "    null-log / null: ",
                     "KiB resident beside guest memory", "skipped  system calls: perf"):
            self.assertIn(text, out)
        self.assertEqual(self.left(), [])

    @unittest.skipUnless(BUILT, "make microvm-blk bench-programs")
    def test_back_end_that_fails_has_exit_code_1_and_its_message_is_shown(self):
        with open(self.dir + "/broken", "w", encoding="ascii") as file:
            file.write("#!/bin/sh\necho 'no disk today' >&2\nexit 3\n")
        os.chmod(self.dir + "/broken", 0o755)
        code, out, err = self.finish(self.short("--microvm-blk", self.dir + "/broken", "--formats", "split", "--variants",
                                                "microvm-uring,inprocess"))
        self.assertEqual(code, 1, out + err)
        self.assertIn("skipped  microvm-uring: never-written: no disk today", out)
        self.assertEqual([run["variant"] for run in self.results()], ["inprocess"])

    @unittest.skipUnless(BUILT, "make microvm-blk bench-programs")
    def test_interruption_keeps_what_was_measured_and_ends_all_processes(self):
        for signum, want in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            process = self.short("--formats", "split,packed", "--runs", "1000", "--variants", "microvm-uring,inprocess")
            self.assertIn("Ctrl-C", process.stdout.readline())
            self.assertIn("microvm-uring: ", process.stdout.readline())
            process.send_signal(signum)
            code, out, err = self.finish(process)
            self.assertEqual(code, want, out + err)
            self.assertIn("vhost-bench: ended early", out)
            self.assertIn("never-written, split, depth 4, 1 queue(s)", out)
            self.assertGreaterEqual(len(self.results()), 1)
            self.assertEqual(self.left(), [])


if __name__ == "__main__":
    unittest.main()
