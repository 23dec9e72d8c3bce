"""What became of a slot since a deployment that waits there was planned."""

from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from orchestrator.prepared import execute

_HAS_CHANGED = text("""
    SELECT EXISTS (
        SELECT 1 FROM deployments o
        WHERE o.application_id = d.application_id AND o.environment = d.environment AND o.id <> d.id
          AND o.started_at IS NOT NULL AND o.ended_at > d.created_at
    ) FROM deployments d WHERE d.id = :id
""")

_FIRST_SIDE = text("""
    SELECT side FROM deployments WHERE application_id = :application_id AND environment = :environment AND side IS NOT NULL
    ORDER BY id LIMIT 1
""")

# Of those that it takes out of the traffic first, to change them.
_TARGETS = text("""
    SELECT t.name, s.position FROM targets t
    LEFT JOIN LATERAL (
        SELECT s.position FROM steps s JOIN plans p ON p.deployment_id = s.deployment_id
        WHERE s.deployment_id = :id AND s.target_id = t.id AND s.wave_index = 0
          AND p.document #>> ARRAY['actions', s.action_index::text, 'only_untouched'] = 'true'
    ) s ON true
    WHERE t.application_id = :application_id AND t.environment = :environment AND t.active
    ORDER BY s.position
""")


def has_changed(session: Session, deployment_id: int) -> bool:
    """Whether another deployment that had begun in its slot has ended since it was requested."""
    return bool(execute(session, _HAS_CHANGED, {"id": deployment_id}).scalar())


def first_side(session: Session, application_id: int, environment: str) -> str | None:
    """The side to which the first deployment of a slot was to switch."""
    params = {"application_id": application_id, "environment": environment}
    found: str | None = session.execute(_FIRST_SIDE, params).scalar()
    return found


def taken_out_first(session: Session, row: Row[Any]) -> tuple[list[str], set[str]]:
    """The targets that a deployment begins by taking out of the traffic, in order, and all that there are in its slot."""
    params = {"id": row.id, "application_id": row.application_id, "environment": row.environment}
    found = list(session.execute(_TARGETS, params))
    return [each.name for each in found if each.position is not None], {each.name for each in found}
