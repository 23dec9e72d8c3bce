"""Going back: a deployment of the last release that succeeded in the slot, to the targets that were touched."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator.domain.access import Permission
from orchestrator.domain.errors import ConflictError, OrchestratorError, RuleViolationError
from orchestrator.domain.statuses import TERMINAL, DeploymentStatus
from orchestrator.repositories import deployments
from orchestrator.services import requests
from orchestrator.services.actors import Actor

ROLLBACK_PRIORITY = 100


@dataclass(frozen=True, slots=True)
class Note:
    """What became of an automatic rollback, for the event and for the deployment's `failure`."""

    text: str
    data: Mapping[str, Any]
    deployment_id: int | None


def create_automatic(session: Session, failed: Row[Any], *, at: datetime) -> Note:
    """Request the rollback of a deployment that is failing, in its own transaction; never raises: the failure stands anyway."""
    if failed.side is not None:
        text = "the traffic is on the other side, which it never changed"
        return Note(text, {"refused": text}, None)
    try:
        made = _create(session, failed, actor_id=None, reason=f"deployment {failed.id} failed", at=at)
    except OrchestratorError as error:
        return Note(f"not rolled back: {error.message}", {"refused": error.message}, None)
    text = f"{failed.application} {made.version} is put back by deployment {made.id}"
    return Note(text, {"deployment": made.id, "version": made.version}, made.id)


def request(session: Session, deployment_id: int, *, actor: Actor, reason: str) -> int:
    """Roll back a deployment that has ended; the new deployment's id. Raises ConflictError while it goes on."""
    row = deployments.get(session, deployment_id)
    actor.require_place(Permission.DEPLOY, application=row.application, environment=row.environment)
    if DeploymentStatus(row.status) not in TERMINAL:
        raise ConflictError(
            f"deployment {deployment_id} is {row.status}; cancel it first, or wait for its end"
        )
    made = _create(
        session, row, actor_id=actor.id, reason=reason or f"rollback of deployment {deployment_id}", at=None
    )
    requests.nudge(session, made)
    return made.id


def _create(
    session: Session, row: Row[Any], *, actor_id: int | None, reason: str, at: datetime | None
) -> requests.Requested:
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
            f"no other release of {row.application} has succeeded in {row.environment} before"
        )
    order = requests.Order(
        application=row.application,
        environment=row.environment,
        release_id=release_id,
        reason=reason,
        requested_by=actor_id,
        rolls_back_id=row.id,
        priority=ROLLBACK_PRIORITY,
        only_targets=tuple(touched),
    )
    return requests.create(session, order)
