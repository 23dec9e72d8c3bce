"""Deployments: find them, with why they wait and what came of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from orchestrator.domain.errors import NotFoundError
from orchestrator.models.deployment import Deployment
from orchestrator.prepared import execute
from orchestrator.repositories.began import BEGAN
from orchestrator.repositories.columns import columns

_ACTIVE = """(SELECT a.id FROM deployments a
        WHERE a.application_id = d.application_id AND a.environment = d.environment AND a.id <> d.id
          AND a.status IN ('running', 'paused'))"""
_AHEAD = """(SELECT count(*) FROM (SELECT 1 FROM deployments q
        WHERE q.application_id = d.application_id AND q.environment = d.environment AND q.status = 'pending'
          AND (q.held_by IS NULL OR q.held_until <= clock_timestamp()) AND q.id <> d.id
          AND (q.priority > d.priority OR (q.priority = d.priority AND q.id < d.id))
        LIMIT 1000) x)"""
# Automatic rollbacks pass locks, and so do the deployments of who locked; nothing passes those of the orchestrator itself.
_LOCKS = """(SELECT json_agg(json_build_object('id', l.id, 'reason', l.reason, 'username', u.username,
            'expires_at', extract(epoch FROM l.expires_at)) ORDER BY l.id)
        FROM locks l LEFT JOIN users u ON u.id = l.created_by
        WHERE l.released_at IS NULL AND NOT l.warning_only AND (l.expires_at IS NULL OR l.expires_at > clock_timestamp())
          AND (l.application_id IS NULL OR l.application_id = d.application_id)
          AND (l.environment IS NULL OR l.environment = d.environment)
          AND (l.created_by IS NULL OR (d.requested_by IS NOT NULL AND l.created_by <> d.requested_by)))"""
_APPROVERS = """(SELECT json_agg(json_build_object('username', u.username, 'role', p.role, 'teams', p.teams,
            'at', extract(epoch FROM p.at),
            'is_author', p.user_id = (SELECT r.created_by FROM releases r WHERE r.id = d.release_id)) ORDER BY p.at)
        FROM approvals p JOIN users u ON u.id = p.user_id
        WHERE d.approval_rules IS NOT NULL AND p.deployment_id = d.id)"""
# Automatic rollbacks pass windows and freezes.
_RULES = """(SELECT json_build_object(
            'rules', json_agg(json_build_object(
                'id', w.id, 'made_at', extract(epoch FROM w.created_at), 'document', w.document)),
            'labels', (SELECT p.document -> 'labels' FROM applications a
                JOIN pipelines p ON p.application_id = a.id AND p.revision = a.pipeline_revision WHERE a.id = d.application_id))
        FROM window_rules w WHERE w.environment = d.environment AND w.removed_at IS NULL AND d.requested_by IS NOT NULL
        HAVING count(*) > 0)"""
AROUND = {"active_id": _ACTIVE, "ahead": _AHEAD, "locks": _LOCKS, "approvers": _APPROVERS, "rules": _RULES}
_SURROUNDINGS = text(
    f"SELECT {', '.join(f'{what} AS {name}' for name, what in AROUND.items())} FROM deployments d WHERE d.id = :id"
)

_READ = """
    SELECT {columns}, r.version, r.name AS application, u.username AS requested_by_name,
        (SELECT c.username FROM users c WHERE c.id = d.claimed_by) AS claimed_by_name, {reached}
    FROM deployments d
    JOIN releases r ON r.id = d.release_id
    LEFT JOIN users u ON u.id = d.requested_by
"""
COUNTED = ("succeeded", "failed", "running", "skipped", "cancelled", "unknown")
_REACHED = f"""
        (SELECT b.id FROM deployments b WHERE b.rolls_back_id = d.id ORDER BY b.id DESC LIMIT 1) AS rolled_back_by_id,
        {", ".join(f"w.{each} AS n_{each}" for each in COUNTED)}"""
_WAVES_OF = f"""
    JOIN LATERAL (
        SELECT {", ".join(f"sum({each})::bigint AS {each}" for each in COUNTED)}
        FROM waves WHERE deployment_id = d.id
    ) w ON true
"""
_COLUMNS = columns(Deployment, "d")
_PAGE = _READ.format(columns=_COLUMNS, reached=_REACHED) + _WAVES_OF
_WITH_AROUND = _COLUMNS + "".join(
    f", CASE WHEN d.status = 'pending' THEN {what} END AS {name}" for name, what in AROUND.items()
)
_WHOLE = _READ.format(columns=_WITH_AROUND, reached=_REACHED) + _WAVES_OF
_GET = text(_WHOLE + " WHERE d.id = :id")
_FIND_MANY = text(_WHOLE + " WHERE d.id = ANY(:ids)")

_LAST_SUCCESSES = text("""
    SELECT d.release_id, d.environment, d.ended_at, EXISTS (
        SELECT 1 FROM deployments b WHERE b.rolls_back_id = d.id AND b.status IN ('pending', 'running', 'paused', 'succeeded')
    ) AS rolled_back, CAST(d.health ->> 'every_seconds' AS float) AS health_every_seconds,
        coalesce(h.counts_from, d.ended_at) AS counts_from, coalesce(h.checked_at, d.ended_at) AS checked_at,
        coalesce(h.because, '') AS because, coalesce(h.failing, 0) > 0 AS failing, h.left_by
    FROM (SELECT DISTINCT ON (release_id, environment) id, release_id, environment, ended_at, health FROM deployments
          WHERE release_id = ANY(:release_ids) AND environment = ANY(:environments) AND status = 'succeeded'
          ORDER BY release_id, environment, id DESC) d
    LEFT JOIN health_watches h ON h.deployment_id = d.id
""")

_LAST_IN = text("""
    SELECT d.id, d.release_id, r.version, EXISTS (
        SELECT 1 FROM deployments b WHERE b.rolls_back_id = d.id AND b.status IN ('pending', 'running', 'paused')
    ) AS going_back
    FROM deployments d JOIN releases r ON r.id = d.release_id
    WHERE d.application_id = (SELECT a.id FROM applications a WHERE a.name = :application)
      AND d.environment = :environment AND d.status = 'succeeded'
    ORDER BY d.id DESC LIMIT 1
""")

# What the environment has, or is about to have.
_IS_THERE = text("""
    SELECT EXISTS (
        SELECT 1 FROM deployments d WHERE d.release_id = :release_id AND d.environment = :environment
          AND d.status IN ('pending', 'running', 'paused')
    ) OR :release_id = (
        SELECT d.release_id FROM deployments d
        WHERE d.application_id = (SELECT r.application_id FROM releases r WHERE r.id = :release_id)
          AND d.environment = :environment AND d.status = 'succeeded' ORDER BY d.id DESC LIMIT 1
    )
""")

# What somebody went back from was not good; but for who takes back just that.
_LAST_GOOD = text("""
    SELECT d.release_id FROM deployments d
    WHERE d.application_id = :application_id AND d.environment = :environment AND d.status = 'succeeded'
      AND d.release_id <> :release_id AND d.id < :id
      AND NOT EXISTS (
          SELECT 1 FROM deployments b WHERE b.rolls_back_id = d.id AND b.id <> :id
            AND b.status NOT IN ('cancelled', 'superseded', 'expired'))
    ORDER BY d.id DESC LIMIT 1
""")

# Who only had its traffic moved was not touched.
_TOUCHED = text(f"""
    SELECT s.target_name FROM steps s JOIN plans p ON p.deployment_id = s.deployment_id
    WHERE s.deployment_id = :id AND {BEGAN}
      AND p.document #>> ARRAY['actions', s.action_index::text, 'kind'] <> 'traffic'
    GROUP BY s.target_name ORDER BY min(s.wave_index) DESC, max(s.position) DESC
""")


# What has it, or will have it when those before have succeeded: first those that wait, of which the last in line, then the latest.
_LIVE_SIDE = text("""
    SELECT side FROM deployments
    WHERE application_id = :application_id AND environment = :environment AND side IS NOT NULL
      AND (status IN ('running', 'paused', 'succeeded') OR (status = 'pending' AND NOT :is_next))
      AND undo_from IS NULL AND cancel_requested_at IS NULL
    ORDER BY status = 'pending' DESC, CASE WHEN status = 'pending' THEN priority END,
        coalesce(ended_at, 'infinity') DESC, id DESC LIMIT 1
""")

# By the last shift of each that succeeded, if it is not so long ago that its steps would have to be searched for.
_IDLE = text("""
    SELECT t.name FROM targets t JOIN LATERAL (
        SELECT p.document #> ARRAY['actions', s.action_index::text, 'settings', 'weight'] AS weight
        FROM (SELECT deployment_id, action_index, ended_at, id FROM steps
              WHERE target_id = t.id AND status = 'succeeded' ORDER BY ended_at DESC, id DESC LIMIT 100) s
        JOIN plans p ON p.deployment_id = s.deployment_id
        WHERE p.document #>> ARRAY['actions', s.action_index::text, 'kind'] = 'traffic'
        ORDER BY s.ended_at DESC, s.id DESC LIMIT 1
    ) last ON true
    WHERE t.application_id = :application_id AND t.environment = :environment AND t.active AND last.weight = '0'
""")


def surroundings(session: Session, deployment_id: int) -> Row[Any]:
    """Who holds the slot, and how many wait before this one."""
    return execute(session, _SURROUNDINGS, {"id": deployment_id}).one()


def last_successes(
    session: Session, release_ids: Sequence[int], environments: Sequence[str]
) -> dict[int, dict[str, Row[Any]]]:
    """By release, for those of these environments in which this very release has succeeded: when it did last, whether that is
    being, or was, rolled back, and what the health checks have said since (`health_every_seconds` null: nobody asks)."""
    found: dict[int, dict[str, Row[Any]]] = {release_id: {} for release_id in release_ids}
    params = {"release_ids": list(found), "environments": list(environments)}
    for row in execute(session, _LAST_SUCCESSES, params):
        found[row.release_id][row.environment] = row
    return found


def last_in(session: Session, application: str, environment: str) -> Row[Any] | None:
    """What succeeded last in a slot; `going_back`: it is being rolled back."""
    params = {"application": application, "environment": environment}
    return session.execute(_LAST_IN, params).one_or_none()


def is_there(session: Session, release_id: int, environment: str) -> bool:
    """Whether an environment has this release, or a deployment of it goes on or waits there."""
    return bool(session.execute(_IS_THERE, {"release_id": release_id, "environment": environment}).scalar())


def last_good_release(
    session: Session, *, deployment_id: int, application_id: int, environment: str, release_id: int
) -> int | None:
    """The last other release that succeeded in the slot before this deployment, and from which nobody went back."""
    params = {
        "id": deployment_id,
        "application_id": application_id,
        "environment": environment,
        "release_id": release_id,
    }
    found: int | None = session.execute(_LAST_GOOD, params).scalar()
    return found


def live_side(session: Session, application_id: int, environment: str, *, is_next: bool = False) -> str:
    """The side that has the traffic of a slot when all that was requested before has succeeded; "" where nobody switched yet.

    `is_next`: for one that passes those that wait.
    """
    params = {"application_id": application_id, "environment": environment, "is_next": is_next}
    return session.execute(_LIVE_SIDE, params).scalar() or ""


def idle_targets(session: Session, application_id: int, environment: str) -> set[str]:
    """The targets of a slot that get no requests, as deployments left them there."""
    params = {"application_id": application_id, "environment": environment}
    return set(session.execute(_IDLE, params).scalars())


def touched_targets(session: Session, deployment_id: int) -> list[str]:
    """The targets on which anything of the deployment was started, those that came last in its order first."""
    return list(session.execute(_TOUCHED, {"id": deployment_id}).scalars())


def get(session: Session, deployment_id: int) -> Row[Any]:
    """One deployment with what its readers want to see, a pending one with its `surroundings`. Raises NotFoundError."""
    row = execute(session, _GET, {"id": deployment_id}).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no deployment {deployment_id}")
    return row


def find_many(session: Session, ids: Sequence[int]) -> list[Row[Any]]:
    """Those of these deployments that there are, each as `get` gives it."""
    return list(session.execute(_FIND_MANY, {"ids": list(ids)}))


_PENDING_IN = text("""
    SELECT d.id FROM deployments d WHERE d.environment = :environment AND d.status = 'pending'
      AND (CAST(:application AS text) IS NULL
           OR d.application_id = (SELECT a.id FROM applications a WHERE a.name = :application))
    ORDER BY d.id LIMIT :limit
""")


def pending_in(session: Session, environment: str, *, application: str | None, limit: int) -> list[Row[Any]]:
    """Deployments that wait in an environment, the oldest first, each as `get` gives it."""
    params = {"environment": environment, "application": application, "limit": limit}
    found = find_many(session, list(session.execute(_PENDING_IN, params).scalars()))
    return sorted(found, key=lambda row: int(row.id))


_APPLICATION_ID = text("SELECT id FROM applications WHERE name = :application")
_RELEASE_IDS = text("""
    SELECT id FROM releases WHERE version = :version AND (CAST(:application AS text) IS NULL OR name = :application)
""")


def page(
    session: Session, filters: Mapping[str, str], *, before_id: int | None, skip: int, limit: int
) -> list[Row[Any]]:
    """Newest first; `filters` by application, environment, status or version. Reads about as many rows as it gives.

    Names are looked up first: only of a value that it sees does Postgres know how rare it is, and which index finds it.
    """
    conditions = [f"d.{name} = :{name}" for name in ("environment", "status") if name in filters]
    params: dict[str, Any] = {
        "application": None,
        **filters,
        "before_id": before_id,
        "skip": skip,
        "limit": limit,
    }
    if "version" in filters:
        params["release_ids"] = list(session.execute(_RELEASE_IDS, params).scalars())
        conditions.append("d.release_id = ANY(:release_ids)")
    elif "application" in filters:
        params["application_id"] = session.execute(_APPLICATION_ID, params).scalar()
        conditions.append("d.application_id = :application_id")
    if before_id is not None:
        conditions.append("d.id < :before_id")
    where = " WHERE " + " AND ".join(conditions) if conditions else ""
    statement = text(f"{_PAGE}{where} ORDER BY d.id DESC OFFSET :skip LIMIT :limit")
    return list(session.execute(statement, params))
