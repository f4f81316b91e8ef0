# SPDX-License-Identifier: BSD-3-Clause
"""Output files of a run: result.json, report.html, and its plots."""

import json
import os
import shlex
from html import escape

from . import boot, summary, svg
from .errors import Fatal

STYLE = """body{font:14px/1.45 sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:.5em 0 1.5em}td,th{padding:.15em .6em;text-align:right;border-bottom:1px solid #ddd}
td:first-child,th:first-child{text-align:left}tr.ours{background:#eef5fb}.bad{color:#b00020}.note{background:#fff6d6;
padding:.6em 1em;border-left:4px solid #e9c46a}pre{overflow-x:auto;background:#f5f5f5;padding:.6em}svg{max-width:100%;
height:auto}"""


def write(path, text):
    """Writes a file atomically: the complete contents, or no change."""
    try:
        with open(path + ".part", "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(path + ".part", path)
    except OSError as error:
        raise Fatal(path, f"cannot be written: {error.strerror}") from error


def save_json(out, result):
    write(os.path.join(out, "result.json"), json.dumps(result, indent=1) + "\n")


def plots(result):
    """Returns [(file name, SVG)] for each plot that has data."""
    variants = [(v["name"], v["kind"]) for v in result["variants"]]
    palette = svg.colours(variants)
    found = []
    rows = [(summary.row_name(row), [l for l in lines if l["iops"]]) for row, lines in summary.rows(result)]
    rows = [(name, lines) for name, lines in rows if lines]
    emulated = result["place"] == "emulated"
    where = " (emulated host: only ratios are meaningful)" if emulated else ""
    # IOPS are shown relative to the host; without it, to the best peer of the first kind that was
    # measured; otherwise to the best of all. In an emulated host the host itself is so much faster
    # that the differences between monitors would be invisible beside it.
    order = ("qemu", "host") if emulated else ("host", "qemu", "lkvm", "firecracker")
    peer = next((k for k in order if any("of_" + k in l for _, ls in rows for l in ls)), None)
    groups = []
    for name, lines in rows:
        base = [l["iops"] for l in lines if peer is None or l["kind"] == peer]
        if base:
            shown = [l for l in lines if peer == "host" or l["kind"] != "host"]
            groups.append((name, [whiskered(l, max(base)) for l in shown]))
    if groups:
        unit = "requests per second, as a share of " + {None: "the best", "host": "the host's"}.get(peer, f"the best {peer}")
        found.append(("iops.svg", svg.bars("fio: requests per second" + where, groups, used(palette, groups), unit)))
    tails = [(name, [(l["name"], [l["p50_ns"] / 1e3, l["p99_ns"] / 1e3, l["p999_ns"] / 1e3]) for l in lines if l["p50_ns"]])
             for name, lines in rows]
    tails = [(name, members) for name, members in tails if members]
    if tails:
        found.append(("latency.svg", svg.percentiles("fio: latency" + where, tails,
                                                     used(palette, tails), "microseconds: median, 99 %, 99.9 %")))
    lines = [(l["name"], [(s, v * 1000) for s, v in l["stages"]]) for l in summary.boots(result) if l["stages"]]
    if lines:
        found.append(("boot.svg", svg.stages("boot: where the time goes" + where, lines, boot.STAGE_NAMES, "milliseconds")))
    return found


def used(palette, groups):
    """Returns the palette without the names that the plot does not show."""
    names = {member[0] for _, members in groups for member in members}
    return {name: colour for name, colour in palette.items() if name in names}


def whiskered(line, base):
    value = line["iops"] / base
    return line["name"], value, value * (1 - line["spread"]), value * (1 + line["spread"])


def table(head, lines):
    """Returns an HTML table. lines: [(class, [cell])]"""
    out = ["<table><tr>" + "".join(f"<th>{escape(h)}</th>" for h in head) + "</tr>"]
    for kind, cells in lines:
        out.append(f'<tr class="{kind}">' + "".join(f"<td>{escape(c)}</td>" for c in cells) + "</tr>")
    return "\n".join(out + ["</table>"])


def failures(lines):
    return [f'<p class="bad">{escape(l["name"])}: {escape(l["error"])}. Console: {escape(l["log"])}</p>'
            for l in lines if l["error"]]


def html(result, drawn):
    out = ["<!DOCTYPE html>", '<html lang="en"><head><meta charset="utf-8"><title>boot-and-fio</title>',
           f"<style>{STYLE}</style></head><body>", "<h1>boot-and-fio</h1>"]
    machine = result["machine"]
    out.append(f"<p>{escape(result['date'])}, {escape(machine['cpu'])}, {machine['cpus']} processors, Linux "
               f"{escape(machine['kernel'])}; guests: {result['options']['cpus']} virtual CPUs, "
               f"{result['options']['memory'] >> 20} MiB. Medians; +-% is half of what lies between the best and the worst "
               "run; /qemu and the like are ratios to the best of that kind, /host is the share of what fio gets without a "
               "guest. CPU is that of the monitor, outside of the guest.</p>")
    out += [f'<p class="note">{escape(note)}</p>' for note in summary.notes(result)]
    out += [picture for _, picture in drawn]
    shown = summary.columns(result, result["place"] == "emulated")
    for row, lines in summary.rows(result):
        out.append(f"<h2>{escape(summary.row_name(row))}</h2>")
        out.append(table([""] + [t for t, _ in shown],
                         [(l["kind"], [l["name"]] + [f(l) for _, f in shown]) for l in lines if l["runs"]]))
        out += failures(lines)
    lines = summary.boots(result)
    shown = summary.boot_columns(result)
    if result["boots"]:
        out.append("<h2>boot, milliseconds</h2>")
        out.append(table([""] + [t for t, _ in shown],
                         [(l["kind"], [l["name"]] + [f(l) for _, f in shown]) for l in lines if l["runs"]]))
        out.append("<p>Kernel entry is when the guest kernel's clock begins. n/a: could not be seen; it is in the stage "
                   "behind it.</p>")
        out += failures(lines)
    out.append("<h2>To repeat it</h2>")
    out += [f"<p>skipped: {escape(s['name'])}: {escape(s['reason'])}</p>" for s in result["skipped"]]
    out.append("<pre>" + escape(shlex.join(result["argv"])) + "\n\n" + "\n".join(
        f"{escape(name)}: {escape(said)}" for name, said in result["versions"].items()) + "</pre>")
    out.append("<pre>" + "\n\n".join(f"# {escape(v['name'])}\n{escape(shlex.join(v['command']))}"
                                     for v in result["variants"]) + "</pre>")
    return "\n".join(out + ["</body></html>", ""])


def save(out, result):
    save_json(out, result)
    drawn = plots(result)
    for name, picture in drawn:
        write(os.path.join(out, name), picture)
    write(os.path.join(out, "report.html"), html(result, drawn))
