# SPDX-License-Identifier: BSD-3-Clause
"""Command lines of the monitors for one guest. A Setup has file names as the place sees them."""

import json
import os
import re
from dataclasses import dataclass, field

FIRMWARE = ("bios-microvm.bin", "linuxboot_dma.bin", "pvh.bin", "kvmvapic.bin")
FIRMWARE_DIRS = ("/usr/share/seabios", "/usr/share/qemu")
# The devices that microvm has, too: no PIT, no PIC. QEMU keeps its RTC: QEMU's ACPI tables do not
# say that there is none, so the stock kernel would search for it for three seconds.
QEMU_MACHINE = "microvm,acpi=on,pit=off,pic=off,rtc=on,isa-serial=on"
MAX_QUEUES = 4
# Address, size and first interrupt of lkvm's virtio-mmio devices on x86: constants of its source.
# They go on the kernel's command line, because lkvm does not describe the devices to the guest.
LKVM_BASE, LKVM_SIZE, LKVM_IRQ = 0xd3000000, 0x200, 5


@dataclass
class Setup:
    """The guest that all monitors boot. Without initrd, rootfs is the root disk, and the disk under
    test is the second one."""

    kernel: str
    memory_mb: int
    cpus: int
    initrd: str = ""
    rootfs: str = ""
    vmlinux: str = ""
    firmware: str = ""
    binaries: dict = field(default_factory=dict)

    @property
    def guest_disk(self):
        return "/dev/vda" if self.initrd else "/dev/vdb"

    def cmdline(self, run, reboot="t"):
        root = "" if self.initrd else "root=/dev/vda ro "
        return f'console=ttyS0 quiet panic=-1 reboot={reboot} {root}run="{run}"'


@dataclass
class Variant:
    """One monitor with options. kind: ours, qemu, lkvm, firecracker or host; detail: the options of
    this variant."""

    name: str
    kind: str
    detail: str = ""
    binary: str = ""

    @property
    def power_off(self):
        # On monitors without ACPI, only a reboot ends the VM.
        return "reboot -f" if self.kind in ("lkvm", "firecracker") else "poweroff -f"

    @property
    def wants_terminal(self):
        # lkvm reads console input from a terminal only.
        return self.kind == "lkvm"


def comma(path):
    """Escapes a file name for the comma-separated options of microvm and QEMU."""
    return path.replace(",", ",,")


def command(variant, setup, disk, run, place):
    """Returns the arguments that boot the guest with this disk and have it execute `run`."""
    return globals()["_" + variant.kind](variant, setup, disk, run, place)


def _ours(variant, setup, disk, run, _place):
    words = [setup.binaries[variant.binary], "--kernel", setup.kernel, "--memory", f"{setup.memory_mb}M",
             "--cpus", str(setup.cpus)]
    words += ["--initrd", setup.initrd] if setup.initrd else ["--disk", comma(setup.rootfs) + ",readonly"]
    return words + ["--disk", comma(disk) + ("," + variant.detail if variant.detail else ""),
                    "--cmdline", setup.cmdline(run)]


def _qemu(variant, setup, disk, run, _place):
    words = [setup.binaries["qemu"]] + (["-L", setup.firmware] if setup.firmware else [])
    words += ["-M", QEMU_MACHINE, "-accel", "kvm", "-cpu", "host", "-m", str(setup.memory_mb), "-smp", str(setup.cpus),
              "-no-user-config", "-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio",
              "-global", "virtio-mmio.force-legacy=false", "-kernel", setup.kernel]
    if setup.initrd:
        words += ["-initrd", setup.initrd]
    # The kernel finds the disks in the order of these options. All monitors read one root disk; its
    # locking is off because QEMU would lock single bytes of it that others have locked for reading.
    if not setup.initrd:
        words += ["-drive", f"if=none,id=d0,format=raw,readonly=on,file.locking=off,file={comma(setup.rootfs)}",
                  "-device", "virtio-blk-device,drive=d0"]
    queues = min(setup.cpus, MAX_QUEUES)
    return words + [
        "-object", "iothread,id=io0",
        "-drive", f"if=none,id=d1,format=raw,cache=none,aio={variant.detail},file={comma(disk)}",
        "-device", f"virtio-blk-device,drive=d1,iothread=io0,num-queues={queues}",
        "-append", setup.cmdline(run)]


def _lkvm(_variant, setup, disk, run, _place):
    words = [setup.binaries["lkvm"], "run", "-k", setup.kernel, "-m", str(setup.memory_mb), "-c", str(setup.cpus),
             "--console", "serial", "--virtio-transport", "mmio", "--network", "mode=none"]
    words += ["-i", setup.initrd] if setup.initrd else ["-d", setup.rootfs + ",ro"]
    devices = [f"virtio_mmio.device={LKVM_SIZE}@{LKVM_BASE + LKVM_SIZE * n:#x}:{LKVM_IRQ + n}"
               for n in range(1 if setup.initrd else 2)]
    return words + ["-d", disk + ",direct", "-p", " ".join(devices + [setup.cmdline(run, "k"), "pci=off"])]


def _firecracker(variant, setup, disk, run, place):
    drives = [{"drive_id": "data", "path_on_host": disk, "is_root_device": False, "is_read_only": False,
               "cache_type": "Writeback", "io_engine": variant.detail}]
    source = {"kernel_image_path": setup.vmlinux, "boot_args": setup.cmdline(run, "k") + " pci=off"}
    if setup.initrd:
        source["initrd_path"] = setup.initrd
    else:
        drives.insert(0, {"drive_id": "root", "path_on_host": setup.rootfs, "is_root_device": False,
                          "is_read_only": True})
    config = {"boot-source": source, "drives": drives,
              "machine-config": {"vcpu_count": setup.cpus, "mem_size_mib": setup.memory_mb}}
    path = place.write(f"{variant.name}.json", json.dumps(config))
    return [setup.binaries["firecracker"], "--no-api", "--config-file", path]


def lkvm_lacks_mmio(help_text):
    """Returns whether an lkvm's `run --help` lists transports without mmio: upstream has mmio on
    arm64 and riscv only."""
    listed = re.search(r"--virtio-transport[ =<]*\[([^\]]*)\]", help_text)
    return bool(listed) and "mmio" not in listed[1].split("|")


def find_firmware():
    """Returns QEMU's firmware files, which are in the directories of two Debian packages."""
    paths = [[os.path.join(d, name) for d in FIRMWARE_DIRS if os.path.exists(os.path.join(d, name))] for name in FIRMWARE]
    return [found[0] for found in paths if found]
