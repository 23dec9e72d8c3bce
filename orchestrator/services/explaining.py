"""Why a deployment waits, when it will go and who may help; or why it ended as it did."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator import clock
from orchestrator.domain.access import Permission, allows
from orchestrator.domain.approvals import Approver, unmet
from orchestrator.domain.explanation import Remedy, Verdict, verdicts
from orchestrator.domain.forecast import Forecast, forecast
from orchestrator.domain.gates import Surroundings, evaluate
from orchestrator.domain.statuses import DeploymentStatus, StepStatus
from orchestrator.repositories import deployments, events, steps
from orchestrator.services import execution, openings
from orchestrator.services.actors import Actor

MOST_STEPS = 5


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


def explain(session: Session, deployment_id: int, *, actor: Actor) -> Explanation:
    """Explain how a deployment stands to somebody; remedies are those that they may use. Raises NotFoundError."""
    row, now = deployments.get(session, deployment_id), clock.now()
    if row.status != DeploymentStatus.PENDING:
        return Explanation(
            row=row,
            at=now,
            cancel=events.last_of(session, row.id, "deployment.cancel_requested"),
            failed_steps=_failed_steps(session, row) if row.n_failed else (),
        )
    around = execution.standing(session, row, row, now)
    return Explanation(
        row=row,
        at=now,
        gates=verdicts(around, now),
        forecast=foretell(row, around, now),
        remedies=_remedies(row, around, now, actor),
    )


def foretell(row: Row[Any], around: Surroundings, now: datetime) -> Forecast:
    """When a pending deployment will start, if nobody does anything."""

    def look(at: datetime) -> Surroundings:
        locks = [lock for lock in around.locks if lock.expires_at is None or lock.expires_at > at]
        return replace(around, locks=locks, opening=openings.opening(row.rules, at))

    return forecast(look, now, expires_at=row.expires_at)


def _failed_steps(session: Session, row: Row[Any]) -> list[Row[Any]]:
    return steps.page(
        session, row.id, wave=None, status=StepStatus.FAILED, after=(-1, -1), skip=0, limit=MOST_STEPS
    )


def _remedies(row: Row[Any], around: Surroundings, now: datetime, actor: Actor) -> list[Remedy]:
    """Each by itself, and all together where it takes more than one."""
    found, together = [], around
    for action, change in _changes(row, around, now, actor):
        found.append(Remedy(action, enough=not evaluate(replace(around, **change), now)))
        together = replace(together, **change)
    if len(found) > 1 and not any(each.enough for each in found):
        found.append(Remedy("do all of these", enough=not evaluate(together, now)))
    return found


def _changes(
    row: Row[Any], around: Surroundings, now: datetime, actor: Actor
) -> Iterator[tuple[str, dict[str, Any]]]:
    """What the actor may do, and what of the surroundings would be otherwise then."""
    operates = allows(actor.role, Permission.OPERATE)
    me = Approver(actor.username, actor.role)
    asked = any(rule.accepts(me) for rule, _ in unmet(around.approval_rules, around.approvers))
    has_approved = actor.username in {each.username for each in around.approvers}
    if asked and not has_approved and actor.id != row.requested_by:
        yield "approve it", {"approvers": [*around.approvers, me]}
    kept = [lock for lock in around.locks if not (operates or lock.username == actor.username)]
    if len(kept) < len(around.locks):
        ids = ", ".join(str(lock.id) for lock in around.locks if lock not in kept)
        yield f"release lock {ids}", {"locks": kept}
    if around.opening is None or not operates:
        return
    frozen = {active.rule.id for active in around.opening.freezes}
    if frozen:
        rules = [each for each in row.rules["rules"] if each["id"] not in frozen]
        thawed = openings.opening({**row.rules, "rules": rules}, now)
        yield f"remove freeze {', '.join(map(str, sorted(frozen)))}", {"opening": thawed}
    elif not (around.opening.is_open or around.override_windows):
        yield "request it again with override_windows and a reason", {"override_windows": True}
