# SPDX-License-Identifier: BSD-3-Clause
"""Tests of boot-budget with scripts that simulate the monitors: which are compared, which are left
out, and the exit code. There is no VM and no tracing."""

import os
import shutil
import subprocess
import tempfile
import unittest

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "../.."))
MICROVM = "sleep 0.05; echo 'microvm: exits: 15 to user space' >&2"
# Long enough to be measured by a clock with a resolution of 10 ms.
PEER = "sleep 0.4"


class BootBudget(unittest.TestCase):
    def setUp(self):
        self.work = tempfile.mkdtemp(prefix="boot-budget-test.")
        self.addCleanup(shutil.rmtree, self.work)
        self.bin = os.path.join(self.work, "bin")
        os.mkdir(self.bin)
        for name in ("kernel", "root.img"):
            self.file(name, "bytes")
        self.script("microvm", MICROVM)
        self.script("qemu-system-x86_64", PEER)

    def file(self, name, text):
        with open(os.path.join(self.work, name), "w", encoding="ascii") as file:
            file.write(text)

    def script(self, name, text):
        path = os.path.join(self.bin, name)
        with open(path, "w", encoding="ascii") as file:
            file.write("#!/bin/sh\n" + text + "\n")
        os.chmod(path, 0o755)

    def run_it(self):
        # Only the simulated peers are on PATH, even where real ones are installed.
        path = self.bin + ":" + os.pathsep.join(
            d for d in os.environ["PATH"].split(":") if not any(os.path.exists(f"{d}/{p}") for p in ("lkvm", "firecracker")))
        done = subprocess.run(
            [os.path.join(TOP, "tools/boot-budget"), f"{self.bin}/microvm", f"{self.work}/kernel", self.work, "2"],
            env={**os.environ, "PATH": path, "KVMHOST": "native", "TRACE": "/nonexistent", "SETTLE": "0"},
            capture_output=True, text=True, timeout=120, check=False)
        return done.returncode, done.stdout + done.stderr

    def test_missing_peers_are_reported(self):
        code, said = self.run_it()
        self.assertEqual(code, 0, said)
        self.assertIn("skip    lkvm: not found", said)
        self.assertIn("skip    firecracker: not found", said)
        self.assertRegex(said, r"qemu: process start to end, median of 2: 0\.\d\d s")

    def test_installed_peers_are_measured(self):
        self.script("lkvm", PEER)
        self.script("firecracker", PEER + "; grep -q '\"path_on_host\": \"disk.img\"' firecracker.json")
        code, said = self.run_it()
        self.assertIn("skip    firecracker: " + self.work + "/vmlinux, the kernel as ELF, cannot be read", said)
        self.file("vmlinux", "elf")
        code, said = self.run_it()
        self.assertEqual(code, 0, said)
        for name in ("qemu", "lkvm", "firecracker"):
            self.assertIn(f"{name}: process start to end, median of 2", said)
        self.assertNotIn("skip    firecracker", said)

    def test_a_peer_that_does_not_boot_is_left_out(self):
        self.script("lkvm", "echo 'no memory for this'; exit 3")
        code, said = self.run_it()
        self.assertEqual(code, 0, said)
        self.assertIn("skip    lkvm: ended with 3 instead of booting this guest: no memory for this", said)
        self.assertNotIn("lkvm: process start", said)

    def test_slower_than_a_peer_is_a_failure(self):
        self.script("lkvm", "exit 0")
        self.script("microvm", MICROVM.replace("0.05", "0.6"))
        code, said = self.run_it()
        self.assertEqual(code, 1, said)
        self.assertRegex(said, "microvm1 is not the quickest: slower than.* lkvm")

    def test_too_many_exits_are_a_failure(self):
        self.script("microvm", MICROVM.replace("15", "71"))
        code, said = self.run_it()
        self.assertEqual(code, 1, said)
        self.assertIn("more exits than the budget", said)


if __name__ == "__main__":
    unittest.main()
