"""The works, and one turn of a system at one of them."""

import dataclasses
import json
import pathlib
import shutil
import subprocess
import tempfile

from .machine import Trouble

KEYS = 100_000
VALUE_BYTES = 128
# The connections and the pipeline by which keys are filled in.
FILL = ("--connections", "8", "--pipeline", "64")
FILL_ETCD = ("--connections", "4", "--pipeline", "2")


@dataclasses.dataclass(frozen=True)
class Work:
    """What clients do."""

    name: str
    title: str
    connections: int
    pipeline: int = 1
    read_share: int = 0
    at_follower: bool = False


WORKS = [
    Work("set-1", "SET, 1 connection", 1),
    Work("set-50", "SET, 50 connections", 50),
    Work("set-256", "SET, 256 connections", 256),
    Work("set-50-p16", "SET, 50 connections, pipeline 16", 50, pipeline=16),
    Work("get-50", "GET, 50 connections", 50, read_share=1),
    Work("get-50-p16", "GET, 50 connections, pipeline 16", 50, pipeline=16, read_share=1),
    Work("get-follower", "GET from a follower, 50 connections", 50, read_share=1, at_follower=True),
]


def generate(generator, *flags):
    """Runs the load generator and returns its report."""
    command = [str(generator), "--json", *(str(flag) for flag in flags)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        if done.stdout:
            report = json.loads(done.stdout)
            reason += f" ({report['errors']} errors, the first: {report['first_error']})"
        raise Trouble(f"{' '.join(command)}: {reason}")
    return json.loads(done.stdout)


def turn(system_class, work, folder, generator, seconds, warm_up, seed, check_seconds):
    """Starts the system, fills the keys in, does the work, and returns the figures. Leaves nothing behind.

    redis-benchmark checks them for `check_seconds`, or not at all if that is 0.
    """
    own = pathlib.Path(tempfile.mkdtemp(prefix=f"{system_class.name}-", dir=folder))
    try:
        with system_class(own / "nodes") as system:
            return measure(system, work, generator, seconds, warm_up, seed, check_seconds)
    finally:
        shutil.rmtree(own, ignore_errors=True)


def measure(system, work, generator, seconds, warm_up, seed, check_seconds):
    common = ("--protocol", system.protocol, "--keys", KEYS, "--value-bytes", VALUE_BYTES)
    fill = FILL_ETCD if system.protocol == "etcd" else FILL
    generate(generator, *common, "--target", system.leader, "--fill", *fill, "--patience", 60)
    system.wait_until_settled()
    system.wait_until_quiet()
    target = system.follower if work.at_follower else system.leader
    before = system.counters()
    report = generate(
        generator, *common, "--target", target, "--connections", work.connections, "--pipeline", work.pipeline,
        "--read-share", work.read_share, "--duration", seconds, "--warm-up", warm_up, "--seed", seed,
    )  # fmt: skip
    system.check()
    after = system.counters()
    figures = {
        "throughput": report["throughput"],
        "errors": report["errors"],
        "first_error": report["first_error"],
        "misses": report["misses"],
        "unanswered": report["unanswered"],
        "commands": report["replies"],
        "elapsed_seconds": report["elapsed_seconds"],
        "generator_cpu_seconds": report["cpu_seconds"],
        "curve": report["latency_curve_us"],
        **{name: report["latency_us"][name] for name in ("p50", "p99", "p99.9", "max")},
    }
    for name, value in after.items():
        known = value is not None and before[name] is not None
        figures[name] = value - before[name] if known else None
    if check_seconds and system.protocol == "resp":
        figures["check"] = redis_benchmark(target, work, report["throughput"] * check_seconds)
    leader = system.leader
    if system.elects_leaders:
        system.wait_until_settled()
    figures["leader_changes"] = int(system.leader != leader)
    return figures


def redis_benchmark(target, work, count):
    """Commands per second and p50 in milliseconds as redis-benchmark sees them, or None where it is not there."""
    if shutil.which("redis-benchmark") is None:
        return None
    host, port = target.split(":")
    count = max(int(count), 1000)
    kind = "get" if work.read_share else "set"
    command = ["redis-benchmark", "-h", host, "-p", port, "-t", kind, "-d", VALUE_BYTES, "-r", KEYS]
    command += ["-n", count, "-c", work.connections, "-P", work.pipeline, "--csv"]
    command = [str(word) for word in command]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        raise Trouble(f"{' '.join(command)} did not end within a minute") from None
    for line in done.stdout.splitlines():
        cells = [cell.strip('"') for cell in line.split(",")]
        if cells[0].lower().startswith(kind):
            return {"throughput": float(cells[1]), "p50_ms": float(cells[4])}
    raise Trouble(f"{' '.join(command)} printed no result: {(done.stderr or done.stdout).strip()[-200:]}")
