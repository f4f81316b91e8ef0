# SPDX-License-Identifier: BSD-3-Clause
# Tests where suites run on a machine without /dev/kvm, with a script that simulates the emulated host.
import os
import shutil
import subprocess
import tempfile
import unittest

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.join(HERE, "../..")
# Runs a command in a mount namespace whose /dev has what scripts need, without kvm. With CLOSED_NODE
# there is a kvm node with permissions for all users that no process can open, as in a container whose
# device controller refuses it.
HIDE = """
set -e
mkdir -p dev
mount -t tmpfs -o nodev none dev
[ -z "${CLOSED_NODE:-}" ] || mknod -m 666 dev/kvm c 10 232
for node in null zero full urandom; do : >dev/$node; mount --bind /dev/$node dev/$node; done
ln -s /proc/self/fd dev/fd
mount --move dev /dev
exec "$@"
"""
# Prints the suites that it gets.
HOST = """#!/bin/sh
for word; do
    case $word in *:suites) cat "${word%:suites}" ;; esac
done
exit ${SIMULATED_STATUS:-0}
"""
# Prints the steps of tests/check instead of running them.
GO = "\nprintf '%s\\n' \"${steps[@]}\"; lanes=() steps=()\n"


def kvm_opens():
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR))
        return True
    except OSError:
        return False


def can_hide():
    done = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/dev"], stderr=subprocess.DEVNULL, check=False)
    return done.returncode == 0


def suites():
    return subprocess.run([os.path.join(TOP, "tests/emulated/list")], stdout=subprocess.PIPE, text=True,
                          check=True).stdout.splitlines()


class Tree:
    """A copy of the necessary parts of the tree, without build results."""

    def __init__(self, folder):
        self.folder = folder
        for part in ("tests/cli", "tests/emulated", "tests/kill"):
            shutil.copytree(os.path.join(TOP, part), os.path.join(folder, part))
        for part in ("tests/check", "tests/unit/run", "tools/lib.sh"):
            os.makedirs(os.path.dirname(os.path.join(folder, part)), exist_ok=True)
            shutil.copy(os.path.join(TOP, part), os.path.join(folder, part))
        os.mkdir(os.path.join(folder, "bin"))
        programs = [suite.split()[-1] for suite in suites() if suite.startswith("tests/unit/")]
        for path, text in (("tools/kvmhost", HOST), ("microvm", ""), ("bin/qemu-system-" + os.uname().machine, ""),
                           *((program, "") for program in programs)):
            path = os.path.join(folder, path)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(path, 0o755)

    def run(self, *command, hide=False, **env):
        path = os.path.join(self.folder, "bin") + ":" + os.environ["PATH"]
        hidden = ["unshare", "-m", "sh", "-c", HIDE, "sh"] if hide or kvm_opens() else []
        return subprocess.run([*hidden, *command], cwd=self.folder, env={**os.environ, "PATH": path, **env},
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)

    def steps(self, kvm):
        """Returns the steps of tests/check on a machine with or without a usable /dev/kvm."""
        with open(os.path.join(self.folder, "tools/lib.sh"), "a", encoding="utf-8") as file:
            file.write("kvm_opens() { %s; }\n" % ("true" if kvm else "false"))
        with open(os.path.join(self.folder, "tests/check"), encoding="utf-8") as file:
            text = file.read()
        with open(os.path.join(self.folder, "tests/check"), "w", encoding="utf-8") as file:
            file.write(text.replace("\ngo\n", GO))
        done = subprocess.run(["bash", "tests/check"], cwd=self.folder, stdout=subprocess.PIPE, text=True, check=False)
        return done.stdout.splitlines()


class Emulated(unittest.TestCase):
    def setUp(self):
        if kvm_opens() and not can_hide():
            self.skipTest("this user cannot hide /dev/kvm")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tree = Tree(folder.name)

    def test_each_suite_without_kvm_runs_in_the_emulated_host(self):
        for suite in suites():
            if suite.startswith("tests/unit/"):
                continue
            done = self.tree.run(*suite.split())
            self.assertEqual((suite, 0), (done.stdout.strip(), done.returncode))

    def test_kvm_node_that_cannot_be_opened_is_not_used(self):
        if os.geteuid() != 0 or not can_hide():
            self.skipTest("this user cannot make such a node")
        for suite in ("tests/cli/ends ./microvm", "tests/cli/service ./microvm"):
            done = self.tree.run(*suite.split(), hide=True, CLOSED_NODE="yes")
            self.assertEqual((suite, 0), (done.stdout.strip(), done.returncode))

    def test_all_suites_without_kvm_share_one_emulated_host(self):
        done = self.tree.run("tests/emulated/run")
        self.assertEqual((suites(), 0), (done.stdout.splitlines(), done.returncode))

    def test_an_emulated_host_that_fails_is_a_failed_test(self):
        for status in (1, 124):
            done = self.tree.run("tests/emulated/run", SIMULATED_STATUS=str(status))
            self.assertEqual(done.returncode, 1)
            self.assertEqual(status == 124, "emulated: 0 passed, 1 failed\n" in done.stdout)

    def test_without_kvm_and_emulator_suites_are_skipped(self):
        os.unlink(os.path.join(self.tree.folder, "bin/qemu-system-" + os.uname().machine))
        programs = ("bash", "dirname", "grep", "sh", "uname", "unshare", "mkdir", "mount", "ln")
        for program in programs:
            os.symlink(shutil.which(program), os.path.join(self.tree.folder, "bin", program))
        done = self.tree.run("tests/emulated/run", PATH=os.path.join(self.tree.folder, "bin"))
        self.assertEqual((len(suites()), 0), (done.stdout.count(": 0 passed, 0 failed, 1 skipped\n"), done.returncode))

    def test_check_without_kvm_runs_the_suites_in_the_emulated_host(self):
        steps = self.tree.steps(False)
        self.assertIn("tests/emulated/run", steps)
        self.assertEqual([], [step for step in steps if step in suites()])
        self.assertTrue(any(step.endswith(" emulated-programs") for step in steps))

    def test_check_with_kvm_runs_the_suites_itself(self):
        steps = self.tree.steps(True)
        self.assertNotIn("tests/emulated/run", steps)
        self.assertEqual([s for s in suites() if not s.startswith("tests/unit/")], [step for step in steps if step in suites()])
