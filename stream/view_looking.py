"""One look at Postgres for everybody who has a page open: which views may say something else now, and what they say."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator import clock, log
from orchestrator.db import Database
from orchestrator.domain.errors import NotFoundError, OrchestratorError
from orchestrator.domain.statuses import TERMINAL, DeploymentStatus
from orchestrator.presenting.pages import deployment, grid, inbox
from orchestrator.presenting.pages import deployments as listed
from orchestrator.presenting.pages.rendering import View
from orchestrator.repositories import deployments, streams, users
from orchestrator.services.actors import Actor
from stream.hearing import Hearing
from stream.view_keys import DASHBOARD, DEPLOYMENTS, INBOX, NEWS, ViewKey
from stream.waiting import Counting

MOST_EVENTS = 100
"""How many of the newest events are compared: more than are written between two looks, late ones among them."""
ANEW_SECONDS = 2.0
"""After which a view is made again though nothing has happened: times pass, too."""
RESTING_SECONDS = 15.0
LOOK_SECONDS = 0.3
"""How long one look goes on making views; the others come with the next."""

_logger = log.get(__name__)


@dataclass(slots=True)
class _Known:
    """When a view was made last, and of what."""

    made_at: float | None = None
    row: Row[Any] | None = None
    output: tuple[str, int] | None = None
    is_stale: bool = True


@dataclass(slots=True)
class Seen:
    """The views that were made anew, None where there is none any more; whose pages are told to ask; how much waits for
    whom; who is still logged in."""

    views: dict[ViewKey, View | None] = field(default_factory=dict)
    told: set[ViewKey] = field(default_factory=set)
    waits: Mapping[Actor, int] = field(default_factory=dict)
    signed_in: set[str] = field(default_factory=set)


class ViewLooker:
    """Looks, and remembers what it saw. One caller at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[ViewKey, _Known] = {}
        self._events: set[int] = set()
        self._hearing = Hearing()
        self._counting = Counting()

    def look(
        self, keys: Collection[ViewKey], sign_ins: Collection[str], *, actors: Collection[Actor] = ()
    ) -> Seen:
        """Make those anew that may have changed; `actors`: for whom what waits is counted.

        Raises what SQLAlchemy raises when Postgres is away.
        """
        told = [key for key in keys if key.name == NEWS]
        self._known = {key: self._known.get(key) or _Known() for key in keys if key.name != NEWS}
        seen = None
        try:
            seen = self._see(sign_ins, told, actors=actors)
        finally:
            if seen is None:  # nobody is shown what it saw before it failed
                self._hearing.miss()
                self._counting.miss()
                for known in self._known.values():
                    known.is_stale = True
        return seen

    def _see(
        self, sign_ins: Collection[str], told: Collection[ViewKey], *, actors: Collection[Actor]
    ) -> Seen:
        seen, begun = Seen(), clock.monotonic()
        with self._database.reading() as session:
            news = self._notice(session)
            seen.told = self._hearing.notice(session, told, news, is_all=len(news) < MOST_EVENTS)
            if actors:
                seen.waits = self._counting.count(session, actors, is_eventful=bool(news))
            for key in self._stale(begun):
                seen.views[key] = self._make(session, key)
                self._known[key].is_stale = False
                self._known[key].made_at = clock.monotonic()
                if clock.monotonic() - begun > LOOK_SECONDS:
                    break
            if sign_ins:
                seen.signed_in = users.going_on(session, list(sign_ins))
        return seen

    def _notice(self, session: Session) -> list[Row[Any]]:
        """Find out which views may have changed; the events that are new. What views are made of is read after this."""
        newest = streams.newest_events(session, limit=MOST_EVENTS)
        news = [row for row in newest if row.id not in self._events]
        self._events = {row.id for row in newest}
        about = {row.deployment_id for row in news}
        ids = sorted({id for key in self._known if (id := key.deployment_id) is not None})
        rows = {row.id: row for row in deployments.find_many(session, ids)} if ids else {}
        running = [id for id, row in rows.items() if row.status == DeploymentStatus.RUNNING]
        outputs = streams.newest_output(session, running) if running else {}
        for key, known in self._known.items():
            id = key.deployment_id
            if id is None:
                known.is_stale = known.is_stale or bool(news)
            else:
                self._compare(known, rows.get(id), outputs.get(id), id in about, bool(news))
        return news

    def _compare(
        self,
        known: _Known,
        row: Row[Any] | None,
        output: tuple[str, int] | None,
        is_named: bool,
        is_eventful: bool,
    ) -> None:
        waits = row is not None and row.status in {DeploymentStatus.PENDING, DeploymentStatus.PAUSED}
        changed = known.row != row or known.output != output
        if changed or is_named or (waits and is_eventful):
            known.is_stale = True
        known.row, known.output = row, output

    def _stale(self, now: float) -> Iterable[ViewKey]:
        """Those to be made anew, the ones that were made longest ago first."""
        found = [
            (known.made_at or 0.0, number, key)
            for number, (key, known) in enumerate(self._known.items())
            if known.is_stale or known.made_at is None or now - known.made_at > _rest(known.row)
        ]
        return [key for _, _, key in sorted(found, key=lambda each: each[:2])]

    def _make(self, session: Session, key: ViewKey) -> View | None:
        """None also for what cannot be read: who asks web for it is told why."""
        try:
            if key.name == DASHBOARD:
                return grid.read(session, part=key.what, actor=key.actor)
            if key.name == DEPLOYMENTS:
                return listed.read(session, listed.Asked.read(key.what))
            if key.name == INBOX:
                return inbox.read(session, actor=key.actor)
            return deployment.read(session, int(key.what), actor=key.actor)[1]
        except OrchestratorError as error:
            if not isinstance(error, NotFoundError):
                _logger.warning("view_not_made", view=key.name, what=key.what, error=error.message)
            return None


def _rest(row: Row[Any] | None) -> float:
    ended = row is not None and DeploymentStatus(row.status) in TERMINAL
    return RESTING_SECONDS if ended else ANEW_SECONDS


def pieces_of(before: View | None, now: View) -> Mapping[str, str] | None:
    """What of it changed; None where it has to be told as a whole."""
    return dict(now.changes_since(before)) if before is not None and now.fits(before) else None
