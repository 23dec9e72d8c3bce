"""What a deployment would do: it is requested as any other is, looked at, and never committed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator.repositories import deployments as rows
from orchestrator.repositories import plans, releases
from orchestrator.services import deployments, explaining
from orchestrator.services.actors import Actor
from orchestrator.services.explaining import MOST_HISTORY, Explanation

MOST_WAVES = 200
MOST_TARGETS = 50
MOST_RELEASES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """A deployment as it would be."""

    row: Row[Any]
    waves: Sequence[Row[Any]]
    """At most MOST_WAVES, each with at most MOST_TARGETS of its targets."""
    scripts: Sequence[Row[Any]]
    before: Row[Any] | None
    """The deployment that succeeded last in the slot."""
    brings: Sequence[Row[Any]]
    """The releases since what is there, the newest first and at most MOST_RELEASES; its own where nothing is there yet."""
    changed: Mapping[str, tuple[str | None, str | None]]
    """The pipeline's variables that differ from what that one was given: there, and now."""
    durations: Row[Any]
    explanation: Explanation


def foresee(session: Session, *, actor: Actor, **asked: Any) -> Foreseen:
    """Request a deployment within `db.rehearsal`, so that it is never committed. Raises as `deployments.request` does."""
    made = deployments.request(session, actor=actor, **asked).id
    last = plans.last_good_before(session, made)
    row = rows.get(session, made)
    return Foreseen(
        row=row,
        waves=plans.waves(session, made, most_waves=MOST_WAVES, most_targets=MOST_TARGETS),
        scripts=plans.scripts(session, made),
        before=None if last is None else rows.get(session, last),
        brings=[releases.get(session, row.release_id)]
        if last is None
        else releases.since_the_last(session, made, limit=MOST_RELEASES),
        changed={} if last is None else _changed(session, last, made),
        durations=plans.durations(session, made, most=MOST_HISTORY),
        explanation=explaining.explain(session, made, actor=actor),
    )


def _changed(session: Session, last: int, made: int) -> dict[str, tuple[str | None, str | None]]:
    old, new = plans.variables(session, last), plans.variables(session, made)
    names = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    return {name: (old.get(name), new.get(name)) for name in names}
