"""A person's yes, or no, to one deployment."""

from sqlalchemy.orm import Session

from orchestrator.domain.access import Role
from orchestrator.domain.approvals import ApprovalRule, Approver
from orchestrator.domain.errors import ConflictError, ForbiddenError, NotFoundError, RuleViolationError
from orchestrator.domain.statuses import DeploymentStatus
from orchestrator.repositories import gates, releases
from orchestrator.services import execution
from orchestrator.services.actors import Actor
from orchestrator.services.execution import Locked


def approve(
    session: Session, deployment_id: int, *, actor: Actor, reason: str, plan_hash: str | None = None
) -> None:
    """Say yes; saying it twice is saying it once. What that allows happens in the same transaction.

    With a `plan_hash`: yes to that plan and no other. A plan never changes, so the yes holds as long as its rule says.
    Raises NotFoundError, RuleViolationError where nobody is asked, ForbiddenError for whom it is not asked of,
    ConflictError where the plan is another.
    """
    held = _asked(session, deployment_id, actor)
    if plan_hash is not None and plan_hash != held.row.plan_hash:
        raise ConflictError(
            f"the plan of deployment {deployment_id} is {held.row.plan_hash}; look at it before you approve it"
        )
    role = _role(held, actor)
    said = gates.approve(
        session,
        deployment_id,
        user_id=actor.id,
        role=str(role),
        teams=actor.teams,
        reason=reason,
        again=any(rule.expires_seconds for rule in _rules(held)),
    )
    if not said:
        return
    held.recorder.record(
        "deployment.approved",
        actor_id=actor.id,
        at=held.row.now,
        data={"reason": reason, "role": str(role), "plan_hash": held.row.plan_hash},
    )
    for attempt in execution.proceed(session, held):
        execution.nudge(session, held, attempt)


def reject(session: Session, deployment_id: int, *, actor: Actor, reason: str) -> None:
    """Say no, which ends it. Raises as `approve` does."""
    held = _asked(session, deployment_id, actor)
    execution.reject(session, held, actor_id=actor.id, reason=reason, by=actor.username)


def _asked(session: Session, deployment_id: int, actor: Actor) -> Locked:
    actor.require_person("an approval")
    held = execution.lock(session, deployment_id)
    if held is None:
        raise NotFoundError(f"there is no deployment {deployment_id}")
    rules = _rules(held)
    if held.status is not DeploymentStatus.PENDING or not rules:
        raise RuleViolationError(f"deployment {deployment_id} asks for no approval: it is {held.status}")
    if actor.id == held.row.requested_by:
        raise ForbiddenError("who requested a deployment cannot approve it; somebody else has to")
    now = held.row.now
    is_author = releases.get(session, held.row.release_id).created_by == actor.id
    who = Approver(actor.username, _role(held, actor), now, actor.teams, is_author=is_author)
    if not any(rule.accepts(who, now) for rule in rules):
        needed = " and ".join(str(rule) for rule in rules)
        author = "; who recorded the release does not count" if any(rule.but_author for rule in rules) else ""
        raise ForbiddenError(f"this deployment asks for {needed}; you are none of them{author}")
    return held


def _role(held: Locked, actor: Actor) -> Role:
    return actor.role_in(held.row.application, held.row.environment)


def _rules(held: Locked) -> list[ApprovalRule]:
    return [ApprovalRule.of(each) for each in held.row.approval_rules or ()]
