# SPDX-License-Identifier: BSD-3-Clause
"""Resource usage of a monitor: CPU time, memory, exits, interrupts; None where unavailable."""

import ctypes
import fcntl
import os
import re
import struct

KVM_GET_STATS_FD = 0xAECE
SYS_PIDFD_OPEN, SYS_PIDFD_GETFD = 434, 438
COUNTERS = {"exits": "exits", "irqs": "irq_injections"}


def cpu_seconds(stat, tick):
    """Returns user and system time less guest time, from the text of /proc/PID/stat (proc(5):
    fields 14, 15 and 43)."""
    fields = stat.rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12]) - int(fields[40])) / tick


def beyond_ram(smaps, ram_kib):
    """Returns the KiB resident outside of guest RAM, (Rss, Pss), from the text of /proc/PID/smaps.
    Guest RAM is the largest mapping and the adjacent ones of the same file: a monitor may change
    advice or protection of a part of it, which splits the mapping."""
    areas = []
    for line in smaps.splitlines():
        head = re.match(r"([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \S+ *(.*)", line)
        if head:
            start, end, name = int(head[1], 16), int(head[2], 16), head[3]
            if areas and areas[-1][1] == start and areas[-1][2] == name:
                areas[-1][1] = end
            else:
                areas.append([start, end, name, 0, 0])
            continue
        key, _, value = line.partition(":")
        if areas and key in ("Rss", "Pss"):
            areas[-1][3 if key == "Rss" else 4] += int(value.split()[0])
    if not areas:
        return None
    ram = max(areas, key=lambda area: area[1] - area[0])
    if (ram[1] - ram[0]) // 1024 < ram_kib // 2:
        return None
    rest = [area for area in areas if area is not ram]
    return sum(area[3] for area in rest), sum(area[4] for area in rest)


def parse_stats(blob):
    """Parses the contents of a KVM statistics file descriptor (Documentation/virt/kvm/api.rst,
    4.133). Returns the counters."""
    _, name_size, count, _, desc_offset, data_offset = struct.unpack_from("<6I", blob)
    values = {}
    for i in range(count):
        at = desc_offset + i * (16 + name_size)
        _, _, size, offset, _ = struct.unpack_from("<IhHII", blob, at)
        name = blob[at + 16:at + 16 + name_size].split(b"\0", 1)[0].decode("ascii", "replace")
        if size == 1:
            values[name] = struct.unpack_from("<Q", blob, data_offset + offset)[0]
    return values


def _stats_of(fd):
    try:
        stats = fcntl.ioctl(fd, KVM_GET_STATS_FD, 0)
    except OSError:
        return {}
    try:
        return parse_stats(os.pread(stats, 1 << 20, 0))
    except (OSError, struct.error):
        return {}
    finally:
        os.close(stats)


def stats_by_fd(pid):
    """Returns the counters summed over all vCPUs. The monitor's own file descriptors are duplicated
    by pidfd_getfd, which does not disturb it."""
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = libc.syscall(SYS_PIDFD_OPEN, pid, 0)
    if pidfd < 0:
        return None
    sums = dict.fromkeys(COUNTERS, 0)
    seen = False
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                target = os.readlink(f"/proc/{pid}/fd/{name}")
            except OSError:
                continue
            if "kvm-vcpu" not in target:
                continue
            fd = libc.syscall(SYS_PIDFD_GETFD, pidfd, int(name), 0)
            if fd < 0:
                continue
            values = _stats_of(fd)
            os.close(fd)
            for key, counter in COUNTERS.items():
                if counter in values:
                    seen = True
                    sums[key] += values[counter]
    except OSError:
        return None
    finally:
        os.close(pidfd)
    return sums if seen else None


# Shell command that prints a line NAME VALUE for each counter of every VM of the process (debugfs:
# kvm/PID-FD/).
DEBUGFS = 'for d in /sys/kernel/debug/kvm/{pid}-*; do for n in {names}; do echo "$n $(cat "$d/$n")" || exit; done; done'


def stats_by_debugfs(place, pid):
    names = " ".join(COUNTERS.values())
    _, lines = place.run(["sh", "-c", DEBUGFS.format(pid=pid, names=names)])
    values = {}
    for line in lines:
        name, _, value = line.partition(" ")
        if value.isdigit():
            values[name] = values.get(name, 0) + int(value)
    return {key: values[name] for key, name in COUNTERS.items()} if len(values) == len(COUNTERS) else None


class Probe:
    """Samples one process repeatedly."""

    def __init__(self, place, pid):
        self.place, self.pid = place, pid
        self.tick = os.sysconf("SC_CLK_TCK") if not place.emulated else 100

    def look(self):
        """Returns CPU time and counters up to now."""
        try:
            cpu = cpu_seconds(self.place.read(f"/proc/{self.pid}/stat"), self.tick)
        except (OSError, IndexError, ValueError):
            cpu = None
        counters = None if self.place.emulated else stats_by_fd(self.pid)
        return {"cpu": cpu, **(counters or stats_by_debugfs(self.place, self.pid) or dict.fromkeys(COUNTERS))}

    def memory(self, ram_mb):
        """Returns the KiB resident beyond guest RAM: {"rss": ..., "pss": ...}."""
        try:
            found = beyond_ram(self.place.read(f"/proc/{self.pid}/smaps"), ram_mb * 1024)
        except OSError:
            found = None
        return {"rss_kib": found[0], "pss_kib": found[1]} if found else None


def per_request(before, after, requests):
    """Returns the difference of two samples, divided by the number of requests."""
    result = {}
    for key in ("cpu", *COUNTERS):
        if before[key] is not None and after[key] is not None and requests:
            result[key] = (after[key] - before[key]) / requests
    out = {}
    if "cpu" in result:
        out["cpu_ms_per_1000"] = result["cpu"] * 1e6
    for key in COUNTERS:
        if key in result:
            out[key + "_per_request"] = result[key]
    return out
