# SPDX-License-Identifier: BSD-3-Clause
"""The context of a run: place, guest, available monitors, their files, and a description of all."""

import errno
import glob
import hashlib
import os
import platform
import shutil
import subprocess

from . import monitors
from .errors import Fatal
from .monitors import Variant
from .place import Local, Remote

CHUNK = 1 << 20


def first_of(*paths):
    return next((p for p in paths if p and os.access(p, os.R_OK)), "")


def processor_virtualizes():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        return bool({"vmx", "svm"} & set(file.read().split()))


def kvm_opens():
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC))
        return True
    except OSError:
        return False


def choose_place(wanted):
    """Returns "native" or "emulated", by the rule of tools/kvmhost."""
    wanted = os.environ.get("KVMHOST") or wanted if wanted == "auto" else wanted
    if wanted in ("native", "emulated"):
        return wanted
    return "native" if processor_virtualizes() and kvm_opens() else "emulated"


def pinned_cpus(options, emulated):
    """Returns the CPUs that monitors and fio are pinned to: one for each vCPU and one for a
    dataplane thread, if two others are left for the rest of the host; otherwise an empty list."""
    allowed = sorted(os.sched_getaffinity(0))
    if emulated or options.pin == "off" or len(allowed) < options.cpus + 3 or not shutil.which("taskset"):
        return []
    return allowed[-(options.cpus + 1):]


class Context:
    """The context of one run. `skipped` is [(name, why)]: the monitors that are left out."""

    def __init__(self, top, options, emulated):
        self.top, self.options = top, options
        self.out = os.path.abspath(options.out or os.path.join(top, "build/boot-and-fio"))
        self.dir = os.path.abspath(options.dir or os.path.join(self.out, "data"))
        self.logs = os.path.join(self.out, "console")
        self.bytes, self.timeout = options.size, options.timeout
        self.skipped, self.variants, self.sources, self.pinned = [], [], {}, pinned_cpus(options, emulated)
        try:
            shutil.rmtree(self.logs, ignore_errors=True)
            os.makedirs(self.logs)
            if not emulated:
                os.makedirs(self.dir, exist_ok=True)
        except OSError as error:
            raise Fatal(error.filename, error.strerror) from error
        limit = int(options.timeout * 20 + 86400)
        self.place = Remote(top, self.out, limit) if emulated else Local(self.dir, self.pinned)
        self._find_guest()
        self._find_monitors()
        if emulated:
            # All guests run at the same time.
            guests = sum(v.kind != "host" for v in self.variants)
            self.place.memory_mb = max(self.place.memory_mb, 512 + guests * (options.memory >> 20))
        self.fio = self.setup.binaries.get("fio", "")
        probe = first_of(os.path.join(top, "build/release/tests/bench/exec_to_run"))
        self.exec_to_run = self._stage("exec_to_run", probe) if probe and not options.no_boot else ""
        if not probe and not options.no_boot:
            self.skipped.append(("first KVM_RUN", "exec_to_run not found (make bench-programs)"))
        self.on_tty = ""
        if any(v.wants_terminal for v in self.variants) and not options.no_fio:
            path = first_of(os.path.join(top, "build/release/tests/bench/on_tty"))
            self.on_tty = self._stage("on_tty", path) if path else ""
            if not path:
                self.skipped.append(("a terminal for lkvm", "on_tty not found (make bench-programs)"))

    # ---- files ----

    def _stage(self, name, path):
        self.sources[name] = path
        return self.place.stage(path, name)

    def _find_guest(self):
        o, build = self.options, os.path.join(self.top, "build")
        kernel = o.kernel or first_of(f"{build}/guest-kernel/bzImage", f"{build}/guest/vmlinuz")
        image = first_of(*sorted(glob.glob(f"{build}/*/fio.img"))) if not o.kernel else ""
        stock = kernel == f"{build}/guest/vmlinuz"
        rootfs = o.rootfs or (image if not (o.initrd or stock) else "")
        initrd = o.initrd or ("" if rootfs else first_of(f"{build}/linux/initramfs.cpio"))
        if not kernel or not (initrd or rootfs):
            raise Fatal("guest", "no kernel, or no image with fio (make linux-guest; or --kernel and --initrd)")
        vmlinux = o.vmlinux or first_of(os.path.join(os.path.dirname(kernel), "vmlinux"))
        self.setup = monitors.Setup(
            kernel=self._stage("kernel", kernel), memory_mb=o.memory >> 20, cpus=o.cpus,
            initrd=self._stage("initrd", initrd) if initrd else "",
            rootfs=self._stage("rootfs", rootfs) if rootfs else "",
            vmlinux=self._stage("vmlinux", vmlinux) if vmlinux and "firecracker" in o.peers else "")

    def _find_monitors(self):
        o = self.options
        for label, path in o.microvm or [("", os.path.join(self.top, "microvm"))]:
            if not os.access(path, os.X_OK):
                raise Fatal(path, "is not there (make)")
            key = "microvm" + (f"-{label}" if label else "")
            self.setup.binaries[key] = self._stage(key, path)
            for one in o.ours:
                name, _, detail = one.partition(":")
                self._add(Variant(f"{label}-{name}" if label else name, "ours", detail, key))
        for kind in ("qemu", "lkvm", "firecracker"):
            if kind in o.peers:
                self._find_peer(kind)
        if "host" in o.peers and not o.no_fio:
            path = shutil.which("fio")
            if path:
                self.setup.binaries["fio"] = self._stage("fio", path)
                self._add(Variant("host", "host"))
            else:
                self.skipped.append(("host", "fio not found (package fio)"))

    def _add(self, variant):
        if variant.name in [v.name for v in self.variants]:
            raise Fatal(variant.name, "is there twice", 2)
        self.variants.append(variant)

    def _find_peer(self, kind):
        program = {"qemu": "qemu-system-x86_64"}.get(kind, kind)
        hint = {"qemu": " (package qemu-system-x86)"}.get(kind, "")
        path = shutil.which(program)
        if not path:
            self.skipped.append((kind, f"{program} not found{hint}"))
            return
        if kind == "firecracker" and not self.setup.vmlinux:
            self.skipped.append((kind, "no kernel as ELF (--vmlinux)"))
            return
        if kind == "lkvm" and monitors.lkvm_lacks_mmio("".join(answer([path, "run", "--help"]))):
            self.skipped.append((kind, "has no virtio-mmio: upstream has it for arm64 and riscv only"))
            return
        self.setup.binaries[kind] = self._stage(kind, path)
        if kind == "qemu":
            if self.place.emulated:
                for firmware in monitors.find_firmware():
                    self.place.stage(firmware, "firmware/" + os.path.basename(firmware))
                self.setup.firmware = "firmware"
            for aio in ("native", "io_uring", "threads"):
                self._add(Variant(f"qemu-{aio}", kind, aio))
        elif kind == "firecracker":
            self._add(Variant(kind, kind, "Async"))
        else:
            self._add(Variant(kind, kind))

    def disk_of(self, variant):
        return os.path.join(self.dir if not self.place.emulated else ".", f"{variant.name}.img")

    def make_disks(self, say):
        """Creates one allocated file for each monitor; outside of the emulated host it is then
        filled with incompressible data."""
        if self.place.emulated:
            # The files are never written, so that reading them involves no device. The emulator's
            # clock stops while the host waits for a device, but advances if a monitor polls
            # meanwhile.
            say(f"allocating {len(self.variants)} files of {self.bytes >> 20} MiB, never written")
            for path in map(self.disk_of, self.variants):
                self.place.must(["fallocate", "-l", str(self.bytes), path], path)
            return
        missing = [p for p in map(self.disk_of, self.variants) if not self._is_written(p)]
        free = shutil.disk_usage(self.dir).free + sum(os.stat(p).st_blocks * 512 for p in missing if os.path.exists(p))
        if free < len(missing) * self.bytes:
            raise Fatal(f"--dir {self.dir}", f"has room for {free >> 20} MiB, and {len(missing)} files of "
                                             f"{self.bytes >> 20} MiB are to be written (--size)")
        for path in missing:
            say(f"writing {path}")
            write_file(path, self.bytes)

    def _is_written(self, path):
        try:
            status = os.stat(path)
        except OSError:
            return False
        return status.st_size == self.bytes and status.st_blocks * 512 >= self.bytes

    # ---- description of the run ----

    def describe(self):
        o = {k: v for k, v in vars(self.options).items() if k not in ("compare", "floor")}
        files = {name: {"path": path, "sha256": checksum(path)} for name, path in self.sources.items()}
        return {
            "place": self.place.name, "clock": self.place.clock_name, "options": o, "pinned": self.pinned,
            "machine": {"cpu": cpu_model(), "cpus": os.cpu_count(), "kernel": platform.release(),
                        "memory_kib": memory_kib(), "load": os.getloadavg()[0]},
            "files": files, "versions": self._versions(),
            "variants": [{"name": v.name, "kind": v.kind, "detail": v.detail,
                          "command": self._command(v)} for v in self.variants],
            "skipped": [{"name": name, "reason": why} for name, why in self.skipped],
        }

    def _command(self, variant):
        if variant.kind == "host":
            return [self.fio]
        return monitors.command(variant, self.setup, self.disk_of(variant), "...", self.place)

    def _versions(self):
        found = {"git": said(["git", "-C", self.top, "describe", "--always", "--dirty"])}
        for name, path in self.sources.items():
            if name.startswith("microvm") or name in ("qemu", "fio", "firecracker", "lkvm"):
                found[name] = said([path, "version" if name == "lkvm" else "--version"])
        return found


def answer(argv):
    """Returns what a program prints on stdout and stderr."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return "", ""
    return done.stdout, done.stderr


def said(argv):
    return answer(argv)[0].strip().split("\n")[0]


def checksum(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()


def memory_kib():
    with open("/proc/meminfo", encoding="ascii") as file:
        return int(file.readline().split()[1])


def write_file(path, size):
    part = path + ".part"
    try:
        with open(part, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
            for _ in range(0, size, CHUNK):
                file.write(os.urandom(CHUNK))
            file.flush()
            os.fsync(file.fileno())
        os.rename(part, path)
    except OSError as error:
        if os.path.exists(part):
            os.unlink(part)
        why = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
        raise Fatal(path, why) from error
    except BaseException:
        os.unlink(part)
        raise
