"""Why a deployment waits, when it will go and who may help; or why it ended as it did."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator import clock
from orchestrator.domain.access import Permission, allows
from orchestrator.domain.approvals import Approver, is_wanted
from orchestrator.domain.explanation import Remedy, Verdict, verdicts
from orchestrator.domain.forecast import Forecast, forecast
from orchestrator.domain.gates import Blocker, Surroundings, evaluate
from orchestrator.domain.statuses import DeploymentStatus, StepStatus
from orchestrator.repositories import attempts, deployments, events, plans, releases, steps
from orchestrator.services import openings, standing
from orchestrator.services.actors import Actor

MOST_STEPS = 5
MOST_HISTORY = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Of a pending deployment the gates, the forecast and the remedies; of another what failed and who asked for its end."""

    row: Row[Any]
    at: datetime
    gates: Sequence[Verdict] = ()
    forecast: Forecast | None = None
    remedies: Sequence[Remedy] = ()
    cancel: Row[Any] | None = None
    """The event of the wish to cancel it."""
    failed_steps: Sequence[Row[Any]] = ()
    troubles: Sequence[Row[Any]] = ()
    """Steps of one that runs which do not go on at their targets, each with why."""
    closed: Sequence[Blocker] = ()
    """Why one that has begun does not go on to its next wave."""
    ends_about: datetime | None = None
    """When one that runs will have ended, if it takes as long as half of those before it did."""


def explain(session: Session, deployment_id: int, *, actor: Actor) -> Explanation:
    """Explain how a deployment stands to somebody; remedies are those that they may use. Raises NotFoundError."""
    row, now = deployments.get(session, deployment_id), clock.now()
    if row.status != DeploymentStatus.PENDING:
        return Explanation(
            row=row,
            at=now,
            cancel=events.last_of(session, row.id, "deployment.cancel_requested"),
            failed_steps=_failed_steps(session, row) if row.n_failed else (),
            troubles=attempts.troubled(session, row.id, limit=MOST_STEPS) if row.n_running else (),
            closed=standing.closed(session, row, now) if row.status == DeploymentStatus.PAUSED else (),
            ends_about=_ends_about(session, row) if row.status == DeploymentStatus.RUNNING else None,
        )
    around = standing.standing(session, row, row, now)
    return Explanation(
        row=row,
        at=now,
        gates=verdicts(around, now),
        forecast=foretell(row, around, now),
        remedies=_remedies(session, row, around, now, actor),
    )


def foretell(row: Row[Any], around: Surroundings, now: datetime) -> Forecast:
    """When a pending deployment will start, if nobody does anything."""

    def look(at: datetime) -> Surroundings:
        locks = [lock for lock in around.locks if lock.expires_at is None or lock.expires_at > at]
        health = [each.as_expected(at) if at > now else each for each in around.health]
        return replace(around, locks=locks, health=health, opening=openings.opening_for(row, row.rules, at))

    return forecast(look, now, expires_at=row.expires_at)


def _ends_about(session: Session, row: Row[Any]) -> datetime | None:
    """None where no other has succeeded in the slot, or it takes longer than half of them did."""
    middle = plans.durations(session, row.id, most=MOST_HISTORY).p50
    if middle is None:
        return None
    end: datetime = row.started_at + timedelta(seconds=float(middle))
    return end if end > clock.now() else None


def _failed_steps(session: Session, row: Row[Any]) -> list[Row[Any]]:
    return steps.page(
        session, row.id, wave=None, status=StepStatus.FAILED, after=(-1, -1), skip=0, limit=MOST_STEPS
    )


def _remedies(
    session: Session, row: Row[Any], around: Surroundings, now: datetime, actor: Actor
) -> list[Remedy]:
    """Each by itself, and all together where it takes more than one."""
    found, together = [], around
    for action, change in _changes(session, row, around, now, actor):
        found.append(Remedy(action, enough=not evaluate(replace(around, **change), now)))
        together = replace(together, **change)
    if len(found) > 1 and not any(each.enough for each in found):
        found.append(Remedy("do all of these", enough=not evaluate(together, now)))
    return found


def _changes(
    session: Session, row: Row[Any], around: Surroundings, now: datetime, actor: Actor
) -> Iterator[tuple[str, dict[str, Any]]]:
    """What the actor may do, and what of the surroundings would be otherwise then."""
    role = actor.role_in(row.application, row.environment)
    operates, operates_all = (allows(each, Permission.OPERATE) for each in (role, actor.role))
    others = [each for each in around.approvers if each.username != actor.username]
    if around.approval_rules and actor.id != row.requested_by:
        is_author = releases.get(session, row.release_id).created_by == actor.id
        me = Approver(actor.username, role, now, actor.teams, is_author=is_author)
        if is_wanted(around.approval_rules, around.approvers, me, now):
            yield "approve it", {"approvers": [*others, me]}
    owners: set[str | None] = {actor.username}
    if allows(role, Permission.DEPLOY):
        owners.add(None)
    kept = [lock for lock in around.locks if not (operates or lock.username in owners)]
    if len(kept) < len(around.locks):
        ids = ", ".join(str(lock.id) for lock in around.locks if lock not in kept)
        yield f"release lock {ids}", {"locks": kept}
    if around.opening is None or not operates:
        return
    frozen = {active.rule.id for active in around.opening.freezes}
    if frozen and operates_all:
        rules = [each for each in row.rules["rules"] if each["id"] not in frozen]
        thawed = openings.opening({**row.rules, "rules": rules}, now)
        yield f"remove freeze {', '.join(map(str, sorted(frozen)))}", {"opening": thawed}
    elif not (frozen or around.opening.is_open or around.override_windows):
        yield "request it again with the windows overridden, and a reason", {"override_windows": True}
