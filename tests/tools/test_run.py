# SPDX-License-Identifier: BSD-3-Clause
# Tests of tools/run with a script that simulates the monitor and its guest.
import gzip
import lzma
import os
import pty
import struct
import subprocess
import tempfile
import unittest

TOP = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../..")
RELEASE = "9.8.7-test-amd64"

# Mounts the disk, unless the file no-driver exists, and ends when its shell reads `exit`.
MONITOR = r"""#!/bin/sh
for disk; do :; done
cp initramfs.cpio.gz "$FAKE/initramfs.cpio.gz"
echo "$disk" >"$FAKE/disk"
echo "$*" >"$FAKE/options"
[ -e "$FAKE/no-driver" ] || printf '\1' | dd of="$disk" bs=1 seek=1076 conv=notrunc 2>/dev/null
if [ -e "$FAKE/wait" ]; then
    echo running
    cat "$FAKE/wait"
fi
echo 'microvm-guest: shell'
while read -r line && [ "$line" != exit ]; do :; done
exit 0
"""


def bzimage(release):
    image = bytearray(0x1000)
    image[0x202:0x206] = b"HdrS"
    image[0x20e:0x210] = struct.pack("<H", 0x300)
    image[0x500:0x500 + len(release)] = release.encode()
    image[0x500 + len(release):0x508 + len(release)] = b" (by) #1"
    return bytes(image)


def write(path, data, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
    os.chmod(path, mode)


def module(name, *depends):
    return b"\x7fELF\0license=GPL\0depends=" + ",".join(depends).encode() + b"\0name=" + name.encode() + b"\0"


class Run(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = folder.name
        write(self.dir + "/microvm", MONITOR.encode(), 0o755)
        write(self.dir + "/guest/vmlinuz", bzimage("1.2.3-stock"))
        write(self.dir + "/guest/release", b"1.2.3-stock\n")
        write(self.dir + "/guest/root.img", bytes(4096))
        write(self.dir + "/guest/initramfs.cpio.gz", b"the guest's")
        self.kernel = self.dir + "/x/boot/vmlinuz"
        write(self.kernel, bzimage(RELEASE))
        self.tree = f"{self.dir}/x/lib/modules/{RELEASE}/"

    def modules(self, *missing, builtin=""):
        tree = {"ring/virtio_ring.ko.xz": lzma.compress(module("virtio_ring")),
                "ring/virtio.ko": module("virtio", "virtio_ring"),
                "virtio_mmio.ko": module("virtio_mmio", "virtio", "virtio_ring"),
                "virtio-blk.ko": module("virtio_blk", "virtio", "virtio_ring"),
                "ext4.ko.gz": gzip.compress(module("ext4", "jbd2", "mbcache")),
                "jbd2.ko": module("jbd2"), "mbcache.ko": module("mbcache")}
        for name, data in tree.items():
            if name.split(".")[0] not in missing:
                write(self.tree + "kernel/" + name, data)
        write(self.tree + "modules.builtin", builtin.encode())

    def start(self, kernel="", **words):
        environment = dict(os.environ, KVMHOST="native", FAKE=self.dir, KERNEL=kernel)
        return subprocess.Popen([TOP + "/tools/run", self.dir + "/microvm", self.dir + "/guest"], env=environment,
                                text=True, **words)

    def run_it(self, kernel=""):
        run = self.start(kernel, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said = run.communicate(timeout=60)[0]
        return run.returncode, said

    def names(self):
        with gzip.open(self.dir + "/initramfs.cpio.gz") as file:
            listed = subprocess.run(["cpio", "-t"], input=file.read(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                    check=True)
        return [line[8:] for line in listed.stdout.decode().split() if line.startswith("modules/")]

    def test_run_boots_the_stock_kernel_with_its_initramfs(self):
        status, said = self.run_it()
        self.assertEqual(status, 0, said)
        with open(self.dir + "/initramfs.cpio.gz", "rb") as file:
            self.assertEqual(file.read(), b"the guest's")

    def options(self):
        with open(self.dir + "/options", encoding="utf-8") as file:
            return file.read()

    def test_run_tells_the_guest_that_its_console_is_a_pipe(self):
        self.run_it()
        self.assertIn("root=/dev/vda rw terminal=no ", self.options())

    def test_run_reports_a_missing_kernel(self):
        status, said = self.run_it("/nope")
        self.assertEqual((status, said), (1, "run: KERNEL=/nope: no such file\n"))

    def test_run_uses_the_modules_of_another_kernel(self):
        self.modules()
        status, said = self.run_it(self.kernel)
        self.assertEqual(status, 0, said)
        self.assertEqual(self.names(), ["10-virtio_ring.ko", "11-virtio.ko", "12-virtio_mmio.ko", "13-virtio_blk.ko",
                                        "14-jbd2.ko", "15-mbcache.ko", "16-ext4.ko"])

    def test_run_skips_modules_that_are_built_in(self):
        self.modules("ext4", "jbd2", "mbcache", builtin="kernel/fs/ext4/ext4.ko\n")
        status, said = self.run_it(self.kernel)
        self.assertEqual(status, 0, said)
        self.assertEqual(self.names()[-1], "13-virtio_blk.ko")

    def test_run_refuses_modules_without_a_driver_for_the_disk(self):
        self.modules("virtio-blk")
        status, said = self.run_it(self.kernel)
        self.assertEqual(status, 1)
        self.assertIn(RELEASE + ": has no module virtio_blk", said)
        self.assertFalse(os.path.exists(self.dir + "/disk"), "the kernel was booted")

    def test_run_boots_a_kernel_without_modules(self):
        status, said = self.run_it(self.kernel)
        self.assertEqual(status, 0, said)
        self.assertEqual(self.names(), [])

    def test_run_reports_a_guest_without_its_disk_as_a_failure(self):
        write(self.dir + "/no-driver", b"")
        status, said = self.run_it(self.kernel)
        self.assertEqual(status, 1, said)
        self.assertIn("/run/root.img: the guest has not mounted it: Linux " + RELEASE, said)
        self.assertIn(" modules in " + self.tree[:-1], said)

    def test_run_reports_a_guest_without_its_disk_on_a_terminal(self):
        write(self.dir + "/no-driver", b"")
        ours, its = pty.openpty()
        run = self.start(stdin=its, stdout=its, stderr=subprocess.PIPE)
        os.close(its)
        os.write(ours, b"exit\n")
        said = run.communicate(timeout=60)[1]
        os.close(ours)
        self.assertEqual(run.returncode, 1, said)
        self.assertIn("the guest has not mounted it", said)
        self.assertIn("root=/dev/vda rw terminal=yes ", self.options())

    def test_two_runs_at_the_same_time(self):
        os.mkfifo(self.dir + "/wait")
        first = self.start(stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        line = ""
        while line != "running\n":
            line = first.stdout.readline()
            self.assertTrue(line, "tools/run has ended")
        disks = [open(self.dir + "/disk", encoding="utf-8").read()]
        with open(self.dir + "/wait", "w", encoding="utf-8"):
            os.rename(self.dir + "/wait", self.dir + "/waited")
            status, said = self.run_it()
        self.assertEqual(status, 0, said)
        disks.append(open(self.dir + "/disk", encoding="utf-8").read())
        first.communicate(timeout=60)
        self.assertEqual(first.returncode, 0)
        self.assertEqual([os.path.basename(disk) for disk in disks], ["root.img\n", "root-2.img\n"])
