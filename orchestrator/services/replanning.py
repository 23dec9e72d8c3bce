"""Plans that counted on what was to come before them, where that came out otherwise: another plan takes their place."""

from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator.domain.errors import OrchestratorError
from orchestrator.repositories import deployments, replanning
from orchestrator.services import requests


def why_void(session: Session, row: Row[Any]) -> str:
    """Why the plan of a deployment that might start now cannot be carried out; "" where it can, as where it moves no traffic."""
    goes_back = row.rolls_back_id is not None
    planned_now = goes_back and row.requested_by is None  # by what failed, when its slot was free
    if not row.undoes or planned_now or not replanning.has_changed(session, row.id):
        return ""
    if row.side is not None:
        return _why_void_sides(session, row)
    # A rollback begins with those that came last, which are those without requests.
    return "" if goes_back else _why_void_beginning(session, row)


def replace(session: Session, row: Row[Any]) -> requests.Requested | None:
    """Request the same once more, before all that waits in the slot; None where that cannot be.

    Nobody has approved that plan. The caller ends the other one in this transaction.
    """
    order = requests.Order(
        application=row.application,
        environment=row.environment,
        release_id=row.release_id,
        reason=row.reason,
        requested_by=row.requested_by,
        rolls_back_id=row.rolls_back_id,
        retry_of_id=row.retry_of_id,
        priority=row.priority + 1,
        expires_at=row.expires_at,
        allow_downgrade=True,
        override_windows=row.override_windows,
        replans=True,
    )
    try:
        return requests.create(session, order)
    except OrchestratorError:
        return None


def _why_void_sides(session: Session, row: Row[Any]) -> str:
    live = deployments.live_side(session, row.application_id, row.environment, is_next=True)
    if live == row.side:
        return f"its plan is for when {live} has no traffic, and it has"
    if not live and row.side != replanning.first_side(session, row.application_id, row.environment):
        return "its plan is for when a deployment before it has succeeded, and none has"
    return ""


def _why_void_beginning(session: Session, row: Row[Any]) -> str:
    first, known = replanning.taken_out_first(session, row)
    if row.sliding:
        first = first[: row.max_parallel]
    if not first:
        return ""
    live = known - deployments.idle_targets(session, row.application_id, row.environment)
    if live and live <= set(first) < known:
        return "its plan begins with the only targets that get requests"
    return ""
