"""What became of the deployments of a period: counted, and listed. docs/insights.md defines each word."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from orchestrator.domain.insights import Group

MOST_SLOTS = 10
LEAST_WAIT = timedelta(seconds=1)
"""A shorter rest is our own work, and no waiting for the slot."""

# Not EXISTS: for that Postgres may read all rollbacks that there are.
_UNDONE_SINCE = """(
    SELECT b.created_at FROM deployments b
    WHERE b.rolls_back_id = {of}.id AND b.started_at IS NOT NULL ORDER BY b.id LIMIT 1)
"""

_FINISHED = f"""
    SELECT d.id, d.application_id, d.release_id, d.status, d.created_at, d.started_at, d.deployed_at, d.ended_at,
        d.rolls_back_id, d.retry_of_id, d.requested_by, d.holds_kept
    FROM deployments d
    WHERE d.environment = :environment {{of_application}} AND d.started_at IS NOT NULL
      AND d.ended_at >= :start AND d.ended_at < :end
      AND (d.status IN ('succeeded', 'failed') OR {_UNDONE_SINCE.format(of="d")} IS NOT NULL)
"""

_SPAN = """
    SELECT min(id) AS first_id, max(id) AS last_id, min(release_id) AS first_release, max(release_id) AS last_release FROM finished
"""

_UNDONE = """
    SELECT DISTINCT ON (b.rolls_back_id) b.rolls_back_id AS undoes_id, b.id, b.created_at, b.started_at
    FROM deployments b
    WHERE b.rolls_back_id BETWEEN (SELECT first_id FROM span) AND (SELECT last_id FROM span)
      AND b.started_at IS NOT NULL ORDER BY b.rolls_back_id, b.id
"""

# Each slot has one deployment at a time, so those of a slot end one after the other: mostly the one before had ended when
# the next was requested. Only if it had not, or lies before the period, `follows` is not true and the slot is asked.
_MARKED = """
    SELECT f.*, undone.id AS rolled_back_by_id, undone.started_at AS undone_at,
        f.rolls_back_id IS NULL AS is_change, f.status = 'failed' OR undone.id IS NOT NULL AS has_failed,
        f.ended_at > f.created_at AND lag(f.ended_at) OVER slot <= f.created_at
            AND (lag(f.status) OVER slot IN ('succeeded', 'failed') OR lag(undone.created_at) OVER slot <= f.created_at) AS follows,
        lag(f.status) OVER slot = 'failed' OR lag(undone.created_at) OVER slot <= f.created_at AS follows_failed
    FROM finished f LEFT JOIN undone ON undone.undoes_id = f.id
    WINDOW slot AS (PARTITION BY f.application_id ORDER BY f.ended_at, f.id)
"""

# A release comes for the first time with the earliest of its successes, also of those before the period; there are none of
# those if it was recorded later.
_ARRIVALS = """
    SELECT first.release_id, first.ended_at, r.committed_at
    FROM (SELECT release_id, min(ended_at) AS ended_at FROM marked WHERE status = 'succeeded' GROUP BY release_id) first
    JOIN releases r ON r.id = first.release_id
    WHERE r.id BETWEEN (SELECT first_release FROM span) AND (SELECT last_release FROM span)
      AND (r.created_at >= :start OR (
          SELECT e.id FROM deployments e WHERE e.release_id = r.id AND e.environment = :environment
            AND e.status = 'succeeded' AND e.ended_at < :start LIMIT 1) IS NULL)
"""

# Of IS NULL alone Postgres expects one row in two hundred: as if nearly all of a slot had to be read to find one, and it would read
# and sort the slot for each failure. Of a CASE it expects one in two, and walks along the index to the first.
_IS_WELL = f"CASE WHEN {_UNDONE_SINCE.format(of='s')} IS NULL THEN true ELSE false END"

_RECOVERIES = f"""
    SELECT f.id, well.id AS recovered_by_id, extract(epoch FROM well.ended_at - f.ended_at)::float AS recovery_seconds
    FROM marked f CROSS JOIN LATERAL (
        SELECT s.id, s.ended_at FROM deployments s
        WHERE s.application_id = f.application_id AND s.environment = :environment
          AND s.started_at IS NOT NULL AND s.status = 'succeeded'
          AND s.ended_at > CASE WHEN f.status = 'succeeded' THEN f.undone_at ELSE f.ended_at END
          AND {_IS_WELL}
        ORDER BY s.ended_at, s.id LIMIT 1
    ) well
    WHERE f.is_change AND f.has_failed
"""

_RETRIES = f"""
    SELECT f.id FROM marked f CROSS JOIN LATERAL (
        SELECT o.id FROM deployments o WHERE o.id = f.retry_of_id AND o.started_at IS NOT NULL
          AND (o.status = 'failed' OR {_UNDONE_SINCE.format(of="o")} IS NOT NULL) LIMIT 1
    ) o WHERE f.retry_of_id IS NOT NULL
"""

_FIXES = f"""
    SELECT f.id FROM marked f CROSS JOIN LATERAL (
        SELECT q.status, {_UNDONE_SINCE.format(of="q")} AS undone_since FROM deployments q
        WHERE q.application_id = f.application_id AND q.environment = :environment
          AND q.started_at IS NOT NULL AND q.ended_at <= f.created_at
          AND (q.status IN ('succeeded', 'failed') OR {_UNDONE_SINCE.format(of="q")} <= f.created_at)
        ORDER BY q.ended_at DESC, q.id DESC LIMIT 1
    ) p WHERE f.follows IS NOT TRUE AND f.is_change AND (p.status = 'failed' OR p.undone_since <= f.created_at)
    UNION ALL
    SELECT id FROM marked WHERE follows AND follows_failed
"""

_JUDGED = """
    SELECT f.*, recovery.recovered_by_id, recovery.recovery_seconds,
        f.is_change AND f.status = 'succeeded' AND arrival.release_id IS NOT NULL AS is_arrival,
        CASE WHEN f.is_change AND f.status = 'succeeded' AND arrival.committed_at IS NOT NULL
             THEN greatest(0, extract(epoch FROM f.deployed_at - arrival.committed_at)::float) END AS lead_seconds,
        CASE WHEN NOT f.is_change THEN 'rollback' WHEN retry.id IS NOT NULL THEN 'retry'
             WHEN fix.id IS NOT NULL THEN 'fix' END AS rework
    FROM marked f
    LEFT JOIN recoveries recovery ON recovery.id = f.id
    LEFT JOIN arrivals arrival ON arrival.release_id = f.release_id AND arrival.ended_at = f.ended_at
    LEFT JOIN retries retry ON retry.id = f.id
    LEFT JOIN fixes fix ON fix.id = f.id
"""

_WITH_JUDGED = f"""
    WITH finished AS ({_FINISHED}), span AS ({_SPAN}), undone AS ({_UNDONE}), marked AS ({_MARKED}), arrivals AS ({_ARRIVALS}),
        recoveries AS ({_RECOVERIES}), retries AS ({_RETRIES}), fixes AS ({_FIXES}), judged AS ({_JUDGED})
"""

_SUMS = f"""
    {_WITH_JUDGED}
    SELECT bucket, count(*) AS finished,
        count(*) FILTER (WHERE is_change) AS changes,
        count(*) FILTER (WHERE is_change AND status = 'succeeded') AS deployed,
        count(*) FILTER (WHERE is_change AND has_failed) AS failed,
        count(recovery_seconds) AS recovered,
        count(rework) AS rework,
        count(*) FILTER (WHERE is_arrival) AS arrivals,
        count(lead_seconds) AS leads,
        count(*) FILTER (WHERE status = 'succeeded') AS succeeded,
        percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY lead_seconds) AS lead,
        percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY recovery_seconds) AS recovery,
        percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY extract(epoch FROM ended_at - started_at)::float)
            FILTER (WHERE status = 'succeeded') AS duration
    FROM (SELECT *, width_bucket(ended_at, CAST(:bounds AS timestamptz[])) AS bucket FROM judged) x
    GROUP BY GROUPING SETS ((), (bucket)) ORDER BY bucket NULLS FIRST
"""

_KEPT = "SELECT id, started_at - created_at AS length FROM finished WHERE holds_kept"

_HELD = """
    SELECT kept.id, h.kind, sum(h.until - h.since) AS length
    FROM kept JOIN holds h ON h.deployment_id = kept.id
    WHERE h.deployment_id BETWEEN (SELECT min(id) FROM kept) AND (SELECT max(id) FROM kept) GROUP BY kept.id, h.kind
"""

_WAITED = """
    SELECT id, kind, extract(epoch FROM length)::float AS seconds FROM (
        SELECT id, kind, length FROM held
        UNION ALL
        SELECT id, 'slot', rest FROM (
            SELECT kept.id, kept.length - coalesce(h.length, '0') AS rest
            FROM kept LEFT JOIN (SELECT id, sum(length) AS length FROM held GROUP BY id) h ON h.id = kept.id
        ) x WHERE rest >= :least_wait
    ) stretches
"""

_WAITS = f"""
    WITH finished AS ({_FINISHED}), kept AS ({_KEPT}), held AS ({_HELD}), waited AS ({_WAITED})
    SELECT kind, count(*) AS n, sum(seconds) AS total_seconds,
        percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY seconds) AS spread
    FROM waited GROUP BY kind ORDER BY total_seconds DESC, kind
"""

_SLOTS = f"""
    SELECT (SELECT name FROM applications WHERE id = application_id) AS application, :environment AS environment,
        count(*) AS n, extract(epoch FROM sum(ended_at - started_at))::float AS busy_seconds
    FROM ({_FINISHED}) f GROUP BY application_id ORDER BY busy_seconds DESC, application LIMIT :most_slots
"""

_OF_GROUP: Mapping[Group, str] = MappingProxyType(
    {
        Group.FINISHED: "true",
        Group.SUCCEEDED: "status = 'succeeded'",
        Group.DEPLOYED: "is_change AND status = 'succeeded'",
        Group.CHANGES: "is_change",
        Group.FAILED: "is_change AND has_failed",
        Group.RECOVERED: "recovery_seconds IS NOT NULL",
        Group.UNRECOVERED: "is_change AND has_failed AND recovery_seconds IS NULL",
        Group.REWORK: "rework IS NOT NULL",
        Group.LEAD_KNOWN: "lead_seconds IS NOT NULL",
        Group.LEAD_UNKNOWN: "is_arrival AND lead_seconds IS NULL",
        Group.WAITED: "waited_seconds IS NOT NULL",
    }
)

_LIST = f"""
    {_WITH_JUDGED}, kept AS ({_KEPT}), held AS ({_HELD}), waited AS ({_WAITED}), page AS (
        SELECT * FROM (
            SELECT j.*, w.seconds AS waited_seconds FROM judged j
            LEFT JOIN waited w ON w.id = j.id AND w.kind = :reason
            WHERE CAST(:before_id AS bigint) IS NULL OR j.id < :before_id
        ) x WHERE {{condition}} ORDER BY id DESC OFFSET :skip LIMIT :limit)
    SELECT page.*, :environment AS environment, r.name AS application, r.version, r.committed_at,
        (SELECT username FROM users WHERE id = page.requested_by) AS requested_by_name
    FROM page CROSS JOIN LATERAL (
        SELECT name, version, committed_at FROM releases WHERE id = page.release_id LIMIT 1
    ) r ORDER BY page.id DESC
"""

_PREPARE = text("""
    SELECT set_config('enable_nestloop', 'off', true), set_config('work_mem', '64MB', true), set_config('jit', 'off', true)
""")

_SEEN_FROM = text("""
    SELECT min(created_at) FROM targets WHERE environment = :environment
      AND (CAST(:application_id AS bigint) IS NULL OR application_id = :application_id)
""")


@dataclass(frozen=True, slots=True)
class Scope:
    """Deployments of one application (None: of all) that ended in an environment, from an instant up to another."""

    application_id: int | None
    environment: str
    start: datetime
    end: datetime

    def params(self) -> dict[str, Any]:
        """What the statements refer to."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def prepare(session: Session) -> None:
    """Let what this transaction asks next be joined as sets, and in memory.

    The statements are written for that: what is to be looked up one by one is LATERAL with a LIMIT. By itself Postgres
    compares each row with each where it takes them for few, as it does with tables that were not analysed yet.
    """
    session.execute(_PREPARE)


def sums(session: Session, scope: Scope, bounds: Sequence[datetime]) -> list[Row[Any]]:
    """Counts and percentiles: first of all, then of each part that begins with one of `bounds`; parts without any are left out."""
    return list(session.execute(_of(_SUMS, scope), scope.params() | {"bounds": list(bounds)}))


def waits(session: Session, scope: Scope) -> list[Row[Any]]:
    """How long deployments were held before they started, by what held them, the longest in all first."""
    params = scope.params() | {"least_wait": LEAST_WAIT}
    return list(session.execute(_of(_WAITS, scope), params))


def slots(session: Session, scope: Scope) -> list[Row[Any]]:
    """The slots in which deployments ran the longest, in all."""
    return list(session.execute(_of(_SLOTS, scope), scope.params() | {"most_slots": MOST_SLOTS}))


def page(
    session: Session,
    scope: Scope,
    group: Group,
    *,
    reason: str | None,
    before_id: int | None,
    skip: int,
    limit: int,
) -> list[Row[Any]]:
    """The deployments of a group, the newest first; `reason`: what held those that waited."""
    params = scope.params() | {
        "least_wait": LEAST_WAIT,
        "reason": reason,
        "before_id": before_id,
        "skip": skip,
        "limit": limit,
    }
    return list(session.execute(_of(_LIST, scope, condition=_OF_GROUP[group]), params))


def seen_from(session: Session, scope: Scope) -> datetime | None:
    """Since when there could be deployments of it; None: there cannot be any yet."""
    found: datetime | None = session.execute(_SEEN_FROM, scope.params()).scalar()
    return found


def _of(statement: str, scope: Scope, **more: str) -> Any:
    """With one application in the text of the statement Postgres takes the index that begins with it."""
    of_application = "AND d.application_id = :application_id" if scope.application_id is not None else ""
    return text(statement.format(of_application=of_application, **more))
