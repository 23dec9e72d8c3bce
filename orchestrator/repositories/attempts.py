"""Leases on attempts: claim, renew, give back, end. All compare and set on the fencing token, by Postgres' clock."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from orchestrator.domain.statuses import Outcome

# A row is claimable when nobody holds it; a run that lives on a node only by that node's workers, unless the
# node has been away for too long: then anybody may, to say that the run is lost.
_CLAIM = text("""
    UPDATE attempts a SET token = nextval('fencing_tokens'), worker = :worker,
        node = coalesce(a.node, CASE WHEN :node_bound THEN :node END),
        lease_until = clock_timestamp() + make_interval(secs => :lease_seconds),
        started_at = coalesce(a.started_at, clock_timestamp())
    WHERE a.id = :id AND a.ended_at IS NULL AND a.not_before <= clock_timestamp()
      AND (a.lease_until IS NULL OR a.lease_until <= clock_timestamp())
      AND (a.node IS NULL OR a.node = :node OR NOT EXISTS (
          SELECT 1 FROM heartbeats n
          WHERE n.source = 'node:' || a.node AND n.heard_at > clock_timestamp() - make_interval(secs => :node_lost_seconds)))
    RETURNING a.token, a.output_bytes, a.number, a.node,
        extract(epoch FROM clock_timestamp() - a.started_at)::float AS age_seconds
""")

_STEP = text("""
    SELECT a.deployment_id, a.step_id, a.number, a.node, s.wave_index, s.action_index, s.target_id, s.target_name, s.target,
           s.status, p.document
    FROM attempts a
    JOIN steps s ON s.id = a.step_id
    JOIN plans p ON p.deployment_id = a.deployment_id
    WHERE a.id = :id AND a.ended_at IS NULL
""")

_RENEW = text("""
    UPDATE attempts a SET lease_until = clock_timestamp() + make_interval(secs => :lease_seconds)
    FROM unnest(CAST(:ids AS bigint[]), CAST(:tokens AS bigint[])) AS held(id, token), deployments d
    WHERE a.id = held.id AND a.token = held.token AND a.ended_at IS NULL AND a.lease_until > clock_timestamp()
      AND d.id = a.deployment_id
    RETURNING a.id, d.cancel_requested_at IS NOT NULL AS cancelling
""")

_RELEASE = text("""
    UPDATE attempts SET lease_until = clock_timestamp(), output_bytes = output_bytes
    WHERE id = :id AND token = :token AND ended_at IS NULL
""")

_END = text("""
    UPDATE attempts SET ended_at = clock_timestamp(), lease_until = NULL, outcome = :outcome,
        exit_code = :exit_code, failure = :failure
    WHERE id = :id AND token = :token AND ended_at IS NULL
    RETURNING id
""")

_ENDED_UNDER = text("SELECT outcome FROM attempts WHERE id = :id AND token = :token AND ended_at IS NOT NULL")


def find_work(session: Session, attempt_id: int) -> Row[Any] | None:
    """What an open attempt is to do; None where it ended or never was."""
    return session.execute(_STEP, {"id": attempt_id}).one_or_none()


def claim(
    session: Session,
    attempt_id: int,
    *,
    worker: str,
    node: str,
    node_bound: bool,
    lease_seconds: float,
    node_lost_seconds: float,
) -> Row[Any] | None:
    """Take the lease under a new, greater token; None where somebody else holds it or it is not due: drop the message."""
    params = {
        "id": attempt_id,
        "worker": worker,
        "node": node,
        "node_bound": node_bound,
        "lease_seconds": lease_seconds,
        "node_lost_seconds": node_lost_seconds,
    }
    return session.execute(_CLAIM, params).one_or_none()


def renew(session: Session, held: Mapping[int, int], *, lease_seconds: float) -> dict[int, bool]:
    """Prolong the leases `held` (attempt -> token) that have not lapsed: those still ours, and whether each is to be cancelled."""
    params = {"ids": list(held), "tokens": list(held.values()), "lease_seconds": lease_seconds}
    return {row.id: row.cancelling for row in session.execute(_RENEW, params)}


def release(session: Session, attempt_id: int, token: int) -> bool:
    """Give the lease back, so that another may claim at once."""
    done = session.execute(_RELEASE, {"id": attempt_id, "token": token})
    return bool(done.rowcount)  # type: ignore[attr-defined]


def end(
    session: Session,
    attempt_id: int,
    token: int,
    *,
    outcome: Outcome,
    exit_code: int | None,
    failure: str | None,
) -> bool:
    """Record how the attempt ended, once; False where the token is not the last one or it had ended."""
    params = {
        "id": attempt_id,
        "token": token,
        "outcome": str(outcome),
        "exit_code": exit_code,
        "failure": failure,
    }
    return session.execute(_END, params).first() is not None


def ended_under(session: Session, attempt_id: int, token: int) -> bool:
    """Whether this very lease has recorded the end already: how a commit whose answer was lost is read again."""
    return session.execute(_ENDED_UNDER, {"id": attempt_id, "token": token}).first() is not None
