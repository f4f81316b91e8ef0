# SPDX-License-Identifier: BSD-3-Clause
# Tests of tests/check with simulated steps.
import os
import re
import signal
import subprocess
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.realpath(__file__))


def script(folder, *steps):
    """Creates a copy of tests/check that runs these steps, which are commands without arguments that
    contain spaces. Returns its path."""
    with open(os.path.join(HERE, "../check"), encoding="utf-8") as file:
        text = file.read()
    text = re.sub(r"\nstep here .*\ngo\n", "\n" + "".join(f"step here {s}\n" for s in steps) + "go\n", text, count=1,
                  flags=re.S)
    os.mkdir(os.path.join(folder, "tests"))
    path = os.path.join(folder, "tests/check")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def child(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\n" + text)
    os.chmod(path, 0o755)
    return path


def ends(pid, timeout=10):
    """Returns whether the process ends within the timeout. The process that inherits it may reap it
    with a delay."""
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False


class Check(unittest.TestCase):
    def test_steps_are_added_up(self):
        with tempfile.TemporaryDirectory() as folder:
            good = child(folder, "good", "echo 'some: 3 passed, 0 failed, 1 skipped'\n")
            bad = child(folder, "bad", "exit 7\n")
            done = subprocess.run(["bash", script(folder, good, bad, good)], stdout=subprocess.PIPE, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn(b"total: 6 passed, 1 failed, 2 skipped\n", done.stdout)

    def test_failures_are_repeated_at_the_end(self):
        with tempfile.TemporaryDirectory() as folder:
            bad = child(folder, "bad", "echo 'not ok a: b'; echo unit.c:7:F:x:y:0: 'Assertion failed'; echo ok c\n"
                        "echo 'some: 1 passed, 2 failed'; exit 1\n")
            good = child(folder, "good", "seq 1000; echo 'other: 1 passed, 0 failed'\n")
            done = subprocess.run(["bash", script(folder, bad, good)], stdout=subprocess.PIPE, text=True, check=False)
            self.assertTrue(done.stdout.endswith(
                f"\n\n{bad}: 2 failed\n    not ok a: b\n    unit.c:7:F:x:y:0: Assertion failed\n"
                "total: 2 passed, 2 failed, 0 skipped\n"), done.stdout[-300:])

    def test_only_check_makes_warnings_errors(self):
        env = {name: value for name, value in os.environ.items() if name != "WERROR"}
        with tempfile.TemporaryDirectory() as folder:
            flags = os.path.join(folder, "flags")
            build = ["make", "--no-print-directory", "-n", "-C", os.path.join(HERE, "../.."), f"BUILD={folder}/build",
                     "objects"]
            plain = subprocess.run(build, stdout=subprocess.PIPE, text=True, env=env, check=True)
            self.assertIn(" -Wextra ", plain.stdout)
            self.assertNotIn("-Werror", plain.stdout)
            make = child(folder, "make", f"exec {' '.join(build)} >{flags}\n")
            done = subprocess.run(["bash", script(folder, make)], stdout=subprocess.PIPE, env=env, check=False)
            self.assertEqual(done.returncode, 0)
            with open(flags, encoding="utf-8") as file:
                compiled = [line for line in file if " -c " in line]
            self.assertTrue(compiled)
            self.assertEqual([], [line for line in compiled if "-Werror" not in line])

    def test_all_steps_end_after_two_signals(self):
        with tempfile.TemporaryDirectory() as folder:
            pid_file = os.path.join(folder, "pid")
            slow = child(folder, "slow", f"echo $$ >{pid_file}.new; mv {pid_file}.new {pid_file}; exec sleep 1000\n")
            run = subprocess.Popen(["bash", script(folder, slow)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while not os.path.exists(pid_file):
                self.assertIsNone(run.poll())
                time.sleep(0.01)
            with open(pid_file, encoding="utf-8") as file:
                pid = int(file.read())
            while run.poll() is None:
                run.send_signal(signal.SIGTERM)
            self.assertEqual(run.returncode, 143)
            self.assertTrue(ends(pid))
