"""What somebody may do with a deployment as it stands; the services behind the verbs look again."""

from typing import Any

from sqlalchemy import Row

from orchestrator.domain.access import Permission, allows
from orchestrator.domain.statuses import ACTIVE, TERMINAL, DeploymentStatus
from orchestrator.services.actors import Actor
from orchestrator.services.explaining import Explanation

APPROVE, REJECT, ANSWER, PROMOTE, CANCEL, RETRY, ROLL_BACK = (
    "approve",
    "reject",
    "answer",
    "promote",
    "cancel",
    "retry",
    "rollback",
)
DESTRUCTIVE = frozenset({CANCEL, ROLL_BACK})


def verbs(explanation: Explanation, actor: Actor) -> list[str]:
    """In the order in which they are probably wanted."""
    row = explanation.row
    status = DeploymentStatus(row.status)
    found = []
    if any(each.action == "approve it" for each in explanation.remedies):
        found += [APPROVE, REJECT]
    if not allows(actor.role_in(row.application, row.environment), Permission.DEPLOY):
        return found
    found += asks(row)
    if status not in TERMINAL:
        return found if row.cancel_requested_at else [*found, CANCEL]
    if status is not DeploymentStatus.SUCCEEDED:
        found.append(RETRY)
    has_begun = row.started_at is not None
    return [*found, ROLL_BACK] if has_begun and row.rolled_back_by_id is None else found


def asks(row: Row[Any]) -> list[str]:
    """What it asks whoever may deploy there."""
    is_paused = DeploymentStatus(row.status) is DeploymentStatus.PAUSED
    found = [ANSWER] if is_paused and (row.n_unknown or row.answer_by is not None) else []
    return [*found, PROMOTE] if may_go_on(row) else found


def may_go_on(row: Row[Any]) -> bool:
    """Whether it waits between two waves, for its time or for a person, and nobody has said yet that it goes on."""
    waits = row.next_wave_at is not None or row.promotion_asked_at is not None
    is_ending = row.cancel_requested_at is not None or row.undo_from is not None
    is_held = DeploymentStatus(row.status) in ACTIVE and waits and not is_ending
    return is_held and row.promoted_wave != row.wave_index


def has_to_confirm(row: Row[Any], verb: str, actor: Actor) -> bool:
    """Whether the environment's name has to be typed: in one that is restricted, or that asks for approvals."""
    is_protected = row.approval_rules is not None or row.environment in actor.restricted
    return is_protected and verb in DESTRUCTIVE
