# SPDX-License-Identifier: BSD-3-Clause
"""Comparison of two results: whether the newer one shows a regression of microvm.

Each row that both results have, and each boot time, is a regression if the new value is worse than
the old one by more than the floor, both by its median and by a permutation test of the repetitions
at 5 %. Where the number of repetitions allows it, p is adjusted for the number of rows (Holm)."""

import json

from . import summary
from .errors import Fatal
from .stats import effect, holm, median, smallest_p, worse_p

ALPHA = 0.05


def load(path):
    try:
        with open(path, encoding="utf-8") as file:
            result = json.load(file)
    except (OSError, ValueError) as error:
        raise Fatal(path, f"is not a result of boot-and-fio: {error}") from error
    if not isinstance(result, dict) or result.get("format") != 1:
        raise Fatal(path, "is not a result of boot-and-fio")
    return result


def samples(result, kinds):
    """Returns {(what, variant): (values, higher is better)} for monitors of the given kinds."""
    kind = summary.kinds(result)
    found = {}
    for row in result["rows"]:
        for name, cell in row["variants"].items():
            if kind[name] in kinds and cell["runs"]:
                found[summary.row_name(row) + ", IOPS", name] = ([run["iops"] for run in cell["runs"]], True)
    for name, cell in result["boots"].items():
        totals = [run["gone"] for run in cell["runs"] if "gone" in run]
        if kind[name] in kinds and totals:
            found["boot, s", name] = (totals, False)
    return found


def judge(old, new, floor):
    """Returns ([dict], adjusted). A dict has: what, name, old, new (medians), ratio, delta
    (Cliff's), p, verdict. `adjusted` says whether p is adjusted for the number of rows."""
    before, after = samples(old, ("ours",)), samples(new, ("ours",))
    lines = []
    for key in before:
        if key not in after:
            continue
        (a, higher), (b, _) = before[key], after[key]
        ratio, delta = effect(a, b)
        lines.append({"what": key[0], "name": key[1], "old": median(a), "new": median(b), "ratio": ratio,
                      "delta": delta, "p": worse_p(a, b, floor, higher), "least": smallest_p(len(a), len(b)),
                      "worse": (1 - ratio if higher else ratio - 1) > floor, "better": (ratio - 1 if higher else 1 - ratio) > floor})
    adjusted = bool(lines) and max(l["least"] for l in lines) * len(lines) <= ALPHA
    if adjusted:
        for line, p in zip(lines, holm([l["p"] for l in lines])):
            line["p"] = p
    for line in lines:
        if line["worse"] and line["p"] <= ALPHA:
            line["verdict"] = "REGRESSION"
        elif line["worse"]:
            line["verdict"] = "worse, not surely"
        else:
            line["verdict"] = "better" if line["better"] else "same"
    return lines, adjusted


def drift(old, new):
    """Returns the median ratio, new to old, of the peers and the host, or None. These programs did
    not change, so a ratio other than 1 shows that the machine did."""
    others = ("host", "qemu", "lkvm", "firecracker")
    before, after = samples(old, others), samples(new, others)
    ratios = [median(after[k][0]) / median(before[k][0]) for k in before if k in after and before[k][1]]
    return median(ratios) if ratios else None


def compare(old_path, new_path, floor):
    """Compares two result files. Returns (text, exit code)."""
    old, new = load(old_path), load(new_path)
    if old["place"] != new["place"]:
        raise Fatal(new_path, f"was measured in another kind of place ({new['place']}) than {old_path} ({old['place']})")
    lines, adjusted = judge(old, new, floor)
    if not lines:
        raise Fatal(new_path, f"has no row of microvm in common with {old_path}")
    out = summary.grid(
        ["", "", "old", "new", "new/old", "delta", "p", ""],
        [[l["what"], l["name"], f"{l['old']:.5g}", f"{l['new']:.5g}", f"{l['ratio']:.3f}", f"{l['delta']:+.2f}",
          f"{l['p']:.3f}", l["verdict"]] for l in lines])
    moved = drift(old, new)
    if moved is not None:
        out.append(f"peers and host, which should not have changed: {moved:.3f} times as many requests")
    few = [l for l in lines if l["least"] > ALPHA]
    if few:
        out.append(f"{len(few)} of {len(lines)} have too few runs to be judged: 3 and 3 are the least")
    elif adjusted:
        out.append(f"p is adjusted for {len(lines)} comparisons")
    else:
        out.append(f"p is not adjusted for {len(lines)} comparisons, for which there are too few runs: "
                   f"by chance alone up to {ALPHA * len(lines):.1f} may be called a regression")
    bad = sum(l["verdict"] == "REGRESSION" for l in lines)
    out.append(f"compare: {bad} regressions beyond {floor * 100:g} % in {len(lines)} comparisons")
    return "\n".join(out), 1 if bad else 0
