"""Where a worker is in the life of an attempt: to kill it right there, and to say afterwards where it was."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import psycopg2
from psycopg2.extras import NamedTupleCursor

from orchestrator import clock
from tests.chaos.installation import Installation
from tests.chaos.ledger import Tail

_PATIENCE_SECONDS = 2.5
_ASK_SECONDS = 0.003

_WHERE = """
    SELECT a.deployment_id || '-' || a.step_id || '-' || a.number AS run, a.output_bytes, a.ended_at IS NOT NULL AS ended,
        a.worker, p.document #>> ARRAY['actions', s.action_index::text, 'kind'] = 'run' AS runs
    FROM attempts a JOIN steps s ON s.id = a.step_id JOIN plans p ON p.deployment_id = a.deployment_id
    WHERE (a.ended_at IS NULL AND (a.worker = ANY(%(workers)s) OR (a.token = 0 AND a.not_before <= clock_timestamp())))
       OR (a.worker = ANY(%(workers)s) AND a.ended_at > %(at)s - interval '30 milliseconds')
"""


class Phase(StrEnum):
    """A moment at which a worker can die."""

    ANY = "any moment"
    BEFORE_CLAIM = "before a claim"
    CLAIMED = "claimed, not started"
    AFTER_START = "after the start"
    MID_OUTPUT = "in the middle of output"
    BEFORE_RECORD = "before the record of the end"
    AFTER_RECORD = "after the record of the end"


@dataclass
class Hunter:
    """Knows from the database and the ledger in which phases a worker is."""

    installed: Installation
    _started: set[str] = field(default_factory=set)
    _ended: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._tail = Tail(self.installed.ledger)

    def hunt(self, phase: Phase, workers: Sequence[str]) -> str:
        """The first of these workers to come to that phase, in the moment in which it does; else, after a while, the first."""
        if phase is Phase.ANY:
            return workers[0]
        deadline = clock.monotonic() + _PATIENCE_SECONDS
        pause = threading.Event()
        try:
            with self._cursor() as cursor:
                while clock.monotonic() < deadline:
                    for worker, phases in self._phases(cursor, workers, datetime.now(UTC)).items():
                        if phase in phases:
                            return worker
                    pause.wait(_ASK_SECONDS)
        except psycopg2.Error:
            return workers[0]  # Postgres is away: any moment is as good
        return workers[0]

    def phases_of(self, worker: str, *, at: datetime) -> set[Phase]:
        """The phases in which a worker was when it was killed, just now."""
        try:
            with self._cursor() as cursor:
                return self._phases(cursor, [worker], at)[worker] or {Phase.ANY}
        except psycopg2.Error:
            return {Phase.ANY}

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        with (
            self.installed.connection(wait_seconds=1) as connection,
            connection.cursor(cursor_factory=NamedTupleCursor) as cursor,
        ):
            yield cursor

    def _phases(self, cursor: Any, workers: Sequence[str], at: datetime) -> dict[str, set[Phase]]:
        with self._lock:
            for entry in self._tail.new():
                {"S": self._started, "E": self._ended}.get(entry.kind, set()).add(entry.run)
        cursor.execute(_WHERE, {"workers": list(workers), "at": at})
        found: dict[str, set[Phase]] = {worker: set() for worker in workers}
        for row in cursor.fetchall():
            phase = self._phase(row)
            for worker in workers if row.worker is None else [row.worker]:
                if phase is not None:
                    found[worker].add(phase)
        return found

    def _phase(self, row: Any) -> Phase | None:
        if row.worker is None:
            return Phase.BEFORE_CLAIM
        if row.ended:
            return Phase.AFTER_RECORD
        if not row.runs:
            return None
        if row.run in self._ended:
            return Phase.BEFORE_RECORD
        if row.run not in self._started:
            return Phase.CLAIMED
        return Phase.MID_OUTPUT if row.output_bytes else Phase.AFTER_START
