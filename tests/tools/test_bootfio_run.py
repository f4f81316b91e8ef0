# SPDX-License-Identifier: BSD-3-Clause
"""Tests of boot-and-fio from its command line to its exit code, with scripts that simulate the
monitors, fio and the guest's commands.

A simulated monitor is a shell that executes run="...". Its PATH has only simulated and harmless
programs, so that the guest's poweroff never powers off this machine."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
HARMLESS = ("sh", "sed", "grep", "tr", "fold", "tail", "sleep", "cat")

MONITOR = """\
case $* in *--version*) echo fake 1.0; exit ;; esac
run=$(printf '%s' "$*" | tr '\\n' ' ' | sed -n 's/.*run="\\([^"]*\\)".*/\\1/p' | sed 's#/dev/kmsg#/dev/null#')
sed -u "s#/tmp/#$FAKE/#g" | sh -c "$run"
"""
FIO = """\
out=/dev/stdout
for word; do
    case $word in
    --version) echo fio-fake; exit ;;
    --output=*) out=${word#--output=} ;;
    --iodepth=7) echo 'fio: seven is refused'; exit 1 ;;
    --iodepth=9) exec 9>"$FAKE/hangs"; echo hanging >&9; exec sleep 1000 ;;
    esac
done
{ echo 'note: fake'; sed -n 1,99p "$FAKE/fio.json"; } >"$out"
"""
FAKES = {
    "stty": ":", "dd": ":",
    "dmesg": 'echo "[    0.000010] at-init"',
    "poweroff": "kill -9 0", "reboot": "kill -9 0",
    "microvm": MONITOR, "fio": FIO,
}
ON_TTY = os.path.join(TOP, "build/release/tests/bench/on_tty")
FAILS = 'case $1 in version) echo 1; exit ;; esac\necho "lkvm: no memory for this"; exit 3'
# One of QEMU's variants hangs.
HANGS = "case $* in *aio=native*) echo booting; exec sleep 1000 ;; esac\n" + MONITOR


class Run(unittest.TestCase):
    def setUp(self):
        self.work = tempfile.mkdtemp(prefix="bootfio-test.")
        self.addCleanup(shutil.rmtree, self.work)
        self.bin = os.path.join(self.work, "bin")
        os.mkdir(self.bin)
        for name in HARMLESS:
            os.symlink(shutil.which(name), os.path.join(self.bin, name))
        for name, text in FAKES.items():
            self.fake(name, text)
        side = {"iops": 1000.0, "bw_bytes": 4096000, "total_ios": 1000, "runtime": 1000, "lat_ns": {
            "percentile": {"50.000000": 1, "99.000000": 2, "99.900000": 3}}}
        with open(os.path.join(self.work, "fio.json"), "w", encoding="utf-8") as file:
            json.dump({"jobs": [{"error": 0, "read": side, "write": {"total_ios": 0}}]}, file, indent=1)
        with open(os.path.join(self.work, "image"), "w", encoding="ascii") as file:
            file.write("image")

    def fake(self, name, text):
        path = os.path.join(self.bin, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(f"#!/bin/sh\nPATH={self.bin} FAKE={self.work}\nexport PATH FAKE\n{text}\n")
        os.chmod(path, 0o755)

    def start(self, *words):
        image = os.path.join(self.work, "image")
        return subprocess.Popen(
            [sys.executable, os.path.join(TOP, "tools/boot-and-fio"), "--place", "native", "--microvm",
             os.path.join(self.bin, "microvm"), "--kernel", image, "--initrd", image, "--size", "16M", "--pin", "off",
             "--cpus", "1", "--seconds", "0.05", "--out", os.path.join(self.work, "out"), *words],
            env={"PATH": self.bin, "LC_ALL": "C.UTF-8"}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)

    def finish(self, process):
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def result(self):
        with open(os.path.join(self.work, "out/result.json"), encoding="utf-8") as file:
            return json.load(file)

    def test_one_peer_fails_one_hangs_one_is_missing(self):
        self.fake("lkvm", FAILS)
        self.fake("qemu-system-x86_64", HANGS)
        code, out, err = self.finish(self.start(
            "--runs", "1", "--workloads", "randread", "--depths", "1", "--ours", "microvm:", "--timeout", "4"))
        self.assertEqual(code, 0, err)
        result = self.result()
        self.assertTrue(result["complete"])
        self.assertEqual(result["skipped"][0], {"name": "firecracker", "reason": "firecracker not found"})
        cells = result["rows"][0]["variants"]
        for name in ("microvm", "qemu-io_uring", "qemu-threads", "host"):
            self.assertEqual([run["iops"] for run in cells[name]["runs"]], [1000.0], name)
        self.assertIn("no memory for this", cells["lkvm"]["error"])
        self.assertIn("no output within 4 s", cells["qemu-native"]["error"])
        with open(cells["qemu-native"]["log"], encoding="utf-8") as log:
            self.assertEqual(log.read(), "booting\n")
        stages = result["boots"]["microvm"]["runs"][0]
        self.assertEqual([s for s in ("kernel", "init", "read", "off", "gone") if s in stages],
                         ["kernel", "init", "read", "off", "gone"])
        self.assertIn("no output", result["boots"]["qemu-native"]["error"])
        for text in ("skipped  firecracker", "FAILED   lkvm", "FAILED   qemu-native", "randread 4k depth 1"):
            self.assertIn(text, out)
        self.assertTrue(os.path.exists(os.path.join(self.work, "out/report.html")))

    @unittest.skipUnless(os.path.exists(ON_TTY), "make bench-programs")
    def test_lkvm_gets_a_terminal_to_read_from(self):
        self.fake("lkvm", "[ $1 = version ] || [ -t 0 ] || exit 9\n" + MONITOR)
        code, _, err = self.finish(self.start(
            "--runs", "1", "--workloads", "randread", "--depths", "1", "--ours", "microvm:", "--peers", "lkvm", "--no-boot"))
        self.assertEqual(code, 0, err)
        self.assertEqual([run["iops"] for run in self.result()["rows"][0]["variants"]["lkvm"]["runs"]], [1000.0])

    def test_failed_row_of_microvm_has_exit_code_1_and_the_next_is_measured(self):
        code, out, _ = self.finish(self.start(
            "--runs", "2", "--workloads", "randread", "--depths", "7,1", "--ours", "microvm:", "--peers", "none", "--no-boot"))
        self.assertEqual(code, 1)
        self.assertIn("seven is refused", out)
        cells = [row["variants"]["microvm"] for row in self.result()["rows"]]
        self.assertEqual([len(cell["runs"]) for cell in cells], [0, 2])

    def test_control_c_keeps_finished_rows_and_ends_all_processes(self):
        for signum, want in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            fifo = os.path.join(self.work, "hangs")
            os.mkfifo(fifo)
            process = self.start("--runs", "1", "--workloads", "randread", "--depths", "1,9", "--ours", "microvm:",
                                 "--peers", "none", "--no-boot", "--timeout", "600")
            with open(fifo, encoding="ascii") as hangs:
                self.assertEqual(hangs.readline(), "hanging\n")
                process.send_signal(signum)
                code, out, err = self.finish(process)
                self.assertEqual(code, want, err)
                # The FIFO reports a hang-up when the hanging process has ended.
                self.assertTrue(select.select([hangs], [], [], 20)[0], "a process was left behind")
                self.assertEqual(hangs.read(), "")
            result = self.result()
            self.assertFalse(result["complete"])
            self.assertEqual([len(row["variants"]["microvm"]["runs"]) for row in result["rows"]], [1, 0])
            self.assertIn("Ended early", out)
            os.unlink(fifo)

    def test_no_room_for_the_disk_files(self):
        code, _, err = self.finish(self.start("--peers", "none", "--size", "1024G", "--no-boot"))
        self.assertEqual(code, 3, err)
        self.assertEqual(err.count("\n"), 1, err)
        self.assertIn("has room for", err)

    def test_results_can_be_compared_from_the_command_line(self):
        words = ("--runs", "3", "--workloads", "randread", "--depths", "1", "--ours", "microvm:", "--peers", "none", "--no-boot")
        self.assertEqual(self.finish(self.start(*words))[0], 0)
        old = os.path.join(self.work, "out/result.json")
        new = os.path.join(self.work, "new.json")
        result = self.result()
        for run in result["rows"][0]["variants"]["microvm"]["runs"]:
            run["iops"] *= 0.7
        with open(new, "w", encoding="utf-8") as file:
            json.dump(result, file)
        for pair, want in (((old, old), 0), ((old, new), 1), ((new, old), 0), ((old, self.bin + "/microvm"), 3)):
            code, out, err = self.finish(self.start("--compare", *pair))
            self.assertEqual(code, want, out + err)
        self.assertEqual(self.finish(self.start("--compare", old, new, "--floor", "50"))[0], 0)


if __name__ == "__main__":
    unittest.main()
