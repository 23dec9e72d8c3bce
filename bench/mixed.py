"""A minute of reads and writes at full load: no answer of 5xx, no growing memory, and the p99 beside a bare endpoint."""

import json
import os
import statistics
import time
from collections import Counter
from http.client import HTTPConnection
from itertools import count, cycle
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

from bench import world
from bench.web import answers

SECONDS = 60.0
WARM_SECONDS = 10.0
CONNECTIONS = 8
SLOTS = 20
READS = (
    "releases/1",
    "releases/?limit=20",
    "deployments/?limit=20",
    "deployments/1",
    "deployments/1/explain",
    "applications",
    "users/",
    "auth/me",
    "environments/lab/calendar",
    "locks/",
)
READS_A_WRITE = 9


class Load:
    """What was answered and how long each answer took, in milliseconds."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.taken: list[float] = []

    def send(self, url: str, token: str, paths: tuple[str, ...], *, seconds: float) -> None:
        """Keep every connection busy for so long; a POST of a deployment after each READS_A_WRITE reads, where the API is asked."""
        numbers, stop = count(), time.monotonic() + seconds
        threads = [
            Thread(target=self._go, args=(url, token, paths, numbers, stop)) for _ in range(CONNECTIONS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _go(self, url: str, token: str, paths: tuple[str, ...], numbers: "count[int]", stop: float) -> None:
        connection = HTTPConnection(urlsplit(url).netloc, timeout=30)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        reads = cycle(paths)
        while time.monotonic() < stop:
            number = next(numbers)
            begun = time.perf_counter()
            if len(paths) > 1 and number % (READS_A_WRITE + 1) == 0:
                slot = f"mixed-{number // (READS_A_WRITE + 1) % SLOTS}"
                body = json.dumps({"application": slot, "version": "1", "environment": "lab"})
                connection.request("POST", "/api/v1/deployments/", body, headers)
            else:
                connection.request("GET", next(reads), headers=headers)
            answer = connection.getresponse()
            answer.read()
            self.taken.append((time.perf_counter() - begun) * 1000)
            self.statuses[answer.status] += 1

    @property
    def p99(self) -> float:
        return statistics.quantiles(self.taken, n=100)[98]


def resident_mib(master: list[int]) -> float:
    """What the processes under gunicorn's hold in memory, with what they share counted once for each."""
    found = [pid for pid in Path("/proc").iterdir() if pid.name.isdigit() and _parent(pid) in master]
    pages = sum(int((pid / "statm").read_text().split()[1]) for pid in found)
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _parent(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return -1


def measure() -> list[tuple[str, str, str]]:
    """A bare endpoint that serves one JSON from Redis, then everything; workers carry the deployments out meanwhile."""
    with world.world("web", "worker1", "beat", env={"DB_POOL_SIZE": "20"}) as ours:
        for n in range(SLOTS):
            ours.application(f"mixed-{n}", "noop")
        ours.client.request_deployment("mixed-0", "1", environment="lab")
        tokens = ours.tokens.load()
        assert tokens is not None
        bare, mixed = Load(), Load()
        port = world.free_port()
        words = f"gunicorn --no-control-socket -k gthread --workers 2 --threads 8 --bind 127.0.0.1:{port} bench.bare_flask:app"
        with world.process(*words.split(), env={**os.environ, **ours.stack.env}):
            answers(f"http://127.0.0.1:{port}/bare")
            bare.send(f"http://127.0.0.1:{port}", tokens.access, ("/bare",), seconds=WARM_SECONDS)
        paths = tuple(f"/api/v1/{path}" for path in READS)
        Load().send(ours.stack.url, tokens.access, paths, seconds=WARM_SECONDS)
        before = resident_mib(ours.pids("web"))
        world.say("mixed: a minute")
        mixed.send(ours.stack.url, tokens.access, paths, seconds=SECONDS)
        after = resident_mib(ours.pids("web"))
    sent = sum(mixed.statuses.values())
    wrong = sum(n for status, n in mixed.statuses.items() if status not in (200, 202))
    return [
        (
            f"mixed routes for {SECONDS:.0f} s, answers other than 200 and 202",
            f"{wrong} of {sent}",
            "(goal 0)",
        ),
        ("the same, requests a second", f"{sent / SECONDS:.0f}", ""),
        (
            "the same, p50 and p99",
            f"{statistics.median(mixed.taken):.0f} ms, {mixed.p99:.0f} ms",
            f"{mixed.p99 / bare.p99:.1f}",
        ),
        ("bare cached JSON, p50 and p99", f"{statistics.median(bare.taken):.0f} ms, {bare.p99:.0f} ms", "1"),
        (
            "memory of the web processes, before and after",
            f"{before:.0f} MiB, {after:.0f} MiB",
            f"{after / before:.2f}",
        ),
    ]
