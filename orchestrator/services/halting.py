"""The orchestrator's own no: a lock on a slot in which going back went wrong, until somebody releases it."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator.domain.halting import Ending, why_halted
from orchestrator.domain.statuses import DeploymentStatus
from orchestrator.repositories import gates, undoing
from orchestrator.services import records

LOOK_FIRST = "look at what its targets have, then release this lock"


def reason(session: Session, row: Row[Any], status: DeploymentStatus, *, unknown: int) -> str | None:
    """Why nothing more may start by itself after a deployment that ends with this status; None: it may."""
    failed = 0 if row.undo_from is None else undoing.failed(session, row.id, row.undo_from)
    return why_halted(
        Ending(
            deployment_id=row.id,
            status=status,
            rolls_back_id=row.rolls_back_id,
            unknown=unknown,
            not_put_back=failed,
        )
    )


def halt(session: Session, row: Row[Any], *, why: str, at: datetime) -> int:
    """Lock the slot of a deployment in the transaction that ends it; the lock's id."""
    told = f"{why}: {LOOK_FIRST}"
    lock_id = gates.add_lock(
        session,
        application_id=row.application_id,
        environment=row.environment,
        reason=told,
        warning_only=False,
        created_by=None,
        expires_at=None,
    )
    data = {
        "application": row.application,
        "environment": row.environment,
        "reason": told,
        "warning_only": False,
        "deployment": row.id,
    }
    records.record(session, f"lock:{lock_id}", "lock.created", actor_id=None, at=at, data=data)
    return lock_id
