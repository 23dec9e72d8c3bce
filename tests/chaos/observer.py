"""Looks at the database and /proc all the while: what is open, what moves, what should be over and is alive."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extensions import connection as PgConnection  # noqa: N812  # it is a class
from psycopg2.extras import NamedTupleCursor

from orchestrator import clock
from tests.chaos import world

SAMPLE_SECONDS = 0.2
PROC_EVERY = 5
TERMINAL = ("succeeded", "failed", "cancelled", "superseded", "expired")

_DEPLOYMENTS = """
    SELECT d.id, d.status, d.application_id AS application, d.environment, d.priority, d.held_by, d.wave_index, d.event_seq,
        d.reason, d.failure, d.wake_at <= clock_timestamp() AS due
    FROM deployments d WHERE d.ended_at IS NULL OR d.ended_at > clock_timestamp() - interval '20 seconds' ORDER BY d.id
"""
_ATTEMPTS = """
    SELECT a.id, a.deployment_id, a.step_id, a.number, a.token, a.worker, a.node, a.output_bytes,
        coalesce(a.lease_until <= clock_timestamp(), true) AS idle, a.not_before <= clock_timestamp() AS due
    FROM attempts a WHERE a.ended_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """The database at one moment."""

    at: float
    """Monotonic."""
    deployments: dict[int, Any]
    attempts: dict[int, Any]

    def movable(self) -> list[int]:
        """Deployments that could go on now: active and not asking, or first in line before a free slot."""
        active = {slot(d) for d in self.deployments.values() if d.status in {"running", "paused"}}
        worked_on = {a.deployment_id for a in self.attempts.values()}
        found = [d.id for d in self.deployments.values() if d.status == "running" or (d.id in worked_on)]
        first: dict[tuple[int, str], Any] = {}
        for each in self.deployments.values():
            if each.status == "pending" and each.held_by is None and slot(each) not in active:
                other = first.get(slot(each))
                if other is None or (-each.priority, each.id) < (-other.priority, other.id):
                    first[slot(each)] = each
        return sorted({*found, *(each.id for each in first.values())})

    def progress(self, deployment_id: int) -> tuple[Any, ...]:
        """What changes when a deployment makes progress."""
        d = self.deployments[deployment_id]
        work = [a for a in self.attempts.values() if a.deployment_id == deployment_id]
        runs = tuple(sorted((a.id, a.token, a.output_bytes, a.due) for a in work))
        return (d.status, d.wave_index, d.event_seq, runs)


def slot(deployment: Any) -> tuple[int, str]:
    """The slot of a sampled deployment."""
    return (deployment.application, deployment.environment)


@dataclass
class Standstill:
    """How long a deployment that could go on made no progress."""

    deployment_id: int
    seconds: float
    progress: tuple[Any, ...]


@dataclass
class Observer:
    """Samples in a thread of its own. `connect` gives a connection past the proxy."""

    connect: Callable[[], AbstractContextManager[PgConnection]]
    folder: Path
    listeners: list[Callable[[Sample], None]] = field(default_factory=list)
    """Called with each sample, in the observer's thread."""
    ended: dict[int, str] = field(default_factory=dict)
    """The first terminal status that was seen, by deployment."""
    contradictions: list[str] = field(default_factory=list)
    """A terminal status that was seen to be another later."""
    survivors: list[str] = field(default_factory=list)
    """Processes seen alive after the deployment they belong to was seen cancelled or failed."""
    standstills: dict[int, Standstill] = field(default_factory=dict)
    """The longest, by deployment, since `watch_standstills`."""
    last: Sample | None = None
    samples: int = 0
    _since: dict[int, tuple[tuple[Any, ...], float]] = field(default_factory=dict)
    _watching: bool = False
    _stopping: threading.Event = field(default_factory=threading.Event)
    _fresh: threading.Condition = field(default_factory=threading.Condition)

    def start(self) -> None:
        """Begin to look."""
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        self._thread.join()

    def watch_standstills(self) -> None:
        """From now on, whatever could go on has to."""
        self.standstills.clear()
        self._since.clear()
        self._watching = True

    def next_sample(self, seconds: float = 120.0) -> Sample:
        """A sample that was taken after this call."""
        with self._fresh:
            seen = self.samples
            if not self._fresh.wait_for(lambda: self.samples > seen + 1, seconds):
                raise TimeoutError(f"the database could not be looked at for {seconds:g} s")
            assert self.last is not None
            return self.last

    def status(self, deployment_id: int) -> str | None:
        """The last status that was seen; None before the first."""
        if deployment_id in self.ended:
            return self.ended[deployment_id]
        found = self.last.deployments.get(deployment_id) if self.last else None
        return str(found.status) if found else None

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with (
                    self.connect() as connection,
                    connection.cursor(cursor_factory=NamedTupleCursor) as cursor,
                ):
                    while not self._stopping.wait(SAMPLE_SECONDS):
                        self._look(cursor)
            except psycopg2.Error:
                self._stopping.wait(SAMPLE_SECONDS)

    def _look(self, cursor: Any) -> None:
        cursor.execute(_ATTEMPTS)
        attempts = {row.id: row for row in cursor.fetchall()}
        cursor.execute(_DEPLOYMENTS)
        sample = Sample(clock.monotonic(), {row.id: row for row in cursor.fetchall()}, attempts)
        self._note_ends(sample)
        if self.samples % PROC_EVERY == 0:
            self._look_at_proc()
        if self._watching:
            self._note_standstills(sample)
        with self._fresh:
            self.last = sample
            self.samples += 1
            self._fresh.notify_all()
        for listener in self.listeners:
            listener(sample)

    def _note_ends(self, sample: Sample) -> None:
        for each in sample.deployments.values():
            before = self.ended.get(each.id)
            if before is not None and before != each.status:
                self.contradictions.append(f"deployment {each.id} was {before} and is {each.status}")
            elif each.status in TERMINAL:
                self.ended[each.id] = each.status

    def _look_at_proc(self) -> None:
        """Statuses were read before /proc is, so that whoever is found alive was alive after the end."""
        for bearer in world.bearers(self.folder):
            deployment_id = int(bearer.run.split("-")[0])
            if self.ended.get(deployment_id) in {"cancelled", "failed"}:
                status = self.ended[deployment_id]
                self.survivors.append(
                    f"process {bearer.pid} ({bearer.words.strip()[:80]}) of run {bearer.run}: {status}"
                )

    def _note_standstills(self, sample: Sample) -> None:
        movable = set(sample.movable())
        for gone in set(self._since) - movable:
            del self._since[gone]
        for each in movable:
            progress = sample.progress(each)
            before = self._since.get(each)
            if before is None or before[0] != progress:
                self._since[each] = (progress, sample.at)
                continue
            idle = sample.at - before[1]
            longest = self.standstills.get(each)
            if longest is None or idle > longest.seconds:
                self.standstills[each] = Standstill(each, idle, progress)
