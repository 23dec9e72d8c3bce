"""`true` on a thousand hosts over SSH: this, beside what others need for it, on one sshd.

FLEET sets how many hosts there are. The others are installed into `.bench-tools` when they are not there.
"""

import itertools
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import cpu, fleet_tools, world
from bench.world import World
from tests.sshd import SSHD, Sshd, serving

HOSTS = int(os.environ.get("FLEET", "1000"))
PARALLEL = 50
OWN, NEXT = "a deployment", "the next one, over the connections of the first"
BARE = "the bare transport"
GOAL_OF_OTHERS, GOAL_OF_BARE = 5, 0.8


def measure() -> list[tuple[str, str, str]]:
    """Each way once, one after the other; connections are made anew by each, but for our second deployment."""
    if not SSHD:
        raise RuntimeError("this needs an sshd: install openssh-server")
    fleet_tools.install()
    with world.world("web", "worker1", "beat") as ours:
        data = Path(ours.stack.env["DATA_DIR"])
        with serving(data.parent / "sshd") as server:
            hosts = list(itertools.islice(names(), HOSTS))
            record_keys(server, hosts, data / "known_hosts")
            rows: dict[str, Cost] = {}
            for name, take in _ways(ours, server, hosts).items():
                rows[name] = take()
                world.say(f"fleet: {name}: {rows[name]}")
    return _rows(rows)


def _ways(ours: World, server: Sshd, hosts: list[str]) -> dict[str, Callable[[], "Cost"]]:
    others = {
        name: partial(_children, partial(run, server, hosts, parallel=PARALLEL))
        for name, run in fleet_tools.TOOLS.items()
    }
    own = {
        OWN: partial(_deploy, ours, server, hosts, version="1"),
        NEXT: partial(_deploy, ours, server, hosts, version="2"),
        BARE: partial(_bare, server, hosts),
    }
    return {**own, **others}


def _rows(costs: dict[str, "Cost"]) -> list[tuple[str, str, str]]:
    own = costs.pop(OWN)
    best = min(each.cpu for name, each in costs.items() if name in fleet_tools.TOOLS)
    what = f"`true` on {HOSTS} hosts over SSH"
    rows = [(f"{what}, rolling by 25%, {PARALLEL} side by side", str(own), "1")]
    for name, cost in costs.items():
        goal = f" (goal {GOAL_OF_BARE})" if name == BARE else ""
        goal = f" (goal {GOAL_OF_OTHERS})" if name in fleet_tools.TOOLS and cost.cpu == best else goal
        rows.append((f"the same by {name}", str(cost), f"{cost.cpu / own.cpu:.2f}{goal}"))
    return rows


@dataclass(frozen=True, slots=True)
class Cost:
    """What one way took, of the controller."""

    cpu: float
    elapsed: float

    def __str__(self) -> str:
        return f"{HOSTS / self.cpu:.1f} hosts a CPU second, {self.elapsed:.0f} s"


def names() -> Iterator[str]:
    """Names of 127.0.0.1 that no client takes for the same host: its numbers with zeros before them."""
    zeros = ["0" * n for n in range(11)]
    return (f"127.{a}0.{b}0.{c}1" for a, b, c in itertools.product(zeros, repeat=3))


def record_keys(server: Sshd, hosts: list[str], *files: Path) -> None:
    """Write the server's key under all these names, also into these files."""
    kind, key, *_ = (server.folder / "host_key.pub").read_text().split()
    lines = "".join(f"[{host}]:{server.port} {kind} {key}\n" for host in hosts)
    for file in (server.known_hosts, *files):
        file.write_text(lines)


def _deploy(ours: World, server: Sshd, hosts: list[str], *, version: str) -> Cost:
    listed = "".join(
        f"      - {{name: h{n}, kind: ssh, host: {host}, port: {server.port}, user: {server.user},"
        f" identity: {server.identity}, runs: {server.folder}/remote}}\n"
        for n, host in enumerate(hosts)
    )
    source = (
        f"application: fleet\nenvironments:\n  lab:\n    strategy: {{kind: rolling, batch: 25%, max_parallel: {PARALLEL}}}\n"
        f'    targets:\n{listed}deploy:\n  - run: "true"\n'
    )
    ours.client.apply_pipeline("fleet", source.encode())
    ours.client.create("/releases/", {"name": "fleet", "version": version})
    pids = ours.pids("web", "worker1", "beat", "postgres", "valkey")
    before, begun = cpu.seconds(pids), time.monotonic()
    asked = ours.client.request_deployment("fleet", version, environment="lab")
    while ours.query("SELECT 1 FROM deployments WHERE wake_at IS NOT NULL"):
        time.sleep(0.5)
    cost = Cost(cpu.seconds(pids) - before, time.monotonic() - begun)
    waves = "SELECT total, succeeded FROM waves WHERE deployment_id = %s ORDER BY index"
    sizes = ours.query(waves, asked["id"])
    quarter = -(-len(hosts) // 4)
    if sum(int(str(total)) for total, _ in sizes) != len(hosts) or any(
        total != succeeded or int(str(total)) > quarter for total, succeeded in sizes
    ):
        raise RuntimeError(f"not every host succeeded, a quarter at a time: {sizes}")
    return cost


def _bare(server: Sshd, hosts: list[str]) -> Cost:
    """The same calls by the same transport, and nothing else."""
    words = [sys.executable, "-m", "bench.bare_ssh", str(server.folder), str(server.port), str(PARALLEL)]
    return _children(
        lambda: subprocess.run(words, input="\n".join(hosts), text=True, check=True, cwd=world.ROOT)
    )


def _children(run: Callable[[], object]) -> Cost:
    def taken() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    before, begun = taken(), time.monotonic()
    run()
    return Cost(taken() - before, time.monotonic() - begun)
