"""How much waits for somebody, without the explanations that their inbox gives of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator.domain.access import Permission, allows
from orchestrator.domain.approvals import ApprovalRule, Approver, is_wanted
from orchestrator.domain.statuses import DeploymentStatus
from orchestrator.repositories import gates
from orchestrator.repositories import inbox as rows
from orchestrator.services import acting, locks, standing
from orchestrator.services.actors import Actor
from orchestrator.services.overview import MOST_WAITING

MOST_HALTS = 50


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for people: read once, it is counted for each of them."""

    asking: Sequence[Row[Any]]
    halts: Sequence[Row[Any]]

    def count_for(self, actor: Actor, now: datetime) -> int:
        """As many as their inbox has under "Waits for you"."""
        asking = sum(_may_decide(each, actor, now) for each in self.asking)
        return asking + sum(locks.may_release(each, actor) for each in self.halts)


def read(session: Session) -> Waiting:
    """The newest of it."""
    return Waiting(rows.asking(session, limit=MOST_WAITING), gates.halts(session, limit=MOST_HALTS))


def _may_decide(row: Row[Any], actor: Actor, now: datetime) -> bool:
    role = actor.role_in(row.application, row.environment)
    if row.status == DeploymentStatus.PAUSED:
        return bool(acting.asks(row)) and allows(role, Permission.DEPLOY)
    if actor.id == row.requested_by:
        return False
    me = Approver(actor.username, role, now, actor.teams, is_author=actor.id == row.author_id)
    approvers = [standing.approver_of(each) for each in row.approvers or ()]
    return is_wanted([ApprovalRule.of(each) for each in row.approval_rules], approvers, me, now)
