# SPDX-License-Identifier: BSD-3-Clause
"""Main program: parses the command line, runs, reports, and returns the exit code."""

import os
import signal
import sys
import time

from . import compare, matrix, measure, options, report, summary
from .context import Context, choose_place
from .errors import Fatal, Interrupted


def on_signal(signum, _frame):
    raise Interrupted(signum)


def planned(context, rows):
    monitors = sum(v.kind != "host" for v in context.variants)
    o = context.options
    return (0 if o.no_boot else o.boots * monitors) + o.runs * len(rows) * len(context.variants)


def run(top, argv, o):
    emulated = choose_place(o.place) == "emulated"
    o = options.effective(o, emulated, len(os.sched_getaffinity(0)))
    rows = [] if o.no_fio else matrix.rows(options.blocks(o, emulated), o.jobs)
    context = Context(top, o, emulated)
    progress = measure.Progress(sys.stderr, planned(context, rows))
    result = {"format": 1, "date": time.strftime("%Y-%m-%d %H:%M:%S %Z"), "argv": argv, "complete": False,
              **context.describe(), "boots": {}, "rows": [], "memory": {}}
    for name, why in context.skipped:
        progress.say(f"skipped: {name}: {why}")
    code = 0
    try:
        if emulated:
            progress.say("this processor offers no virtualization: in an emulated host, where only ratios are meaningful")
        context.place.open()
        context.make_disks(progress.say)
        save = lambda: report.save_json(context.out, result)
        if not o.no_boot:
            measure.measure_boots(context, result, save, progress)
        if rows:
            measure.measure_rows(context, rows, result, save, progress)
        result["complete"] = True
    except Interrupted as interrupted:
        code = interrupted.code
        progress.say("interrupted: ending what was started")
    finally:
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, signal.SIG_IGN)
        context.place.close()
    report.save(context.out, result)
    print(summary.text(result))
    print(f"report: {context.out}/report.html")
    return code or (1 if ours_failed(result) else 0)


def ours_failed(result):
    kind = summary.kinds(result)
    cells = [item for row in result["rows"] for item in row["variants"].items()] + list(result["boots"].items())
    return any(kind[name] == "ours" and "error" in cell for name, cell in cells)


def main(top, argv):
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, on_signal)
    try:
        parsed = options.parse(argv[1:])
        if parsed.compare:
            text, code = compare.compare(*parsed.compare, parsed.floor / 100)
            print(text)
            return code
        return run(top, argv, parsed)
    except Fatal as error:
        print(f"boot-and-fio: {error}", file=sys.stderr)
        return error.code
    except Interrupted as interrupted:
        return interrupted.code
    except BrokenPipeError:
        return 1
