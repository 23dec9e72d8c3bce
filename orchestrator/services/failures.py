"""What a person says when more targets of a deployment failed than may."""

from sqlalchemy.orm import Session

from orchestrator.domain.errors import RuleViolationError
from orchestrator.domain.statuses import StepStatus
from orchestrator.repositories import steps
from orchestrator.services import execution
from orchestrator.services.actors import Actor
from orchestrator.services.execution import Locked


def answer(session: Session, held: Locked, *, answer: str, step_id: int | None, actor: Actor) -> None:
    """Try again where it failed in this wave, go on without those targets, fail, or go back; whoever is first is heard."""
    if step_id is not None:
        raise RuleViolationError(
            "it asks what to do after its failures, not about a step: leave the step out"
        )
    if answer == "rollback" and held.row.rolls_back_id is not None:
        raise RuleViolationError("this is a rollback already; answer retry, skip or fail")
    found = steps.failed_in(session, held.id, held.wave.index)
    if answer == "retry":
        _try_again(session, held, [step.id for step in found])
    elif answer == "skip":
        _allow_so_many(session, held)
    else:
        held.change.values["on_failure"] = answer
    held.change.values |= {"answer_by": None, "wake_at": held.row.now}
    data = {"answer": answer, "targets": [step.target_name for step in found]}
    held.recorder.record("deployment.answered", actor_id=actor.id, at=held.row.now, data=data)
    execution.look_again(session, held)
    for attempt_id in execution.proceed(session, held):
        execution.nudge(session, held, attempt_id)


def _try_again(session: Session, held: Locked, failed: list[int]) -> None:
    """None but those of this wave: before it, no more had failed than may. As many at a time as may run side by side."""
    for step_id in failed:
        steps.settle(session, step_id, old=StepStatus.FAILED, new=StepStatus.WAITING)
        execution.count_step(session, held, held.wave.index, old=StepStatus.FAILED, new=StepStatus.WAITING)
    steps.unskip(session, held.id, failed)
    held.failed_targets -= len(failed)
    held.change.values["failed_targets"] = held.failed_targets


def _allow_so_many(session: Session, held: Locked) -> None:
    """The targets that failed stay failed; one more is asked about again."""
    row = held.row
    held.change.values["max_failures"] = max(row.max_failures, held.failed_targets)
    if row.max_batch_failures is not None:
        in_batch = execution.batch_failures(session, held)
        held.change.values["max_batch_failures"] = max(row.max_batch_failures, in_batch)
