"""What deployments will do, and how long such ones took."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

WAVE_ACTION = """
        CASE WHEN w.sliding THEN '{"kind": "sliding", "title": "every action, target by target"}'
            ELSE p.document -> 'actions' -> w.action_index::integer END"""
"""Of a wave `w` and the plan `p` of its deployment: what its targets go through."""

# Of those that are carried out: what undoes others stands in a plan, too.
_SCRIPTS = text("""
    SELECT coalesce(nullif(a.value ->> 'title', ''), a.value ->> 'kind') AS action, a.value #>> '{settings,script}' AS script
    FROM plans p CROSS JOIN LATERAL jsonb_array_elements(p.document -> 'actions') WITH ORDINALITY AS a(value, number)
    WHERE p.deployment_id = :id AND a.value #>> '{settings,script}' <> ''
      AND EXISTS (SELECT 1 FROM steps s WHERE s.deployment_id = :id AND s.action_index = a.number - 1)
    ORDER BY a.number
""")

# Of a wave that slides each target has one step with its first action.
_WAVES = text(f"""
    SELECT w.index, w.wait_seconds, {WAVE_ACTION} AS action,
        CASE WHEN w.sliding THEN (SELECT count(DISTINCT s.target_id) FROM steps s
            WHERE s.deployment_id = w.deployment_id AND s.wave_index = w.index) ELSE w.total END AS total,
        ARRAY(SELECT s.target_name FROM steps s WHERE s.deployment_id = w.deployment_id AND s.wave_index = w.index
              AND s.action_index = w.action_index ORDER BY s.position LIMIT :targets) AS targets
    FROM waves w JOIN plans p ON p.deployment_id = w.deployment_id
    WHERE w.deployment_id = :id ORDER BY w.index LIMIT :waves
""")

_VARIABLES = text("SELECT document -> 'variables' FROM plans WHERE deployment_id = :id")

_LAST_GOOD_BEFORE = text("""
    SELECT b.id FROM deployments d
    JOIN deployments b ON b.application_id = d.application_id AND b.environment = d.environment AND b.id < d.id
    WHERE d.id = :id AND b.status = 'succeeded' ORDER BY b.id DESC LIMIT 1
""")

_DURATIONS = text("""
    SELECT count(*) AS deployments, percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS p50,
        percentile_cont(0.9) WITHIN GROUP (ORDER BY seconds) AS p90
    FROM (SELECT extract(epoch FROM b.ended_at - b.started_at) AS seconds FROM deployments d
          JOIN deployments b ON b.application_id = d.application_id AND b.environment = d.environment AND b.id < d.id
          WHERE d.id = :id AND b.status = 'succeeded' AND b.rolls_back_id IS NULL ORDER BY b.id DESC LIMIT :most) x
""")


def scripts(session: Session, deployment_id: int) -> list[Row[Any]]:
    """What is run on targets, each once: the name of the action, and the script."""
    return list(session.execute(_SCRIPTS, {"id": deployment_id}))


def waves(session: Session, deployment_id: int, *, most_waves: int, most_targets: int) -> list[Row[Any]]:
    """The first waves of a deployment, each with its action and its first targets."""
    params = {"id": deployment_id, "waves": most_waves, "targets": most_targets}
    return list(session.execute(_WAVES, params))


def variables(session: Session, deployment_id: int) -> Mapping[str, str]:
    """What every step of a deployment is given."""
    return session.execute(_VARIABLES, {"id": deployment_id}).scalar() or {}


def last_good_before(session: Session, deployment_id: int) -> int | None:
    """The deployment that succeeded last in the slot before this one."""
    found: int | None = session.execute(_LAST_GOOD_BEFORE, {"id": deployment_id}).scalar()
    return found


def durations(session: Session, deployment_id: int, *, most: int) -> Row[Any]:
    """How many seconds the last ones that succeeded in the slot took, rollbacks aside; null where there were none."""
    return session.execute(_DURATIONS, {"id": deployment_id, "most": most}).one()
