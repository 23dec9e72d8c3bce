"""The engine's shell: lock the row, load the snapshot, decide, write; what is to be sent goes out after the commit."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from orchestrator import metrics
from orchestrator.db import after_commit
from orchestrator.domain.engine import NUDGE_AGAIN, ROLLBACK, Decision, Snapshot, WaveCounts, decide
from orchestrator.domain.gates import Look
from orchestrator.domain.statuses import TERMINAL, DeploymentStatus, StepStatus
from orchestrator.domain.windows import WhenClosed
from orchestrator.queue import Message, send_after_commit
from orchestrator.repositories import engine, health, promotions, waking
from orchestrator.repositories import undoing as undoing_rows
from orchestrator.repositories.engine import Change, Taker
from orchestrator.services import halting, replanning, rollbacks, undoing
from orchestrator.services.records import DeploymentRecorder
from orchestrator.services.standing import look, look_between
from orchestrator.tasks import QueueName, TaskName, node_queue

_OF_A_WAVE = ("next_wave_at", "promotion_asked_at")
"""What is so of the wave that is over, and no more of the next."""

MOST_MOVES = 10_000
"""Moves in one transaction before the rest is left to the next; only empty waves make more than a few."""


@dataclass(slots=True)
class Locked:
    """A deployment whose row this transaction holds, as it is after what was written so far."""

    row: Row[Any]
    recorder: DeploymentRecorder
    change: Change
    """What is still to be written of the row; `flush` does, and so does `proceed`."""
    status: DeploymentStatus
    wave: WaveCounts
    failed_targets: int
    held_by: str | None
    taker: Taker | None = None
    """Who takes the first attempt that is handed out, once."""
    taken: Row[Any] | None = None
    """That attempt, as `attempts.claim` gives it."""

    @property
    def id(self) -> int:
        return int(self.row.id)

    @property
    def label(self) -> str:
        """How people read it, in Flower too."""
        return f"{self.row.application} {self.row.version} -> {self.row.environment}"

    @property
    def cancelling(self) -> bool:
        """Whether what runs is to be ended; what puts back is not."""
        return self.row.cancel_requested_at is not None and self.row.undo_from is None

    def take_change(self) -> Change:
        """What is to be written now, with the events since the last time."""
        change, self.change = self.change, Change(self.status)
        change.events, columns = self.recorder.take()
        change.values |= columns
        return change


def lock(session: Session, deployment_id: int) -> Locked | None:
    """Take the deployment's row for this transaction; None where there is none."""
    row = engine.lock(session, deployment_id)
    return locked(row) if row is not None else None


def locked(row: Row[Any]) -> Locked:
    """The deployment of a row that this transaction has locked."""
    recorder = DeploymentRecorder(row.id, seq=row.event_seq, head=bytes(row.event_hash))
    return Locked(
        row=row,
        recorder=recorder,
        change=Change(DeploymentStatus(row.status)),
        status=DeploymentStatus(row.status),
        wave=WaveCounts(row.wave_index, row.waiting, row.ready, row.running, row.unknown),
        failed_targets=row.failed_targets,
        held_by=row.held_by,
    )


def flush(session: Session, held: Locked) -> None:
    """Write what is to be written of the row, and nudge whom that wakes; does nothing where that is nothing."""
    change = held.take_change()
    if not change:
        return
    for deployment_id in engine.write(session, held.id, change):
        nudge_advance(session, deployment_id, f"deployment {deployment_id}, after {held.label}")


def look_again(session: Session, held: Locked) -> None:
    """Write what is to be written, and take the row, the counts and the waiting steps as they are now."""
    flush(session, held)
    row = engine.lock(session, held.id)
    if row is None:
        raise RuntimeError(f"deployment {held.id} vanished while its row was locked")
    held.row = row
    held.wave = WaveCounts(row.wave_index, row.waiting, row.ready, row.running, row.unknown)


def proceed(session: Session, held: Locked, *, only_succeeded: bool = False) -> list[int]:
    """Decide and write until nothing more is to be done now; the attempts that were handed out or are to be nudged, but for
    that which `held.taker` took.

    The caller either claims one of them in the same transaction or sends it on with `nudge`. `only_succeeded`: nothing has
    happened but that. Then the open attempts are left to `wake_at`, or each end would nudge again what is under way.
    """
    attempts: list[int] = []
    timer = max(held.row.wake_at, held.row.now) if only_succeeded and held.row.wake_at else None
    for _ in range(MOST_MOVES):
        decision = decide(_snapshot(session, held, timer), held.row.now)
        if decision.wake_at is not None and decision.wake_at != timer:
            held.change.values["wake_at"] = decision.wake_at
        timer = None
        attempts += _apply(session, held, decision)
        if not decision.again:
            flush(session, held)
            return attempts
        if decision.status is not DeploymentStatus.RUNNING:
            look_again(session, held)
    held.change.values["wake_at"] = held.row.now
    flush(session, held)
    return attempts


def nudge(session: Session, held: Locked, attempt_id: int, *, node: str | None = None) -> None:
    """Send `run_step` for an attempt once this transaction is committed."""
    queue = node_queue(node) if node else QueueName.DEPLOYMENTS
    text = f"{held.label}, attempt {attempt_id}"
    send_after_commit(session, Message(TaskName.RUN_STEP, attempt_id, text, queue))


def nudge_advance(session: Session, deployment_id: int, text: str) -> None:
    """Send `advance` for a deployment once this transaction is committed."""
    send_after_commit(session, Message(TaskName.ADVANCE, deployment_id, text))


def _snapshot(session: Session, held: Locked, timer: datetime | None) -> Snapshot:
    row, wave = held.row, held.wave
    pending = held.status is DeploymentStatus.PENDING
    expired = pending and row.expires_at is not None and row.expires_at <= row.now
    in_batch = batch_failures(session, held)
    too_many = held.failed_targets > row.max_failures or in_batch > (row.max_batch_failures or 0)
    putting_back = row.undo_from is not None
    winding_down = (held.cancelling or expired or too_many) and not putting_back
    going_on = held.status not in TERMINAL and not pending
    between = going_on and not winding_down and not putting_back and wave.is_over and not wave.unknown
    calm = (
        timer is not None and held.status is DeploymentStatus.RUNNING and not (winding_down or wave.unknown)
    )
    looks = going_on and not calm
    starting = look(session, row, row.now) if pending and not winding_down else Look()
    has_next = between and wave.index + 1 < row.wave_count
    ahead = look_between(session, row, row.now) if has_next else Look()
    return Snapshot(
        id=held.id,
        status=held.status,
        cancel_requested=held.cancelling,
        failed_targets=held.failed_targets,
        max_failures=row.max_failures,
        max_parallel=row.max_parallel,
        rolls_back_on_failure=row.on_failure == "rollback",
        is_rollback=row.rolls_back_id is not None,
        wave_count=row.wave_count,
        wave=wave,
        startable=engine.startable(session, row, room=row.max_parallel - wave.open) if going_on else None,
        idle_attempts=engine.idle_attempts(session, held.id) if looks and wave.open else (),
        next_lease_end=engine.next_lease_end(session, held.id) if looks and wave.running else None,
        timer=timer if calm else None,
        unstarted_anywhere=winding_down and engine.has_unstarted(session, held.id),
        blockers=starting.blockers,
        void="" if winding_down or starting.blockers or not pending else replanning.why_void(session, row),
        expires_at=row.expires_at,
        closed=ahead.blockers,
        closes_at=starting.until or ahead.until,
        rolls_back_when_closed=row.when_closed == WhenClosed.ROLLBACK,
        wait_seconds=row.wait_seconds,
        next_wave_at=row.next_wave_at,
        batch_failures=in_batch,
        max_batch_failures=row.max_batch_failures,
        answer_seconds=row.answer_seconds if row.on_failure == "pause" else 0,
        answer_by=row.answer_by,
        rolls_back_unanswered=row.unanswered == "rollback",
        asks=row.asks,
        promoted=row.promoted_wave == wave.index,
        undoes=row.undoes,
        skipped_targets=row.skipped_targets,
        undo_from=row.undo_from,
        ending=row.ending or "",
        failure=row.failure or "",
        undo_failures=undoing_rows.failed(session, held.id, row.undo_from)
        if putting_back and wave.is_over
        else 0,
    )


def batch_failures(session: Session, held: Locked) -> int:
    """How many targets of the current batch failed; asked only where a batch has a budget of its own."""
    if held.row.max_batch_failures is None or not held.failed_targets:
        return 0
    return engine.batch_failures(session, held.id, held.row.batch)


def _apply(session: Session, held: Locked, decision: Decision) -> list[int]:
    """Write one decision, or note it in `held.change`; the attempts to work on."""
    if decision.replan:
        decision = _replan(session, held, decision)
    if decision.close_unstarted_as is not None:
        engine.close_unstarted(session, held.id, decision.close_unstarted_as)
    if decision.put_back is not None:
        _begin_to_put_back(session, held, decision, decision.put_back)
    values = held.change.values
    if decision.next_wave:
        values["wave_index"] = held.wave.index + 1
        values |= {name: None for name in _OF_A_WAVE if getattr(held.row, name) is not None}
    if decision.ask_to_promote and held.row.promotion_asked_at is None:
        values["promotion_asked_at"] = held.row.now
    if decision.next_wave_at is not None:
        values["next_wave_at"] = decision.next_wave_at
    if decision.answer_by is not None:
        values["answer_by"] = decision.answer_by
    if decision.commit_by is not None:
        values["commit_by"] = decision.commit_by
    if held.status is DeploymentStatus.PENDING:
        _hold(session, held, decision)
    if decision.status is not None:
        _transition(session, held, decision, decision.status)
    if not decision.hand_out:
        return list(decision.nudge)
    return [*_hand_out(session, held, decision.hand_out), *decision.nudge]


def _hand_out(session: Session, held: Locked, count: int) -> list[int]:
    wave, change = held.wave, held.take_change()
    taker, held.taker = held.taker, None
    slides = held.row.sliding
    handed = engine.hand_out(session, held.id, wave.index, count, change=change, taker=taker, sliding=slides)
    if taker is not None:
        held.taken = handed.pop(0)
        wave = replace(wave, waiting=wave.waiting - 1, running=wave.running + 1)
    held.wave = replace(wave, waiting=wave.waiting - len(handed), ready=wave.ready + len(handed))
    return [row.id for row in handed]


def _begin_to_put_back(session: Session, held: Locked, decision: Decision, ending: str) -> None:
    """Note why it ends, and go to the waves that put back what it changed; there may be none."""
    first: int = held.row.wave_count
    waves = undoing.add_waves(session, held.id, first=first, scripts=ending == ROLLBACK)
    held.change.values |= {
        "undo_from": first,
        "ending": ending,
        "failure": decision.failure,
        "wave_index": first if waves else held.wave.index,
        "wave_count": first + len(waves),
        "step_count": held.row.step_count + sum(len(wave.target_ids) for wave in waves),
    }
    if waves:
        data = {"why": decision.failure, "waves": len(waves)}
        held.recorder.record("deployment.undoing", actor_id=None, at=held.row.now, data=data)


def _hold(session: Session, held: Locked, decision: Decision) -> None:
    """Note what holds it; those behind it in the slot go on if they were waiting for this look.

    Who is held now, or gets in line, was not seen there by whatever opens or ends at this very moment, and looks again soon.
    """
    values, row = held.change.values, held.row
    if decision.held_by != held.held_by:
        values |= {"held_by": decision.held_by, "held_since": row.now if decision.held_by else None}
        if row.held_since is not None:
            held.change.hold = engine.Hold(row.held_by, row.held_since, row.now)
        if decision.wake_at is not None:
            values["wake_at"] = min(decision.wake_at, row.now + NUDGE_AGAIN)
    if decision.held_by is None:
        return
    values["held_until"] = decision.wake_at
    if held.held_by is None or (row.held_until is not None and row.held_until <= row.now):
        held.change.wakes = _waiting_for(held, only_behind=True)


def _transition(session: Session, held: Locked, decision: Decision, new: DeploymentStatus) -> None:
    """Note a status with its event, and do all that follows from it for others."""
    old, at = held.status, held.row.now
    if held.change.new is not None:
        flush(session, held)
    halts = halting.reason(session, held.row, new, unknown=held.wave.unknown) if new in TERMINAL else None
    if decision.failure:
        held.change.values["failure"] = decision.failure
    if held.row.claimed_by is not None:
        held.change.values["claimed_by"] = None  # what was asked is answered
    data = {"from": str(old), "to": str(new)} | ({"why": decision.failure} if decision.failure else {})
    held.recorder.record(f"deployment.{new}", actor_id=None, at=at, data=data)
    if decision.roll_back:
        halts = _roll_back(session, held)
    if halts:
        _halt(session, held, halts)
    held.change.new = held.status = new
    after_commit(session, metrics.DEPLOYMENTS.labels(held.row.environment, new).inc)
    if new is DeploymentStatus.SUCCEEDED and held.row.promotes:
        promotions.add(session, held.id)
    if new in TERMINAL:
        held.change.wakes = _waiting_for(held, only_behind=old is DeploymentStatus.PENDING)
        flush(session, held)
        if new is DeploymentStatus.SUCCEEDED and held.row.health is not None:
            health.add(session, held.id)


def _replan(session: Session, held: Locked, decision: Decision) -> Decision:
    """Request what takes its place. Where that cannot be it starts as it is, and fails by what it cannot do."""
    made = replanning.replace(session, held.row)
    if made is None:
        return Decision(status=DeploymentStatus.RUNNING, wake_at=held.row.now, commit_by=decision.commit_by)
    nudge_advance(session, made.id, f"{held.label}, instead of {held.id}")
    held.change.values["replaced_by_id"] = made.id
    return replace(decision, failure=f"{decision.failure}: deployment {made.id} takes its place")


def _roll_back(session: Session, held: Locked) -> str | None:
    """Request what goes back; why nothing more may start where that cannot be."""
    note = rollbacks.create_automatic(session, held.row)
    held.recorder.record("deployment.rollback", actor_id=None, at=held.row.now, data=note.data)
    held.change.values["failure"] += f"; {note.text}"
    if note.deployment_id is not None:
        nudge_advance(session, note.deployment_id, f"{held.row.application}, rollback of {held.id}")
    return note.halts


def _halt(session: Session, held: Locked, why: str) -> None:
    """Let nothing more start in the slot by itself, and say so where one looks: at the deployment."""
    lock_id = halting.halt(session, held.row, why=why, at=held.row.now)
    data = {"why": why, "lock": lock_id}
    held.recorder.record("deployment.halted", actor_id=None, at=held.row.now, data=data)
    slot = f"{held.row.application} in {held.row.environment}"
    held.change.values["failure"] += f"; NOTHING MORE STARTS of {slot} until somebody releases lock {lock_id}"


def _waiting_for(held: Locked, *, only_behind: bool) -> dict[str, Any]:
    """Who waits for what just happened: the next in the slot's queue, and promotions of a release that succeeded."""
    return waking.waiting(
        application_id=held.row.application_id,
        environment=held.row.environment,
        priority=held.row.priority,
        only_behind=only_behind,
        release_id=held.row.release_id if held.status is DeploymentStatus.SUCCEEDED else None,
    )


def request_cancel(session: Session, held: Locked, *, actor_id: int, reason: str) -> bool:
    """Write the wish to cancel and act on it as far as the database can; False where it was wished already."""
    if held.cancelling:
        return False
    at: datetime = held.row.now
    held.recorder.record("deployment.cancel_requested", actor_id=actor_id, at=at, data={"reason": reason})
    held.change.values |= {"cancel_requested_at": at, "wake_at": at}
    look_again(session, held)
    for attempt in proceed(session, held):
        nudge(session, held, attempt)
    return True


def reject(session: Session, held: Locked, *, actor_id: int, reason: str, by: str) -> None:
    """End a deployment that has not started because somebody who was asked said no."""
    held.recorder.record("deployment.rejected", actor_id=actor_id, at=held.row.now, data={"reason": reason})
    engine.close_unstarted(session, held.id, StepStatus.CANCELLED)
    _transition(session, held, Decision(failure=f"rejected by {by}: {reason}"), DeploymentStatus.CANCELLED)


def supersede(session: Session, held: Locked, *, by: int, is_the_same: bool = False) -> None:
    """End a deployment that has not started because a newer one takes its place; `is_the_same`: but for its plan."""
    engine.close_unstarted(session, held.id, StepStatus.SKIPPED)
    if is_the_same:
        held.change.values["replaced_by_id"] = by
    why = f"deployment {by} is newer and took its place in the queue"
    _transition(session, held, Decision(failure=why), DeploymentStatus.SUPERSEDED)


def count_step(session: Session, held: Locked, wave: int, *, old: StepStatus, new: StepStatus) -> None:
    """Count one step of a wave under its new status, here and in the database."""
    engine.count_move(session, held.id, wave, old=old, new=new)
    note_step(held, wave, old=old, new=new)


def note_step(held: Locked, wave: int, *, old: StepStatus, new: StepStatus) -> None:
    """Count it here only: the database has counted it already."""
    if wave != held.wave.index:
        return
    counts = {name: getattr(held.wave, name) for name in ("waiting", "ready", "running", "unknown")}
    for name, change in ((str(old), -1), (str(new), 1)):
        if name in counts:
            counts[name] += change
    held.wave = WaveCounts(wave, **counts)
