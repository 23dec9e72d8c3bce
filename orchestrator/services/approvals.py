"""A person's yes, or no, to one deployment."""

from sqlalchemy.orm import Session

from orchestrator.domain.approvals import ApprovalRule, Approver
from orchestrator.domain.errors import ForbiddenError, NotFoundError, RuleViolationError
from orchestrator.domain.statuses import DeploymentStatus
from orchestrator.repositories import gates
from orchestrator.services import execution
from orchestrator.services.actors import Actor
from orchestrator.services.execution import Locked


def approve(session: Session, deployment_id: int, *, actor: Actor, reason: str) -> None:
    """Say yes; saying it twice is saying it once. What that allows happens in the same transaction.

    Raises NotFoundError, RuleViolationError where nobody is asked, ForbiddenError for whom it is not asked of.
    """
    held = _asked(session, deployment_id, actor)
    said = gates.approve(session, deployment_id, user_id=actor.id, role=str(actor.role), reason=reason)
    if not said:
        return
    held.recorder.record(
        "deployment.approved",
        actor_id=actor.id,
        at=held.row.now,
        data={"reason": reason, "role": str(actor.role)},
    )
    for attempt in execution.proceed(session, held):
        execution.nudge(session, held, attempt)


def reject(session: Session, deployment_id: int, *, actor: Actor, reason: str) -> None:
    """Say no, which ends it. Raises as `approve` does."""
    held = _asked(session, deployment_id, actor)
    execution.reject(session, held, actor_id=actor.id, reason=reason, by=actor.username)


def _asked(session: Session, deployment_id: int, actor: Actor) -> Locked:
    held = execution.lock(session, deployment_id)
    if held is None:
        raise NotFoundError(f"there is no deployment {deployment_id}")
    rules = [ApprovalRule.of(each) for each in held.row.approval_rules or ()]
    if held.status is not DeploymentStatus.PENDING or not rules:
        raise RuleViolationError(f"deployment {deployment_id} asks for no approval: it is {held.status}")
    if actor.id == held.row.requested_by:
        raise ForbiddenError("who requested a deployment cannot approve it; somebody else has to")
    if not any(rule.accepts(Approver(actor.username, actor.role)) for rule in rules):
        needed = " and ".join(str(rule) for rule in rules)
        raise ForbiddenError(f"this deployment asks for {needed}; you are none of them")
    return held
