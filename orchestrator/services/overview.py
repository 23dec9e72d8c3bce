"""Applications by environments: what runs where, what is happening, and what is shut."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator import clock
from orchestrator.domain.gates import APPROVAL
from orchestrator.domain.statuses import TERMINAL, DeploymentStatus
from orchestrator.repositories import applications, gates
from orchestrator.repositories import overview as rows
from orchestrator.services import explaining, openings
from orchestrator.services.actors import Actor
from orchestrator.services.explaining import Explanation

MOST_APPLICATIONS = 200
MOST_LOCKS = 200
MOST_WAITING = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A slot: what is there, and what goes on or ended badly since. None: nothing yet."""

    row: Row[Any]
    promotes: str | None = None
    """The version that runs in the environment before it and is newer than what is here."""
    ill: int = 0
    """How many of its targets were not well when they were asked last."""
    drifted: int = 0
    """On how many of them something else runs than was installed."""

    @property
    def news(self) -> str | None:
        """The status of the last deployment, where it is not what is there now."""
        status = self.row.last_status
        return None if status is None or status == DeploymentStatus.SUCCEEDED else str(status)

    @property
    def is_going_on(self) -> bool:
        """Whether a deployment waits or runs."""
        return self.news is not None and DeploymentStatus(self.news) not in TERMINAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """An environment, with the locks and freezes that shut it for everybody now."""

    name: str
    restricted: bool
    locks: Sequence[Row[Any]]
    freezes: Sequence[tuple[str, datetime | None]]
    """The name of each that holds, and until when."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The grid."""

    columns: Sequence[Column]
    lines: Mapping[str, Mapping[str, Cell]]
    """By application, then by environment."""
    locks: Mapping[str, Sequence[Row[Any]]]
    """Those of one application, by its name."""
    is_cut: bool
    """There are more than MOST_APPLICATIONS."""


def overview(session: Session, *, part: str) -> Overview:
    """All applications whose name holds `part`."""
    found = rows.slots(session, part=part, most_applications=MOST_APPLICATIONS + 1)
    unwell = rows.unwell(session)
    slots: dict[str, dict[str, Row[Any]]] = {}
    for row in found:
        of_application = slots.setdefault(row.application, {})
        if row.environment is not None:
            of_application[row.environment] = row
    lines = {
        name: {
            environment: _cell(row, of_application, unwell.get((row.application_id, environment)))
            for environment, row in of_application.items()
        }
        for name, of_application in slots.items()
    }
    names = list(lines)[:MOST_APPLICATIONS]
    used = {environment for name in names for environment in lines[name]}
    locks = gates.page_of_locks(session, held_only=True, before_id=None, skip=0, limit=MOST_LOCKS)
    rules, now = rows.rules(session), clock.now()
    return Overview(
        columns=[
            Column(
                name=each.name,
                restricted=each.restricted,
                locks=[
                    lock
                    for lock in locks
                    if lock.application is None and lock.environment in {None, each.name}
                ],
                freezes=_freezes(rules.get(each.name), now),
            )
            for each in applications.environments(session)
            if each.name in used
        ],
        lines={name: lines[name] for name in names},
        locks={name: [lock for lock in locks if lock.application == name] for name in names},
        is_cut=len(lines) > MOST_APPLICATIONS,
    )


def inbox(session: Session, *, actor: Actor) -> list[Explanation]:
    """The newest deployments that wait for an approval that is still missing, or are paused; as they are for somebody."""
    ids = rows.waiting_for_people(session, limit=MOST_WAITING)
    found = [explaining.explain(session, each, actor=actor) for each in ids]
    return [
        each
        for each in found
        if each.row.status == DeploymentStatus.PAUSED
        or any(gate.kind == APPROVAL and not gate.passes for gate in each.gates)
    ]


def _cell(row: Row[Any], of_application: Mapping[str, Row[Any]], unwell: Row[Any] | None) -> Cell:
    promotes = _promotes(row, of_application)
    if unwell is None:
        return Cell(row=row, promotes=promotes)
    return Cell(row=row, promotes=promotes, ill=unwell.ill, drifted=unwell.drifted)


def _promotes(row: Row[Any], of_application: Mapping[str, Row[Any]]) -> str | None:
    before = of_application.get(row.after)
    if before is None or before.here_id is None:
        return None
    is_newer = row.here_release_id is None or before.here_release_id > row.here_release_id
    return str(before.here_version) if is_newer else None


def _freezes(found: Sequence[Any] | None, now: datetime) -> list[tuple[str, datetime | None]]:
    opening = openings.opening({"rules": found, "labels": None}, now) if found else None
    return [(active.rule.name, active.until) for active in opening.freezes] if opening else []
