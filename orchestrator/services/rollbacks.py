"""Going back: a deployment of the last release that succeeded in the slot, to the targets that were touched."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator.domain.access import Permission
from orchestrator.domain.errors import ConflictError, OrchestratorError, RuleViolationError
from orchestrator.domain.statuses import TERMINAL, DeploymentStatus
from orchestrator.repositories import deployments
from orchestrator.services import requests, undoing
from orchestrator.services.actors import Actor

ROLLBACK_PRIORITY = 100
MOST_NAMED = 20
"""So many targets are named in a failure; the event names all."""


@dataclass(frozen=True, slots=True)
class Note:
    """What became of an automatic rollback, for the event and for the deployment's `failure`."""

    text: str
    data: Mapping[str, Any]
    deployment_id: int | None
    halts: str | None = None
    """Why nothing more may start by itself in the slot: it was to go back, and cannot."""


@dataclass(frozen=True, slots=True)
class _Way:
    """Where it goes back to, and which targets do, the newest first."""

    release_id: int
    targets: tuple[str, ...]
    not_undone: tuple[str, ...] = ()
    """Scripts that would have undone something, and that nobody runs any more."""


def create_automatic(session: Session, failed: Row[Any]) -> Note:
    """Request the rollback of a deployment that is failing, in its own transaction; never raises: the failure stands anyway."""
    if failed.side is not None:
        text = "the traffic is on the other side, which it never changed"
        return Note(text, {"refused": text}, None)
    try:
        way = _way_back(session, failed)
    except RuleViolationError as error:
        return _refused(error)
    try:
        made = _create(session, failed, way, actor_id=None, reason=f"deployment {failed.id} failed")
    except OrchestratorError as error:
        return replace(_refused(error), halts=f"deployment {failed.id} failed and could not be rolled back")
    text = f"{failed.application} {made.version} is put back by deployment {made.id}"
    if made.left_out:
        text += f", but not on {', '.join(made.left_out[:MOST_NAMED])}: not in the pipeline any more"
    return Note(text, {"deployment": made.id, "version": made.version}, made.id)


def request(
    session: Session, deployment_id: int, *, actor: Actor, reason: str, retry_of_id: int | None = None
) -> int:
    """Roll back a deployment that has ended; the new deployment's id. Raises ConflictError while it goes on.

    `retry_of_id`: a rollback of it that has ended otherwise than it should.
    """
    row = deployments.get(session, deployment_id)
    actor.require_place(Permission.DEPLOY, application=row.application, environment=row.environment)
    if DeploymentStatus(row.status) not in TERMINAL:
        raise ConflictError(
            f"deployment {deployment_id} is {row.status}; cancel it first, or wait for its end"
        )
    reason = reason or f"rollback of deployment {deployment_id}"
    way = replace(_way_back(session, row), not_undone=undoing.left(session, row))
    made = _create(session, row, way, actor_id=actor.id, reason=reason, retry_of_id=retry_of_id)
    requests.nudge(session, made)
    return made.id


def _refused(error: OrchestratorError) -> Note:
    return Note(f"not rolled back: {error.message}", {"refused": error.message}, None)


def _way_back(session: Session, row: Row[Any]) -> _Way:
    """Raises RuleViolationError where there is nothing to put back, or nothing to go back to."""
    touched = deployments.touched_targets(session, row.id)
    if not touched:
        raise RuleViolationError("nothing of it was started on any target, so there is nothing to put back")
    release_id = deployments.last_good_release(
        session,
        deployment_id=row.id,
        application_id=row.application_id,
        environment=row.environment,
        release_id=row.release_id,
    )
    if release_id is None:
        raise RuleViolationError(
            f"no other release of {row.application} has succeeded in {row.environment} before and was kept there"
        )
    return _Way(release_id, tuple(touched))


def _create(
    session: Session,
    row: Row[Any],
    way: _Way,
    *,
    actor_id: int | None,
    reason: str,
    retry_of_id: int | None = None,
) -> requests.Requested:
    order = requests.Order(
        application=row.application,
        environment=row.environment,
        release_id=way.release_id,
        reason=reason,
        requested_by=actor_id,
        rolls_back_id=row.id,
        retry_of_id=retry_of_id,
        priority=ROLLBACK_PRIORITY,
        only_targets=way.targets,
        not_undone=way.not_undone,
    )
    return requests.create(session, order)
