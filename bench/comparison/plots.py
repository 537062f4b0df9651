"""Results as SVG, written by hand: bars of throughput and CPU, curves of latency."""

import math

from .report import LABELS, milliseconds, number, works_done

COLOURS = {"quorate": "#0072b2", "redis": "#d55e00", "etcd": "#009e73"}
FONT = 'font-family="sans-serif" font-size="12"'


def start(width, height):
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" {FONT}>',
        '<rect width="100%" height="100%" fill="white"/>',
    ]


def text(x, y, words, anchor="start", colour="#222", size=12):
    words = words.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}" font-size="{size}">{words}</text>'


def legend(systems, x, y):
    out = []
    for system in systems:
        out.append(f'<rect x="{x}" y="{y - 10}" width="12" height="12" fill="{COLOURS[system]}"/>')
        out.append(text(x + 17, y, LABELS[system]))
        x += 90
    return out


def bars(figures, systems, title, value, show):
    """One panel a work, one bar a system; each panel has its own scale, since works differ a hundredfold."""
    works = works_done(figures)
    left, width, bar, gap = 255, 470, 17, 26
    panel = len(systems) * (bar + 3) + gap
    out = start(left + width + 145, 56 + len(works) * panel)
    out.append(text(14, 24, title, size=15))
    out += legend(systems, left + width - 130, 24)
    for row, work in enumerate(works):
        top = 48 + row * panel
        values = {system: value(figures[(work.name, system)]) for system in systems if (work.name, system) in figures}
        most = max(values.values()) or 1
        out.append(text(left - 10, top + panel / 2 - gap / 2 + 4, work.title, anchor="end"))
        for place, (system, amount) in enumerate(values.items()):
            y, length = top + place * (bar + 3), amount / most * width
            out.append(f'<rect x="{left}" y="{y}" width="{max(length, 1):.1f}" height="{bar}" fill="{COLOURS[system]}"/>')
            out.append(text(left + length + 6, y + bar - 4, show(amount)))
        out.append(f'<line x1="{left}" x2="{left}" y1="{top - 3}" y2="{top + panel - gap + 1}" stroke="#999"/>')
    return "\n".join([*out, "</svg>"]) + "\n"


def throughput(figures, systems):
    return bars(figures, systems, "Commands per second", lambda row: row["throughput"], lambda value: number(value) + "/s")


def cpu(figures, systems):
    def per_command(row):
        return row["cpu_seconds"] * 1e6 / row["commands"] if row["commands"] else 0

    return bars(figures, systems, "CPU of the three nodes, µs per command", per_command, lambda value: f"{value:.1f} µs")


def latency(figures, systems):
    """One panel a work: latency over percentile, both stretched so that the tail can be seen."""
    works = works_done(figures)
    ticks = [(0, "0"), (90, "90"), (99, "99"), (99.9, "99.9"), (99.99, "99.99")]
    columns, width, height, left, top = 2, 360, 190, 62, 66
    step_x, step_y = width + left + 26, height + 74
    rows = math.ceil(len(works) / columns)
    out = start(columns * step_x + 10, top + rows * step_y)
    out.append(text(14, 24, "Latency by percentile, ms", size=15))
    out += legend(systems, columns * step_x - 280, 24)
    nines_max = nines(99.99)
    for at, work in enumerate(works):
        x0, y0 = left + at % columns * step_x, top + at // columns * step_y
        curves = {
            system: [(percent, max(value, 1)) for percent, value in figures[(work.name, system)]["curve"] if percent <= 99.99]
            for system in systems
            if (work.name, system) in figures
        }
        values = [value for curve in curves.values() for _, value in curve]
        low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        high = max(high, low + 1)

        def place(percent, value):
            x = x0 + nines(percent) / nines_max * width
            return x, y0 + height - (math.log10(value) - low) / (high - low) * height

        out.append(text(x0, y0 - 8, work.title))
        out.append(f'<rect x="{x0}" y="{y0}" width="{width}" height="{height}" fill="none" stroke="#bbb"/>')
        for power in range(low, high + 1):
            _, y = place(0, 10**power)
            out.append(f'<line x1="{x0}" x2="{x0 + width}" y1="{y:.1f}" y2="{y:.1f}" stroke="#eee"/>')
            out.append(text(x0 - 6, y + 4, f"{10.0 ** (power - 3):g}", anchor="end", colour="#555"))
        for percent, label in ticks:
            x, _ = place(percent, 10**low)
            out.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y0}" y2="{y0 + height}" stroke="#eee"/>')
            out.append(text(x, y0 + height + 16, label, anchor="middle", colour="#555"))
        for system, curve in curves.items():
            points = " ".join("{:.1f},{:.1f}".format(*place(percent, value)) for percent, value in curve)
            out.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[system]}" stroke-width="2"/>')
        p50s = ", ".join(f"{LABELS[name]} {milliseconds(figures[(work.name, name)]['p50'])}" for name in curves)
        out.append(text(x0, y0 + height + 34, f"p50: {p50s}", colour="#555", size=11))
    return "\n".join([*out, "</svg>"]) + "\n"


def nines(percent):
    """0 -> 0, 90 -> 1, 99 -> 2: each nine as wide as the one before."""
    return -math.log10(max(1 - percent / 100, 1e-9))


PLOTS = [
    ("throughput.svg", "Commands per second of each system at each work", throughput),
    ("latency.svg", "Latency by percentile of each system at each work", latency),
    ("cpu.svg", "CPU of the servers per command", cpu),
]
