"""Pages of a log: read on from a place, or its end."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from orchestrator.presenting import logs as texts
from orchestrator.presenting.logs import Place
from orchestrator.repositories import logs

TAIL_PIECES = 2_000
"""How many pieces a tail may go back; each is a fifth of a second of output or half a MiB."""


@dataclass(frozen=True, slots=True)
class LogPage:
    """A part of a log, and whether it is the last there will ever be."""

    items: list[dict[str, Any]]
    place: Place
    complete: bool
    pruned: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """Reads the log of a deployment, or of one of its steps. `has_ended` was read before anything else."""

    session: Session
    deployment_id: int
    step_id: int | None
    has_ended: bool

    def after(self, place: Place, *, limit: int) -> LogPage:
        """What follows a place."""
        found = logs.read(
            self.session,
            deployment_id=self.deployment_id,
            step_id=self.step_id,
            after=place.after,
            limit=limit,
            most_bytes=texts.MAX_PAGE_BYTES,
            ended=self.has_ended,
        )
        return self._page(*texts.present(place, texts.within_bounds(found)))

    def last(self, lines: int) -> LogPage:
        """The last lines, as far as MAX_PAGE_BYTES and TAIL_PIECES hold them."""
        found = logs.read_back(
            self.session,
            deployment_id=self.deployment_id,
            step_id=self.step_id,
            limit=TAIL_PIECES,
            most_bytes=texts.MAX_PAGE_BYTES,
            ended=self.has_ended,
        )
        return self._page(*texts.present_last(found, lines=lines))

    def _page(self, items: list[dict[str, Any]], place: Place) -> LogPage:
        complete = self.has_ended and not logs.any_after(
            self.session, deployment_id=self.deployment_id, step_id=self.step_id, after=place.after
        )
        if not complete:
            return LogPage(items, place, complete=False, pruned=False)
        rest, place = texts.present_tails(place)
        pruned = logs.is_pruned(self.session, deployment_id=self.deployment_id, step_id=self.step_id)
        return LogPage(items + rest, place, complete=True, pruned=pruned)
