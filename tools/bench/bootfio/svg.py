# SPDX-License-Identifier: BSD-3-Clause
"""SVG plots without a library: bars with whiskers, percentiles on a log scale, boot stages."""

import math
from html import escape

WIDTH, LEFT, RIGHT = 860, 190, 70
BAR, GAP = 13, 16
OURS = ["#1b6ca8", "#4d9de0", "#7fb7be", "#2a9d8f", "#76c893"]
PEERS = {"qemu": ["#d1495b", "#e58b88", "#f2b8a2"], "lkvm": ["#8d6a9f"], "firecracker": ["#edae49"], "host": ["#6c757d"]}
STAGES = {"first_run": "#264653", "kernel": "#2a9d8f", "init": "#8ab17d", "read": "#e9c46a", "off": "#f4a261",
          "gone": "#e76f51"}


def colours(variants):
    """Returns {name: colour} for [(name, kind)]."""
    used, found = {}, {}
    for name, kind in variants:
        palette = OURS if kind == "ours" else PEERS.get(kind, ["#999999"])
        n = used[kind] = used.get(kind, -1) + 1
        found[name] = palette[n % len(palette)]
    return found


def text(x, y, what, anchor="start", extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{extra}>{escape(str(what))}</text>'


def rect(x, y, w, h, fill, title):
    return (f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(w, 0.5):.1f}" height="{h}" fill="{fill}">'
            f"<title>{escape(title)}</title></rect>")


def line(x1, y1, x2, y2, colour="#333", width=1.0):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"/>'


def page(height, title, parts):
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-label="{escape(title)}" font-family="sans-serif" font-size="11">',
        "<!-- SPDX-License-Identifier: BSD-3-Clause -->",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        text(12, 20, title, extra=' font-size="14" font-weight="bold"'), *parts, "</svg>", ""])


def legend(names, y):
    """Draws a legend for [(text, colour)]. Returns its SVG parts and the y below it."""
    parts, x = [], 12
    for name, colour in names:
        width = 24 + 6.4 * len(name)
        if x + width > WIDTH:
            x, y = 12, y + 16
        parts += [f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{colour}"/>', text(x + 14, y, name)]
        x += width
    return parts, y + 12


def ticks(top):
    """Returns round numbers from 0 to about `top`."""
    raw = top / 5
    unit = 10 ** math.floor(math.log10(raw))
    step = next(unit * k for k in (1, 2, 5, 10) if unit * k >= raw)
    return [step * i for i in range(int(top / step) + 1)]


def bars(title, groups, palette, unit):
    """Draws groups, [(label, [(name, value, low, high)])]: a bar for each value, a whisker from low
    to high."""
    values = [high for _, members in groups for _, _, _, high in members]
    top = max(values, default=1) * 1.02 or 1
    parts, y = legend(list(palette.items()), 40)
    scale = (WIDTH - LEFT - RIGHT) / top
    begin = y
    drawn = []
    for label, members in groups:
        y += GAP / 2
        drawn.append(text(LEFT - 8, y + len(members) * BAR / 2 + 4, label, "end"))
        for name, value, low, high in members:
            drawn.append(rect(LEFT, y, value * scale, BAR - 2, palette[name], f"{name}: {value:.3g}"))
            middle = y + BAR / 2 - 1
            if high > low:
                drawn.append(line(LEFT + low * scale, middle, LEFT + high * scale, middle, "#222", 1.2))
            drawn.append(text(LEFT + high * scale + 4, middle + 4, f"{value:.2f}", extra=' font-size="9" fill="#444"'))
            y += BAR
        y += GAP / 2
    for tick in ticks(top):
        x = LEFT + tick * scale
        parts += [line(x, begin, x, y, "#ddd"), text(x, y + 14, f"{tick:g}", "middle")]
    parts.append(text(LEFT + (WIDTH - LEFT - RIGHT) / 2, y + 30, unit, "middle"))
    return page(int(y + 40), title, parts + drawn)


def percentiles(title, groups, palette, unit):
    """Draws groups, [(label, [(name, [p50, p99, p99.9])])]: a line with three dots for each, on a
    logarithmic scale."""
    values = [v for _, members in groups for _, three in members for v in three if v]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    high = max(high, low + 1)
    parts, y = legend(list(palette.items()), 40)
    begin, drawn = y, []

    def at(value):
        return LEFT + (math.log10(value) - low) * (WIDTH - LEFT - RIGHT) / (high - low)

    for label, members in groups:
        y += GAP / 2
        drawn.append(text(LEFT - 8, y + len(members) * BAR / 2 + 4, label, "end"))
        for name, three in members:
            middle = y + BAR / 2
            drawn.append(line(at(three[0]), middle, at(three[-1]), middle, palette[name], 2))
            for radius, value in zip((4.2, 3.2, 2.2), three):
                drawn.append(f'<circle cx="{at(value):.1f}" cy="{middle}" r="{radius}" fill="{palette[name]}">'
                             f"<title>{escape(name)}: {value:.1f}</title></circle>")
            y += BAR
        y += GAP / 2
    for power in range(low, high + 1):
        x = at(10 ** power)
        parts += [line(x, begin, x, y, "#ddd"), text(x, y + 14, f"{10 ** power:g}", "middle")]
    parts.append(text(LEFT + (WIDTH - LEFT - RIGHT) / 2, y + 30, unit, "middle"))
    return page(int(y + 40), title, parts + drawn)


def stages(title, lines, names, unit):
    """Draws lines, [(label, [(stage, value)])]: a stacked bar of stages for each."""
    top = max((sum(v for _, v in parts) for _, parts in lines), default=1) * 1.02 or 1
    parts, y = legend([(names[s], STAGES[s]) for s in names], 40)
    scale, begin, drawn = (WIDTH - LEFT - RIGHT) / top, y, []
    for label, members in lines:
        y += GAP / 2
        x = LEFT
        drawn.append(text(LEFT - 8, y + BAR - 1, label, "end"))
        for stage, value in members:
            drawn.append(rect(x, y, value * scale, BAR + 3, STAGES[stage], f"{names[stage]}: {value:.3g}"))
            x += value * scale
        drawn.append(text(x + 4, y + BAR - 1, f"{sum(v for _, v in members):.3g}", extra=' font-size="9" fill="#444"'))
        y += BAR + GAP / 2
    for tick in ticks(top):
        x = LEFT + tick * scale
        parts += [line(x, begin, x, y, "#ddd"), text(x, y + 14, f"{tick:g}", "middle")]
    parts.append(text(LEFT + (WIDTH - LEFT - RIGHT) / 2, y + 30, unit, "middle"))
    return page(int(y + 40), title, parts + drawn)
