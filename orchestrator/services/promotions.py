"""Promotion by itself: what succeeded in one environment is requested for the next, where the pipeline says `auto`."""

from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator.domain.access import Permission
from orchestrator.domain.errors import OrchestratorError
from orchestrator.domain.pipeline_specs import EnvironmentSpec
from orchestrator.repositories import applications, promotions
from orchestrator.repositories import deployments as rows
from orchestrator.services import actors, deployments, execution, pipelines, requests
from orchestrator.services.execution import Locked


def promote(session: Session, deployment_id: int) -> None:
    """Request what follows from a success, after the pipeline of now; what cannot be is written down with the reason.

    Its gates, soak among them, are looked at when it starts, as those of any deployment are.
    """
    if not promotions.lock(session, deployment_id):
        return
    row = rows.get(session, deployment_id)
    # As every request does: first the application, then its deployments.
    application = applications.find(session, row.application, lock=True)
    held = execution.lock(session, deployment_id)
    if application is None or held is None:
        raise RuntimeError(f"deployment {deployment_id} or its application vanished")
    try:
        for environment in pipelines.current(application).promotes(row.environment):
            _promote_to(session, environment, held, row)
    except OrchestratorError as error:
        _record(held, "deployment.not_promoted", {"why": error.message})
    execution.flush(session, held)
    promotions.finish(session, deployment_id)


def _promote_to(session: Session, environment: EnvironmentSpec, held: Locked, row: Row[Any]) -> None:
    to = {"environment": environment.name}
    been = rows.last_successes(session, [row.release_id], environment.after)[row.release_id]
    missing = [name for name in environment.after if name not in been or been[name].rolled_back]
    if missing:
        why = f"{row.version} has to succeed in {', '.join(missing)} first"
        _record(held, "deployment.not_promoted", to | {"why": why})
        return
    if rows.is_there(session, row.release_id, environment.name):
        _record(held, "deployment.not_promoted", to | {"why": f"{row.version} is there, or on its way"})
        return
    order = requests.Order(
        application=row.application,
        environment=environment.name,
        release_id=row.release_id,
        reason=f"promoted after deployment {row.id} in {row.environment}",
        requested_by=row.requested_by,
    )
    try:
        _require_right(session, order)
        made = deployments.enqueue(session, order)
    except OrchestratorError as error:
        _record(held, "deployment.not_promoted", to | {"why": error.message})
        return
    _record(held, "deployment.promoted", to | {"deployment": made.id})


def _require_right(session: Session, order: requests.Order) -> None:
    """A pipeline's `auto` leads nobody where they may not deploy themselves, as they may now."""
    if order.requested_by is not None:
        actor, _ = actors.of_user(session, order.requested_by)
        actor.require_place(Permission.DEPLOY, application=order.application, environment=order.environment)


def _record(held: Locked, kind: str, data: dict[str, Any]) -> None:
    held.recorder.record(kind, actor_id=None, at=held.row.now, data=data)
