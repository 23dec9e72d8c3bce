"""What is new of many deployments at once: a bounded number of statements, however many are followed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from orchestrator.models.step import Step
from orchestrator.repositories.columns import columns

SMALL_WAVE = 50
"""Of a wave with more steps only those are read that run, failed or are unknown, and those that were seen to."""

_STEPS = text(f"""
    SELECT {columns(Step, "s")}, p.document #> ARRAY['actions', s.action_index::text] AS action, a.output_bytes,
        a.left_out_bytes
    FROM unnest(CAST(:ids AS bigint[]), CAST(:lows AS bigint[]), CAST(:highs AS bigint[])) AS f(id, low, high)
    CROSS JOIN LATERAL (
        SELECT {columns(Step, "s")} FROM steps s JOIN waves w ON w.deployment_id = s.deployment_id AND w.index = s.wave_index
        WHERE s.deployment_id = f.id AND s.wave_index BETWEEN f.low AND f.high
          AND (w.total <= :small OR s.status IN ('running', 'unknown', 'failed') OR s.id = ANY(:seen))
        ORDER BY s.wave_index, s.status = 'running' DESC, s.status = 'failed', s.position LIMIT :most
    ) s
    JOIN plans p ON p.deployment_id = s.deployment_id
    LEFT JOIN attempts a ON a.step_id = s.id AND a.number = s.attempt
    ORDER BY s.deployment_id, s.wave_index, s.position
""")

_PIECES = """
    (SELECT c.id, c.xid::text AS xid, c.step_id, c.attempt_id, c.start_byte, c.data, c.at,
            s.target_name, s.wave_index, a.number AS attempt
     FROM log_chunks c JOIN steps s ON s.id = c.step_id JOIN attempts a ON a.id = c.attempt_id
     WHERE {scope} AND (c.xid, c.id) > (CAST(f.xid AS xid8), f.id)
       AND (f.ended OR c.xid < pg_snapshot_xmin(pg_current_snapshot()))
     ORDER BY c.xid, c.id LIMIT :each)
"""

_LOGS = text(f"""
    SELECT number, id, xid, step_id, attempt_id, start_byte, at, target_name, wave_index, attempt,
        CASE WHEN size <= :most_bytes OR size = length(data) THEN data END AS data
    FROM (SELECT f.number, c.id, c.xid, c.step_id, c.attempt_id, c.start_byte, c.data, c.at, c.target_name, c.wave_index, c.attempt,
            sum(length(c.data)) OVER (PARTITION BY f.number ORDER BY c.xid::xid8, c.id) AS size
    FROM unnest(CAST(:deployments AS bigint[]), CAST(:steps AS bigint[]), CAST(:xids AS text[]),
        CAST(:ids AS bigint[]), CAST(:ended AS boolean[])) WITH ORDINALITY AS f(deployment, step, xid, id, ended, number)
    CROSS JOIN LATERAL (
        {_PIECES.format(scope="f.step IS NULL AND c.deployment_id = f.deployment")}
        UNION ALL
        {_PIECES.format(scope="f.step IS NOT NULL AND c.step_id = f.step")}
    ) c) pieces
    ORDER BY number, xid::xid8, id
""")


_NEWEST_EVENTS = text("SELECT id, kind, deployment_id FROM events ORDER BY id DESC LIMIT :limit")

_APPLICATIONS = text("""
    SELECT d.id, a.name FROM deployments d JOIN applications a ON a.id = d.application_id WHERE d.id = ANY(:ids)
""")

_NEWEST_TRIES = text("""
    (SELECT 'delivery' AS what, id FROM deliveries ORDER BY id DESC LIMIT :limit)
    UNION ALL (SELECT 'try', id FROM delivery_tries ORDER BY id DESC LIMIT :limit)
""")

# There are as many rows as targets: to read them costs a millisecond or two where there are thousands. Sums, for what is written
# last is not always the latest: an answer comes long after its question, and later ones were answered meanwhile.
_TARGETS = text("""
    SELECT (SELECT sum(extract(epoch FROM checked_at)) FROM drift_checks) AS compared,
        (SELECT sum(extract(epoch FROM checked_at)) FROM target_health) AS asked,
        (SELECT count(*) FILTER (WHERE healthy) FROM target_health) AS well,
        (SELECT count(*) FILTER (WHERE NOT healthy) FROM target_health) AS ill,
        (SELECT sum(deployment_id) FROM installations) AS installed
""")

_NEWEST_OUTPUT = text("""
    SELECT f.id, c.xid, c.chunk_id FROM unnest(CAST(:ids AS bigint[])) AS f(id)
    CROSS JOIN LATERAL (
        SELECT c.xid::text AS xid, c.id AS chunk_id FROM log_chunks c WHERE c.deployment_id = f.id
        ORDER BY c.xid DESC, c.id DESC LIMIT 1
    ) c
""")


@dataclass(frozen=True, slots=True)
class Waves:
    """The waves of a deployment in which steps may have changed."""

    deployment_id: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class LogPosition:
    """How far the log of a deployment, or of one of its steps, was read; `ended`: nothing can appear before what there is."""

    deployment_id: int
    step_id: int | None
    after: tuple[int, int]
    ended: bool


def steps(session: Session, waves: Sequence[Waves], *, seen: Sequence[int], most: int) -> list[Row[Any]]:
    """Steps of these waves as they are now, at most `most` of a deployment; of great waves those that matter.

    `seen`: steps that are read in any case, as long as their wave is asked for.
    """
    params = {
        "ids": [each.deployment_id for each in waves],
        "lows": [each.low for each in waves],
        "highs": [each.high for each in waves],
        "small": SMALL_WAVE,
        "seen": list(seen),
        "most": most,
    }
    return list(session.execute(_STEPS, params))


def logs(
    session: Session, positions: Sequence[LogPosition], *, each: int, most_bytes: int
) -> list[list[Row[Any]]]:
    """What follows each position, in order, at most `each` pieces; in the order in which they were asked for.

    Of those of one position past `most_bytes` together (but for the first) `data` is None.
    """
    params = {
        "deployments": [at.deployment_id for at in positions],
        "steps": [at.step_id for at in positions],
        "xids": [str(at.after[0]) for at in positions],
        "ids": [at.after[1] for at in positions],
        "ended": [at.ended for at in positions],
        "each": each,
        "most_bytes": most_bytes,
    }
    found: list[list[Row[Any]]] = [[] for _ in positions]
    for row in session.execute(_LOGS, params):
        found[row.number - 1].append(row)
    return found


def newest_events(session: Session, *, limit: int) -> list[Row[Any]]:
    """The last events that were written, each with its kind and the deployment that it is about, if it is about one."""
    return list(session.execute(_NEWEST_EVENTS, {"limit": limit}))


def newest_output(session: Session, ids: Sequence[int]) -> dict[int, tuple[str, int]]:
    """What names the last piece of output of each of these deployments that wrote any."""
    found = session.execute(_NEWEST_OUTPUT, {"ids": list(ids)})
    return {row.id: (row.xid, row.chunk_id) for row in found}


def applications_of(session: Session, ids: Sequence[int]) -> dict[int, str]:
    """The application's name of each of these deployments."""
    return {row.id: row.name for row in session.execute(_APPLICATIONS, {"ids": list(ids)})}


def newest_tries(session: Session, *, limit: int) -> tuple[Row[Any], ...]:
    """What names the last deliveries to webhooks, and the last tries of any."""
    return tuple(session.execute(_NEWEST_TRIES, {"limit": limit}))


def targets(session: Session) -> Row[Any]:
    """What changes whenever something was installed on a target, or one has said how it is or what runs there."""
    return session.execute(_TARGETS).one()
