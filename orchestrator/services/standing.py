"""What the gates of a deployment look at."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator.domain import gates
from orchestrator.domain.access import Role
from orchestrator.domain.approvals import ApprovalRule, Approver
from orchestrator.domain.health import Health
from orchestrator.domain.windows import WhenClosed
from orchestrator.repositories import deployments
from orchestrator.services import openings

Successes = Mapping[int, Mapping[str, Row[Any]]]
"""By release and environment: its last success there."""


def standing(session: Session, row: Row[Any], around: Row[Any], now: datetime) -> gates.Surroundings:
    """What the gates of a pending deployment look at, with what the slot looks like known already."""
    return standing_with(successes(session, [row]), row, around, now)


def closed(session: Session, row: Row[Any], now: datetime) -> tuple[gates.Blocker, ...]:
    """What windows and freezes have against another wave of a deployment that has begun, where that matters to it."""
    return look_between(session, row, now).blockers


def look_between(session: Session, row: Row[Any], now: datetime) -> gates.Look:
    """As `closed`, and up to when they have nothing."""
    if row.when_closed == WhenClosed.FINISH:
        return gates.Look()
    return gates.look_between(standing(session, row, deployments.surroundings(session, row.id), now))


def look(session: Session, row: Row[Any], now: datetime) -> gates.Look:
    """Whether a pending deployment may start now."""
    return gates.look(standing(session, row, deployments.surroundings(session, row.id), now), now)


def reasons(session: Session, row: Row[Any], around: Row[Any], now: datetime) -> tuple[gates.Blocker, ...]:
    """Every reason for which a pending deployment does not start now, with what the slot looks like known already."""
    return gates.evaluate(standing(session, row, around, now), now)


def successes(session: Session, rows: Sequence[Row[Any]]) -> Successes:
    """Where the releases of these deployments succeeded last, of the environments that each comes after."""
    asking = [row for row in rows if promotes_after(row)]
    if not asking:
        return {}
    environments = {name for row in asking for name in promotes_after(row)}
    return deployments.last_successes(session, [row.release_id for row in asking], sorted(environments))


def promotes_after(row: Row[Any]) -> list[str]:
    """The environments in which its release has to have been; a rollback goes anywhere."""
    found: list[str] = row.promote_after if row.rolls_back_id is None else []
    return found


def standing_with(known: Successes, row: Row[Any], around: Row[Any], now: datetime) -> gates.Surroundings:
    """As `standing`, with what `successes` says of it."""
    after = promotes_after(row)
    been = {name: each for name, each in known.get(row.release_id, {}).items() if name in after}
    good = {name: each.ended_at for name, each in been.items() if not each.rolled_back}
    missing = [name for name in after if name not in good]
    return gates.Surroundings(
        application=row.application,
        version=row.version,
        environment=row.environment,
        active_id=around.active_id,
        ahead=around.ahead,
        missing_environments=missing,
        promote_after=after,
        rolled_back_in=[name for name in missing if name in been],
        succeeded_since=max(good.values()) if good and not missing else None,
        soak=timedelta(seconds=row.soak_seconds),
        health=[_health(each) for each in been.values() if each.health_every_seconds is not None],
        scheduled_for=row.scheduled_for,
        locks=[_held_lock(each) for each in around.locks or ()],
        approval_rules=[ApprovalRule.of(each) for each in row.approval_rules or ()],
        opening=openings.opening_for(row, around.rules, now),
        override_windows=row.override_windows,
        jitter=timedelta(seconds=row.jitter_seconds),
        approvers=[approver_of(each) for each in around.approvers or ()],
    )


def _health(found: Row[Any]) -> Health:
    return Health(
        environment=found.environment,
        every=timedelta(seconds=found.health_every_seconds),
        counts_from=found.counts_from,
        checked_at=found.checked_at,
        because=found.because,
        failing=found.failing,
        left_by=found.left_by,
    )


def approver_of(found: Mapping[str, Any]) -> Approver:
    """Somebody who said yes, as a deployment is read with them."""
    at = datetime.fromtimestamp(float(found["at"]), UTC)
    return Approver(
        found["username"], Role(found["role"]), at, tuple(found["teams"]), is_author=found["is_author"]
    )


def _held_lock(found: dict[str, Any]) -> gates.HeldLock:
    expires = found["expires_at"]
    until = None if expires is None else datetime.fromtimestamp(float(expires), UTC)
    return gates.HeldLock(found["id"], found["reason"], found["username"], until)
