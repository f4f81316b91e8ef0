# SPDX-License-Identifier: BSD-3-Clause
# Helpers for Python suites that run VMs: where they run, the results of their tests, and VMs.
import fcntl
import os
import subprocess
import sys
import termios

# Timeout in seconds for actions that normally take a moment; an emulated host is much slower.
TIMEOUT = 300 if os.environ.get("KVMHOST") == "emulated" else 30


def opens():
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC))
        return True
    except OSError:
        return False


def need(microvm, bare, suite):
    """Returns if /dev/kvm can be opened; otherwise replaces this process by one that runs `suite`
    in an emulated host."""
    if opens():
        return
    run = os.path.join(os.path.dirname(os.path.realpath(__file__)), "run")
    sys.stdout.flush()
    os.execv(run, [run, microvm, bare, suite])


counts = {"passed": 0, "failed": 0, "skipped": 0}


def check(name, expected, actual, log=""):
    """Reports a test, which passes if both values are equal. `log` is printed after a failure."""
    good = expected == actual
    counts["passed" if good else "failed"] += 1
    print(f"ok      {name}" if good else f"FAILED  {name}: expected {expected!r}, got {actual!r}{log and os.linesep + log}",
          flush=True)


def skip(name, why, number=1):
    """Reports that a test, or a number of tests, cannot run."""
    counts["skipped"] += number
    print(f"skip    {name}: {why}", flush=True)


def finish(suite):
    """Prints the closing line of a suite, and ends the process with its exit status."""
    print(f"{suite}: {counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    sys.exit(counts["failed"] > 0)


def text(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def terminal(fd):
    """Makes a terminal the controlling terminal of a new session; called in the child."""
    os.setsid()
    fcntl.ioctl(fd, termios.TIOCSCTTY, 0)


class Vm:
    """A VM whose console and log are pipes."""

    started = []

    def __init__(self, command, **popen):
        popen = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | popen
        self.process = subprocess.Popen(command, bufsize=0, **popen)
        Vm.started.append(self.process)

    def hear(self):
        """Reads more of the guest's output; False: end of file."""
        return bool(os.read(self.process.stdout.fileno(), 65536))

    def line(self):
        """Returns the next line of the log, skipping the warning of hosts with a single CPU."""
        line = self.process.stderr.readline().decode()
        return self.line() if " that KVM recommends on this host" in line else line

    def end(self):
        """Returns the rest of the log, and the exit code, or minus the signal."""
        try:
            return self.process.communicate(timeout=TIMEOUT)[1].decode(), self.process.returncode
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.communicate()[1].decode(), "not ended"
