"""What happens next: pure functions of a bounded snapshot. The shell is services/execution.py."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from orchestrator.domain.endings import what_is_missing
from orchestrator.domain.gates import Blocker, held_by, next_look
from orchestrator.domain.statuses import TERMINAL, DeploymentStatus, StepStatus

NUDGE_AGAIN = timedelta(seconds=3)
"""How long a message may be under way before the same one is sent again."""
PAUSED_RECHECK = timedelta(hours=1)
LEASE_MARGIN = timedelta(milliseconds=200)
ROLLBACK = "rollback"
"""How a deployment ends that is rolled back when what it changed was put back; otherwise by the status that it gets."""
HAND_OUT_AT_ONCE = 100
"""Steps that one decision hands out; a wider wave takes more decisions."""


@dataclass(frozen=True, slots=True)
class WaveCounts:
    """How many steps of one wave are where."""

    index: int
    waiting: int = 0
    ready: int = 0
    running: int = 0
    unknown: int = 0

    @property
    def open(self) -> int:
        """Steps that were handed out and have not ended."""
        return self.ready + self.running

    @property
    def is_over(self) -> bool:
        """Whether all its steps have ended, or a person has to say how they did."""
        return not self.waiting and not self.open


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """An attempt nobody works on at the moment: never claimed, or its lease lapsed or was given back."""

    id: int
    step_id: int
    claimed: bool
    not_before: datetime


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a decision may depend on; as large with ten thousand targets as with one."""

    id: int
    status: DeploymentStatus
    cancel_requested: bool
    failed_targets: int
    max_failures: int
    max_parallel: int
    rolls_back_on_failure: bool
    is_rollback: bool
    wave_count: int
    wave: WaveCounts
    startable: int | None = None
    """How many of the wave's waiting steps wait for no other step of their target; None: all of them."""
    idle_attempts: Sequence[OpenAttempt] = ()
    """Attempts to nudge, at most a few hundred."""
    next_lease_end: datetime | None = None
    """When the first of the leases that are held would lapse."""
    timer: datetime | None = None
    """Only an attempt has ended since the last look, which saw to the others until then: these are not looked up."""
    unstarted_anywhere: bool = False
    """Whether any wave has waiting steps; looked up only while winding down."""
    blockers: Sequence[Blocker] = ()
    """Reasons to wait; looked up only while pending."""
    void: str = ""
    """Why its plan cannot be carried out any more; looked up only while pending, and only where nothing else holds it."""
    expires_at: datetime | None = None
    """A deployment that is still pending then is given up."""
    closed: Sequence[Blocker] = ()
    """What windows and freezes have against the next wave; looked up only between two waves, and only where that matters."""
    closes_at: datetime | None = None
    """When a gate that lets it start, or go on to the next wave, closes by the clock alone."""
    rolls_back_when_closed: bool = False
    wait_seconds: int = 0
    """How long after the end of this wave the next one begins."""
    next_wave_at: datetime | None = None
    """When the next wave begins; set when this one is over."""
    batch_failures: int = 0
    """How many targets of the current batch failed; looked up only where that matters."""
    max_batch_failures: int | None = None

    answer_seconds: int = 0
    """How long a person is asked what to do when too many targets failed; 0: nobody is."""
    answer_by: datetime | None = None
    """Until when one is asked; set when nothing runs any more."""
    rolls_back_unanswered: bool = False

    asks: bool = False
    """After this wave a person says whether the next one begins."""
    promoted: bool = False
    """They have said so."""

    undoes: bool = False
    """Something of it is put back when it ends without success."""
    undo_from: int | None = None
    """The first of the waves that put it back, once it does; as many as there are waves where there is nothing to be put back."""
    ending: str = ""
    """How it ends after that."""
    failure: str = ""
    """Why; known while it puts back."""
    undo_failures: int = 0
    """How many of the steps that put back failed; looked up only while it does."""
    skipped_targets: int = 0
    """How many could not be reached and were left out."""

    def awaits_promotion(self, now: datetime) -> bool:
        """Whether a person has to say that it goes on."""
        waited = not self.wait_seconds or (self.next_wave_at is not None and self.next_wave_at <= now)
        is_last = self.wave.index + 1 >= self.wave_count
        return self.asks and not self.promoted and self.wave.is_over and waited and not is_last

    @property
    def is_past_budget(self) -> bool:
        """Whether more targets failed than may, in all or in the current batch."""
        in_batch = self.max_batch_failures is not None and self.batch_failures > self.max_batch_failures
        return in_batch or self.failed_targets > self.max_failures


@dataclass(frozen=True, slots=True)
class Decision:
    """What to write and to send. Everything is empty where nothing is to be done."""

    status: DeploymentStatus | None = None
    failure: str | None = None
    next_wave: bool = False
    next_wave_at: datetime | None = None
    answer_by: datetime | None = None
    hand_out: int = 0
    """How many of the wave's waiting steps, the first in its order."""
    nudge: tuple[int, ...] = ()
    close_unstarted_as: StepStatus | None = None
    """End every step that was certainly never started, with this status."""
    roll_back: bool = False
    replan: bool = False
    """Another one takes its place, with a plan of now."""
    ask_to_promote: bool = False
    put_back: str | None = None
    """Put back what was changed, and end so after that."""
    held_by: str | None = None
    commit_by: datetime | None = None
    """Written later than that it would not be so any more."""
    wake_at: datetime | None = None

    @property
    def again(self) -> bool:
        """Whether what was decided calls for another look in the same transaction."""
        changes = self.close_unstarted_as is not None or self.put_back is not None
        return self.next_wave or self.status is DeploymentStatus.RUNNING or changes


def decide(snapshot: Snapshot, now: datetime) -> Decision:  # noqa: PLR0911  # a list of cases reads best
    """The one next move. Deciding again after it was written gives the move after it, or only a `wake_at`."""
    if snapshot.status in TERMINAL:
        return Decision()
    if snapshot.status is DeploymentStatus.PENDING:
        return _decide_pending(snapshot, now)
    if snapshot.undo_from is not None:
        return _put_back(snapshot, now, snapshot.undo_from)
    if snapshot.cancel_requested:
        return _wind_down(snapshot, now, StepStatus.CANCELLED)
    if snapshot.is_past_budget and not snapshot.answer_seconds:
        return _wind_down(snapshot, now, StepStatus.SKIPPED)
    if snapshot.wave.unknown:
        return _ask(snapshot, now)
    if snapshot.is_past_budget:
        return _ask_what_to_do(snapshot, now)
    if snapshot.closed:
        return _stop_between_waves(snapshot, now)
    if snapshot.awaits_promotion(now):
        status = None if snapshot.status is DeploymentStatus.PAUSED else DeploymentStatus.PAUSED
        return Decision(status=status, ask_to_promote=True, wake_at=now + PAUSED_RECHECK)
    if snapshot.status is DeploymentStatus.PAUSED:
        return Decision(status=DeploymentStatus.RUNNING, wake_at=now)
    return _go_on(snapshot, now)


def _decide_pending(snapshot: Snapshot, now: datetime) -> Decision:
    if snapshot.cancel_requested:
        if snapshot.unstarted_anywhere:
            return Decision(close_unstarted_as=StepStatus.CANCELLED, wake_at=now)
        return Decision(status=DeploymentStatus.CANCELLED, failure="cancelled before it started")
    if snapshot.expires_at is not None and snapshot.expires_at <= now:
        if snapshot.unstarted_anywhere:
            return Decision(close_unstarted_as=StepStatus.SKIPPED, wake_at=now)
        return Decision(
            status=DeploymentStatus.EXPIRED,
            failure=f"it had not started by {snapshot.expires_at:%Y-%m-%d %H:%M:%S} UTC, when it expired",
        )
    if snapshot.blockers:
        wake_at = next_look(snapshot.blockers, now)
        if snapshot.expires_at is not None:
            wake_at = min(wake_at, snapshot.expires_at)
        return Decision(held_by=held_by(snapshot.blockers), wake_at=wake_at)
    return _start(snapshot, now)


def _start(snapshot: Snapshot, now: datetime) -> Decision:
    commit_by = min(filter(None, (snapshot.closes_at, snapshot.expires_at)), default=None)
    if not snapshot.void:
        return Decision(status=DeploymentStatus.RUNNING, wake_at=now, commit_by=commit_by)
    ends = Decision(status=DeploymentStatus.SUPERSEDED, failure=snapshot.void, replan=True)
    return replace(ends, close_unstarted_as=StepStatus.SKIPPED, commit_by=commit_by)


def _wind_down(snapshot: Snapshot, now: datetime, status: StepStatus) -> Decision:
    """Start nothing more; end once nothing runs. What was started is followed (or aborted) by who holds it."""
    unclaimed = any(not attempt.claimed for attempt in snapshot.idle_attempts)
    if snapshot.unstarted_anywhere or unclaimed:
        return Decision(close_unstarted_as=status, wake_at=now)
    if snapshot.wave.open:
        return _wait(snapshot, now)
    if status is StepStatus.CANCELLED:
        rest = _of_unknown(snapshot.wave.unknown) if snapshot.wave.unknown else "nothing of it runs any more"
        ends = Decision(status=DeploymentStatus.CANCELLED, failure=f"cancelled; {rest}")
        return _put_back_first(snapshot, ends, now)
    unanswered = (
        f"; nobody said by {snapshot.answer_by:%Y-%m-%d %H:%M:%S} UTC what to do"
        if snapshot.answer_by
        else ""
    )
    rolls_back = snapshot.rolls_back_unanswered if unanswered else snapshot.rolls_back_on_failure
    ends = Decision(
        status=DeploymentStatus.FAILED,
        failure=_of_failures(snapshot)
        + unanswered
        + (f"; {_of_unknown(snapshot.wave.unknown)}" if snapshot.wave.unknown else ""),
        roll_back=rolls_back and not snapshot.is_rollback,
    )
    return _put_back_first(snapshot, ends, now)


def _put_back_first(snapshot: Snapshot, ends: Decision, now: datetime) -> Decision:
    """What it changed is put back before it ends, where anything of it can be."""
    if not snapshot.undoes:
        return ends
    ending = ROLLBACK if ends.roll_back else str(ends.status)
    return replace(ends, status=None, roll_back=False, put_back=ending, wake_at=now)


def _put_back(snapshot: Snapshot, now: datetime, undo_from: int) -> Decision:
    """Go through the waves that put back, whatever failed or was wished before; then end as it was to end."""
    wave = snapshot.wave
    has_begun = wave.index >= undo_from
    if has_begun and wave.unknown:
        return _ask(snapshot, now)
    if snapshot.status is DeploymentStatus.PAUSED:
        return Decision(status=DeploymentStatus.RUNNING, wake_at=now)
    if wave.open or (has_begun and not wave.is_over):
        return _hand_out(snapshot, now) if has_begun else _wait(snapshot, now)
    if has_begun and wave.index + 1 < snapshot.wave_count:
        return Decision(next_wave=True, wake_at=now)
    failed = snapshot.undo_failures
    steps = "1 step" if failed == 1 else f"{failed} steps"
    done = "; what it changed was put back" if has_begun else ""
    return Decision(
        status=DeploymentStatus.CANCELLED
        if snapshot.ending == DeploymentStatus.CANCELLED
        else DeploymentStatus.FAILED,
        failure=snapshot.failure
        + (f"; PUTTING BACK FAILED in {steps}: look at its targets" if failed else done),
        roll_back=snapshot.ending == ROLLBACK and not failed,
    )


def _of_failures(snapshot: Snapshot) -> str:
    count, most, where = snapshot.failed_targets, snapshot.max_failures, ""
    if count <= most:
        count, most, where = snapshot.batch_failures, snapshot.max_batch_failures or 0, " of one batch"
    failed = f"1 target{where} failed" if count == 1 else f"{count} targets{where} failed"
    return f"{failed} and {f'at most {most} may' if most else 'none may'}"


def _of_unknown(count: int) -> str:
    steps = "1 step" if count == 1 else f"{count} steps"
    return f"nobody could say what became of {steps}"


def _ask(snapshot: Snapshot, now: datetime) -> Decision:
    """A target cannot say what happened: hand out nothing, let the rest end, and wait for a person."""
    status = None if snapshot.status is DeploymentStatus.PAUSED else DeploymentStatus.PAUSED
    if snapshot.wave.open:
        waiting = _wait(snapshot, now)
        return Decision(status=status, nudge=waiting.nudge, wake_at=waiting.wake_at)
    return Decision(status=status, wake_at=now + PAUSED_RECHECK)


def _ask_what_to_do(snapshot: Snapshot, now: datetime) -> Decision:
    """Too many targets failed: hand out nothing, let the rest end, and ask until somebody answers or the time is over."""
    if snapshot.answer_by is not None and snapshot.answer_by <= now:
        return _wind_down(snapshot, now, StepStatus.SKIPPED)
    if snapshot.wave.open:
        return _wait(snapshot, now)
    status = None if snapshot.status is DeploymentStatus.PAUSED else DeploymentStatus.PAUSED
    answer_by = snapshot.answer_by or now + timedelta(seconds=snapshot.answer_seconds)
    return Decision(status=status, answer_by=answer_by, wake_at=answer_by)


def _stop_between_waves(snapshot: Snapshot, now: datetime) -> Decision:
    """Deploying is not allowed any more: wait until it is, or go back, as its environment says."""
    if snapshot.rolls_back_when_closed:
        done = f"{snapshot.wave.index + 1} of {snapshot.wave_count} waves were done"
        ends = Decision(
            status=DeploymentStatus.FAILED,
            failure=f"{'; '.join(each.message for each in snapshot.closed)}; {done}",
            close_unstarted_as=StepStatus.SKIPPED,
            roll_back=True,
        )
        return _put_back_first(snapshot, ends, now)
    status = None if snapshot.status is DeploymentStatus.PAUSED else DeploymentStatus.PAUSED
    return Decision(status=status, wake_at=next_look(snapshot.closed, now))


def _go_on(snapshot: Snapshot, now: datetime) -> Decision:
    wave = snapshot.wave
    if wave.is_over:
        if wave.index + 1 < snapshot.wave_count:
            return _go_to_next_wave(snapshot, now)
        return _finish(snapshot)
    return _hand_out(snapshot, now)


def _hand_out(snapshot: Snapshot, now: datetime) -> Decision:
    """Start as many of the wave's steps as may run side by side, and nudge what nobody works on."""
    wave = snapshot.wave
    startable = wave.waiting if snapshot.startable is None else snapshot.startable
    room = snapshot.max_parallel - wave.open
    hand_out = max(0, min(startable, room, HAND_OUT_AT_ONCE))
    waiting = _wait(snapshot, now)
    more = min(startable, room) > HAND_OUT_AT_ONCE
    wake_at = now if more else min(waiting.wake_at or now + NUDGE_AGAIN, now + NUDGE_AGAIN)
    if not hand_out:
        return waiting
    return Decision(hand_out=hand_out, nudge=waiting.nudge, wake_at=wake_at)


def _go_to_next_wave(snapshot: Snapshot, now: datetime) -> Decision:
    """At once, or after the wait that the plan has between the two, unless somebody ended that."""
    goes_on = Decision(next_wave=True, wake_at=now, commit_by=snapshot.closes_at)
    if snapshot.promoted:
        return goes_on
    if snapshot.wait_seconds and snapshot.next_wave_at is None:
        begins = now + timedelta(seconds=snapshot.wait_seconds)
        return Decision(next_wave_at=begins, wake_at=begins)
    if snapshot.next_wave_at is not None and snapshot.next_wave_at > now:
        return Decision(wake_at=snapshot.next_wave_at)
    return goes_on


def _finish(snapshot: Snapshot) -> Decision:
    """Every wave is over. `succeeded` is said only when every step succeeded, whatever the budget allowed."""
    missing = what_is_missing(snapshot.failed_targets, snapshot.max_failures, snapshot.skipped_targets)
    if missing is None:
        return Decision(status=DeploymentStatus.SUCCEEDED)
    return Decision(status=DeploymentStatus.FAILED, failure=missing)


def _wait(snapshot: Snapshot, now: datetime) -> Decision:
    """Nudge what nobody works on and is due; wake when the next lease may lapse or the next retry is due."""
    if snapshot.timer is not None:
        return Decision(wake_at=snapshot.timer)
    due = tuple(a.id for a in snapshot.idle_attempts if a.not_before <= now)
    later = [a.not_before for a in snapshot.idle_attempts if a.not_before > now]
    if snapshot.next_lease_end is not None:
        later.append(max(snapshot.next_lease_end, now) + LEASE_MARGIN)
    if due or not later:
        later.append(now + NUDGE_AGAIN)
    return Decision(nudge=due, wake_at=min(later))
