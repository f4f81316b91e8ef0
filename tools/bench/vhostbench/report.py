# SPDX-License-Identifier: BSD-3-Clause
"""Tables of vhost-bench."""

from dataclasses import replace

from bootfio.stats import median, spread

COLUMNS = ("iops", "cpu_ns", "p50_us", "p99_us", "kicks", "calls")


def text(value, scale=1.0, digits=2):
    return "-" if value is None else f"{value / scale:.{digits}f}"


def line(name, result):
    """Returns the line of one run."""
    return (f"{name}: {text(result['iops'], 1000, 1)} k/s, CPU {text(result.get('cpu_ns'), 1000)} us, "
            f"p50 {text(result.get('p50_us'), digits=1)} us, p99 {text(result.get('p99_us'), digits=1)} us")


class Results:
    """Results of all runs, by cell and variant."""

    def __init__(self):
        self.runs = {}
        self.idle = {}  # variant -> text
        self.skipped = {}  # text -> None, in order

    def add(self, cell, name, result):
        self.runs.setdefault(cell, {}).setdefault(name, []).append(result)

    def skip(self, name, why):
        self.skipped[f"{name}: {why}"] = None

    def values(self, cell, name, column):
        return [run[column] for run in self.runs.get(cell, {}).get(name, []) if run.get(column) is not None]

    def value(self, cell, name, column):
        return median(self.values(cell, name, column))

    def best(self, cell, prefix, column):
        """Returns the variant with the best median of those whose names begin with `prefix`, or None."""
        names = [name for name in self.runs[cell] if name.startswith(prefix) and self.values(cell, name, column)]
        names = [name for name in names if not name.endswith(("-inflight", "-log"))]
        return (max if column == "iops" else min)(names, key=lambda name: self.value(cell, name, column), default=None)

    def ratio(self, column, cell, name, other, peer):
        """Returns the median of the ratios of two variants' runs in the same round, or None."""
        pairs = zip(self.values(cell, name, column), self.values(other, peer, column))
        return median([mine / theirs for mine, theirs in pairs if theirs])

    # ---- tables ----

    def rows(self, cell):
        for name, runs in self.runs[cell].items():
            value = {column: self.value(cell, name, column) for column in COLUMNS}
            if value["iops"] is None:
                continue
            ratios = {}
            for column in ("iops", "cpu_ns"):
                peer = None if name.startswith("null") else self.best(cell, "qsd", column)
                ratios[column] = text(value[column] and peer and value[column] / self.value(cell, peer, column))
            rates = [run["iops"] for run in runs if run["iops"]]
            yield [name, text(value["iops"], 1000, 1), f"{spread(rates) * 100:.0f}", ratios["iops"],
                   text(value["cpu_ns"], 1000), ratios["cpu_ns"], text(value["p50_us"], digits=1),
                   text(value["p99_us"], digits=1), text(value["kicks"], digits=3), text(value["calls"], digits=3)]

    def tables(self):
        head = ["variant", "k/s", "+-%", "/QSD", "CPU us", "/QSD", "p50 us", "p99 us", "kicks", "calls"]
        for cell in self.runs:
            yield ""
            yield heading(cell)
            rows = [head, *self.rows(cell)]
            widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
            for row in rows:
                cells = "".join("  " + word.rjust(width) for word, width in zip(row[1:], widths[1:]))
                yield "  " + row[0].ljust(widths[0]) + cells
        if self.runs:
            yield ""
            yield "compared: medians of the ratios of runs in the same round (rate, CPU per request):"
            for cell in self.runs:
                yield f"  {heading(cell)}"
                yield from (f"    {words}" for words in self.comparisons(cell))
        if self.idle:
            yield ""
            yield "connect to first completion (median, shortest); with live rings without requests:"
            yield from (f"  {name}: {words}" for name, words in self.idle.items())
        yield from (f"skipped  {words}" for words in self.skipped)

    # ---- comparisons ----

    def pair(self, cell, name, other, peer):
        """Returns a line about two variants, or nothing if one of them has no runs."""
        rate, cpu = (self.ratio(column, cell, name, other, peer) for column in ("iops", "cpu_ns"))
        if rate is not None:
            yield f"{name} / {peer}: {text(rate)}, {text(cpu)}"

    def comparisons(self, cell):
        for column, what in (("iops", "rate"), ("cpu_ns", "CPU per request")):
            mine, peer = self.best(cell, "microvm", column), self.best(cell, "qsd", column)
            if mine and peer:
                yield f"best {what}, {mine} / {peer}: {text(self.ratio(column, cell, mine, cell, peer))}"
        for name, peer in (("microvm-uring", "inprocess"), ("microvm-inflight", "microvm-uring"),
                           ("microvm-log", "microvm-uring"), ("null-inflight", "null"), ("null-log", "null")):
            yield from self.pair(cell, name, cell, peer)
        one = replace(cell, queues=1)
        if cell.queues > 1 and one in self.runs:
            for words in self.pair(cell, "microvm-uring", one, "microvm-uring"):
                yield f"{words} (to one queue)"


def heading(cell):
    return f"{cell.file}, {cell.format}, depth {cell.depth}, {cell.queues} queue(s), client waits by {cell.wait}"
