"""Somebody who says when: locks and freezes come and go, approvals come late, and each is written down."""

import random
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any

from orchestrator import clock
from tests.chaos.applications import ENVIRONMENTS, Application
from tests.chaos.load import Desk, StoppedError
from tests.chaos.observer import Observer

KEEPER = "keeper"
_LOOK_SECONDS = 0.25
_CLOSES = 0.05
"""How often at a look something is closed."""
_APPROVES = 0.3
_MOST_CLOSED = 2
_MOMENT = "%Y-%m-%dT%H:%M:%S"


@dataclass(slots=True)
class Closed:
    """A stretch in which nothing that somebody asked for may start: from the answer on until it was asked to end."""

    what: str
    application: str | None
    """None: all of them."""
    environment: str
    since: float
    """Seconds since 1970."""
    until: float = inf

    def holds(self, slot: str, at: float) -> bool:
        """Whether it forbids a start in this slot at this moment."""
        application, _, environment = slot.partition(".")
        return (
            self.environment == environment
            and self.application in {None, application}
            and self.since < at < self.until
        )


@dataclass(slots=True)
class Said:
    """What was said, by whoever said it."""

    needs_yes: frozenset[str] = frozenset()
    """Slots in which nothing starts unless somebody has approved it."""
    closed: list[Closed] = field(default_factory=list)
    yeses: dict[int, float] = field(default_factory=dict)
    """When somebody began to approve a deployment, by its id."""

    def against(self, row: Any) -> Iterator[str]:
        """What forbade that a deployment started when it did. What nobody asked for is an automatic rollback: nothing."""
        if row.started_at is None or row.requested_by is None:
            return
        at = row.started_at.timestamp()
        yield from (f"past {each.what}" for each in self.closed if each.holds(row.slot, at))
        if row.slot in self.needs_yes and row.rolls_back_id is None and self.yeses.get(row.id, inf) > at:
            yield "before anybody had approved it"


class Gatekeeper(threading.Thread):
    """An operator who closes places for a few seconds, and approves what asks for it."""

    def __init__(
        self, desk: Desk, observer: Observer, *, applications: tuple[Application, ...], seed: int
    ) -> None:
        super().__init__(name="gatekeeper", daemon=True)
        self.said = Said(
            frozenset(f"{each.name}.{place}" for each in applications for place in each.approved)
        )
        self.stopping = threading.Event()
        """From now on everything is open, and all that asks is approved."""
        self._desk = desk
        self._observer = observer
        self._names = [each.name for each in applications]
        self._rng = random.Random(seed)
        self._open_at: dict[str, tuple[Closed, float]] = {}
        """What is closed, by its path, and when it is to be opened."""

    def run(self) -> None:
        try:
            while not self._desk.halted.wait(_LOOK_SECONDS):
                self._approve()
                self._open()
                if self._may_close():
                    self._close()
        except StoppedError:
            return

    def _may_close(self) -> bool:
        return (
            not self.stopping.is_set() and len(self._open_at) < _MOST_CLOSED and self._rng.random() < _CLOSES
        )

    def _approve(self) -> None:
        sample = self._observer.last
        for found in sample.deployments.values() if sample else ():
            if found.held_by == "approval" and (self.stopping.is_set() or self._rng.random() < _APPROVES):
                self.said.yeses.setdefault(found.id, _now())
                answer = self._desk.ask("POST", f"/deployments/{found.id}/approve", body={})
                if answer.status == 403:
                    del self.said.yeses[found.id]

    def _close(self) -> None:
        environment = self._rng.choice(ENVIRONMENTS)
        application = self._rng.choice([*self._names, None])
        kind, body = _freeze(environment) if application is None else _lock(application, environment)
        key = str(uuid.UUID(int=self._rng.getrandbits(128)))
        answer = self._desk.ask("POST", f"/{kind}s/", body=body, key=key)
        since = _now()
        if answer.status != 201:
            self._desk.refused.append(f"POST /{kind}s/: {answer.status} {answer.body[:200]!r}")
            return
        number = answer.json()["id"]
        closed = Closed(f"{kind} {number}", application, environment, since)
        self.said.closed.append(closed)
        self._open_at[f"/{kind}s/{number}"] = (closed, clock.monotonic() + self._rng.uniform(1.0, 4.0))

    def _open(self) -> None:
        for path, (closed, at) in tuple(self._open_at.items()):
            if self.stopping.is_set() or at <= clock.monotonic():
                closed.until = _now()
                self._desk.ask("DELETE", path)
                del self._open_at[path]


def _lock(application: str, environment: str) -> tuple[str, dict[str, Any]]:
    return "lock", {"application": application, "environment": environment, "reason": "chaos"}


def _freeze(environment: str) -> tuple[str, dict[str, Any]]:
    now = datetime.now(UTC)
    start, end = now - timedelta(minutes=1), now + timedelta(minutes=10)
    dated = {"from": start.strftime(_MOMENT), "to": end.strftime(_MOMENT)}
    return "freeze", {"environment": environment, "name": "chaos", "zone": "UTC", "dated": dated}


def _now() -> float:
    return datetime.now(UTC).timestamp()
