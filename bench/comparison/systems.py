"""Redis, etcd and Quorate, each as three nodes on this machine that sync every write."""

import ctypes
import json
import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.request

from . import machine
from .machine import Trouble

NODES = 3
START_SECONDS = 40
# Nodes are quiet if they have written nothing between so many looks; they are given so long to become so.
QUIET_LOOKS, QUIET_LOOK_SECONDS, QUIET_SECONDS_MAX = 3, 0.15, 8
PR_SET_PDEATHSIG = 1
# Whatever proxy the environment names, it is not for this machine.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
LIBC = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
    """Runs in the child: whatever ends this program ends its servers."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def request(port, *words):
    """One command, and its reply as text (an error included); raises OSError if there is none."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        parts = [f"*{len(words)}\r\n"] + [f"${len(word)}\r\n{word}\r\n" for word in words]
        connection.sendall("".join(parts).encode())
        stream = connection.makefile("rb")
        line = stream.readline()
        if not line.endswith(b"\r\n"):
            raise OSError("the server closed the connection")
        if line[:1] != b"$":
            return line.decode().strip()
        return stream.read(max(int(line[1:]), 0)).decode()


def info(port, *section):
    """The fields of INFO."""
    lines = request(port, "INFO", *section).split("\r\n")
    return dict(line.split(":", 1) for line in lines if ":" in line)


class System:
    """Three nodes. Subclasses say how they are started, and who leads."""

    name = label = protocol = None
    programs = ()
    elects_leaders = True

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir()
        self.processes = []
        self.ports = machine.free_ports(NODES)
        self.peer_ports = machine.free_ports(NODES)
        self.leader = self.follower = None

    def __enter__(self):
        try:
            self.start()
            self.wait_until_settled()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def spawn(self, *command):
        log = self.folder / f"log-{len(self.processes) + 1}"
        with open(log, "wb") as out:
            process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                preexec_fn=die_with_parent,
            )
        self.processes.append((process, log))

    def stop(self):
        """Ends the processes that this started, and no others. Their data is thrown away, so they need not end well."""
        for process, _ in self.processes:
            process.kill()
        for process, _ in self.processes:
            process.wait()
        self.processes = []

    def wait_until_settled(self):
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            self.check()
            try:
                roles = self.roles()
            except (OSError, ValueError, KeyError):
                roles = None
            if roles:
                leader, follower = roles
                self.leader, self.follower = f"127.0.0.1:{leader}", f"127.0.0.1:{follower}"
                return
            time.sleep(0.05)
        raise Trouble(f"{self.label} was not ready after {START_SECONDS} s: {self.last_words()}")

    def wait_until_quiet(self):
        """Waits until the nodes write nothing more: what they do in the background after a start is not the work's."""
        before, quiet, until = None, 0, time.monotonic() + QUIET_SECONDS_MAX
        while quiet < QUIET_LOOKS and time.monotonic() < until:
            self.check()
            now = [machine.dirtied_bytes(process.pid) for process, _ in self.processes]
            quiet = quiet + 1 if now == before else 0
            before = now
            time.sleep(QUIET_LOOK_SECONDS)

    def check(self):
        """Raises if a node has ended by itself."""
        for process, log in self.processes:
            if process.poll() is not None:
                raise Trouble(f"a node of {self.label} ended with {process.returncode}: {self.last_words(log)}")

    def last_words(self, log=None):
        texts = [path.read_text(errors="replace").strip() for path in ([log] if log else [log for _, log in self.processes])]
        return " | ".join(text.splitlines()[-1] for text in texts if text) or "no output"

    def counters(self):
        """CPU seconds of all nodes, and bytes over the loopback interface and to the disk, so far."""
        cpu_seconds = sum(machine.cpu_seconds(process.pid) for process, _ in self.processes)
        network_bytes = machine.loopback_bytes()
        # What lies in memory to be written later belongs to who wrote it.
        os.sync()
        return {
            "cpu_seconds": cpu_seconds,
            "written_bytes": machine.device_written_bytes(self.folder),
            "network_bytes": network_bytes,
        }

    def start(self):
        """Starts the nodes."""
        raise NotImplementedError

    def roles(self):
        """The client ports of the leader and of a follower, once all nodes are at work and have applied the same; None
        until then."""
        raise NotImplementedError


class Quorate(System):
    name, label, protocol = "quorate", "Quorate", "resp"
    program = None

    def start(self):
        members = ",".join(f"{node}=127.0.0.1:{port}" for node, port in enumerate(self.peer_ports, 1))
        for node, port in enumerate(self.ports, 1):
            self.spawn(
                self.program, "serve", "--node-id", node, "--bind", f"127.0.0.1:{port}",
                "--data-dir", self.folder / f"node-{node}", "--cluster", members,
            )  # fmt: skip

    def roles(self):
        nodes = {port: info(port) for port in self.ports}
        leaders = {node["raft_leader_id"] for node in nodes.values()}
        if len(leaders) != 1 or "0" in leaders or len({node["raft_applied_index"] for node in nodes.values()}) != 1:
            return None
        leader = next((port for port, node in nodes.items() if node["raft_role"] == "leader"), None)
        return leader and (leader, next(port for port in self.ports if port != leader))


class Redis(System):
    name, label, protocol = "redis", "Redis", "resp"
    programs = ("redis-server", "redis-benchmark")
    elects_leaders = False

    def start(self):
        master = self.ports[0]
        for node, port in enumerate(self.ports, 1):
            data = self.folder / f"node-{node}"
            data.mkdir()
            # Each write is synced on each node, and sent to the replicas, which are not waited for. No other snapshots than
            # the rewriting of the append-only file. The delay only makes replicas begin at once.
            self.spawn(
                "redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", data, "--daemonize", "no",
                "--appendonly", "yes", "--appendfsync", "always", "--save", "", "--repl-diskless-sync-delay", "0",
                *([] if port == master else ["--replicaof", f"127.0.0.1 {master}"]),
            )  # fmt: skip

    def roles(self):
        master, *replicas = self.ports
        state = info(master, "replication")
        online = [state.get(f"slave{number}", "") for number in range(len(replicas))]
        if not all("state=online" in line for line in online):
            return None
        for port in replicas:
            replica = info(port, "replication")
            if replica["master_link_status"] != "up" or replica["slave_repl_offset"] != state["master_repl_offset"]:
                return None
        if any(info(port, "persistence")["aof_rewrite_in_progress"] != "0" for port in self.ports):
            return None
        return master, replicas[0]


class Etcd(System):
    name, label, protocol = "etcd", "etcd", "etcd"
    programs = ("etcd",)

    def start(self):
        members = ",".join(f"n{node}=http://127.0.0.1:{port}" for node, port in enumerate(self.peer_ports, 1))
        for node, (port, peer_port) in enumerate(zip(self.ports, self.peer_ports), 1):
            client, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer_port}"
            self.spawn(
                "etcd", "--name", f"n{node}", "--data-dir", self.folder / f"node-{node}", "--log-level", "error",
                "--listen-client-urls", client, "--advertise-client-urls", client,
                "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                "--initial-cluster", members, "--initial-cluster-state", "new",
            )  # fmt: skip

    def roles(self):
        states = {port: self.status(port) for port in self.ports}
        leaders = {state.get("leader", "0") for state in states.values()}
        applied = {state.get("raftAppliedIndex") for state in states.values()}
        if len(leaders) != 1 or "0" in leaders or len(applied) != 1:
            return None
        (leader_id,) = leaders
        leader = next((port for port, state in states.items() if state["header"]["member_id"] == leader_id), None)
        return leader and (leader, next(port for port in self.ports if port != leader))

    @staticmethod
    def status(port):
        url = f"http://127.0.0.1:{port}/v3/maintenance/status"
        with OPENER.open(url, data=b"{}", timeout=5) as reply:
            return json.load(reply)


SYSTEMS = {system.name: system for system in (Quorate, Redis, Etcd)}
