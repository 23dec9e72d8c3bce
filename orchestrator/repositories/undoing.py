"""The waves in which a deployment puts back what it changed."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from orchestrator.domain.undoing import Started, UndoWave
from orchestrator.repositories.began import BEGAN

# In the order of the plan, so that the targets that came last are the last.
_STARTED = text(f"""
    SELECT s.target_id, array_agg(s.action_index ORDER BY s.wave_index, s.position) AS actions
    FROM steps s WHERE s.deployment_id = :id AND {BEGAN}
    GROUP BY s.target_id ORDER BY min(s.wave_index), min(s.position)
""")

_DOCUMENT = text("SELECT document FROM plans WHERE deployment_id = :id")

_ADD_WAVE = text("""
    WITH wave AS (
        INSERT INTO waves (deployment_id, index, batch, action_index, total, waiting)
        VALUES (:id, :index, :index, :action, cardinality(CAST(:targets AS bigint[])), cardinality(CAST(:targets AS bigint[])))
    )
    INSERT INTO steps (deployment_id, wave_index, position, action_index, target_id, target_name, target)
    SELECT :id, :index, t.place - 1, :action, t.id, s.target_name, s.target
    FROM unnest(CAST(:targets AS bigint[])) WITH ORDINALITY AS t(id, place)
    JOIN LATERAL (SELECT target_name, target FROM steps WHERE deployment_id = :id AND target_id = t.id LIMIT 1) s ON true
""")

_FAILED = text(
    "SELECT coalesce(sum(failed), 0)::bigint FROM waves WHERE deployment_id = :id AND index >= :undo_from"
)


def started(session: Session, deployment_id: int) -> list[Started]:
    """What was started on each target."""
    rows = session.execute(_STARTED, {"id": deployment_id})
    return [Started(row.target_id, tuple(row.actions)) for row in rows]


def plan_document(session: Session, deployment_id: int) -> Mapping[str, Any]:
    """What the steps of the plan share."""
    found: Mapping[str, Any] = session.execute(_DOCUMENT, {"id": deployment_id}).scalar_one()
    return found


def add_waves(session: Session, deployment_id: int, waves: Sequence[UndoWave], *, first: int) -> None:
    """Add the waves with their steps, numbered from `first` on."""
    for offset, wave in enumerate(waves):
        params = {
            "id": deployment_id,
            "index": first + offset,
            "action": wave.action_index,
            "targets": list(wave.target_ids),
        }
        session.execute(_ADD_WAVE, params)


def failed(session: Session, deployment_id: int, undo_from: int) -> int:
    """How many steps that were to put something back failed."""
    return int(session.execute(_FAILED, {"id": deployment_id, "undo_from": undo_from}).scalar_one())
