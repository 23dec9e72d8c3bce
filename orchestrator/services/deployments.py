"""What people do with deployments: request, cancel, retry, answer."""

from datetime import datetime

from sqlalchemy.orm import Session

from orchestrator import clock
from orchestrator.domain.access import Permission
from orchestrator.domain.errors import ConflictError, NotFoundError, RuleViolationError
from orchestrator.domain.statuses import ACTIVE, TERMINAL, DeploymentStatus, StepStatus
from orchestrator.repositories import deployments, steps
from orchestrator.services import attempts, execution, failures, requests, rollbacks
from orchestrator.services.actors import Actor
from orchestrator.services.requests import Requested

_NOT_PENDING = "deployment {} is not pending any more: only one that has not started gets another plan"
ANSWERS = ("retry", "skip", "fail", "rollback")


def request(
    session: Session,
    *,
    application: str,
    environment: str,
    reason: str,
    actor: Actor,
    version: str | None = None,
    from_environment: str | None = None,
    scheduled_for: datetime | None = None,
    expires_at: datetime | None = None,
    allow_downgrade: bool = False,
    override_windows: bool = False,
) -> Requested:
    """Request a deployment of a version, or of what succeeded last `from_environment`.

    Raises what `requests.create` raises, ForbiddenError for an override.
    """
    actor.require_place(Permission.DEPLOY, application=application, environment=environment)
    if override_windows:
        actor.require_place(Permission.OPERATE, application=application, environment=environment)
        if not reason:
            raise RuleViolationError("who overrides the windows says why: give a `reason`")
    order = requests.Order(
        application=application,
        version=version,
        release_id=None if from_environment is None else last_in(session, application, from_environment),
        environment=environment,
        reason=reason,
        requested_by=actor.id,
        scheduled_for=scheduled_for,
        expires_at=expires_at,
        allow_downgrade=allow_downgrade,
        override_windows=override_windows,
    )
    return enqueue(session, order)


def last_in(session: Session, application: str, environment: str) -> int:
    """The release that succeeded last in an environment. Raises RuleViolationError where none did, or it is being rolled back."""
    found = deployments.last_in(session, application, environment)
    if found is None:
        raise RuleViolationError(f"nothing of {application} has succeeded in {environment} yet")
    if found.going_back:
        raise RuleViolationError(f"{application} {found.version} is being rolled back in {environment}")
    return int(found.release_id)


def enqueue(session: Session, order: requests.Order) -> Requested:
    """Create a deployment, end those whose place it takes, and have it looked at. Raises what `requests.create` raises."""
    made = requests.create(session, order)
    for superseded in made.supersedes:
        held = execution.lock(session, superseded)
        if held is not None and held.status is DeploymentStatus.PENDING:
            is_the_same = superseded == order.replaces_id
            execution.supersede(session, held, by=made.id, is_the_same=is_the_same)
    requests.nudge(session, made)
    return made


def replan(session: Session, deployment_id: int, *, actor: Actor) -> int:
    """Replace a deployment that has not started by one after the pipeline of now; the new id. Nobody has approved that one.

    Raises ConflictError for one that has started, and what `requests.create` raises.
    """
    row = deployments.get(session, deployment_id)
    actor.require_place(Permission.DEPLOY, application=row.application, environment=row.environment)
    if row.status != DeploymentStatus.PENDING:
        raise ConflictError(_NOT_PENDING.format(deployment_id))
    if row.rolls_back_id is not None:
        raise RuleViolationError("a rollback keeps its plan; request another one")
    if row.override_windows:
        actor.require_place(Permission.OPERATE, application=row.application, environment=row.environment)
    order = requests.Order(
        application=row.application,
        environment=row.environment,
        release_id=row.release_id,
        reason=row.reason,
        requested_by=actor.id,
        retry_of_id=row.retry_of_id,
        scheduled_for=row.scheduled_for if row.scheduled_for and row.scheduled_for > clock.now() else None,
        expires_at=row.expires_at,
        allow_downgrade=True,  # as it is, it would start as well
        override_windows=row.override_windows,
        replaces_id=deployment_id,
    )
    made = enqueue(session, order)
    if deployments.get(session, deployment_id).replaced_by_id != made.id:  # it started, or got one, meanwhile
        raise ConflictError(_NOT_PENDING.format(deployment_id))
    return made.id


def retry(session: Session, deployment_id: int, *, actor: Actor) -> int:
    """Request the same once more, of a rollback another one; the new id. Raises ConflictError while the old one goes on."""
    row = deployments.get(session, deployment_id)
    actor.require_place(Permission.DEPLOY, application=row.application, environment=row.environment)
    if DeploymentStatus(row.status) not in TERMINAL:
        raise ConflictError(f"deployment {deployment_id} is {row.status}; a retry is for one that has ended")
    if row.status == DeploymentStatus.SUCCEEDED:
        raise RuleViolationError(f"deployment {deployment_id} succeeded; deploy the release again instead")
    reason = f"retry of deployment {deployment_id}"
    if row.rolls_back_id is not None:
        return rollbacks.request(
            session, row.rolls_back_id, actor=actor, reason=reason, retry_of_id=deployment_id
        )
    order = requests.Order(
        application=row.application,
        environment=row.environment,
        release_id=row.release_id,
        reason=reason,
        requested_by=actor.id,
        retry_of_id=deployment_id,
    )
    return enqueue(session, order).id


def cancel(session: Session, deployment_id: int, *, actor: Actor, reason: str) -> None:
    """Ask for the end of a deployment; asking twice is harmless. Raises ConflictError for one that has ended otherwise."""
    held = _lock(session, deployment_id, actor)
    if held.status is DeploymentStatus.CANCELLED:
        return
    if held.status in TERMINAL:
        raise ConflictError(f"deployment {deployment_id} has ended already: it {_ended(held)}")
    if held.row.undo_from is not None:
        if held.row.cancel_requested_at is not None:
            return
        raise ConflictError(
            f"deployment {deployment_id} is putting back what it changed, and ends after that"
        )
    execution.request_cancel(session, held, actor_id=actor.id, reason=reason)


def claim(session: Session, deployment_id: int, *, actor: Actor) -> None:
    """Take it on to answer what a deployment asks, also from somebody else: until then nobody else is heard. Twice is once.

    Raises RuleViolationError where nothing is asked.
    """
    held = _lock(session, deployment_id, actor)
    row = held.row
    asked = row.answer_by or row.promotion_asked_at or held.wave.unknown
    if held.status is not DeploymentStatus.PAUSED or not asked:
        raise RuleViolationError(f"deployment {deployment_id} asks nothing: it is {held.status}")
    if row.claimed_by == actor.id:
        return
    held.recorder.record("deployment.claimed", actor_id=actor.id, at=row.now, data={"from": row.claimed_by})
    held.change.values["claimed_by"] = actor.id
    execution.flush(session, held)


def answer(session: Session, deployment_id: int, *, answer: str, step_id: int | None, actor: Actor) -> None:
    """Say what became of steps of which their targets could not (without a step: of all), or what to do after failures.

    Raises RuleViolationError where nothing was asked, or not so, ConflictError where somebody else has claimed it.
    """
    held = _lock(session, deployment_id, actor)
    _require_claim(session, held, actor)
    asked = steps.unknown_ids(session, deployment_id)
    if held.status is DeploymentStatus.PAUSED and held.row.answer_by is not None and not asked:
        failures.answer(session, held, answer=answer, step_id=step_id, actor=actor)
        return
    if held.status is not DeploymentStatus.PAUSED or not asked:
        raise RuleViolationError(f"deployment {deployment_id} asks nothing: it is {held.status}")
    if answer == "rollback":
        raise RuleViolationError("say first what became of the steps that are unknown: retry, skip or fail")
    if step_id is not None and step_id not in asked:
        raise RuleViolationError(f"step {step_id} is not one that is unknown")
    for unknown in asked if step_id is None else [step_id]:
        _answer_step(session, held, unknown, answer=answer, actor=actor)
    for attempt_id in execution.proceed(session, held):
        execution.nudge(session, held, attempt_id)


def promote(session: Session, deployment_id: int, *, actor: Actor, reason: str) -> None:
    """End the wait between two waves, or say yes to a canary. Raises RuleViolationError where it waits for neither.

    Raises ConflictError where somebody else has claimed it.
    """
    held = _lock(session, deployment_id, actor)
    _require_claim(session, held, actor)
    waits = held.row.next_wave_at is not None or held.row.promotion_asked_at is not None
    is_over = held.wave.is_over and held.status in ACTIVE and held.row.undo_from is None
    if not (waits and is_over) or held.cancelling:
        raise RuleViolationError(f"deployment {deployment_id} waits for no promotion: it is {held.status}")
    held.recorder.record(
        "deployment.continued",
        actor_id=actor.id,
        at=held.row.now,
        data={"reason": reason, "wave": held.wave.index},
    )
    held.change.values |= {"promoted_wave": held.wave.index, "wake_at": held.row.now}
    execution.look_again(session, held)
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


def _require_claim(session: Session, held: execution.Locked, actor: Actor) -> None:
    if held.row.claimed_by in {None, actor.id}:
        return
    who = deployments.get(session, held.id).claimed_by_name
    raise ConflictError(f"{who} has claimed deployment {held.id} and answers it; claim it yourself first")


def _lock(session: Session, deployment_id: int, actor: Actor) -> execution.Locked:
    held = execution.lock(session, deployment_id)
    if held is None:
        raise NotFoundError(f"there is no deployment {deployment_id}")
    actor.require_place(Permission.DEPLOY, application=held.row.application, environment=held.row.environment)
    return held


def _ended(held: execution.Locked) -> str:
    if held.row.replaced_by_id is not None:
        return f"got another plan, and deployment {held.row.replaced_by_id} has its place"
    was = "was " if held.status in {DeploymentStatus.SUPERSEDED, DeploymentStatus.EXPIRED} else ""
    return f"{was}{held.status}"
