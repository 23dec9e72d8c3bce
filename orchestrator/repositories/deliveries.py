"""What has to be told to webhooks, and how that went."""

from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from orchestrator.domain.errors import NotFoundError
from orchestrator.prepared import execute

# Each webhook has so many under way and no more, so that one which never answers keeps neither the workers nor the others.
_TAKE = text("""
    UPDATE deliveries SET handed_at = clock_timestamp(), started_at = NULL,
        next_at = clock_timestamp() + make_interval(secs => :push_seconds)
    WHERE id IN (
        SELECT d.id FROM webhooks w CROSS JOIN LATERAL (
            SELECT id, next_at FROM deliveries
            WHERE webhook_id = w.id AND next_at <= clock_timestamp() ORDER BY next_at, id
            LIMIT greatest(0, w.at_once - (SELECT count(*) FROM deliveries o
                WHERE o.webhook_id = w.id AND o.handed_at IS NOT NULL AND o.next_at > clock_timestamp()))
            FOR NO KEY UPDATE SKIP LOCKED) d
        WHERE w.removed_at IS NULL
        ORDER BY d.next_at, d.id
        LIMIT greatest(0, :at_once - (SELECT count(*) FROM deliveries WHERE handed_at IS NOT NULL AND next_at > clock_timestamp())))
    RETURNING id, webhook_id
""")

_CLAIM = text("""
    WITH mine AS (
        UPDATE deliveries SET started_at = clock_timestamp(), tries = tries + 1,
            next_at = clock_timestamp() + make_interval(secs => :lease_seconds)
        WHERE id = :id AND status = 'pending' AND handed_at IS NOT NULL AND started_at IS NULL
        RETURNING id, webhook_id, event_id, tries, started_at, created_at
    )
    SELECT m.id, m.webhook_id, m.event_id, m.tries, m.started_at, m.created_at, w.kind AS channel, w.settings, w.secrets,
        e.subject, e.kind, e.at, e.data, e.deployment_id, u.username AS actor,
        coalesce(a.name, e.data->>'application', CASE WHEN e.kind LIKE 'release.%' THEN e.data->>'name' END) AS application,
        coalesce(d.environment, e.data->>'environment') AS environment, coalesce(r.version, e.data->>'version') AS version
    FROM mine m JOIN webhooks w ON w.id = m.webhook_id LEFT JOIN events e ON e.id = m.event_id
    LEFT JOIN users u ON u.id = e.actor_id LEFT JOIN deployments d ON d.id = e.deployment_id
    LEFT JOIN applications a ON a.id = d.application_id LEFT JOIN releases r ON r.id = d.release_id
""")

_FINISH = text("""
    WITH done AS (
        UPDATE deliveries SET status = :status, handed_at = NULL, started_at = NULL,
            next_at = CASE WHEN :status = 'pending' THEN clock_timestamp() + make_interval(secs => :delay_seconds) END,
            delivered_at = CASE WHEN :status = 'delivered' THEN clock_timestamp() END
        WHERE id = :id AND started_at = :started_at AND status = 'pending'
        RETURNING id
    )
    INSERT INTO delivery_tries (delivery_id, milliseconds, code, detail)
    SELECT id, CAST(:milliseconds AS bigint), CAST(:code AS bigint), CAST(:detail AS text) FROM done RETURNING id
""")

_READ = """
    SELECT d.id, d.webhook_id, d.event_id, d.status, d.tries, d.next_at, d.delivered_at, d.created_at,
        coalesce(e.kind, 'webhook.test') AS event, e.subject, t.code AS last_code, t.detail AS last_detail, t.at AS last_at
    FROM deliveries d LEFT JOIN events e ON e.id = d.event_id
    LEFT JOIN LATERAL (SELECT code, detail, at FROM delivery_tries WHERE delivery_id = d.id ORDER BY id DESC LIMIT 1) t ON true
"""

_PAGE = text(f"""{_READ} WHERE d.webhook_id = :webhook_id AND (CAST(:status AS text) IS NULL OR d.status = :status)
    AND (CAST(:before_id AS bigint) IS NULL OR d.id < :before_id) ORDER BY d.id DESC OFFSET :skip LIMIT :limit
""")

_TRIES = text("""
    SELECT at, milliseconds, code, detail FROM delivery_tries WHERE delivery_id = :id ORDER BY id DESC LIMIT :limit
""")

_ADD_TEST = text("""
    INSERT INTO deliveries (webhook_id, next_at) VALUES (:webhook_id, clock_timestamp()) RETURNING id
""")

_AGAIN = """
    UPDATE deliveries SET status = 'pending', tries = 0, delivered_at = NULL, handed_at = NULL, next_at = clock_timestamp()
    WHERE started_at IS NULL AND {which}
"""
_AGAIN_ONE = text(_AGAIN.format(which="id = :id"))
_AGAIN_DEAD = text(
    _AGAIN.format(
        which="id IN (SELECT id FROM deliveries WHERE webhook_id = :id AND status = 'dead' ORDER BY id LIMIT :limit)"
    )
)

_BURY = text("""
    UPDATE deliveries SET status = 'dead', next_at = NULL, handed_at = NULL, started_at = NULL
    WHERE webhook_id = :webhook_id AND status = 'pending'
""")

_BURY_ENDED = text("""
    UPDATE deliveries SET status = 'dead', next_at = NULL, handed_at = NULL, started_at = NULL
    WHERE next_at IS NOT NULL AND webhook_id IN (
        SELECT id FROM webhooks WHERE removed_at IS NOT NULL OR disabled_at IS NOT NULL)
""")

_PRUNE = text("""
    DELETE FROM deliveries WHERE id IN (
        SELECT id FROM (SELECT id, created_at, status FROM deliveries ORDER BY id LIMIT :limit) oldest
        WHERE created_at < clock_timestamp() - make_interval(days => :days) AND status <> 'pending')
""")


def take_due(session: Session, *, at_once: int, push_seconds: float) -> list[Row[Any]]:
    """Those whose time has come, to be handed to workers, each once; at most `at_once` are under way together."""
    return list(execute(session, _TAKE, {"at_once": at_once, "push_seconds": push_seconds}))


def claim(session: Session, delivery_id: int, *, lease_seconds: float) -> Row[Any] | None:
    """Begin a try: the delivery with its event and its webhook; None where another has it, or it is over."""
    params = {"id": delivery_id, "lease_seconds": lease_seconds}
    return session.execute(_CLAIM, params).one_or_none()


def finish(
    session: Session,
    delivery_id: int,
    *,
    started_at: object,
    status: str,
    delay_seconds: float,
    milliseconds: int,
    code: int | None,
    detail: str,
) -> bool:
    """Write what came of the try that began at `started_at`; False where it is not that one's any more."""
    params = {
        "id": delivery_id,
        "started_at": started_at,
        "status": status,
        "delay_seconds": delay_seconds,
        "milliseconds": milliseconds,
        "code": code,
        "detail": detail,
    }
    return session.execute(_FINISH, params).first() is not None


def get(session: Session, webhook_id: int, delivery_id: int) -> Row[Any]:
    """One of a webhook. Raises NotFoundError."""
    statement = text(f"{_READ} WHERE d.id = :id AND d.webhook_id = :webhook_id")
    row = session.execute(statement, {"id": delivery_id, "webhook_id": webhook_id}).one_or_none()
    if row is None:
        raise NotFoundError(f"webhook {webhook_id} has no delivery {delivery_id}")
    return row


def page(
    session: Session, webhook_id: int, *, status: str | None, before_id: int | None, skip: int, limit: int
) -> list[Row[Any]]:
    """Those of a webhook, the newest first."""
    params = {
        "webhook_id": webhook_id,
        "status": status,
        "before_id": before_id,
        "skip": skip,
        "limit": limit,
    }
    return list(session.execute(_PAGE, params))


def tries(session: Session, delivery_id: int, *, limit: int) -> list[Row[Any]]:
    """The last tries of a delivery, the newest first."""
    return list(session.execute(_TRIES, {"id": delivery_id, "limit": limit}))


def add_test(session: Session, webhook_id: int) -> int:
    """Have a test told; its id."""
    return int(session.execute(_ADD_TEST, {"webhook_id": webhook_id}).scalar_one())


def again(session: Session, delivery_id: int) -> bool:
    """Have it told again, from its first try on; False where it is being told at this moment."""
    done = session.execute(_AGAIN_ONE, {"id": delivery_id})
    return bool(done.rowcount)  # type: ignore[attr-defined]


def again_dead(session: Session, webhook_id: int, *, limit: int) -> int:
    """Have those told again that were given up, the oldest first; how many."""
    done = session.execute(_AGAIN_DEAD, {"id": webhook_id, "limit": limit})
    return int(done.rowcount)  # type: ignore[attr-defined]


def bury(session: Session, webhook_id: int) -> None:
    """Give up all that a webhook has not been told."""
    session.execute(_BURY, {"webhook_id": webhook_id})


def bury_ended(session: Session) -> None:
    """Give up what was written for webhooks while they were being removed or disabled."""
    session.execute(_BURY_ENDED)


def prune(session: Session, *, days: int, limit: int) -> int:
    """Forget those that are old and over, with their tries; how many."""
    return int(session.execute(_PRUNE, {"days": days, "limit": limit}).rowcount)  # type: ignore[attr-defined]
