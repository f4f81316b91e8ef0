# SPDX-License-Identifier: BSD-3-Clause
# VMs for the suites of snapshots, and what these suites share. Their command line is
# MICROVM BARE [USER]; microvm-ctl is beside MICROVM.
import os
import random
import select
import shutil
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../emulated"))
import kvm  # noqa: E402
from kvm import check  # noqa: E402

microvm = os.path.realpath(sys.argv[1])
ctl_program = os.path.join(os.path.dirname(microvm), "microvm-ctl")
here = os.path.dirname(os.path.realpath(__file__))
bare = os.path.realpath(sys.argv[2])
user = ("--user", sys.argv[3]) if len(sys.argv) > 3 else ()
MIB = 1 << 20
RESTORE = "--restore", "snaps/a"
generator = random.Random(18)


class Vm:
    """A running VM with a control socket, and with its console on another one."""
    count = 0
    started = []

    def __init__(self, *options, disks=("d.img",)):
        Vm.count += 1
        self.control, console, self.log = f"s{Vm.count}", f"c{Vm.count}", f"log{Vm.count}"
        disks = [word for disk in disks for word in ("--disk", disk)]
        self.process = subprocess.Popen([microvm, "--control", self.control, "--console", f"socket:{console}", "--log", self.log,
                                         *user, *options, *disks], stdin=subprocess.DEVNULL)
        Vm.started.append(self.process)
        self.console = socket.socket(socket.AF_UNIX)
        self.console.settimeout(kvm.TIMEOUT)
        while True:
            try:
                self.console.connect(console)
                return
            except (FileNotFoundError, ConnectionRefusedError, PermissionError) as error:
                if self.process.poll() is not None:
                    raise RuntimeError(kvm.text(self.log)) from error
                select.select([], [], [], 0.005)

    def ctl(self, *words):
        done = subprocess.run([ctl_program, self.control, *words], capture_output=True, text=True, timeout=kvm.TIMEOUT, check=False)
        return done.returncode, done.stdout + done.stderr

    def read(self, count):
        data = b""
        while len(data) < count and (more := self.console.recv(count - len(data))):
            data += more
        return data.decode()

    def echo(self, text):
        """Sends a text to the guest and returns as many bytes of its answer."""
        self.console.sendall(text.encode())
        return self.read(len(text))

    def quit(self):
        self.ctl("quit")
        return self.process.wait(kvm.TIMEOUT)


def boot(*options, **more):
    """Boots the guest that echoes its input."""
    vm = Vm("--kernel", "echo", "--snapshot-dir", "snaps", *options, **more)
    check("guest is booted", ">", vm.read(1))
    return vm


def refusal(*options, console="socket:refused"):
    """Returns the exit code and the message of a VM that is not set up."""
    done = subprocess.run([microvm, "--console", console, *user, *options], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=kvm.TIMEOUT, check=False)
    return done.returncode, done.stderr.removeprefix("microvm: ").strip()


def content(path):
    with open(path, "rb") as file:
        return file.read()


def give(*paths):
    """Makes files belong to the user of the VMs."""
    for path in paths if user else ():
        os.chown(path, *map(int, sys.argv[3].split(":")))


def blank(path, size):
    """Creates an image without content."""
    with open(path, "wb") as file:
        file.truncate(size)
    give(path)


def rest(vm):
    """Returns the output of the guest that has not been read, up to its end."""
    output = b""
    while data := vm.console.recv(4096):
        output += data
    return output


def drive(options, keys, rounds, clones=False):
    """Runs the guest that drives a disk; it is replaced `rounds` times, at a random moment, by one that is restored from its
    snapshot, and with `clones` from the clone of its disk. Returns its output and the exit code of the last VM."""
    disk = f"load.img,{keys}"
    vm = Vm("--kernel", f"{bare}/blkbench.bz", "--append", f"tsc_khz=1000000 bs=4096 span=2097152 verify=1 {options}", "--cpus", "2",
            "--snapshot-dir", "snaps", disks=(disk,))
    output = b""
    for _ in range(rounds):
        while b"begin" not in output and (data := vm.console.recv(4096)):
            output += data
        select.select([], [], [], generator.random() * 0.1)
        if vm.ctl("snapshot", "load", "--stay", *(["--clone-disks"] if clones else ()))[0]:
            break
        vm.quit()
        # The guest may have finished before the snapshot.
        output += rest(vm)
        if clones:
            disk = f"snaps/load/disk0.img,{keys}"
        vm = Vm("--restore", "snaps/load", "--snapshot-dir", "snaps", disks=(disk,))
    return (output + rest(vm)).decode(), vm.process.wait(kvm.TIMEOUT)


def run(suite, prepare, tests):
    """Runs the tests of a suite in a directory of their own, which has a guest "echo" and a directory "snaps"."""
    kvm.need(microvm, bare, " ".join([f"tests/cli/{suite} ./microvm build/bare", *sys.argv[3:]]))
    # /tmp may be a file system without holes.
    directory = tempfile.mkdtemp(dir="/var/tmp" if os.path.isdir("/var/tmp") else None)
    os.chdir(directory)
    try:
        if os.uname().machine == "aarch64":
            kvm.skip("snapshots", "this architecture has none")
        else:
            subprocess.run([os.path.join(here, "tiny-kernel"), "echo", "echo"], check=True)
            os.mkdir("snaps")
            give(".", "snaps")
            prepare()
            for test in tests:
                test()
    finally:
        for process in Vm.started:
            if process.poll() is None:
                process.kill()
        os.chdir("/")
        shutil.rmtree(directory)
    kvm.finish(suite)
