# SPDX-License-Identifier: BSD-3-Clause
"""Measurement loop: boots, then rows, each monitor in turn; the result is always up to date."""

import os
import time

from . import boot
from .errors import RowFailed
from .guest import Guest, Host

# A monitor that fails to start in this many rows in succession is left out of the others.
GIVE_UP = 2


class Progress:
    """Prints a line for each finished step and, on a terminal, the step in progress."""

    def __init__(self, stream, total):
        self.stream, self.total, self.done, self.began = stream, max(1, total), 0, time.monotonic()
        self.tty = stream.isatty()

    def say(self, text):
        self.stream.write(("\r\033[K" if self.tty else "") + text + "\n")
        self.stream.flush()

    def now(self, text):
        if self.tty:
            spent = time.monotonic() - self.began
            left = f", {spent / self.done * (self.total - self.done) / 60:.0f} min left" if self.done > 2 else ""
            self.stream.write(f"\r\033[K[{self.done}/{self.total}{left}] {text}"[:110])
            self.stream.flush()

    def step(self):
        self.done += 1


def in_turn(variants, n):
    """Returns the variants in order, reversed in every other run, so that no monitor always runs
    after the same other one and in the state that it leaves behind."""
    return variants if n % 2 == 0 else variants[::-1]


def entry(table, name):
    return table.setdefault(name, {"runs": []})


def fail(where, error, log, progress, what):
    where["error"], where["log"] = str(error), log
    progress.say(f"{what}: FAILED: {error}; its console: {log}")


def measure_boots(context, result, save, progress):
    """Fills result["boots"]: {variant: {"runs": [{stage: seconds}], "first_run": [seconds]}}"""
    variants = [v for v in context.variants if v.kind != "host"]
    for n in range(context.options.boots):
        for variant in in_turn(variants, n):
            where = entry(result["boots"], variant.name)
            progress.now(f"boot {n + 1}: {variant.name}")
            progress.step()
            if "error" in where:
                continue
            try:
                at = boot.boot(variant, context)
                where["runs"].append(at)
                measure_first_run(variant, context, where)
            except RowFailed as error:
                log = os.path.join(context.logs, f"{variant.name}-boot.log")
                fail(where, error, log, progress, f"{variant.name}, boot")
        save()
        progress.say(f"boot {n + 1} of {context.options.boots}: " + ", ".join(
            f"{v.name} {result['boots'][v.name]['runs'][n].get('init', 0):.3f} s" for v in variants
            if len(result["boots"][v.name]["runs"]) > n))


def measure_first_run(variant, context, where):
    """Measures the time to the first KVM_RUN. A monitor that cannot be traced can still be booted,
    so an error is only recorded."""
    if "first_run_error" in where:
        return
    try:
        run = boot.first_run(variant, context)
    except RowFailed as error:
        where["first_run_error"] = str(error)
        return
    if run is not None:
        where.setdefault("first_run", []).append(run)


def measure_rows(context, rows, result, save, progress):
    """Fills result["rows"]: [{workload, bs, depth, jobs, "variants": {variant: {"runs": [...],
    "error", "log"}}}]"""
    guests = {v.name: (Host if v.kind == "host" else Guest)(v, context) for v in context.variants}
    result["rows"] = [{**row._asdict(), "variants": {v.name: {"runs": []} for v in context.variants}} for row in rows]
    stubborn = dict.fromkeys(guests, 0)
    try:
        for n in range(context.options.runs):
            for row, where in zip(rows, result["rows"]):
                for variant in in_turn(context.variants, n):
                    progress.now(f"run {n + 1}: {row}: {variant.name}")
                    progress.step()
                    measure_one(guests[variant.name], row, where["variants"][variant.name], stubborn, progress)
                save()
                progress.say(f"run {n + 1} of {context.options.runs}, {row}: " + ", ".join(
                    f"{name} {v['runs'][n]['iops']:.0f}" for name, v in where["variants"].items() if len(v["runs"]) > n))
        for name, guest in guests.items():
            memory = guest.memory()
            if memory:
                result["memory"][name] = memory
    finally:
        save()
    for guest in guests.values():
        guest.down()


def measure_one(guest, row, where, stubborn, progress):
    name = guest.variant.name
    if "error" in where:
        return
    if stubborn[name] >= GIVE_UP:
        where["error"], where["log"] = "left out: its guest failed to start before", guest.log_path("fio")
        return
    try:
        guest.up()
        stubborn[name] = 0
        where["runs"].append(guest.measure(row))
    except RowFailed as error:
        if guest.probe is None and guest.variant.kind != "host":
            stubborn[name] += 1
        guest.down(failed=True)
        fail(where, error, guest.log_path("fio"), progress, f"{name}, {row}")
