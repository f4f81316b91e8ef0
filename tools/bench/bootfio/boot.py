# SPDX-License-Identifier: BSD-3-Clause
"""Boot times: how long each stage of a boot takes, measured for each monitor from the outside."""

import os
import re

from . import monitors
from .errors import RowFailed

# The stages in their order. A stage's time starts at the end of the stage before it; the time of a
# stage that was not observed is part of the next one's.
STAGES = ("first_run", "kernel", "init", "read", "off", "gone")
STAGE_NAMES = {
    "first_run": "exec to first KVM_RUN",
    "kernel": "to kernel entry",
    "init": "to init",
    "read": "to first disk read",
    "off": "to power-off",
    "gone": "to process gone",
}
# The kernel log gives the kernel's own time of "at-init"; dmesg runs after the last measured mark.
SCRIPT = ("echo '<7>at-init' >/dev/kmsg; echo mark init; "
          "dd if={disk} of=/dev/null bs=4k count=1 iflag=direct 2>/dev/null && echo mark read; "
          "dmesg | grep '] at-init$'; echo mark off; {off}")


def kernel_stamp(line):
    """Returns the kernel's time stamp of the at-init line of its log, in seconds, or None."""
    found = re.search(r"\[ *(\d+\.\d+)\] at-init\s*$", line)
    return float(found[1]) if found else None


def boot(variant, context):
    """Boots once, to the end of the VM. Returns {stage: seconds since exec} of the stages that were
    observed."""
    place = context.place
    run = SCRIPT.format(disk=context.setup.guest_disk, off=variant.power_off)
    argv = monitors.command(variant, context.setup, context.disk_of(variant), run, place)
    with open(os.path.join(context.logs, f"{variant.name}-boot.log"), "a", encoding="utf-8") as log:
        process = place.start(argv, variant.name, log, pinned=True)
        try:
            return _follow(process, context)
        finally:
            place.kill(process)


def _follow(process, context):
    at, last, by_kernel, script = {}, "", None, None
    while item := process.line(context.timeout):
        stamp, text = item
        last = text.strip() or last
        # The initramfs prints this earlier than the command can run.
        if "microvm-guest: init reached" in text:
            at.setdefault("init", stamp - process.started)
        # A kernel message may precede the mark on the same line.
        if mark := re.search(r"mark (init|read|off)\s*$", text):
            at.setdefault(mark[1], stamp - process.started)
            script = script or stamp - process.started
        if by_kernel is None:
            by_kernel = kernel_stamp(text)
    if "off" not in at:
        raise RowFailed(f"boot: ended with status {process.status}: {last[-100:] or 'no output'}")
    at["gone"] = process.ended - process.started
    # In the emulated host, the guest's clock and the emulator's CPU time cannot be compared.
    if by_kernel is not None and not context.place.emulated and 0 < by_kernel < script:
        at["kernel"] = script - by_kernel
    return at


def first_run(variant, context):
    """Returns the seconds from exec to the first KVM_RUN, measured in a boot of its own that ends
    there: tests/bench/exec_to_run.c stops the monitor at that system call only, so that nothing
    else is slowed down. Returns None where that program is not built."""
    if not context.exec_to_run:
        return None
    place = context.place
    argv = monitors.command(variant, context.setup, context.disk_of(variant), "true", place)
    process = place.start([context.exec_to_run] + argv, variant.name, pinned=True)
    last = "nothing"
    try:
        while item := process.line(context.timeout):
            stamp, last = item
            if found := re.search(r"run_us=(\d+)", last):
                # The tracer can only read the emulated host's clock, which keeps running while this
                # machine does something else.
                return stamp - process.started if place.emulated else int(found[1]) / 1e6
    finally:
        # The disk is free again when the process has ended.
        for _ in process.lines(context.timeout):
            pass
        place.kill(process)
    raise RowFailed(f"exec_to_run: {last[-100:]}")


def durations(at, run=None):
    """Converts times since exec to the duration of each stage: [(stage, seconds)]."""
    result, before = [], 0.0
    for stage in STAGES:
        moment = run if stage == "first_run" else at.get(stage)
        if moment is None:
            continue
        result.append((stage, max(0.0, moment - before)))
        before = max(before, moment)
    return result
