"""What waits for people, with no more than it takes to say for whom."""

from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from orchestrator.repositories.deployments import AROUND

_ASKING = text(f"""
    SELECT d.id, d.status, a.name AS application, d.environment, d.requested_by, d.approval_rules, d.answer_by,
        d.next_wave_at, d.promotion_asked_at, d.promoted_wave, d.wave_index, d.cancel_requested_at, d.undo_from,
        (SELECT r.created_by FROM releases r WHERE r.id = d.release_id) AS author_id,
        (SELECT sum(w.unknown)::bigint FROM waves w WHERE w.deployment_id = d.id) AS n_unknown,
        {AROUND["approvers"]} AS approvers
    FROM (SELECT * FROM deployments
          WHERE (status = 'pending' AND approval_rules IS NOT NULL) OR status = 'paused'
          ORDER BY id DESC LIMIT :limit) d
    JOIN applications a ON a.id = d.application_id
""")


def asking(session: Session, *, limit: int) -> list[Row[Any]]:
    """Deployments that ask for an approval or an answer, the newest first."""
    return list(session.execute(_ASKING, {"limit": limit}))
