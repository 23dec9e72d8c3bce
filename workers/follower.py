"""One slice: take an attempt, start or re-attach its run, follow it, record its end, go on with what follows."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from orchestrator import clock, log, tracing
from orchestrator.domain.backoff import delay_seconds
from orchestrator.domain.errors import ClosedMeanwhileError, LeaseLostError
from orchestrator.domain.pipeline import RUN
from orchestrator.services import attempts
from orchestrator.services.attempts import Claim, Output
from workers.context import WorkerContext
from workers.drift import check_drift
from workers.driving import drive
from workers.health import ask_for_health
from workers.leases import Hold
from workers.metrics import LEASES_LOST, STEPS
from workers.preparing import prepare
from workers.sink import Sink

NOT_NOW = (DBAPIError, PoolTimeoutError, ClosedMeanwhileError)
"""What may be otherwise when the same is tried again."""

T = TypeVar("T")

_logger = log.get(__name__)


class Follower:
    """Does slices of work in the thread that calls it."""

    def __init__(self, ours: WorkerContext) -> None:
        self._ours = ours

    def advance(self, deployment_id: int) -> None:
        """Let a deployment make its next moves, and follow what this worker takes of it."""
        taken = self._take(
            "advance", deployment_id, lambda session: attempts.advance(session, deployment_id, self._taker())
        )
        self._follow_all(*taken)

    def run_step(self, attempt_id: int) -> None:
        """Follow one attempt, unless somebody else does."""
        with self._ours.database.reading() as session:
            deployment_id = attempts.deployment_of(session, attempt_id)
        if deployment_id is None:
            return
        worker = self._ours.worker
        taken = self._take(
            "claim",
            deployment_id,
            lambda session: attempts.claim(session, attempt_id, worker, deployment_id=deployment_id),
        )
        self._follow_all(*taken)

    def ask_for_health(self, deployment_id: int) -> None:
        """Ask how the release is that a deployment put there, as long as it soaks."""
        ask_for_health(self._ours, deployment_id)

    def check_drift(self) -> None:
        """Ask the targets that are due what runs there."""
        check_drift(self._ours)

    def _taker(self) -> attempts.Worker | None:
        return None if self._ours.leases.stopping else self._ours.worker

    def _take(
        self, name: str, deployment_id: int, take: Callable[[Session], Claim | None]
    ) -> tuple[float, Claim | None]:
        """Since when an attempt is ours at the latest, and the attempt, if there is one to be taken."""
        with self._ours.turns.of(deployment_id):
            claimed_at, begun_ns = clock.monotonic(), clock.now_ns()
            try:
                claim = self._in_transaction(take)
            except ClosedMeanwhileError:
                claim = self._in_transaction(take)
        if claim is not None:
            tracing.record(name, parent=claim.work.traceparent, begun_ns=begun_ns, **_about(claim))
        return claimed_at, claim

    def _in_transaction(self, do: Callable[[Session], T]) -> T:
        with self._ours.database.transaction() as session:
            return do(session)

    def _follow_all(self, claimed_at: float, claim: Claim | None) -> None:
        """Follow an attempt that was taken, then the one that its end hands out, and so on, up to the slice's length."""
        slice_end = claimed_at + self._ours.settings.slice_seconds
        while claim is not None:
            hold = self._ours.leases.hold(claim, claimed_at=claimed_at)
            with log.about(deployment=claim.work.deployment_id, attempt=claim.attempt_id):
                try:
                    claimed_at, claim = self._follow(claim, hold, slice_end)
                except LeaseLostError as error:
                    LEASES_LOST.inc()
                    _logger.info("lease_lost", why=error.message)
                    return
                finally:
                    self._ours.leases.drop(hold)

    def _follow(self, claim: Claim, hold: Hold, slice_end: float) -> tuple[float, Claim | None]:
        begun = clock.monotonic()
        prepared = prepare(claim, self._ours.settings)
        sink = Sink(
            claim,
            hold,
            self._write,
            masker=prepared.masker,
            limit_bytes=self._ours.settings.log_limit_bytes,
        )
        with tracing.span("run", parent=claim.work.traceparent, **_about(claim)):
            ended = drive(claim, hold, sink, self._ours, prepared=prepared, slice_end=slice_end)
            tracing.note(outcome=ended.outcome if ended else "goes on")
        if ended is None:
            self._persist(hold, lambda session: attempts.release(session, claim), locks=claim)
            return 0.0, None
        ended = replace(ended, output=sink.rest())

        def finish(session: Session) -> tuple[float, Claim | None]:
            worker = self._taker() if clock.monotonic() < slice_end else None
            return clock.monotonic(), attempts.finish(session, claim, ended, worker)

        with tracing.span("finish", parent=claim.work.traceparent, **_about(claim)):
            following = self._persist(hold, finish, locks=claim)
        action = claim.work.action.kind
        kind = claim.work.target_kind if action == RUN else action
        seconds = claim.age_seconds + clock.monotonic() - begun
        STEPS.labels(kind, ended.outcome).observe(seconds)
        _logger.info("attempt_ended", outcome=ended.outcome, seconds=round(seconds, 3))
        return following

    def _write(self, claim: Claim, hold: Hold, output: Output) -> None:
        self._persist(hold, lambda session: attempts.write_output(session, claim, output))

    def _persist(self, hold: Hold, write: Callable[[Session], T], *, locks: Claim | None = None) -> T:
        """Write in a transaction, again and again while Postgres is away and the lease is ours. Raises LeaseLostError.

        `locks`: one whose deployment's row that locks, so that it waits for its turn.
        """
        for tries in range(1, 1000):
            try:
                with self._turn(locks, hold) as has_come:
                    if locks is not None and not (has_come and hold.is_valid()):
                        break  # the turn came too late
                    return self._in_transaction(write)
            except NOT_NOW as error:
                if isinstance(error, DBAPIError) and not _may_pass(error):
                    raise
                _logger.warning("write_failed", error=type(error).__name__)
            if not hold.is_valid():
                break
            hold.gone.wait(delay_seconds(tries, first=0.1, most=1.0))
        raise LeaseLostError(f"the lease on attempt {hold.attempt_id} ran out before that could be written")

    def _turn(self, claim: Claim | None, hold: Hold) -> AbstractContextManager[bool]:
        if claim is None:
            return nullcontext(True)
        return self._ours.turns.of(claim.work.deployment_id, is_of_use=hold.is_valid)


def _about(claim: Claim) -> dict[str, str | int]:
    todo = claim.work
    return {"deployment": todo.deployment_id, "attempt": claim.attempt_id, "target": todo.target_name}


def _may_pass(error: DBAPIError) -> bool:
    """Whether the same write may succeed later: a lost connection, a deadlock, a lock not had, a server shutting down."""
    code = getattr(error.orig, "pgcode", None)
    return error.connection_invalidated or code is None or code[:2] in {"08", "40", "53", "55", "57"}
