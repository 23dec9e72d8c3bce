"""One look at Postgres for everybody: what is new of all deployments that are followed, in a handful of statements."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator import clock
from orchestrator.db import Database
from orchestrator.domain.gates import Blocker
from orchestrator.domain.statuses import TERMINAL, DeploymentStatus, StepStatus
from orchestrator.presenting.deployments import present, present_step
from orchestrator.presenting.json import dumps
from orchestrator.presenting.logs import MAX_PAGE_BYTES, within_bounds
from orchestrator.repositories import deployments, streams, users
from orchestrator.services import standing
from orchestrator.services.cursors import Cursors
from stream.events import EventWriter, Key, Mark

MOST_STEPS = 200
MOST_PIECES, LEAST_PIECES, PIECES_A_LOOK = 32, 2, 1024
EXPLAINED_A_LOOK = 20
EXPLAINED_EVERY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What to look for: deployments, how far each log was read, and whose sign-ins to check."""

    deployments: Collection[int]
    anew: Collection[int]
    """Those of which all is to be told, not only what changed since the last look."""
    marks: Mapping[Key, Mark]
    sign_ins: Collection[str]


@dataclass(frozen=True, slots=True)
class News:
    """How a deployment stands; `steps` are those that changed, as JSON, with their waves."""

    status: str
    shown: bytes
    wave: int
    changed: bool
    steps: Mapping[int, tuple[int, bytes]]
    ended: bool


@dataclass(frozen=True, slots=True)
class Read:
    """What followers of a log get next; `over`: that was the last."""

    events: list[bytes]
    mark: Mark
    over: bool
    more: bool


@dataclass(slots=True)
class Found:
    """The answer to Asked. A deployment that is not in `news` does not exist."""

    news: dict[int, News] = field(default_factory=dict)
    logs: dict[Key, Read] = field(default_factory=dict)
    signed_in: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Known:
    """What the last look saw of a deployment."""

    row: Row[Any] | None = None
    shown: bytes = b""
    low: int | None = None
    """The wave from which on steps may have changed; None: it was not looked at yet."""
    behind: bool = False
    steps: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    running: set[int] = field(default_factory=set)
    blockers: tuple[Blocker, ...] | None = None
    explain_at: float = 0.0

    def forget(self) -> None:
        """Take all that is seen next for new."""
        self.row, self.shown, self.steps = None, b"", {}


class Looker:
    """Looks, and remembers what it told, so that it tells only what changed. One caller at a time."""

    def __init__(self, database: Database, cursors: Cursors) -> None:
        self._database = database
        self._cursors = cursors
        self._known: dict[int, _Known] = {}

    def look(self, asked: Asked) -> Found:
        """Everything that is new. Raises what SQLAlchemy raises when Postgres is away."""
        before, found = self._known, None
        self._known = {id: replace(before.get(id) or _Known()) for id in asked.deployments}
        for id in asked.anew:
            self._known[id].forget()
        try:
            found = self._see(asked)
        finally:
            if found is None:
                self._known = before  # nobody is told what it saw before it failed
        return found

    def _see(self, asked: Asked) -> Found:
        found = Found()
        with self._database.reading() as session:
            # The statuses first: what a deployment wrote is there before its end is.
            rows = {row.id: row for row in deployments.find_many(session, list(self._known))}
            changed = self._notice(session, rows.values())
            steps = self._changed_steps(session, rows, changed)
            for id, row in rows.items():
                found.news[id] = self._news(row, changed=id in changed, steps=steps.get(id, {}))
            self._read_logs(session, asked.marks, found)
            if asked.sign_ins:
                found.signed_in = users.going_on(session, list(asked.sign_ins))
        return found

    def _notice(self, session: Session, rows: Collection[Row[Any]]) -> set[int]:
        """Take in how deployments stand; those that are shown otherwise than before."""
        changed, explained = set(), 0
        now = clock.monotonic()
        for row in sorted(rows, key=lambda row: self._known[row.id].explain_at):
            known = self._known[row.id]
            pending = row.status == DeploymentStatus.PENDING
            # An explanation may take a statement of its own, so of many that wait only a few are asked for at a time.
            due = known.row != row or known.explain_at <= now
            explain = pending and due and explained < EXPLAINED_A_LOOK
            if explain:
                known.blockers = standing.reasons(session, row, row, clock.now())
                known.explain_at = now + EXPLAINED_EVERY_SECONDS
                explained += 1
            if known.low is None:
                known.low = row.wave_index
            if known.row == row and not explain:
                continue
            before, known.row = known.shown, row
            known.shown = dumps(present(row, known.blockers if pending else None))
            if before != known.shown:
                changed.add(row.id)
        return changed

    def _changed_steps(
        self, session: Session, rows: Mapping[int, Row[Any]], changed: Collection[int]
    ) -> dict[int, dict[int, tuple[int, bytes]]]:
        """The steps that changed, by deployment: only those of the waves it was in since the last look."""
        waves = [
            streams.Waves(id, self._known[id].low or 0, rows[id].wave_index)
            for id in rows
            if rows[id].started_at is not None and (id in changed or self._known[id].behind)
        ]
        if not waves:
            return {}
        seen = [step for each in waves for step in self._known[each.deployment_id].running]
        found: dict[int, list[Row[Any]]] = {each.deployment_id: [] for each in waves}
        for row in streams.steps(session, waves, seen=seen, most=MOST_STEPS):
            found[row.deployment_id].append(row)
        return {each.deployment_id: self._take_in(each, found[each.deployment_id]) for each in waves}

    def _take_in(self, waves: streams.Waves, rows: list[Row[Any]]) -> dict[int, tuple[int, bytes]]:
        known = self._known[waves.deployment_id]
        states, changed = {}, {}
        for row in rows:
            state = (row.wave_index, row.status, row.attempt, row.started_at, row.exit_code, row.failure)
            if known.steps.get(row.id) != state:
                states[row.id] = state
                changed[row.id] = (row.wave_index, dumps(present_step(row)))
        low = waves.high
        if len(rows) >= MOST_STEPS:
            low = min(max(rows[-1].wave_index, waves.low + 1), waves.high)
        known.low, known.behind = low, low < waves.high
        known.steps = {id: state for id, state in (known.steps | states).items() if state[0] >= low}
        known.running = {id for id, state in known.steps.items() if state[1] == StepStatus.RUNNING}
        return changed

    def _news(self, row: Row[Any], *, changed: bool, steps: Mapping[int, tuple[int, bytes]]) -> News:
        known = self._known[row.id]
        ended = DeploymentStatus(row.status) in TERMINAL and not known.behind
        return News(row.status, known.shown, known.low or 0, changed or bool(steps), steps, ended)

    def _read_logs(self, session: Session, marks: Mapping[Key, Mark], found: Found) -> None:
        asked = [(key, mark) for key, mark in marks.items() if key.deployment_id in found.news]
        if not asked:
            return
        each = max(LEAST_PIECES, min(MOST_PIECES, PIECES_A_LOOK // len(asked)))
        positions = [
            streams.LogPosition(
                key.deployment_id, key.step_id, mark.place.after, found.news[key.deployment_id].ended
            )
            for key, mark in asked
        ]
        pieces = streams.logs(session, positions, each=each, most_bytes=MAX_PAGE_BYTES)
        for (key, mark), rows in zip(asked, pieces, strict=True):
            taken = within_bounds(rows)
            more = len(rows) == each or len(taken) < len(rows)
            found.logs[key] = self._written(key, mark, taken, found.news[key.deployment_id], more=more)

    def _written(self, key: Key, mark: Mark, rows: list[Row[Any]], news: News, *, more: bool) -> Read:
        writer = EventWriter(self._cursors, key)
        before, mark = mark, Mark(news.wave, mark.place)
        events = []
        if news.changed:
            # Who is gone before the steps that belong to it comes back for them.
            events.append(writer.status(before if news.steps else mark, news.shown))
        if news.steps:
            events.append(writer.steps(mark, [shown for _, shown in news.steps.values()]))
        pieces, mark = writer.log(mark, rows)
        events += pieces
        over = news.ended and not more
        if over:
            events += writer.end(mark, key.deployment_id, news.status)
        return Read(events, mark, over, more)
