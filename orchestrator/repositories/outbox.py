"""From events to deliveries: each event once to each webhook that wants it, however late its transaction commits."""

from sqlalchemy import text
from sqlalchemy.orm import Session

from orchestrator.prepared import execute

_TELL = """
    told AS (
        INSERT INTO deliveries (webhook_id, event_id, next_at)
        SELECT w.id, e.id, clock_timestamp()
        FROM fresh e LEFT JOIN deployments d ON d.id = e.deployment_id LEFT JOIN applications a ON a.id = d.application_id
        JOIN webhooks w ON w.removed_at IS NULL AND w.disabled_at IS NULL AND e.id > w.after_event_id
            AND w.events && ARRAY['*', e.kind, split_part(e.kind, '.', 1) || '.*']
            AND (w.applications = '{}' OR w.applications && ARRAY[coalesce(a.name, e.data->>'application',
                CASE WHEN e.kind LIKE 'release.%' THEN e.data->>'name' END)])
            AND (w.environments = '{}' OR w.environments && ARRAY[coalesce(d.environment, e.data->>'environment')])
        ORDER BY e.xid, e.id
        ON CONFLICT DO NOTHING
    )
"""

_ANYBODY = "EXISTS (SELECT 1 FROM webhooks WHERE removed_at IS NULL AND disabled_at IS NULL)"

# Only events of transactions that all ended are taken, so that the cursor never passes one that appears later. Without
# anybody to tell, it goes with the clock and no event is read.
_ADVANCE = text(f"""
    WITH place AS (
        SELECT o.xid, o.id, o.floor_id, pg_snapshot_xmin(s) AS low, o.xid > pg_snapshot_xmax(s) AS foreign_xid
        FROM outbox o, pg_current_snapshot() s FOR NO KEY UPDATE OF o SKIP LOCKED
    ), fresh AS (
        SELECT e.id, e.xid, e.kind, e.data, e.deployment_id FROM place c CROSS JOIN LATERAL (
            SELECT id, xid, kind, data, deployment_id FROM events
            WHERE xid >= c.xid AND (xid, id) > (c.xid, c.id) AND xid < c.low AND id > c.floor_id
            ORDER BY xid, id LIMIT :limit) e
        WHERE NOT c.foreign_xid AND {_ANYBODY}
    ), {_TELL}, last AS (
        SELECT xid, id FROM fresh ORDER BY xid DESC, id DESC LIMIT 1
    ), moved AS (
        UPDATE outbox o SET xid = l.xid, id = l.id FROM place c
        CROSS JOIN LATERAL (
            SELECT last.xid, last.id FROM last WHERE (SELECT count(*) FROM fresh) = :limit
            UNION ALL
            SELECT greatest(c.xid, c.low), CASE WHEN c.low > c.xid THEN 0 ELSE c.id END
            WHERE (SELECT count(*) FROM fresh) < :limit) l
        WHERE NOT c.foreign_xid
    )
    SELECT (SELECT count(*) FROM fresh) AS found, coalesce((SELECT foreign_xid FROM place), false) AS foreign_xid
""")

# The database was restored on a server that has counted fewer transactions: what it brought along is told by the ids of where it
# came from, and forgotten with them.
_ADOPT = text(f"""
    WITH place AS (
        SELECT o.xid, o.id, pg_snapshot_xmax(s) AS high FROM outbox o, pg_current_snapshot() s FOR NO KEY UPDATE OF o
    ), fresh AS (
        SELECT e.id, e.xid, e.kind, e.data, e.deployment_id FROM events e, place c
        WHERE c.xid > c.high AND e.xid >= c.xid AND (e.xid, e.id) > (c.xid, c.id)
    ), {_TELL}
    UPDATE outbox o SET xid = '0', id = 0, floor_id = coalesce(
        (SELECT e.id FROM events e WHERE e.xid > c.high ORDER BY e.id DESC LIMIT 1), o.floor_id)
    FROM place c WHERE c.xid > c.high
""")


def advance(session: Session, *, limit: int) -> int:
    """Make deliveries of the next events; how many events there were, at most `limit`. Others who call it meanwhile do nothing."""
    row = execute(session, _ADVANCE, {"limit": limit}).one()
    if row.foreign_xid:
        session.execute(_ADOPT)
    return int(row.found)
