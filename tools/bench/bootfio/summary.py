# SPDX-License-Identifier: BSD-3-Clause
"""Medians of a result, for the table, the report and the plots."""

from . import boot
from .stats import median, spread

METRICS = ("iops", "bandwidth", "p50_ns", "p99_ns", "p999_ns", "cpu_ms_per_1000", "exits_per_request", "irqs_per_request")


def row_name(row):
    jobs = f", {row['jobs']} jobs" if row["jobs"] > 1 else ""
    return f"{row['workload']} {row['bs']} depth {row['depth']}{jobs}"


def kinds(result):
    return {v["name"]: v["kind"] for v in result["variants"]}


def rows(result):
    """Returns [(row, [line])]. A line is a dict: name, kind, runs, error, log, the medians, spread,
    and the ratios of_host and of_KIND to the best monitor of each kind of peer."""
    kind = kinds(result)
    found = []
    for row in result["rows"]:
        lines = []
        for name, cell in row["variants"].items():
            line = {"name": name, "kind": kind[name], "runs": len(cell["runs"]),
                    "error": cell.get("error"), "log": cell.get("log")}
            for metric in METRICS:
                line[metric] = median([run[metric] for run in cell["runs"] if metric in run])
            line["spread"] = spread([run["iops"] for run in cell["runs"]]) if cell["runs"] else None
            lines.append(line)
        best = {}
        for line in lines:
            if line["iops"]:
                best[line["kind"]] = max(best.get(line["kind"], 0), line["iops"])
        for line in lines:
            for peer, iops in best.items():
                if peer != "ours" and line["iops"]:
                    line["of_" + peer] = line["iops"] / iops
        found.append((row, lines))
    return found


def boots(result):
    """Returns [line]. A line is a dict: name, kind, runs, error, log, total and to_init (medians of
    seconds since exec), spread of the total, stages: [(stage, seconds)], rss_kib and pss_kib beyond
    guest RAM, and of_KIND: ratio of to_init to the quickest monitor of that kind."""
    kind, lines = kinds(result), []
    for name in [v["name"] for v in result["variants"] if v["kind"] != "host"]:
        cell = result["boots"].get(name, {"runs": []})
        runs = cell["runs"]
        at = {s: median([r[s] for r in runs if s in r]) for s in boot.STAGES}
        totals = [r["gone"] for r in runs if "gone" in r]
        lines.append({
            "name": name, "kind": kind[name], "runs": len(runs), "error": cell.get("error"), "log": cell.get("log"),
            "total": at["gone"], "to_init": at["init"], "spread": spread(totals) if totals else None,
            "stages": boot.durations(at, median(cell.get("first_run", []))),
            **(result["memory"].get(name) or {"rss_kib": None, "pss_kib": None}),
        })
    for peer in ("qemu", "lkvm", "firecracker"):
        best = min((l["to_init"] for l in lines if l["kind"] == peer and l["to_init"]), default=None)
        for line in lines:
            if best and line["to_init"]:
                line["of_" + peer] = line["to_init"] / best
    return lines


# ---- text ----

NOT_HAD = "n/a"


def cell(value, form, scale=1.0):
    return NOT_HAD if value is None else format(value * scale, form)


def columns(result, emulated):
    """Returns [(title, function of a line)] for a row's table, with a ratio column for each kind of
    peer that was measured."""
    present = [k for k in ("host", "qemu", "lkvm", "firecracker") if k in kinds(result).values()]
    shown = [
        ("IOPS", lambda l: cell(l["iops"], ".0f")),
        ("+-%", lambda l: cell(l["spread"], ".1f", 100)),
        ("MB/s", lambda l: cell(l["bandwidth"], ".1f", 1e-6)),
    ]
    shown += [("/" + k, lambda l, k=k: cell(l.get("of_" + k), ".2f")) for k in present]
    mark = "*" if emulated else ""
    return shown + [
        ("p50 us" + mark, lambda l: cell(l["p50_ns"], ".1f", 1e-3)),
        ("p99 us" + mark, lambda l: cell(l["p99_ns"], ".1f", 1e-3)),
        ("p99.9 us" + mark, lambda l: cell(l["p999_ns"], ".1f", 1e-3)),
        ("CPU ms/1000", lambda l: cell(l["cpu_ms_per_1000"], ".2f")),
        ("exits/req", lambda l: cell(l["exits_per_request"], ".3f")),
        ("irqs/req", lambda l: cell(l["irqs_per_request"], ".3f")),
        ("runs", lambda l: str(l["runs"])),
    ]


def boot_columns(result):
    present = [k for k in ("qemu", "lkvm", "firecracker") if k in kinds(result).values()]
    shown = [
        (boot.STAGE_NAMES[s], lambda l, s=s: cell(dict(l["stages"]).get(s), ".1f", 1000)) for s in boot.STAGES
    ]
    shown += [("all", lambda l: cell(l["total"], ".1f", 1000)), ("+-%", lambda l: cell(l["spread"], ".1f", 100)),
              ("exec to init", lambda l: cell(l["to_init"], ".1f", 1000))]
    shown += [("/" + k, lambda l, k=k: cell(l.get("of_" + k), ".2f")) for k in present]
    return shown + [
        ("RSS beyond RAM, KiB", lambda l: cell(l["rss_kib"], ".0f")),
        ("PSS", lambda l: cell(l["pss_kib"], ".0f")),
        ("runs", lambda l: str(l["runs"])),
    ]


def grid(head, lines):
    """Formats a text table: the first column is aligned left, the others right."""
    table = [head] + lines
    widths = [max(len(str(line[i])) for line in table) for i in range(len(head))]
    return ["  " + "  ".join(str(v).ljust(w) if i == 0 else str(v).rjust(w)
                             for i, (v, w) in enumerate(zip(line, widths))) for line in table]


def text(result):
    """Formats the whole result for a terminal."""
    out = []
    emulated = result["place"] == "emulated"
    for row, lines in rows(result):
        if not any(l["runs"] or l["error"] for l in lines):
            continue
        out += ["", row_name(row)]
        shown = columns(result, emulated)
        out += grid([""] + [t for t, _ in shown], [[l["name"]] + [f(l) for _, f in shown] for l in lines if l["runs"]])
        out += [f"  FAILED   {l['name']}: {l['error']}; console: {l['log']}" for l in lines if l["error"]]
    lines = boots(result)
    if any(l["runs"] for l in lines):
        shown = boot_columns(result)
        names = [l for l in lines if l["runs"]]
        # The table is transposed to fit a terminal: it has many columns and few monitors.
        turned = [[title] + [f(l) for l in names] for title, f in shown]
        out += ["", "boot, ms"] + grid([""] + [l["name"] for l in names], turned)
    out += [f"  FAILED   {l['name']}, boot: {l['error']}; console: {l['log']}" for l in lines if l["error"]]
    out += [""] + [f"skipped  {s['name']}: {s['reason']}" for s in result["skipped"]]
    out += notes(result)
    return "\n".join(out)


def notes(result):
    said = []
    if result["place"] == "emulated":
        said.append("This is an emulated host: only ratios are meaningful. Seconds are the emulator's CPU time; values "
                    "marked * are by the guest's own clock, which other load disturbs.")
    if not result["complete"]:
        said.append("Ended early: the results are incomplete.")
    return said
