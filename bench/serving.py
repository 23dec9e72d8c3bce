"""How many processes and threads web should have: the same requests to servers that differ only in that."""

import json
import os
import statistics
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from bench import world
from bench.load import Request, send
from bench.mixed import resident_mib
from bench.web import answers
from bench.world import World

SETTINGS = ((1, 8), (2, 4), (2, 8), (2, 16), (4, 4))
"""Processes, and threads of each."""
BESIDE = (2, 8)
SLICES = 4
SECONDS = 2.0
CONNECTIONS = 16
SLOTS = 50


@dataclass
class Server:
    """One of them, and what was measured of it."""

    url: str
    pid: int
    rates: dict[str, list[float]] = field(default_factory=dict)
    taken: dict[str, list[float]] = field(default_factory=dict)
    mib: float = 0.0

    def measure(self, name: str, request: Request) -> None:
        answered = send(request, seconds=SECONDS, connections=CONNECTIONS)
        self.rates.setdefault(name, []).append(answered.rate)
        self.taken.setdefault(name, []).extend(answered.taken)

    def forget(self) -> None:
        self.rates, self.taken = {}, {}


def measure() -> list[tuple[str, str, str]]:
    """Interleaved slices of a read and a write to each server; one of them has something to do at a time."""
    with world.world("web", env={"DB_POOL_SIZE": "20"}) as ours, ExitStack() as stack:
        for n in range(SLOTS):
            ours.application(f"noop-{n}", "noop")
        tokens = ours.tokens.load()
        assert tokens is not None
        servers = {each: stack.enter_context(_server(ours, *each)) for each in SETTINGS}
        for slice_ in range(SLICES + 1):
            world.say(f"serving: slice {slice_} of {SLICES}")
            for server in servers.values():
                for name, request in _requests(server.url, tokens.access).items():
                    server.measure(name, request)
                if slice_ == 0:  # the first is for getting warm
                    server.forget()
        for server in servers.values():
            server.mib = resident_mib([server.pid])
    return [
        (f"{processes} x {threads}, {name}", *_row(server, servers[BESIDE], name))
        for (processes, threads), server in servers.items()
        for name in server.rates
    ]


@contextmanager
def _server(ours: World, processes: int, threads: int) -> Iterator[Server]:
    port = world.free_port()
    argv = ("gunicorn", "-c", "python:api.serving", "--no-control-socket", "-k", "api.patience.Worker")
    argv += ("--workers", str(processes), "--threads", str(threads), "--bind", f"127.0.0.1:{port}")
    with world.process(*argv, "api.wsgi:app", env={**os.environ, **ours.stack.env}) as popen:
        url = f"http://127.0.0.1:{port}"
        answers(f"{url}/health/ready")
        yield Server(url, popen.pid)


def _requests(url: str, token: str) -> dict[str, Request]:
    auth = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def body(n: int) -> bytes:
        return json.dumps({"application": f"noop-{n % SLOTS}", "version": "1", "environment": "lab"}).encode()

    return {
        "GET /releases/{id}": Request(url, "GET", "/api/v1/releases/1", auth),
        "POST /deployments/": Request(url, "POST", "/api/v1/deployments/", auth, body, status=202),
    }


def _row(server: Server, beside: Server, name: str) -> tuple[str, str]:
    """What was measured of it, and the median of the ratios of slices that were measured after each other."""
    rate = statistics.median(server.rates[name])
    p50, p99 = (statistics.quantiles(server.taken[name], n=100)[n] for n in (49, 98))
    ratio = statistics.median(
        mine / other for mine, other in zip(server.rates[name], beside.rates[name], strict=True)
    )
    said = f"{rate:.0f} a second, p50 {p50:.0f} ms, p99 {p99:.0f} ms, {server.mib:.0f} MiB"
    return said, f"{ratio:.2f}"
