"""The machine: its programs, its disk, its description."""

import contextlib
import json
import os
import pathlib
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Debian's package of each program that is needed.
PACKAGES = {
    "redis-server": "redis-server",
    "redis-benchmark": "redis-tools",
    "etcd": "etcd-server",
    "protoc": "protobuf-compiler",
}
# What is no disk.
MEMORY_FILE_SYSTEMS = {"tmpfs", "ramfs", "devtmpfs"}
# Below the ports that kernels hand to outgoing connections, so that none of those takes a node's.
PORTS = range(12_000, 32_000)


class Trouble(Exception):
    """One line for the user: what, where, what to do."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def install(programs):
    """Installs the Debian packages of programs that are missing."""
    missing = [program for program in programs if shutil.which(program) is None]
    if not missing:
        return
    packages = sorted({PACKAGES[program] for program in missing})
    by_hand = f"install {' '.join(packages)}, or leave a system out with --systems"
    if shutil.which("apt-get") is None:
        raise Trouble(f"{', '.join(missing)} not found, and no apt-get to install it: {by_hand}")
    if os.geteuid() != 0:
        raise Trouble(f"{', '.join(missing)} not found, and only root can install it: {by_hand}")
    say(f"installing {' '.join(packages)}")
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    install_command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    with services_stay_down():
        outcome = subprocess.run(install_command, env=environment, **quiet)
        if outcome.returncode != 0:
            subprocess.run(["apt-get", "update", "-qq"], env=environment, **quiet)
            outcome = subprocess.run(install_command, env=environment, **quiet)
    if outcome.returncode != 0 or any(shutil.which(program) is None for program in missing):
        reason = (outcome.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Trouble(f"apt-get could not install {' '.join(packages)} ({reason}): {by_hand}")


@contextlib.contextmanager
def services_stay_down():
    """Debian's way to say that a package must not start its service: the servers of a benchmark are its own."""
    policy = pathlib.Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


def build(with_etcd):
    """The release programs, built unless QUORATE and QUORATE_LOAD name them."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
    programs = {}
    # One after the other, so that neither is built with features that only the other asks for.
    for variable, package, name in [("QUORATE", "quorate", "quorate"), ("QUORATE_LOAD", "load", "quorate-load")]:
        if variable in os.environ:
            programs[name] = pathlib.Path(os.environ[variable]).resolve()
            if not os.access(programs[name], os.X_OK):
                raise Trouble(f"{variable} is {programs[name]}, which is no program")
            continue
        command = ["cargo", "build", "--release", "--locked", "--quiet", "-p", package]
        if package == "load" and with_etcd:
            command += ["--features", "etcd"]
        say("building: " + " ".join(command))
        try:
            code = subprocess.run(command, cwd=ROOT).returncode
        except FileNotFoundError:
            raise Trouble("cargo not found: install Rust, or name the programs by QUORATE and QUORATE_LOAD") from None
        if code != 0:
            raise Trouble(f"cargo could not build {package}, see above")
        programs[name] = target / name
    return programs["quorate"], programs["quorate-load"]


def file_system(path):
    """The type of the file system that a directory is on, and its device."""
    path, best = os.path.realpath(path), ("", "unknown", "unknown")
    for line in pathlib.Path("/proc/mounts").read_text().splitlines():
        device, mount, kind = line.split()[:3]
        inside = path == mount or path.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best[0]):
            best = (mount, kind, device)
    return best[1], best[2]


def work_folder(asked_for):
    """A new directory on a disk."""
    candidates = [asked_for] if asked_for else [tempfile.gettempdir(), "/var/tmp", str(ROOT)]
    for candidate in candidates:
        if os.path.isdir(candidate) and file_system(candidate)[0] not in MEMORY_FILE_SYSTEMS:
            return tempfile.mkdtemp(prefix="quorate-bench-", dir=candidate)
    raise Trouble(f"{', '.join(candidates)}: no directory on a disk (fsync of memory measures nothing); name one by --dir")


def sync_microseconds(folder):
    """How long fdatasync of 4 KiB more takes: the median of 200."""
    times = []
    with open(os.path.join(folder, "sync"), "wb", buffering=0) as file:
        for _ in range(200):
            file.write(b"x" * 4096)
            start = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - start) * 1e6)
    os.unlink(file.name)
    return statistics.median(times)


def output(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    except FileNotFoundError:
        return ""
    return done.stdout.strip()


def describe(folder, systems, quorate):
    """What the reader of the figures must know."""
    processor = "unknown"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            processor = line.split(":", 1)[1].strip()
            break
    memory = int(pathlib.Path("/proc/meminfo").read_text().split()[1])
    kind, device = file_system(folder)
    versions = {"Quorate": output(str(quorate), "--version").removeprefix("quorate ")}
    if "redis" in systems:
        words = output("redis-server", "--version").split()
        versions["Redis"] = next((word[2:] for word in words if word.startswith("v=")), "unknown")
    if "etcd" in systems:
        versions["etcd"] = (output("etcd", "--version").splitlines() or ["unknown"])[0].removeprefix("etcd Version: ")
    changes = output("git", "status", "--porcelain", "--untracked-files=no", "--", "crates", "Cargo.toml", "Cargo.lock")
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 1024 / 1024),
        "kernel": platform.release(),
        "rust": output("rustc", "--version").split(" (")[0].removeprefix("rustc "),
        "file_system": kind,
        "device": device,
        "sync_us": round(sync_microseconds(folder)),
        "load_average": round(os.getloadavg()[0], 2),
        "versions": versions,
        "commit": output("git", "rev-parse", "--short=12", "HEAD") + (" with changes" if changes else ""),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def free_ports(count, given=set()):
    """Ports of 127.0.0.1 that nobody uses, different at each call."""
    found = []
    start = os.getpid() * 37 % len(PORTS)
    for step in range(len(PORTS)):
        port = PORTS[(start + step) % len(PORTS)]
        if len(found) == count:
            break
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in given:
            found.append(port)
    given.update(found)
    return found


def cpu_seconds(pid):
    """User and system time of a process and of its children that have ended."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def dirtied_bytes(pid):
    """What a process has caused to be written in the page cache, or None where that may not be read.

    Good for telling whether it writes at all. It is no measure of what goes to the disk: where the page cache has large folios (ext4
    since Linux 6.16) a write of 4 KiB counts as the whole folio, which is a hundred times as much.
    """
    try:
        for line in pathlib.Path(f"/proc/{pid}/io").read_text().splitlines():
            if line.startswith("write_bytes:"):
                return int(line.split()[1])
    except OSError:
        pass
    return None


def device_written_bytes(folder):
    """What the block device of a directory has written, the file system's journal included; None where there is no such device."""
    candidates = [os.stat(folder).st_dev]
    try:
        candidates.append(os.stat(file_system(folder)[1]).st_rdev)
    except OSError:
        pass
    for device in candidates:
        try:
            fields = pathlib.Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat").read_text().split()
            return int(fields[6]) * 512
        except OSError:
            pass
    return None


def loopback_bytes():
    """Everything that has gone over the loopback interface: clients and peers, TCP and IP headers included."""
    for line in pathlib.Path("/proc/net/dev").read_text().splitlines():
        if line.strip().startswith("lo:"):
            return int(line.split(":", 1)[1].split()[0])
    return None


def save(path, value):
    path.write_text(json.dumps(value) + "\n")
