"""Leases on attempts: claim, renew, give back, end. All compare and set on the fencing token, by Postgres' clock."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import Row, TextClause, text
from sqlalchemy.orm import Session

from orchestrator.domain.statuses import STEP_TERMINAL, Outcome, StepStatus
from orchestrator.prepared import execute
from orchestrator.repositories import engine


class Renewed(NamedTuple):
    """What has come to an attempt whose lease is still ours."""

    cancelling: bool
    called_back: int
    """The number of the last callback; 0: none."""
    is_prolonged: bool
    """False: somebody has its row at this moment, and its lease lasts as long as before."""


_DEPLOYMENT = text("SELECT deployment_id FROM attempts WHERE id = :id AND ended_at IS NULL")

# A row is claimable when nobody holds it; a run that lives on a node only by that node's workers, unless the
# node has been away for too long: then anybody may, to say that the run is lost. Who gives a lease back is its worker no more:
# whose name is still there let it lapse.
_CLAIM = text("""
    WITH todo AS (
        SELECT a.deployment_id, a.step_id, a.number, a.node AS bound_to, a.worker AS last_worker, s.wave_index, s.action_index,
            s.target_id, s.target_name, s.target, s.status, p.document - 'targets' AS document,
            extract(epoch FROM clock_timestamp() - greatest(a.not_before, a.lease_until))::float AS untaken_seconds,
            p.document #>> ARRAY['actions', s.action_index::text, 'kind'] = 'run'
                AND s.target ->> 'kind' = ANY(:bound_kinds) AS lives_on_its_node
        FROM attempts a JOIN steps s ON s.id = a.step_id JOIN plans p ON p.deployment_id = a.deployment_id
        WHERE a.id = :id AND a.ended_at IS NULL
    ), taken AS (
        UPDATE attempts a SET token = nextval('fencing_tokens'), worker = :worker,
            node = coalesce(a.node, CASE WHEN todo.lives_on_its_node THEN :node END),
            lease_until = clock_timestamp() + make_interval(secs => :lease_seconds),
            started_at = coalesce(a.started_at, clock_timestamp()),
            lapses = CASE WHEN a.worker IS NULL THEN 0 ELSE a.lapses + 1 END,
            trouble = CASE WHEN a.worker IS NULL OR a.lapses = 0 THEN a.trouble
                ELSE format('its worker ended or failed %s times in a row, the last time %s', a.lapses + 1, a.worker) END
        FROM todo
        WHERE a.id = :id AND a.ended_at IS NULL AND a.not_before <= clock_timestamp()
          AND (a.lease_until IS NULL OR a.lease_until <= clock_timestamp())
          AND (a.node IS NULL OR a.node = :node OR NOT EXISTS (
              SELECT 1 FROM heartbeats n WHERE n.source = 'node:' || a.node
                AND n.heard_at > clock_timestamp() - make_interval(secs => :node_lost_seconds)))
        RETURNING a.token, a.output_bytes, a.left_out_bytes, a.node, a.lapses,
            extract(epoch FROM clock_timestamp() - a.started_at)::float AS age_seconds
    ), started AS (
        UPDATE steps s SET status = 'running', started_at = coalesce(s.started_at, clock_timestamp())
        FROM todo, taken WHERE s.id = todo.step_id AND s.status = 'ready' RETURNING s.deployment_id, s.wave_index
    ), counted AS (
        UPDATE waves w SET ready = ready - 1, running = running + 1
        FROM started WHERE w.deployment_id = started.deployment_id AND w.index = started.wave_index
    )
    SELECT deployment_id, step_id, number, bound_to, wave_index, action_index, target_id, target_name, target, status,
        document, untaken_seconds, lives_on_its_node, last_worker, token, output_bytes, left_out_bytes, node, lapses, age_seconds,
        EXISTS (SELECT 1 FROM started) AS started_now
    FROM todo LEFT JOIN taken ON true
""")

# A row that somebody else has is not waited for: the others' leases would end meanwhile.
_RENEW = text("""
    WITH held AS (
        SELECT * FROM unnest(CAST(:ids AS bigint[]), CAST(:tokens AS bigint[]), CAST(:troubles AS text[])) AS h(id, token, trouble)
    ), free AS (
        SELECT a.id, held.trouble FROM held JOIN attempts a ON a.id = held.id AND a.token = held.token
        WHERE a.ended_at IS NULL AND a.lease_until > clock_timestamp() FOR NO KEY UPDATE OF a SKIP LOCKED
    ), prolonged AS (
        UPDATE attempts a SET lease_until = clock_timestamp() + make_interval(secs => :lease_seconds), trouble = free.trouble
        FROM free WHERE a.id = free.id RETURNING a.id
    )
    SELECT a.id, d.cancel_requested_at IS NOT NULL AND d.undo_from IS NULL AS cancelling, a.called_back,
        prolonged.id IS NOT NULL AS is_prolonged
    FROM held JOIN attempts a ON a.id = held.id AND a.token = held.token JOIN deployments d ON d.id = a.deployment_id
    LEFT JOIN prolonged ON prolonged.id = a.id
    WHERE prolonged.id IS NOT NULL OR (a.ended_at IS NULL AND a.lease_until > clock_timestamp())
""")

_OPEN = "step_id = :step AND number = :number AND deployment_id = :deployment AND ended_at IS NULL"
_IS_OPEN = text(f"SELECT 1 FROM attempts WHERE {_OPEN}")
_CALL_BACK = text(
    f"UPDATE attempts SET called_back = :callback WHERE {_OPEN} AND called_back < :callback RETURNING id"
)

_RELEASE = text("""
    UPDATE attempts SET lease_until = clock_timestamp(), worker = NULL, output_bytes = output_bytes
    WHERE id = :id AND token = :token AND ended_at IS NULL
    RETURNING id
""")

# What an attempt's end changes in one go: the attempt, its step, the wave's counts, and what the target has.
END = """
    ended AS (
        UPDATE attempts a SET ended_at = clock_timestamp(), lease_until = NULL, outcome = :outcome,
            exit_code = :exit_code, failure = :failure
        {after} WHERE a.id = :id AND a.token = :token AND a.ended_at IS NULL
        RETURNING a.step_id
    ), settled AS (
        UPDATE steps s SET status = :status, exit_code = :exit_code, failure = :failure,
            ended_at = CASE WHEN :is_over THEN clock_timestamp() END
        FROM ended WHERE s.id = ended.step_id AND s.status = 'running'
        RETURNING s.deployment_id, s.wave_index, s.target_id
    ), counted AS (
        UPDATE waves w SET running = running - 1, {new} = {new} + 1
        FROM settled WHERE w.deployment_id = settled.deployment_id AND w.index = settled.wave_index
    ), installed AS (
        INSERT INTO installations (target_id, release_id, deployment_id, since)
        SELECT settled.target_id, d.release_id, d.id, clock_timestamp()
        FROM settled JOIN deployments d ON d.id = settled.deployment_id WHERE :installs
        ON CONFLICT (target_id) DO UPDATE SET deployment_id = EXCLUDED.deployment_id,
            since = CASE WHEN installations.release_id = EXCLUDED.release_id
                THEN installations.since ELSE EXCLUDED.since END,
            release_id = EXCLUDED.release_id
    )
"""
_END: dict[StepStatus, TextClause] = {
    new: text(f"WITH {END.format(new=new, after='')} SELECT 1 FROM settled")
    for new in StepStatus
    if new is not StepStatus.RUNNING
}

_LOCK_AND_SUCCEED = text(f"""
    WITH locked AS ({engine.LOCK}), {END.format(new=StepStatus.SUCCEEDED, after="FROM locked")}
    SELECT {engine.LOCKED}, EXISTS (SELECT 1 FROM settled) AS is_recorded FROM locked
""")

_RUNS = """
    unnest(CAST(:names AS text[]), CAST(:steps AS bigint[]), CAST(:numbers AS bigint[])) AS run(name, step, number)
    JOIN attempts a ON a.step_id = run.step AND a.number = run.number
"""
# Runs of a node whose attempts have ended without them: the node was away, and somebody decided meanwhile.
_OUTLIVED = text(f"""
    SELECT run.name, a.token, s.target_name, s.target, ap.name AS application, d.environment
    FROM {_RUNS} AND a.ended_at IS NOT NULL
    JOIN steps s ON s.id = a.step_id
    JOIN deployments d ON d.id = a.deployment_id JOIN applications ap ON ap.id = d.application_id
""")

_STILL_OPEN = text(f"SELECT run.name FROM {_RUNS} AND a.ended_at IS NULL")

_TROUBLED = text("""
    SELECT s.id, s.target_name, a.trouble FROM attempts a JOIN steps s ON s.id = a.step_id
    WHERE a.deployment_id = :id AND a.ended_at IS NULL AND a.trouble <> '' ORDER BY s.id LIMIT :limit
""")

_ENDED_UNDER = text("SELECT outcome FROM attempts WHERE id = :id AND token = :token AND ended_at IS NOT NULL")


def find_deployment(session: Session, attempt_id: int) -> int | None:
    """The deployment an open attempt belongs to; None where it ended or never was."""
    found: int | None = execute(session, _DEPLOYMENT, {"id": attempt_id}).scalar()
    return found


def claim(
    session: Session,
    attempt_id: int,
    *,
    worker: str,
    node: str,
    bound_kinds: Sequence[str],
    lease_seconds: float,
    node_lost_seconds: float,
) -> Row[Any] | None:
    """Take the lease under a new, greater token, and let the step run; None where the attempt has ended.

    The row's `token` is null where somebody else holds it, it is not due or its run lives on another node.
    `bound_kinds`: kinds of target whose runs live on the worker's node.
    """
    params = {
        "id": attempt_id,
        "worker": worker,
        "node": node,
        "bound_kinds": list(bound_kinds),
        "lease_seconds": lease_seconds,
        "node_lost_seconds": node_lost_seconds,
    }
    return execute(session, _CLAIM, params).one_or_none()


def renew(
    session: Session,
    held: Mapping[int, int],
    *,
    lease_seconds: float,
    troubles: Mapping[int, str] = MappingProxyType({}),
) -> dict[int, Renewed]:
    """Prolong the leases `held` (attempt -> token) that have not lapsed: those still ours, with what has come to each.

    None is waited for. `troubles`: why some of them do not go on; it is noted that the others do.
    """
    params = {
        "ids": list(held),
        "tokens": list(held.values()),
        "troubles": [troubles.get(each, "") for each in held],
        "lease_seconds": lease_seconds,
    }
    rows = execute(session, _RENEW, params)
    return {row.id: Renewed(row.cancelling, row.called_back, row.is_prolonged) for row in rows}


def call_back(session: Session, deployment_id: int, step_id: int, number: int, *, callback: int) -> bool:
    """Note that there is news of an open attempt; False where there is none such, or this callback or a later one has come."""
    params = {"deployment": deployment_id, "step": step_id, "number": number, "callback": callback}
    return session.execute(_CALL_BACK, params).first() is not None


def is_open(session: Session, deployment_id: int, step_id: int, number: int) -> bool:
    """Whether an attempt is there that has not ended."""
    params = {"deployment": deployment_id, "step": step_id, "number": number}
    return session.execute(_IS_OPEN, params).first() is not None


def release(session: Session, attempt_id: int, token: int) -> bool:
    """Give the lease back, so that another may claim at once."""
    return execute(session, _RELEASE, {"id": attempt_id, "token": token}).first() is not None


def end(
    session: Session,
    attempt_id: int,
    token: int,
    *,
    outcome: Outcome,
    exit_code: int | None,
    failure: str | None,
    step: StepStatus,
    installs: bool,
) -> bool:
    """Record how the attempt ended and what that makes of its step, once.

    False where the token is not the last one or it had ended. `installs`: the target has the release from now on.
    """
    params = {
        "id": attempt_id,
        "token": token,
        "outcome": str(outcome),
        "exit_code": exit_code,
        "failure": failure,
        "status": str(step),
        "is_over": step in STEP_TERMINAL,
        "installs": installs,
    }
    return execute(session, _END[step], params).first() is not None


def lock_and_succeed(
    session: Session,
    deployment_id: int,
    attempt_id: int,
    token: int,
    *,
    exit_code: int | None,
    installs: bool,
) -> Row[Any] | None:
    """Record a success as `end` does, in the statement that locks its deployment; as `engine.lock` gives it.

    `is_recorded` says what `end` does; the counts are those from before.
    """
    params = {
        "deployment_id": deployment_id,
        "id": attempt_id,
        "token": token,
        "outcome": str(Outcome.SUCCEEDED),
        "exit_code": exit_code,
        "failure": None,
        "status": str(StepStatus.SUCCEEDED),
        "is_over": True,
        "installs": installs,
    }
    return engine.first_or_again(session, _LOCK_AND_SUCCEED, params)


def outlived(session: Session, names: Sequence[str]) -> list[Row[Any]]:
    """Those of these runs whose attempts have ended: they must not live."""
    return list(session.execute(_OUTLIVED, _named(names)))


def still_open(session: Session, names: Sequence[str]) -> set[str]:
    """Those of these runs whose attempts have not ended: somebody may still ask for them."""
    return set(session.execute(_STILL_OPEN, _named(names)).scalars())


def _named(names: Sequence[str]) -> dict[str, Any]:
    """The parts of names `<deployment>-<step>-<attempt>`."""
    parts = [name.split("-") for name in names]
    return {
        "names": list(names),
        "steps": [int(step) for _, step, _ in parts],
        "numbers": [int(number) for _, _, number in parts],
    }


def troubled(session: Session, deployment_id: int, *, limit: int) -> list[Row[Any]]:
    """Steps of a deployment that do not go on at their targets, each with why."""
    return list(session.execute(_TROUBLED, {"id": deployment_id, "limit": limit}))


def ended_under(session: Session, attempt_id: int, token: int) -> bool:
    """Whether this very lease has recorded the end already: how a commit whose answer was lost is read again."""
    return session.execute(_ENDED_UNDER, {"id": attempt_id, "token": token}).first() is not None
