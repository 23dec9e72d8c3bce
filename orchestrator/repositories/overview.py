"""What is where, and what goes on there, of many applications at once."""

from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

# Each look into deployments is one step down ix_deployments_application. A pipeline is read once, not once for each environment.
_SLOTS = text("""
    SELECT a.id AS application_id, a.name AS application, e.name AS environment,
        here.id AS here_id, here.release_id AS here_release_id, here.version AS here_version,
        here.ended_at AS here_since, here.username AS here_by,
        here.rolls_back_id IS NOT NULL AS here_by_rollback,
        last.id AS last_id, last.version AS last_version, last.status AS last_status, last.created_at AS last_requested_at,
        last.started_at AS last_started_at, last.ended_at AS last_ended_at, last.held_by AS last_held_by,
        last.username AS last_by, last.rolls_back_id IS NOT NULL AS last_is_rollback,
        (SELECT count(*) FROM (SELECT 1 FROM releases n WHERE n.application_id = a.id AND n.status = 'available'
            AND n.id > here.release_id LIMIT 100) x) AS behind,
        (SELECT n.version FROM releases n WHERE n.application_id = a.id AND n.status = 'available'
         ORDER BY n.id DESC LIMIT 1) AS newest_version,
        CASE WHEN e.after ->> 1 IS NULL THEN e.after ->> 0 END AS after
    FROM (SELECT * FROM applications
          WHERE CAST(:part AS text) = '' OR strpos(name, :part) > 0 ORDER BY name LIMIT :limit) a
    LEFT JOIN pipelines p ON p.application_id = a.id AND p.revision = a.pipeline_revision
    LEFT JOIN LATERAL (
        SELECT t.environment AS name, written.value -> 'after' AS after
        FROM (SELECT DISTINCT environment FROM targets WHERE application_id = a.id AND active) t
        LEFT JOIN json_each(p.document -> 'environments') written ON written.key = t.environment
    ) e ON true
    LEFT JOIN LATERAL (
        SELECT d.id, d.release_id, r.version, d.ended_at, d.rolls_back_id, u.username
        FROM deployments d JOIN releases r ON r.id = d.release_id LEFT JOIN users u ON u.id = d.requested_by
        WHERE d.application_id = a.id AND d.environment = e.name AND d.status = 'succeeded' ORDER BY d.id DESC LIMIT 1
    ) here ON true
    LEFT JOIN LATERAL (
        SELECT d.id, r.version, d.status, d.created_at, d.started_at, d.ended_at, d.held_by, d.rolls_back_id, u.username
        FROM deployments d JOIN releases r ON r.id = d.release_id LEFT JOIN users u ON u.id = d.requested_by
        WHERE d.application_id = a.id AND d.environment = e.name ORDER BY d.id DESC LIMIT 1
    ) last ON true
    ORDER BY a.name
""")

_UNWELL = text("""
    SELECT application_id, environment, sum(ill)::int AS ill, sum(drifted)::int AS drifted FROM (
        SELECT t.application_id, t.environment, 1 AS ill, 0 AS drifted
        FROM target_health h JOIN health_watches w ON w.deployment_id = h.deployment_id JOIN targets t ON t.id = h.target_id
        WHERE NOT h.healthy AND w.left_by IS NULL AND t.active
        UNION ALL
        SELECT t.application_id, t.environment, 0, 1
        FROM drift_checks x JOIN installations i ON i.target_id = x.target_id AND i.deployment_id = x.deployment_id
        JOIN targets t ON t.id = x.target_id WHERE x.state = 'differs' AND t.active
    ) x GROUP BY application_id, environment
""")

_RULES = text("""
    SELECT w.environment, json_agg(json_build_object(
        'id', w.id, 'made_at', extract(epoch FROM w.created_at), 'document', w.document) ORDER BY w.id) AS rules
    FROM window_rules w WHERE w.removed_at IS NULL GROUP BY w.environment
""")

_WAITING_FOR_PEOPLE = text("""
    SELECT d.id FROM deployments d
    WHERE (d.status = 'pending' AND d.approval_rules IS NOT NULL) OR d.status = 'paused'
    ORDER BY d.id DESC LIMIT :limit
""")


def slots(session: Session, *, part: str, most_applications: int) -> list[Row[Any]]:
    """The first applications whose name holds `part`, with each environment: what succeeded there last (`here_`), and what was
    requested there last (`last_`). `behind`: how many releases are newer than what is there, counted to a hundred.
    `after`: the one environment before it, if its pipeline names one and no other."""
    return list(session.execute(_SLOTS, {"part": part, "limit": most_applications}))


def unwell(session: Session) -> dict[tuple[int, str], Row[Any]]:
    """Of each slot that is not well: how many targets were `ill`, and how many had `drifted`, when they were asked last."""
    return {(row.application_id, row.environment): row for row in session.execute(_UNWELL)}


def rules(session: Session) -> dict[str, list[Any]]:
    """Windows and freezes that hold, by environment."""
    return {row.environment: row.rules for row in session.execute(_RULES)}


def waiting_for_people(session: Session, *, limit: int) -> list[int]:
    """Deployments that ask for an approval or an answer, the newest first."""
    return list(session.execute(_WAITING_FOR_PEOPLE, {"limit": limit}).scalars())
