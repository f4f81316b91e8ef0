# SPDX-License-Identifier: BSD-3-Clause
# Parts of tests/vhost/run: microvm-blk, and QEMU with a Linux guest that uses its disks.
import json
import os
import queue
import signal
import socket
import subprocess
import tempfile
import threading
import time

# Seconds after which a guest, or a program, counts as hung. The emulation has no hardware to help it.
LIMIT = 600
started = []


def kill_all():
    """Ends what a test that ended early has left."""
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()
    started.clear()


GUEST_MODULES = ("virtio/virtio_pci_modern_dev", "virtio/virtio_pci_legacy_dev", "virtio/virtio_pci")


class BackEnd:
    """A microvm-blk with a disk, which is ready for a front end."""

    def __init__(self, program, name, keys="", options=()):
        self.command = [program, "--socket-path", f"{name}.sock", "--disk", f"{name}.img{keys}", *options]
        self.name, self.lines = name, ""
        self.start()

    def start(self):
        manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = os.path.abspath(f"{self.name}.notify")
        manager.bind(path)
        manager.settimeout(LIMIT)
        self.err = open(f"{self.name}.err", "w+b")
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.err,
                                        env=dict(os.environ, NOTIFY_SOCKET=path))
        started.append(self.process)
        said = manager.recv(64)
        manager.close()
        os.unlink(path)
        if said != b"READY=1":
            raise RuntimeError(f"microvm-blk says {said!r}")

    def said(self):
        """Returns all that was written to standard error, also before a restart."""
        self.err.seek(0)
        return self.lines + self.err.read().decode()

    def restart(self, number=signal.SIGKILL):
        """Ends the process by a signal, and starts another."""
        self.process.send_signal(number)
        self.process.wait(LIMIT)
        self.lines = self.said()
        self.err.close()
        self.start()

    def stop(self):
        """Returns the exit status and what was written to standard error."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            status = self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = "hung"
        said = self.said()
        self.err.close()
        return status, said


def make_initrd(guest, to):
    """Adds the script of the guest and the drivers of PCI to the initramfs of guest/build."""
    here = os.path.dirname(os.path.realpath(__file__))
    with tempfile.TemporaryDirectory() as tree:
        os.mkdir(f"{tree}/modules")
        names = ["init", "modules"]
        subprocess.run(["cp", f"{here}/guest.sh", f"{tree}/init"], check=True)
        os.chmod(f"{tree}/init", 0o755)
        for number, module in enumerate(GUEST_MODULES):
            names.append(f"modules/5{number}-{os.path.basename(module)}.ko")
            subprocess.run(["cp", "-L", f"{guest}/modules/kernel/drivers/{module}.ko", f"{tree}/{names[-1]}"], check=True)
        extra = subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=tree, input="\n".join(names).encode(),
                               stdout=subprocess.PIPE, check=True).stdout
    with open(f"{guest}/initramfs.cpio.gz", "rb") as first, open(to, "wb") as file:
        # The kernel unpacks one archive after the other; a compressed one ends at a multiple of four bytes.
        data = first.read()
        file.write(data + bytes(-len(data) % 4) + extra)


def tsc_khz():
    """Measures the time stamp counter's frequency by a program of tests/bench. Under load, the guest's kernel could take for ever to
    measure it."""
    top = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../..")
    return int(subprocess.run([f"{top}/build/release/tests/bench/tsc_khz"], stdout=subprocess.PIPE, check=True).stdout)


class Vm:
    """A guest in QEMU, which executes shell commands that come over its serial port."""

    def __init__(self, guest, machine, devices, cpus=1, name="vm", incoming=None):
        """devices: for each disk its BackEnd and the properties of QEMU's device. incoming: a file with a guest's state."""
        self.name = name
        khz = tsc_khz()
        kind = "vhost-user-blk-pci" if machine == "q35" else "vhost-user-blk"
        command = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-nographic", "-no-reboot",
                   "-cpu", "max", "-smp", str(cpus), "-m", "160",
                   "-object", "memory-backend-memfd,id=mem,size=160M,share=on",
                   "-kernel", f"{guest}/vmlinuz", "-initrd", "initrd",
                   "-append", f"console=ttyS0 reboot=t panic=-1 quiet tsc_early_khz={khz} lpj={khz * 4} no_timer_check rdinit=/init",
                   "-serial", "stdio"]
        if machine == "q35":
            command += ["-M", "q35,accel=tcg,memory-backend=mem"]
        else:
            command += ["-M", "microvm,accel=tcg,memory-backend=mem,rtc=on", "-global", "virtio-mmio.force-legacy=false"]
        for number, (back, properties) in enumerate(devices):
            command += ["-chardev", f"socket,id=c{number},path={back.name}.sock,reconnect=1",
                        "-device", f"{kind},chardev=c{number}{properties}"]
        command += ["-qmp", f"unix:{name}.qmp,server=on,wait=off"]
        if incoming:
            command += ["-incoming", f"exec:cat {incoming}"]
        self.err = open(f"{name}.qemu.err", "w+b")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.err)
        started.append(self.process)
        self.output = queue.Queue()
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        """Moves the guest's output to a queue of lines, so that a line can be waited for with a time limit."""
        for line in self.process.stdout:
            self.output.put(line.decode(errors="replace").rstrip("\r\n"))
        self.output.put(None)

    def line(self):
        """Returns the next line of the guest; None at the end."""
        return self.output.get(timeout=LIMIT)

    def ready(self):
        while True:
            line = self.line()
            if line is None:
                self.err.seek(0)
                raise RuntimeError(f"QEMU has ended: {self.err.read().decode()}")
            if line.endswith("@@ ready"):
                return

    def send(self, command):
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()

    def result(self):
        """Returns the output and the status of the command that was sent."""
        lines = []
        while True:
            line = self.line()
            if line is None:
                raise RuntimeError("QEMU has ended: " + "\n".join(lines))
            if line.startswith("@@ "):
                return lines, int(line[3:])
            lines.append(line)

    def run(self, command):
        self.send(command)
        return self.result()

    def monitor(self):
        """Connects to QEMU's monitor. QEMU creates the socket while it starts."""
        return Monitor(f"{self.name}.qmp", self.process)

    def restored(self):
        """Waits until the guest is restored, and lets it run. Input that comes before would be lost."""
        monitor = self.monitor()
        monitor.ask("migrate-set-capabilities", capabilities=[{"capability": "events", "state": True}])
        if monitor.ask("query-migrate").get("status") != "completed":
            monitor.wait(lambda event: event["event"] == "MIGRATION" and event["data"]["status"] == "completed")
        monitor.ask("cont")
        monitor.close()

    def save(self, state):
        """Saves the guest to a file; returns QEMU's monitor, and how that ended."""
        monitor = self.monitor()
        monitor.ask("migrate-set-capabilities", capabilities=[{"capability": "events", "state": True}])
        # An emulated guest that is saved while it runs comes back wrong now and then, on a busy machine: of some 30, one had read
        # back other data than it had written, one had a corrupted list of the kernel, one hung. microvm-blk is not the cause: with
        # QEMU's own virtio-blk in its place, the fifth guest hung. A store of an emulated CPU can slip past QEMU's dirty log.
        if not os.environ.get("LIVE"):
            monitor.ask("stop")
        monitor.ask("migrate", uri=f"exec:cat >{state}")
        return monitor, monitor.wait(lambda event: event["event"] == "MIGRATION" and
                                     event["data"]["status"] in ("completed", "failed"))["data"]["status"]

    def end(self, how=None):
        """Waits for the end of QEMU, after a command; returns its status and what it wrote to standard error."""
        if how:
            how()
        try:
            status = self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = "hung"
        self.err.seek(0)
        text = self.err.read().decode()
        self.err.close()
        return status, text


class Monitor:
    """QEMU's monitor (QMP)."""

    def __init__(self, path, process):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(LIMIT)
        while True:
            try:
                self.sock.connect(path)
                break
            except (FileNotFoundError, ConnectionRefusedError):
                if process.poll() is not None:
                    raise
                time.sleep(0.05)
        self.lines = self.sock.makefile()
        self.lines.readline()
        self.events = []
        self.ask("qmp_capabilities")

    def ask(self, command, **arguments):
        self.sock.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        while True:
            said = json.loads(self.lines.readline())
            if "event" in said:
                self.events.append(said)
            else:
                return said.get("return", said)

    def wait(self, wanted):
        """Waits for an event for which wanted(event) is true."""
        while True:
            event = self.events.pop(0) if self.events else json.loads(self.lines.readline())
            if wanted(event):
                return event

    def close(self):
        self.lines.close()
        self.sock.close()
