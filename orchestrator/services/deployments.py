"""What people do with deployments: request, cancel, retry, answer."""

from datetime import datetime

from sqlalchemy.orm import Session

from orchestrator.domain.access import Permission
from orchestrator.domain.errors import ConflictError, NotFoundError, RuleViolationError
from orchestrator.domain.pipeline_specs import FIFO, REJECT
from orchestrator.domain.statuses import TERMINAL, DeploymentStatus, StepStatus
from orchestrator.repositories import deployments, steps
from orchestrator.services import attempts, execution, requests
from orchestrator.services.actors import Actor

ANSWERS = ("retry", "skip", "fail")


def request(
    session: Session,
    *,
    application: str,
    version: str,
    environment: str,
    reason: str,
    actor: Actor,
    scheduled_for: datetime | None = None,
    expires_at: datetime | None = None,
    allow_downgrade: bool = False,
    override_windows: bool = False,
) -> int:
    """Request a deployment; its id. Raises what `requests.create` raises, and ConflictError where the queue takes no more."""
    if override_windows:
        actor.require(Permission.OPERATE)
        if not reason:
            raise RuleViolationError("who overrides the windows says why: give a `reason`")
    order = requests.Order(
        application=application,
        version=version,
        environment=environment,
        reason=reason,
        requested_by=actor.id,
        scheduled_for=scheduled_for,
        expires_at=expires_at,
        allow_downgrade=allow_downgrade,
        override_windows=override_windows,
    )
    return _enqueue(session, order)


def _enqueue(session: Session, order: requests.Order) -> int:
    """Create it and keep to the queue's policy."""
    made = requests.create(session, order)
    if made.queue != FIFO:
        _make_room(session, made)
    requests.nudge(session, made)
    return made.id


def _make_room(session: Session, made: requests.Requested) -> None:
    before = deployments.queued_before(
        session, made.id, application_id=made.application_id, environment=made.environment
    )
    if made.queue == REJECT and before:
        raise ConflictError(
            f"deployment {before[0].id} of {made.application} in {made.environment} goes on, and the queue there takes no other"
        )
    for row in before:
        held = execution.lock(session, row.id) if row.status == DeploymentStatus.PENDING else None
        if held is not None and held.status is DeploymentStatus.PENDING:
            execution.supersede(session, held, by=made.id)


def retry(session: Session, deployment_id: int, *, actor: Actor) -> int:
    """Request the same release for the same environment once more; the new id. Raises ConflictError while the old one goes on."""
    row = deployments.get(session, deployment_id)
    if DeploymentStatus(row.status) not in TERMINAL:
        raise ConflictError(f"deployment {deployment_id} is {row.status}; a retry is for one that has ended")
    if row.status == DeploymentStatus.SUCCEEDED:
        raise RuleViolationError(f"deployment {deployment_id} succeeded; deploy the release again instead")
    order = requests.Order(
        application=row.application,
        environment=row.environment,
        release_id=row.release_id,
        reason=f"retry of deployment {deployment_id}",
        requested_by=actor.id,
        retry_of_id=deployment_id,
    )
    return _enqueue(session, order)


def cancel(session: Session, deployment_id: int, *, actor: Actor, reason: str) -> None:
    """Ask for the end of a deployment; asking twice is harmless. Raises ConflictError for one that has ended otherwise."""
    held = _lock(session, deployment_id)
    if held.status is DeploymentStatus.CANCELLED:
        return
    if held.status in TERMINAL:
        raise ConflictError(f"deployment {deployment_id} has ended already: it {_ended(held.status)}")
    execution.request_cancel(session, held, actor_id=actor.id, reason=reason)


def answer(session: Session, deployment_id: int, *, answer: str, step_id: int | None, actor: Actor) -> None:
    """Say what became of steps of which their targets could not: try again, count as done, or count as failed.

    Without a step: of all of them. Raises RuleViolationError where nothing was asked.
    """
    held = _lock(session, deployment_id)
    asked = steps.unknown_ids(session, deployment_id)
    if held.status is not DeploymentStatus.PAUSED or not asked:
        raise RuleViolationError(f"deployment {deployment_id} asks nothing: it is {held.status}")
    if step_id is not None and step_id not in asked:
        raise RuleViolationError(f"step {step_id} is not one that is unknown")
    for unknown in asked if step_id is None else [step_id]:
        _answer_step(session, held, unknown, answer=answer, actor=actor)
    for attempt_id in execution.proceed(session, held):
        execution.nudge(session, held, attempt_id)


def _answer_step(
    session: Session, held: execution.Locked, step_id: int, *, answer: str, actor: Actor
) -> None:
    step = steps.get(session, held.id, step_id)
    new = {"retry": StepStatus.READY, "skip": StepStatus.SKIPPED, "fail": StepStatus.FAILED}[answer]
    failure = None if new is StepStatus.READY else f"{step.failure}; {actor.username} answered: {answer}"
    steps.settle(session, step_id, old=StepStatus.UNKNOWN, new=new, exit_code=step.exit_code, failure=failure)
    execution.count_step(session, held, step.wave_index, old=StepStatus.UNKNOWN, new=new)
    data = {"step": step_id, "target": step.target_name, "answer": answer}
    held.recorder.record("step.answered", actor_id=actor.id, at=held.row.now, data=data)
    if new is StepStatus.READY:
        steps.try_again(session, step_id, not_before=None)
    elif new is StepStatus.FAILED:
        attempts.fail_target(session, held, step.target_id, why=f"{actor.username} said it failed")
    execution.flush(session, held)


def _lock(session: Session, deployment_id: int) -> execution.Locked:
    held = execution.lock(session, deployment_id)
    if held is None:
        raise NotFoundError(f"there is no deployment {deployment_id}")
    return held


def _ended(status: DeploymentStatus) -> str:
    return (
        f"was {status}" if status in {DeploymentStatus.SUPERSEDED, DeploymentStatus.EXPIRED} else str(status)
    )
