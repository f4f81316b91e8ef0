# SPDX-License-Identifier: BSD-3-Clause
"""Tables of vhost-bench."""

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

    def value(self, cell, name, column):
        values = [run[column] for run in self.runs[cell].get(name, []) if run.get(column) is not None]
        return median(values)

    def best(self, cell, prefix, column):
        """Returns the best median of the variants whose names begin with `prefix`."""
        values = [self.value(cell, name, column) for name in self.runs[cell] if name.startswith(prefix)]
        values = [value for value in values if value is not None]
        return (max if column == "iops" else min)(values) if values else None

    def rows(self, cell):
        for name, runs in self.runs[cell].items():
            value = {column: self.value(cell, name, column) for column in COLUMNS}
            if value["iops"] is None:
                continue
            ratios = []
            for column in ("iops", "cpu_ns"):
                peer = self.best(cell, "qsd", column)
                ratios.append(text(value[column] / peer if peer and value[column] is not None else None))
            rates = [run["iops"] for run in runs if "calls" not in run]
            yield [name, text(value["iops"], 1000, 1), f"{spread(rates) * 100:.0f}" if rates else "-", ratios[0],
                   text(value["cpu_ns"], 1000), ratios[1], text(value["p50_us"], digits=1), text(value["p99_us"], digits=1),
                   text(value["kicks"], digits=3), text(value["calls"], digits=3)]

    def tables(self):
        head = ["variant", "k/s", "+-%", "/QSD", "CPU us", "/QSD", "p50 us", "p99 us", "kicks", "calls"]
        for cell in self.runs:
            yield ""
            yield f"{cell.file}, {cell.format}, depth {cell.depth}, {cell.queues} queue(s), client waits by {cell.wait}"
            rows = [head, *self.rows(cell)]
            widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
            for row in rows:
                yield "  " + row[0].ljust(widths[0]) + "".join("  " + word.rjust(width) for word, width in zip(row[1:], widths[1:]))
        if self.idle:
            yield ""
            yield "connect to first completion (median), and with live rings without requests:"
            yield from (f"  {name}: {words}" for name, words in self.idle.items())
        yield from (f"skipped  {words}" for words in self.skipped)
