# SPDX-License-Identifier: BSD-3-Clause
# Tests of tools/kvmhost with a script that simulates the emulator.
import os
import platform
import subprocess
import tempfile
import unittest

TOP = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../..")


class Kvmhost(unittest.TestCase):
    def test_kvmhost_prints_the_output_of_an_emulator_that_failed(self):
        with tempfile.TemporaryDirectory() as folder:
            emulator = f"{folder}/qemu-system-{platform.machine()}"
            with open(emulator, "w", encoding="utf-8") as file:
                file.write("#!/bin/sh\necho 'qemu: Failed to get \"write\" lock' >&2\nexit 1\n")
            os.chmod(emulator, 0o755)
            environment = dict(os.environ, KVMHOST="emulated", PATH=folder + ":" + os.environ["PATH"], TMPDIR=folder)
            done = subprocess.run([TOP + "/tools/kvmhost", "--", "true"], env=environment, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 125)
        self.assertIn('kvmhost: emulator: qemu: Failed to get "write" lock\n', done.stderr)
        self.assertIn("the emulator ended with status 1 before the command did", done.stderr)
        self.assertNotIn("without a status", done.stderr)
