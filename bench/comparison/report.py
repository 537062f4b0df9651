"""Results as Markdown: the table, the targets, the check."""

import statistics

from .works import KEYS, VALUE_BYTES, WORKS

BEGIN = "<!-- bench/run: from here to the next mark, it writes this part anew -->"
END = "<!-- /bench/run -->"
METRICS = [
    "throughput", "p50", "p99", "p99.9", "max", "cpu_seconds", "generator_cpu_seconds", "commands", "written_bytes", "network_bytes",
]  # fmt: skip
# What is aimed at: work, metric, of whom at which work, whether more is better, ratio.
TARGETS = [
    ("set-1", "p50", "redis", "set-1", False, 1.25),
    ("set-50", "throughput", "redis", "set-50", True, 1.0),
    ("set-50", "throughput", "etcd", "set-50", True, 10.0),
    ("set-256", "throughput", "redis", "set-256", True, 1.0),
    ("set-50-p16", "throughput", "redis", "set-50-p16", True, 1.0),
    ("get-50", "throughput", "redis", "get-50", True, 1.0),
    ("get-50-p16", "throughput", "redis", "get-50-p16", True, 0.8),
    ("get-follower", "throughput", "quorate", "get-50", True, 0.8),
]
# What is counted that should not be, and how it is told.
FAULTS = [
    ("errors", "commands failed"),
    ("unanswered", "commands had no reply"),
    ("misses", "reads found no value"),
    ("leader_changes", "turns in which the leader changed"),
]
LABELS = {"quorate": "Quorate", "redis": "Redis", "etcd": "etcd"}


def summary(turns):
    """The median of each metric over the rounds, with the lowest and highest throughput."""
    figures = {}
    for metric in METRICS:
        values = [turn[metric] for turn in turns if turn[metric] is not None]
        figures[metric] = statistics.median(values) if values else None
    rates = [turn["throughput"] for turn in turns]
    figures["lowest"], figures["highest"] = min(rates), max(rates)
    figures["curve"] = [
        [point[0], statistics.median(turn["curve"][at][1] for turn in turns)] for at, point in enumerate(turns[0]["curve"])
    ]
    for name in ("errors", "misses", "unanswered", "leader_changes"):
        figures[name] = sum(turn[name] for turn in turns)
    figures["first_error"] = next((turn["first_error"] for turn in turns if turn["first_error"]), None)
    checks = [turn["check"] for turn in turns if turn.get("check")]
    figures["check"] = checks[-1] if checks else None
    return figures


def summaries(results):
    """(work, system) -> figures, for what has been run."""
    return {
        (work, system): summary(turns)
        for work, systems in results["turns"].items()
        for system, turns in systems.items()
        if turns
    }


def number(value):
    """An integer, in groups of three."""
    return f"{value:,.0f}"


def milliseconds(microseconds):
    value = microseconds / 1000
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def per_command(total, commands):
    if total is None or not commands:
        return "–"
    value = total / commands
    return f"{value:.1f}" if value < 10 else number(value)


def works_done(figures):
    return [work for work in WORKS if any(done == work.name for done, _ in figures)]


def main_table(figures, systems):
    lines = [
        "| work | system | commands/s | lowest–highest | p50 ms | p99 ms | p99.9 ms | CPU s: servers | CPU s: generator "
        "| CPU µs/command: servers | to disk, B/command | network, B/command |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for work in works_done(figures):
        title = work.title
        for system in systems:
            row = figures.get((work.name, system))
            if row is None:
                continue
            cells = [
                title,
                LABELS[system],
                number(row["throughput"]),
                f"{number(row['lowest'])}–{number(row['highest'])}",
                *(milliseconds(row[name]) for name in ("p50", "p99", "p99.9")),
                f"{row['cpu_seconds']:.2f}",
                f"{row['generator_cpu_seconds']:.2f}",
                per_command(row["cpu_seconds"] * 1e6, row["commands"]),
                per_command(row["written_bytes"], row["commands"]),
                per_command(row["network_bytes"], row["commands"]),
            ]
            lines.append("| " + " | ".join(cells) + " |")
            title = ""
    return lines


def target_table(figures):
    titles = {work.name: work.title for work in WORKS}
    lines = ["| work | Quorate | beside | target | measured | |", "|---|---:|---|---:|---:|---|"]
    for work, metric, other_system, other_work, more_is_better, target in TARGETS:
        ours, other = figures.get((work, "quorate")), figures.get((other_work, other_system))
        if not ours or not other or not other[metric]:
            continue
        ratio = ours[metric] / other[metric]
        met = ratio >= target if more_is_better else ratio <= target
        gap = abs(ratio - target) / target * 100
        show = (lambda value: number(value) + "/s") if metric == "throughput" else (lambda value: f"p50 {milliseconds(value)} ms")
        whose = LABELS[other_system] if other_system != "quorate" else "its leader"
        verdict = "met" if met else f"**missed by {gap:.0f} %**"
        sign = "≥" if more_is_better else "≤"
        lines.append(
            f"| {titles[work]} | {show(ours[metric])} | {whose}: {show(other[metric])} | {sign} {target:g} × | {ratio:.2f} × | {verdict} |"
        )
    return lines if len(lines) > 2 else []


def check_table(figures, systems):
    lines = [
        "| work | system | quorate-load | p50 ms | redis-benchmark | p50 ms |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for work in works_done(figures):
        for system in systems:
            row = figures.get((work.name, system))
            if row and row["check"]:
                check = row["check"]
                cells = [work.title, LABELS[system], number(row["throughput"]) + "/s", milliseconds(row["p50"])]
                cells += [number(check["throughput"]) + "/s", milliseconds(check["p50_ms"] * 1000)]
                lines.append("| " + " | ".join(cells) + " |")
    return lines if len(lines) > 2 else []


def faults(figures):
    """What makes a row less than it seems."""
    lines = []
    titles = {work.name: work.title for work in WORKS}
    for (work, system), row in figures.items():
        for name, words in FAULTS:
            if row[name]:
                first = f", the first: `{row['first_error']}`" if name == "errors" and row["first_error"] else ""
                lines.append(f"- {LABELS[system]}, {titles[work]}: {number(row[name])} {words}{first}.")
    return lines


def markdown(results, plots):
    """The whole generated part."""
    machine, form, systems = results["machine"], results["form"], results["systems"]
    figures = summaries(results)
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    out = ["## Beside Redis and etcd", ""]
    out += paragraph(
        f"`{form['command']}` wrote this part on {machine['date']}, of commit {machine['commit']}, on {machine['cores']} cores "
        f"({machine['processor']}), {machine['memory_gib']} GiB, Linux {machine['kernel']}, data on {machine['file_system']} "
        f"({machine['device']}), where `fdatasync` of 4 KiB takes {machine['sync_us']} µs. {versions}; Rust {machine['rust']}. "
        f"The load average before was {machine['load_average']}."
    )
    out += paragraph(
        "Each system is three nodes on this machine; they and the load generator share its cores. Quorate and etcd acknowledge a "
        "write that a majority has synced, and reads are linearizable. Redis (`appendonly yes`, `appendfsync always`, two replicas) "
        "acknowledges what it has synced itself: it does not wait for its replicas, and a read may be stale, on a replica and after "
        "a failover."
    )
    out += paragraph(
        f"A turn: three nodes start with empty data, {number(KEYS)} keys with values of {VALUE_BYTES} bytes are filled in, "
        f"the nodes finish what they write after that, the work runs for {form['warm_up']:g} s unmeasured and {form['seconds']:g} s measured, the nodes are ended. The systems take turns "
        f"at each work, {form['rounds']} round{'s' if form['rounds'] > 1 else ''} with the same seeds for all; a figure is the median of the rounds. "
        "Clients are connected to the leader (Redis: the master) unless the work says otherwise. A pipeline of 16 is 16 commands "
        "sent together, whose replies are waited for; with etcd, 16 requests side by side on each connection."
    )
    out += main_table(figures, systems)
    out += [""]
    out += paragraph(
        "CPU seconds are of one turn, warm-up included, over all three nodes; µs per command are of the servers alone. To disk: what the "
        "device wrote, with the journal of the file system. Network: all that went over the loopback interface, clients and peers, with headers."
    )
    out += faults(figures)
    out += [f"- A turn failed and was repeated: {reason}" for reason in results["repeated"]]
    if out[-1]:
        out += [""]
    for plot, title in plots:
        out += [f"![{title}](bench/{plot})", ""]
    table = target_table(figures)
    if table:
        out += ["### Targets", "", "Ratios are of this run.", "", *table, ""]
    table = check_table(figures, systems)
    if table:
        out += ["### redis-benchmark as a check", ""]
        out += ["The same servers in the first round, right after the measurement.", "", *table, ""]
    return "\n".join(out).rstrip() + "\n"


def paragraph(text, width=140):
    """Lines of a paragraph, as this repository wraps them."""
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return [*lines, line, ""]


def replace_part(document, part):
    """The document with its generated part replaced; what people wrote stays."""
    begin, end = document.find(BEGIN), document.find(END)
    if begin < 0 or end < begin:
        raise ValueError(f"has no lines '{BEGIN}' and '{END}' to write between")
    return document[: begin + len(BEGIN)] + "\n\n" + part + "\n" + document[end:]
