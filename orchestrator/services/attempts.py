"""What a worker does to an attempt: take it, write its output, give it back, record its end."""

from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator.domain.errors import LeaseLostError, PlanOfAnotherVersionError, PlanUnreadableError
from orchestrator.domain.statuses import Outcome, StepStatus
from orchestrator.domain.verdicts import Verdict, judge
from orchestrator.repositories import attempts, engine, logs, steps
from orchestrator.services import execution, work
from orchestrator.services.execution import Locked
from orchestrator.services.work import Work

MOST_LAPSES = 5
"""So often in a row may the worker of an attempt that is late end or fail before it says how that ended; then a person is asked."""


@dataclass(frozen=True, slots=True)
class Worker:
    """Who claims: the process, the node it is on, how long its silence is tolerated, and that of a target after a timeout."""

    name: str
    node: str
    lease_seconds: float
    node_lost_seconds: float
    unreachable_seconds: float

    def taker(self) -> engine.Taker:
        """As one who takes what is handed out for the first time."""
        return engine.Taker(self.name, self.node, work.node_bound_kinds(), self.lease_seconds)


@dataclass(frozen=True, slots=True)
class Claim:
    """A lease that was taken: what to do, under which token, and how far earlier holders came."""

    attempt_id: int
    token: int
    output_bytes: int
    left_out_bytes: int
    """How much of these was not kept: all that follows is too much, but for the end."""
    age_seconds: float
    """How long ago the attempt was started first, by Postgres' clock."""
    fresh: bool
    """Whether this is the attempt's first lease, so that nothing of it can have been started."""
    cancelling: bool
    node: str | None
    """The node the run lives on, if it lives on one; another than the worker's: that node is gone for good."""
    work: Work


@dataclass(frozen=True, slots=True)
class Output:
    """What a run wrote from byte `start` to `end` at its target; `data` is that, masked and perhaps with less of it."""

    start: int
    end: int
    data: bytes
    left_out: int = 0

    @property
    def is_nothing(self) -> bool:
        """Whether there is nothing to be stored."""
        return self.end == self.start and not self.data


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt ended, with the last of its output."""

    outcome: Outcome
    exit_code: int | None = None
    failure: str | None = None
    output: Output | None = None
    certainly_over: bool = True
    """Whether nothing of it can still be alive."""


@dataclass(frozen=True, slots=True)
class _Try:
    """What the end of an attempt needs to know of its step."""

    attempt_id: int
    token: int
    step_id: int
    wave_index: int
    number: int
    target_id: int
    target_name: str
    title: str = "a step"
    retries: int = 0
    idempotent: bool = False
    installs: bool = False
    max_skipped: int | None = None

    @classmethod
    def of(cls, claim: Claim) -> Self:
        todo, action = claim.work, claim.work.action
        return cls(
            claim.attempt_id,
            claim.token,
            todo.step_id,
            todo.wave_index,
            todo.attempt,
            todo.target_id,
            todo.target_name,
            action.title,
            action.retries,
            action.idempotent,
            todo.installs,
            todo.max_skipped,
        )


def advance(session: Session, deployment_id: int, worker: Worker | None) -> Claim | None:
    """Let a deployment make its next moves. With a `worker`, one attempt is claimed at once instead of being sent on."""
    held = execution.lock(session, deployment_id)
    if held is None:
        return None
    return _go_on(session, held, worker)


def deployment_of(session: Session, attempt_id: int) -> int | None:
    """The deployment that an open attempt belongs to; None where the message was late or a double."""
    return attempts.find_deployment(session, attempt_id)


def claim(session: Session, attempt_id: int, worker: Worker, *, deployment_id: int) -> Claim | None:
    """Take an attempt of this deployment that nobody holds; None where there is nothing to take."""
    held = execution.lock(session, deployment_id)
    return _claim(session, held, attempt_id, worker) if held is not None else None


def _go_on(
    session: Session, held: Locked, worker: Worker | None, *, only_succeeded: bool = False
) -> Claim | None:
    """Let it make its next moves: a worker takes one attempt, the others are sent on. Raises PlanOfAnotherVersionError."""
    held.taker = worker.taker() if worker is not None else None
    ids = execution.proceed(session, held, only_succeeded=only_succeeded)
    taken: Claim | None = None
    if worker is not None and (row := held.taken) is not None:
        taken = _taken(session, held, row.id, row, worker)
    alone = len(ids) == 1 and taken is None and worker is not None
    nodes = {} if alone or not ids else {a.id: a.node for a in engine.idle_attempts(session, held.id)}
    for attempt_id in ids:
        if taken is None and worker is not None:
            taken = _claim(session, held, attempt_id, worker)
            if taken is not None:
                continue
        execution.nudge(session, held, attempt_id, node=nodes.get(attempt_id))
    return taken


def _claim(session: Session, held: Locked, attempt_id: int, worker: Worker) -> Claim | None:
    row = attempts.claim(
        session,
        attempt_id,
        worker=worker.name,
        node=worker.node,
        bound_kinds=work.node_bound_kinds(),
        lease_seconds=worker.lease_seconds,
        node_lost_seconds=worker.node_lost_seconds,
    )
    if row is None:
        return None
    if row.token is None:
        if row.bound_to not in {None, worker.node}:
            execution.nudge(session, held, attempt_id, node=row.bound_to)
        return None
    if row.started_now:
        execution.note_step(held, row.wave_index, old=StepStatus.READY, new=StepStatus.RUNNING)
    taken = _taken(session, held, attempt_id, row, worker)
    if taken is None or not _is_beyond_following(taken, lapses=row.lapses, worker=worker):
        return taken
    why = f"its end cannot be known: its worker ended or failed {row.lapses} times in a row"
    _end_untold(session, held, attempt_id, row, why=f"{why}; see the log of the last, {row.last_worker}")
    return None


def _is_beyond_following(claim: Claim, *, lapses: int, worker: Worker) -> bool:
    """Whether everybody who should have said long ago how it ended has ended or failed over it, as with a broken plugin."""
    is_late = claim.age_seconds >= claim.work.timeout_seconds + worker.unreachable_seconds
    return is_late and lapses >= MOST_LAPSES


def _taken(session: Session, held: Locked, attempt_id: int, row: Row[Any], worker: Worker) -> Claim | None:
    """The claim on what was taken; None: nobody knows what it is to do. Raises PlanOfAnotherVersionError."""
    try:
        todo = work.read(row, held.row)
    except PlanUnreadableError as error:
        if isinstance(error, PlanOfAnotherVersionError) and row.untaken_seconds < worker.node_lost_seconds:
            raise  # a worker of the right version may come yet
        _end_untold(session, held, attempt_id, row, why=str(error))
        return None
    return Claim(
        attempt_id=attempt_id,
        token=row.token,
        output_bytes=row.output_bytes,
        left_out_bytes=row.left_out_bytes,
        age_seconds=row.age_seconds,
        fresh=row.started_now,
        cancelling=held.cancelling,
        node=row.node,
        work=todo,
    )


def _end_untold(session: Session, held: Locked, attempt_id: int, row: Row[Any], *, why: str) -> None:
    """End an attempt of which nobody can say how it ended: failed if it was never started, else a person is asked."""
    tried = _Try(
        attempt_id, row.token, row.step_id, row.wave_index, row.number, row.target_id, row.target_name
    )
    outcome = Outcome.UNSTARTED if row.started_now else Outcome.LOST
    _settle(session, held, tried, Ended(outcome, failure=why, certainly_over=row.started_now))
    for other in execution.proceed(session, held):
        execution.nudge(session, held, other)


def write_output(session: Session, claim: Claim, output: Output) -> None:
    """Store output. A second call with the same does nothing. Raises LeaseLostError."""
    if output.is_nothing:
        return
    stored = logs.append(
        session,
        claim.attempt_id,
        claim.token,
        start=output.start,
        end=output.end,
        data=output.data,
        left_out=output.left_out,
    )
    if not stored and logs.stored_bytes(session, claim.attempt_id, claim.token) != output.end:
        raise LeaseLostError(f"attempt {claim.attempt_id} is no longer ours")


def release(session: Session, claim: Claim) -> None:
    """Give the lease back and send the attempt on to the next slice. Does nothing where the lease is lost."""
    held = execution.lock(session, claim.work.deployment_id)
    if held is None or not attempts.release(session, claim.attempt_id, claim.token):
        return
    execution.nudge(session, held, claim.attempt_id, node=claim.node)
    for attempt_id in execution.proceed(session, held):
        if attempt_id != claim.attempt_id:
            execution.nudge(session, held, attempt_id)


def finish(session: Session, claim: Claim, ended: Ended, worker: Worker | None) -> Claim | None:
    """Record the end, decide what follows and take what this worker can go on with: all in one transaction.

    A second call, after a commit whose answer was lost, does nothing. Raises LeaseLostError.
    """
    held, recorded = _record(session, claim, ended)
    if not recorded:
        if attempts.ended_under(session, claim.attempt_id, claim.token):
            return None
        raise LeaseLostError(f"attempt {claim.attempt_id} is no longer ours")
    succeeded = ended.outcome is Outcome.SUCCEEDED
    return _go_on(session, held, worker, only_succeeded=succeeded)


def _record(session: Session, claim: Claim, ended: Ended) -> tuple[Locked, bool]:
    """Record the end, with the deployment locked; False where it was not ours, or was recorded before. Raises LeaseLostError."""
    output = ended.output if ended.output is not None and not ended.output.is_nothing else None
    if ended.outcome is Outcome.SUCCEEDED and output is None:
        return _record_success(session, claim, ended)
    held = _require(execution.lock(session, claim.work.deployment_id), claim)
    if output is not None:
        if attempts.ended_under(session, claim.attempt_id, claim.token):
            return held, False
        write_output(session, claim, output)
    return held, _settle(session, held, _Try.of(claim), ended)


def _record_success(session: Session, claim: Claim, ended: Ended) -> tuple[Locked, bool]:
    """As `_record`, for the commonest end in one statement."""
    todo = claim.work
    row = attempts.lock_and_succeed(
        session,
        todo.deployment_id,
        claim.attempt_id,
        claim.token,
        exit_code=ended.exit_code,
        installs=todo.installs,
    )
    held = _require(execution.locked(row) if row is not None else None, claim)
    recorded = row is not None and bool(row.is_recorded)
    if recorded:
        execution.note_step(held, todo.wave_index, old=StepStatus.RUNNING, new=StepStatus.SUCCEEDED)
    return held, recorded


def _require(held: Locked | None, claim: Claim) -> Locked:
    if held is None:
        raise LeaseLostError(f"deployment {claim.work.deployment_id} is gone")
    return held


def _settle(session: Session, held: Locked, tried: _Try, ended: Ended) -> bool:
    """Record the end and give the step the status that it means; False where this was not ours to record."""
    verdict = judge(
        ended.outcome,
        held.row.now,
        attempt=tried.number,
        retries=tried.retries,
        idempotent=tried.idempotent,
        cancelling=held.cancelling,
        certainly_over=ended.certainly_over,
    )
    if ended.outcome is Outcome.UNREACHABLE and _may_be_left_out(session, held, tried, verdict):
        verdict = Verdict(StepStatus.SKIPPED)
    recorded = attempts.end(
        session,
        tried.attempt_id,
        tried.token,
        outcome=ended.outcome,
        exit_code=ended.exit_code,
        failure=ended.failure,
        step=verdict.status,
        installs=tried.installs and verdict.status is StepStatus.SUCCEEDED,
    )
    if recorded:
        execution.note_step(held, tried.wave_index, old=StepStatus.RUNNING, new=verdict.status)
        _follow_up(session, held, tried, ended, verdict)
    return recorded


def _may_be_left_out(session: Session, held: Locked, tried: _Try, verdict: Verdict) -> bool:
    """Whether it is skipped instead of failed: so many may be, and nothing of the deployment has changed it."""
    has_room = held.row.skipped_targets < (tried.max_skipped or 0) and held.row.undo_from is None
    if verdict.status is not StepStatus.FAILED or not has_room:
        return False
    return not steps.is_changed(session, held.id, tried.target_id, but=tried.step_id)


def _follow_up(session: Session, held: Locked, tried: _Try, ended: Ended, verdict: Verdict) -> None:
    """What the end of a step means besides: an event, another try, a target that failed."""
    if verdict.status is StepStatus.SUCCEEDED:
        return
    data = {"step": tried.step_id, "target": tried.target_name, "attempt": tried.number, "why": ended.failure}
    if verdict.status is StepStatus.READY:
        steps.try_again(session, tried.step_id, not_before=verdict.retry_at)
        held.recorder.record("step.retried", actor_id=None, at=held.row.now, data=data)
        return
    held.recorder.record(f"step.{verdict.status}", actor_id=None, at=held.row.now, data=data)
    if verdict.status is StepStatus.FAILED:
        fail_target(session, held, tried.target_id, why=f"{tried.title} failed on {tried.target_name}")
    elif verdict.status is StepStatus.SKIPPED:
        _leave_out(session, held, tried)


def _leave_out(session: Session, held: Locked, tried: _Try) -> None:
    """Go on without a target that could not be reached: nothing was started there, and nothing more will be."""
    steps.never_began(session, tried.step_id)
    held.change.values["skipped_targets"] = held.row.skipped_targets + 1
    engine.skip_target(session, held.id, tried.target_id, why=f"{tried.target_name} could not be reached")
    execution.look_again(session, held)


def fail_target(session: Session, held: Locked, target_id: int, *, why: str) -> None:
    """Count a target as failed, once, and skip what it had still before it. What fails while putting back counts by itself."""
    if held.row.undo_from is None:
        held.failed_targets += 1
        held.change.values["failed_targets"] = held.failed_targets
    engine.skip_target(session, held.id, target_id, why=why)
    execution.look_again(session, held)
