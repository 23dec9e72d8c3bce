"""Recurring deployments: "what succeeded in staging goes to production each Tuesday at 09:00"."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator import clock, recurrence
from orchestrator.domain import windows
from orchestrator.domain.access import Permission
from orchestrator.domain.errors import ForbiddenError, OrchestratorError, RuleViolationError
from orchestrator.domain.wall_time import is_abbreviation, shown
from orchestrator.domain.window_reading import read_rule
from orchestrator.domain.windows import HORIZON, RuleKind
from orchestrator.repositories import applications, releases, schedules
from orchestrator.repositories import deployments as rows
from orchestrator.repositories import windows as rules_of
from orchestrator.services import actors, deployments, openings, pipelines, records
from orchestrator.services.actors import Actor
from orchestrator.services.preconditions import Precondition, always

LATE = timedelta(hours=1)
"""An occurrence that nobody could look at for so long is left out."""
MOST_FORESEEN = 3


def create(
    session: Session,
    *,
    application: str,
    environment: str,
    from_environment: str | None,
    cron: str,
    zone: str,
    reason: str,
    actor: Actor,
) -> int:
    """Have a deployment requested each time `cron` says, on the clocks of `zone`; the schedule's id.

    It takes what succeeded last `from_environment`, else the newest release, in the name of who made the schedule.
    Raises NotFoundError, InvalidInputError for an expression or a zone that cannot be used, RuleViolationError.
    """
    actor.require_place(Permission.DEPLOY, application=application, environment=environment)
    actor.require_person("a schedule")  # it would go on when the token is revoked
    next_at = following(cron, zone, clock.now())
    if next_at is None:
        raise RuleViolationError(
            f"{cron!r} does not happen within {HORIZON.days} days; write another expression"
        )
    found = applications.get(session, application)
    for name in filter(None, (environment, from_environment)):
        applications.get_environment(session, name)
    values = {
        "environment": environment,
        "from_environment": from_environment,
        "cron": cron,
        "zone": zone,
        "reason": reason,
    }
    schedule_id = schedules.add(
        session, {**values, "application_id": found.id, "created_by": actor.id, "next_at": next_at}
    )
    _record(session, schedule_id, "schedule.created", actor.id, {"application": application, **values})
    return schedule_id


def remove(session: Session, schedule_id: int, *, actor: Actor, precondition: Precondition = always) -> None:
    """Request nothing more; a second call does nothing. Its owner and operators may. Raises NotFoundError, ForbiddenError."""
    row = schedules.get(session, schedule_id, lock=True)
    place = {"application": row.application, "environment": row.environment}
    actor.require_place(Permission.DEPLOY, **place)
    actor.require_ownership(row.created_by, f"schedule {schedule_id} of {row.created_by_name}", **place)
    precondition(row)
    if schedules.remove(session, schedule_id, removed_by=actor.id):
        _record(session, schedule_id, "schedule.removed", actor.id, {})


def may_remove(row: Row[Any], actor: Actor) -> bool:
    """Whether they may remove it."""
    place = {"application": row.application, "environment": row.environment}
    try:
        actor.require_place(Permission.DEPLOY, **place)
        actor.require_ownership(row.created_by, f"schedule {row.id}", **place)
    except ForbiddenError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a schedule would do."""

    warnings: Sequence[str]
    """What its author may not have meant, in plain sentences."""
    next: Sequence[datetime]
    """When it would request a deployment first."""


def rehearse(
    session: Session,
    *,
    application: str,
    environment: str,
    from_environment: str | None,
    cron: str,
    zone: str,
) -> Rehearsal:
    """Look at a schedule without keeping it. Raises NotFoundError, InvalidInputError."""
    now = clock.now()
    coming = list(islice(times(cron, zone, now, now + HORIZON), MOST_FORESEEN + 1))
    found = applications.get(session, application)
    for name in filter(None, (environment, from_environment)):
        applications.get_environment(session, name)
    warnings = [
        *_lint_places(found, environment, from_environment),
        *_lint_times(session, environment, application=application, coming=coming, zone=zone),
    ]
    return Rehearsal(warnings, coming[:MOST_FORESEEN])


def _lint_places(found: Row[Any], environment: str, from_environment: str | None) -> Iterator[str]:
    spec = pipelines.current(found).find_environment(environment) if found.document is not None else None
    if spec is None:
        yield f"The pipeline of {found.name} has no {environment}, so each time is left out."
    if from_environment == environment:
        yield f"It takes from {environment} what is there already, so each time is left out."
    elif from_environment is None and spec is not None and spec.after:
        yield (
            f"It takes the newest release, which has to succeed in {', '.join(spec.after)} first:"
            " until it has, each deployment waits."
        )


def _lint_times(
    session: Session, environment: str, *, application: str, coming: Sequence[datetime], zone: str
) -> Iterator[str]:
    if is_abbreviation(zone):
        yield (
            f"`{zone}` is an abbreviation and not a place, so it may not follow what clocks anywhere show;"
            " write a place, such as Europe/Berlin."
        )
    found = rules_of.of_environment(session, environment, application=application)
    rules = openings.rules_for({"rules": found.rules or [], "labels": found.labels})
    for number, at in enumerate(coming[:MOST_FORESEEN]):
        opening = windows.evaluate(rules, at, occurrences=recurrence.occurrences)
        if opening.is_open:
            continue
        following = coming[number + 1] if number + 1 < len(coming) else None
        starts, when = (
            opening.next_opening,
            f"On {shown(at, zone):%Y-%m-%d at %H:%M} deploying is not allowed",
        )
        if starts is None or (following is not None and starts >= following):
            yield f"{when}, and not before the next time comes: that deployment is given up."
        else:
            yield f"{when}: that deployment waits until {shown(starts, zone):%Y-%m-%d at %H:%M}."


def run(session: Session, schedule_id: int) -> None:
    """Request the deployment of an occurrence that has come, once however often this is called; what cannot be is noted."""
    row = schedules.get(session, schedule_id, lock=True)
    now = clock.now()
    if row.next_at is None or row.next_at > now:
        return
    next_at = following(row.cron, row.zone, now)
    made: int | None = None
    if now - row.next_at > LATE:
        outcome = f"left out: nobody could look at it for {LATE.seconds // 60} minutes"
    else:
        made, outcome = _request(session, row, expires_at=next_at)
    schedules.finish(session, schedule_id, next_at=next_at, outcome=outcome, deployment_id=made)
    data = {"occurrence": row.next_at.isoformat(), "outcome": outcome, "deployment": made}
    _record(session, schedule_id, "schedule.ran", None, data)


def following(cron: str, zone: str, now: datetime) -> datetime | None:
    """The first time after `now`; None where there is none within HORIZON. Raises InvalidInputError."""
    return next((at for at in times(cron, zone, now, now + HORIZON) if at > now), None)


def times(cron: str, zone: str, start: datetime, end: datetime) -> Iterator[datetime]:
    """Give the times in [start, end). Raises InvalidInputError for an expression or a zone that cannot be used."""
    document = {
        "kind": str(RuleKind.WINDOW),
        "name": "schedule",
        "zone": zone,
        "cron": {"expression": cron, "duration": "1s"},
    }
    rule = read_rule(document, check=recurrence.check).as_rule(0)
    found = recurrence.occurrences(rule, start, end)
    return (each.start for each in found if each.start >= start)


def _request(session: Session, row: Row[Any], *, expires_at: datetime | None) -> tuple[int | None, str]:
    """Request it for who made the schedule, as they may now; it is given up when the next one comes."""
    try:
        release_id, version = _release(session, row)
        if rows.is_there(session, release_id, row.environment):
            return None, f"left out: {row.application} {version} is in {row.environment}, or on its way"
        made = deployments.request(
            session,
            application=row.application,
            environment=row.environment,
            version=version,
            reason=row.reason or f"schedule {row.id}",
            actor=actors.acting(session, row.created_by, "who made the schedule"),
            expires_at=expires_at,
        ).id
    except OrchestratorError as error:
        return None, f"left out: {error.message}"
    return made, f"{row.application} {version} requested"


def _release(session: Session, row: Row[Any]) -> tuple[int, str]:
    if row.from_environment is not None:
        release_id = deployments.last_in(session, row.application, row.from_environment)
        return release_id, releases.get(session, release_id).version
    found = releases.newest(session, row.application_id)
    if found is None:
        raise RuleViolationError(f"there is no release of {row.application}")
    return found.id, found.version


def _record(
    session: Session, schedule_id: int, kind: str, actor_id: int | None, data: Mapping[str, Any]
) -> None:
    records.record(session, f"schedule:{schedule_id}", kind, actor_id=actor_id, at=clock.now(), data=data)
