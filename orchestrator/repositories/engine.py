"""What the engine reads and writes under a deployment's row lock. Statements are bounded whatever the number of targets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

import orjson
from sqlalchemy import Row, TextClause, text
from sqlalchemy.orm import Session

from orchestrator.domain.engine import OpenAttempt
from orchestrator.domain.statuses import TERMINAL, DeploymentStatus, StepStatus
from orchestrator.models.deployment import Deployment
from orchestrator.prepared import execute
from orchestrator.repositories.columns import columns
from orchestrator.repositories.events import FROM_JSON
from orchestrator.repositories.waking import WAKE_WAITING

LOCK = f"""
    SELECT {columns(Deployment, "d")}, r.version, r.name AS application, r.artifact, r.artifact_sha256, clock_timestamp() AS now,
        w.waiting, w.ready, w.running, w.unknown, w.batch, w.wait_seconds, w.asks, w.sliding,
        (SELECT u.username FROM users u WHERE u.id = d.requested_by) AS requested_by_name,
        (SELECT pr.version FROM deployments p JOIN releases pr ON pr.id = p.release_id
         WHERE p.application_id = d.application_id AND p.environment = d.environment AND p.status = 'succeeded'
           AND p.id < d.id ORDER BY p.id DESC LIMIT 1) AS previous_version
    FROM deployments d
    JOIN releases r ON r.id = d.release_id
    JOIN waves w ON w.deployment_id = d.id AND w.index = d.wave_index
    WHERE d.id = :deployment_id
    FOR NO KEY UPDATE OF d, w
"""
"""The deployment with its current wave, for as long as the transaction lasts; also the first part of larger statements."""
LOCKED = (
    columns(Deployment, "locked")
    + ", locked.version, application, artifact, artifact_sha256, now, waiting, ready, running, unknown, batch, wait_seconds,"
    " asks, sliding, requested_by_name, previous_version"
)
_LOCK = text(LOCK)

_IDLE_ATTEMPTS = text("""
    SELECT id, step_id, token > 0 AS claimed, not_before, node
    FROM attempts
    WHERE deployment_id = :id AND ended_at IS NULL
      AND (lease_until IS NULL OR lease_until <= clock_timestamp())
    ORDER BY id LIMIT 200
""")

_NEXT_LEASE_END = text("""
    SELECT min(lease_until) FROM attempts
    WHERE deployment_id = :id AND ended_at IS NULL AND lease_until > clock_timestamp()
""")

_UNSTARTED = text("SELECT EXISTS (SELECT 1 FROM waves WHERE deployment_id = :id AND waiting > 0)")

_BATCH_FAILURES = text("SELECT sum(failed)::bigint FROM waves WHERE deployment_id = :id AND batch = :batch")

# The first may be taken at once: what `attempts.claim` does to one that nobody can have taken before.
_HAND_OUT = """
    WITH next AS (
        SELECT id, :takes AND row_number() OVER (ORDER BY position) = 1 AS is_taken FROM (
            SELECT id, position FROM steps s WHERE deployment_id = :id AND wave_index = :wave AND status = 'waiting'{alone}
            ORDER BY position LIMIT :count) first
    ), handed AS (
        UPDATE steps s SET status = CASE WHEN is_taken THEN 'running' ELSE 'ready' END, attempt = attempt + 1,
            started_at = CASE WHEN is_taken THEN coalesce(started_at, clock_timestamp()) ELSE started_at END
        FROM next WHERE s.id = next.id
        RETURNING s.id, s.deployment_id, s.wave_index, s.position, s.action_index, s.attempt, s.target_id, s.target_name,
            s.target, is_taken
    ), counted AS (
        UPDATE waves SET waiting = waiting - n, ready = ready + n - taken, running = running + taken
        FROM (SELECT count(*) AS n, count(*) FILTER (WHERE is_taken) AS taken FROM handed) h
        WHERE deployment_id = :id AND index = :wave
    ){others}{written}, made AS (
        INSERT INTO attempts (deployment_id, step_id, number, token, worker, node, lease_until, started_at)
        SELECT handed.deployment_id, handed.id, attempt, CASE WHEN is_taken THEN nextval('fencing_tokens') ELSE 0 END,
            CASE WHEN is_taken THEN :worker END,
            CASE WHEN document #>> ARRAY['actions', action_index::text, 'kind'] = 'run'
                AND target ->> 'kind' = ANY(:bound_kinds) THEN :node END,
            CASE WHEN is_taken THEN clock_timestamp() + make_interval(secs => :lease_seconds) END,
            CASE WHEN is_taken THEN clock_timestamp() END
        FROM handed {only_if} LEFT JOIN plans p ON is_taken AND p.deployment_id = handed.deployment_id
        ORDER BY position
        RETURNING id, step_id, number, token, node, output_bytes, left_out_bytes
    )
    SELECT made.id, step_id, number, token, node, output_bytes, left_out_bytes, handed.deployment_id, wave_index, action_index,
        target_id, target_name, target, document - 'targets' AS document, is_taken AS started_now,
        0.0::float AS age_seconds, 0.0::float AS untaken_seconds
    FROM made JOIN handed ON handed.id = step_id LEFT JOIN plans p ON is_taken AND p.deployment_id = handed.deployment_id
    ORDER BY made.id
"""

# Of a wave that slides: those before it of the same target have ended.
_ALONE = """
              AND NOT EXISTS (SELECT 1 FROM steps b WHERE b.deployment_id = :id AND b.target_id = s.target_id
                AND b.wave_index = :wave AND b.position < s.position AND b.status IN ('waiting', 'ready', 'running', 'unknown'))"""
_STARTABLE = text(f"""
    SELECT count(*) FROM (
        SELECT 1 FROM steps s WHERE deployment_id = :id AND wave_index = :wave AND status = 'waiting'{_ALONE}
        ORDER BY position LIMIT :most) first
""")

_WOKEN = ", woken AS (UPDATE deployments SET {assignments} WHERE id = :id AND status = :old RETURNING id)"

_WRITE = """
    WITH written AS (UPDATE deployments SET {assignments} WHERE id = :id AND status = :old RETURNING id){others}
    SELECT {woken} FROM written
"""

_CLOSE_UNSTARTED = text("""
    WITH withdrawn AS (
        UPDATE attempts SET ended_at = clock_timestamp(), outcome = 'aborted', failure = 'never started'
        WHERE deployment_id = :id AND ended_at IS NULL AND token = 0 RETURNING step_id
    ), closed AS (
        UPDATE steps SET status = :status, ended_at = clock_timestamp()
        WHERE deployment_id = :id
          AND (status = 'waiting' OR (status = 'ready' AND id IN (SELECT step_id FROM withdrawn)))
        RETURNING id, wave_index
    ), counts AS (
        SELECT wave_index, count(*) FILTER (WHERE w.step_id IS NULL) AS was_waiting, count(w.step_id) AS was_ready
        FROM closed c LEFT JOIN withdrawn w ON w.step_id = c.id GROUP BY wave_index
    )
    UPDATE waves SET waiting = waiting - was_waiting, ready = ready - was_ready,
        skipped = skipped + CASE WHEN :status = 'skipped' THEN was_waiting + was_ready ELSE 0 END,
        cancelled = cancelled + CASE WHEN :status = 'cancelled' THEN was_waiting + was_ready ELSE 0 END
    FROM counts WHERE deployment_id = :id AND index = wave_index
""")

_SKIP_TARGET = text("""
    WITH closed AS (
        UPDATE steps SET status = 'skipped', ended_at = clock_timestamp(), failure = :why
        WHERE deployment_id = :id AND target_id = :target AND status = 'waiting' RETURNING wave_index
    )
    UPDATE waves SET waiting = waiting - n, skipped = skipped + n
    FROM (SELECT wave_index, count(*) AS n FROM closed GROUP BY wave_index) c
    WHERE deployment_id = :id AND index = wave_index
""")

# From now on nobody can tell how the release that was there before is.
_LEAVE = """
    UPDATE health_watches w SET left_by = b.id, due_at = NULL FROM deployments b
    WHERE b.id = :id AND w.application_id = b.application_id AND w.environment = b.environment AND w.left_by IS NULL
"""

_STAMPS = {
    DeploymentStatus.RUNNING: ", started_at = coalesce(started_at, clock_timestamp())",
    DeploymentStatus.SUCCEEDED: ", deployed_at = clock_timestamp(), deployed_by = requested_by",
}
_ENDED = (
    ", ended_at = clock_timestamp(), wake_at = NULL, held_by = NULL, held_until = NULL, held_since = NULL"
)
_NULL_AT_THE_END = frozenset({"wake_at", "held_by", "held_until", "held_since"})


# By a clock that is set back, or stands still, two may begin at the same time: the longer one is kept.
_HOLD = """
    INSERT INTO holds (deployment_id, since, until, kind) VALUES (:id, :hold_since, :hold_until, :hold_kind)
    ON CONFLICT (deployment_id, since) DO UPDATE SET until = excluded.until, kind = excluded.kind
    WHERE holds.until < excluded.until
"""


@dataclass(frozen=True, slots=True)
class Hold:
    """A stretch of time in which a kind of gate held it, and which is over."""

    kind: str
    since: datetime
    until: datetime


@dataclass(slots=True)
class Change:
    """What is to be written of a locked deployment: columns, perhaps a new status with its timestamps, events, a hold."""

    old: DeploymentStatus
    new: DeploymentStatus | None = None
    values: dict[str, Any] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    hold: Hold | None = None
    wakes: Mapping[str, Any] = field(default_factory=dict)
    """Who waits for it: the parameters of `waking.WAKE_WAITING`; empty: nobody."""

    def __bool__(self) -> bool:
        return bool(self.new or self.values or self.events)

    def assignments(self) -> str:
        """The SET clause; its names are all our own columns."""
        names = [name for name in self.values if not (self._ends() and name in _NULL_AT_THE_END)]
        assigned = "".join(f", {name} = :{name}" for name in names)
        if self.new is not None:
            assigned += ", status = :status" + _STAMPS.get(self.new, "") + (_ENDED if self._ends() else "")
        return f"updated_at = clock_timestamp(){assigned}"

    def params(self) -> dict[str, Any]:
        """What `assignments` and the events refer to."""
        params = {**self.values, **self.wakes, "old": str(self.old)}
        if self.new is not None:
            params["status"] = str(self.new)
        if self.events:
            params["events"] = orjson.dumps(self.events).decode()
        if self.hold is not None:
            hold = self.hold
            until = max(hold.since, hold.until)  # the clock may have been set back meanwhile
            params |= {"hold_kind": hold.kind, "hold_since": hold.since, "hold_until": until}
        return params

    def others(self) -> str:
        """What is written beside the row, as parts that follow others in a WITH."""
        begins = self.old is DeploymentStatus.PENDING and self.new is DeploymentStatus.RUNNING
        parts = {
            "noted": FROM_JSON if self.events else "",
            "left_behind": _LEAVE if begins else "",
            "held": _HOLD if self.hold else "",
            "others": WAKE_WAITING if self.wakes else "",
        }
        return "".join(f", {name} AS ({part})" for name, part in parts.items() if part)

    def _ends(self) -> bool:
        return self.new in TERMINAL


@dataclass(frozen=True, slots=True)
class Taker:
    """Who takes the first attempt that is handed out. `bound_kinds`: kinds of target whose runs live on its node."""

    worker: str
    node: str
    bound_kinds: Sequence[str]
    lease_seconds: float


@dataclass(frozen=True, slots=True)
class IdleAttempt(OpenAttempt):
    """An attempt to nudge, and the node it is bound to."""

    node: str | None


def lock(session: Session, deployment_id: int) -> Row[Any] | None:
    """The deployment and its current wave, locked until the transaction ends; None where there is none."""
    return first_or_again(session, _LOCK, {"deployment_id": deployment_id})


def first_or_again(session: Session, statement: TextClause, params: Mapping[str, Any]) -> Row[Any] | None:
    """What a statement that begins with `LOCK` finds.

    A deployment that went on to its next wave while this waited for its row is not found at first: the statement sees the old wave.
    """
    row = execute(session, statement, params).one_or_none()
    return row if row is not None else execute(session, statement, params).one_or_none()


def idle_attempts(session: Session, deployment_id: int) -> list[IdleAttempt]:
    """Attempts that nobody holds, at most 200."""
    rows = execute(session, _IDLE_ATTEMPTS, {"id": deployment_id})
    return [IdleAttempt(r.id, r.step_id, r.claimed, r.not_before, r.node) for r in rows]


def next_lease_end(session: Session, deployment_id: int) -> datetime | None:
    """When the first lease that is held now would lapse."""
    found: datetime | None = execute(session, _NEXT_LEASE_END, {"id": deployment_id}).scalar()
    return found


def has_unstarted(session: Session, deployment_id: int) -> bool:
    """Whether any wave still has waiting steps."""
    return bool(execute(session, _UNSTARTED, {"id": deployment_id}).scalar())


def batch_failures(session: Session, deployment_id: int, batch: int) -> int:
    """How many targets of a batch failed: each did in one of its waves."""
    return int(session.execute(_BATCH_FAILURES, {"id": deployment_id, "batch": batch}).scalar() or 0)


def startable(session: Session, row: Row[Any], *, room: int) -> int | None:
    """How many waiting steps of the current wave wait for no other one, `room` at most; None: it does not slide."""
    if not row.sliding:
        return None
    if room < 1:
        return 0
    params = {"id": row.id, "wave": row.wave_index, "most": room}
    return int(execute(session, _STARTABLE, params).scalar_one())


def hand_out(
    session: Session,
    deployment_id: int,
    wave: int,
    count: int,
    *,
    change: Change,
    taker: Taker | None,
    sliding: bool = False,
) -> list[Row[Any]]:
    """Make the next waiting steps ready, each with a new attempt, and write the change of the deployment; the attempts.

    With a `taker` the first of them runs, under a token, and its row has all that `attempts.claim` gives.
    """
    statement = _hand_out(
        change.assignments() if change else "", others=change.others(), alone=_ALONE if sliding else ""
    )
    params = change.params() | {
        "id": deployment_id,
        "wave": wave,
        "count": count,
        "takes": taker is not None,
        "worker": taker.worker if taker else None,
        "node": taker.node if taker else None,
        "bound_kinds": list(taker.bound_kinds) if taker else [],
        "lease_seconds": taker.lease_seconds if taker else 0.0,
    }
    made = list(execute(session, statement, params))
    if not made:
        raise RuntimeError(f"deployment {deployment_id} or its steps changed although the row was locked")
    return made


def close_unstarted(session: Session, deployment_id: int, status: StepStatus) -> None:
    """End every step that was certainly never started, in all waves."""
    session.execute(_CLOSE_UNSTARTED, {"id": deployment_id, "status": str(status)})


def skip_target(session: Session, deployment_id: int, target_id: int, *, why: str) -> None:
    """Skip the waiting steps of a target that failed."""
    session.execute(_SKIP_TARGET, {"id": deployment_id, "target": target_id, "why": why})


_WAVE_MOVE = {
    (old, new): text(f"""
        UPDATE waves SET {old} = {old} - 1, {new} = {new} + 1 WHERE deployment_id = :id AND index = :wave
    """)  # both are names of our own columns
    for old in StepStatus
    for new in StepStatus
    if old is not new
}


def count_move(session: Session, deployment_id: int, wave: int, *, old: StepStatus, new: StepStatus) -> None:
    """Count one step of a wave under its new status."""
    session.execute(_WAVE_MOVE[old, new], {"id": deployment_id, "wave": wave})


def write(session: Session, deployment_id: int, change: Change) -> list[int]:
    """Write the change of a locked deployment; the deployments that it woke."""
    statement = _write(change.assignments(), others=change.others(), wakes=bool(change.wakes))
    row = execute(session, statement, change.params() | {"id": deployment_id}).first()
    if row is None:
        raise RuntimeError(f"deployment {deployment_id} changed although its row was locked")
    return list(row.woken)


@cache
def _hand_out(assignments: str, *, others: str, alone: str) -> TextClause:
    written = _WOKEN.format(assignments=assignments) if assignments else ""
    only_if = "JOIN woken ON woken.id = handed.deployment_id" if assignments else ""
    return text(_HAND_OUT.format(others=others, written=written, only_if=only_if, alone=alone))


@cache
def _write(assignments: str, *, others: str, wakes: bool) -> TextClause:
    woken = "ARRAY(SELECT id FROM others)" if wakes else "'{}'::bigint[]"
    return text(_WRITE.format(others=others, assignments=assignments, woken=f"{woken} AS woken"))
