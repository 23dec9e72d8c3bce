"""Driving one attempt at its target: start or re-attach, read on, abort, or check until it is so."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator import clock, log, plugins, tracing
from orchestrator.checks.base import Probe
from orchestrator.config import Settings
from orchestrator.domain.errors import LeaseLostError, SettingsRefusedError
from orchestrator.domain.networks import Network
from orchestrator.domain.statuses import Outcome
from orchestrator.services import callbacks
from orchestrator.services.attempts import Claim, Ended
from orchestrator.targets.base import (
    Absent,
    Exited,
    Lost,
    Poll,
    Run,
    Running,
    StaleTokenError,
    SupportsArtifacts,
    Target,
    TargetError,
    TargetUnreachableError,
)
from orchestrator.traffic.shift import Shift
from workers.artifacts import Artifacts
from workers.context import WorkerContext
from workers.leases import Hold
from workers.preparing import Prepared
from workers.sink import Sink

FIRST_PAUSE_SECONDS = 0.01
MUCH_BYTES = 64 * 1024
"""A piece of that size has more behind it, so the next is asked for at once."""
LONGEST_PAUSE_SECONDS = 0.25
CALLED_BACK_PAUSE_SECONDS = 15.0
"""How long a run that calls back when there is news may be left alone: a callback that is lost must not cost more."""
UNREACHABLE_PAUSE_SECONDS = 1.0
UNREACHABLE_AFTER_SECONDS = 15.0
"""How long a target on which nothing was begun is tried, where the plan says what becomes of one that cannot be reached."""
PROBE_SECONDS = 5.0

_logger = log.get(__name__)


def drive(
    claim: Claim, hold: Hold, sink: Sink, ours: WorkerContext, *, prepared: Prepared, slice_end: float
) -> Ended | None:
    """Bring an attempt as far as one slice can: how it ended, or None to be gone on with. Raises LeaseLostError."""
    if claim.node not in {None, ours.worker.node}:
        minutes = int(ours.settings.node_lost_seconds // 60)
        why = f"the worker node it ran on has been away for {minutes} minutes"
        return Ended(Outcome.LOST, failure=why, certainly_over=False)
    deadline = clock.monotonic() - claim.age_seconds + claim.work.timeout_seconds
    slice_ = _Slice(claim, hold, sink, deadline=deadline, end=slice_end, settings=ours.settings)
    if claim.work.check is not None:
        check = claim.work.check
        return _Asking(slice_, check.probe).go()
    if claim.work.shift is not None:
        return _Asking(slice_, partial(_shift, claim.work.shift, slice_)).go()
    try:
        target = make_target(
            claim.work.target_kind,
            claim.work.target_settings,
            runs_dir=ours.settings.runs_dir,
            allowed=ours.settings.allowed_networks,
        )
    except SettingsRefusedError as error:
        outcome = Outcome.UNSTARTED if claim.fresh else Outcome.LOST
        return Ended(outcome, failure=f"the target's settings: {error}", certainly_over=claim.fresh)
    # Looked for by name: `isinstance` with a protocol takes 40 microseconds.
    calls_back = getattr(target, "calls_back", False)
    run = Run(
        name=claim.work.run_name,
        fence=claim.work.fence,
        token=claim.token,
        origin=ours.origin,
        callback=callbacks.of_run(ours.settings, claim.work.run_name) if calls_back else None,
    )
    return _RunAtTarget(slice_, target, run, prepared, artifacts=Artifacts.of(ours.settings)).go()


def make_target(
    kind: str, settings: Mapping[str, Any], *, runs_dir: Path, allowed: tuple[Network, ...] = ()
) -> Target:
    """The target, as a plugin makes it; `allowed`: private networks. Raises SettingsRefusedError, UnknownPluginError."""
    target = plugins.target_kind(kind).from_settings(settings, runs_dir=str(runs_dir))
    within: Callable[[tuple[Network, ...]], Target] | None = getattr(target, "within", None)
    return within(allowed) if within else target


@dataclass(frozen=True, slots=True)
class _Slice:
    """What both ways of driving need to know."""

    claim: Claim
    hold: Hold
    sink: Sink
    deadline: float
    end: float
    settings: Settings

    def require_lease(self) -> None:
        """Raise LeaseLostError unless this worker may still act."""
        if not self.hold.is_valid():
            raise LeaseLostError(f"the lease on attempt {self.claim.attempt_id} ran out")

    def is_over(self) -> bool:
        """Whether the attempt goes to the next slice now."""
        shutting_down = self.hold.stopping and not (self.hold.cancelling or self.hold.lost)
        return shutting_down or clock.monotonic() >= self.end

    def patience_ends_at(self, seconds: float) -> float:
        """When so many seconds are over, or the slice is."""
        return min(clock.monotonic() + seconds, self.end)

    def seconds_left(self) -> float:
        """Before the slice or the step's time is over."""
        return max(0.0, min(self.end, self.deadline) - clock.monotonic())

    def timed_out(self) -> bool:
        return clock.monotonic() >= self.deadline

    def goes_on(self) -> bool:
        """Whether what takes long may take longer: nobody wants its end, and the lease and the slice are not over."""
        return self.hold.is_valid() and not (self.hold.cancelling or self.timed_out() or self.is_over())

    def pause(self, seconds: float) -> None:
        """Wait, or until something is to be looked at."""
        if self.hold.cancelling:
            time.sleep(min(seconds, LONGEST_PAUSE_SECONDS))
        else:
            self.hold.woken.wait(seconds)
            self.hold.heard()


class _RunAtTarget:
    """A run at a target, by the three calls every kind of target has."""

    def __init__(
        self, slice_: _Slice, target: Target, run: Run, prepared: Prepared, *, artifacts: Artifacts
    ) -> None:
        work = slice_.claim.work
        self._slice = slice_
        self._target = target
        self._artifacts = artifacts
        self._run = run
        self._command = replace(
            work.command, env={**work.command.env, **tracing.variables(), **prepared.secrets}
        )
        self._refusal = prepared.refusal
        self._hide = prepared.hide
        self._first_time = slice_.claim.fresh
        self._may_have_begun = not slice_.claim.fresh
        self._pause = FIRST_PAUSE_SECONDS
        self._longest_pause: float = getattr(target, "longest_pause_seconds", LONGEST_PAUSE_SECONDS)
        if run.callback is not None:
            self._longest_pause = CALLED_BACK_PAUSE_SECONDS

    def go(self) -> Ended | None:
        if self._first_time and self._slice.claim.work.max_skipped is not None:
            ended = self._reach()
            if ended is not None:
                return ended
            if self._slice.is_over():
                self._slice.sink.hand_on()
                return None
        while True:
            self._slice.require_lease()
            begun = clock.monotonic()
            try:
                ended = self._look()
                self._slice.hold.trouble = ""
            except StaleTokenError as error:
                raise LeaseLostError(f"the target has seen a greater token: {error}") from error
            except TargetError as error:
                ended = self._trouble(error, begun=begun)
            if ended is not None:
                return ended
            if self._slice.is_over():
                self._slice.sink.hand_on()
                return None

    def _reach(self) -> Ended | None:
        """Before anything is begun: tell a target that nobody can reach from one that cannot say what became of its run.

        None: it answers, or the slice is over before that is known.
        """
        gives_up_at = self._slice.patience_ends_at(UNREACHABLE_AFTER_SECONDS)
        while True:
            self._slice.require_lease()
            if self._slice.hold.cancelling:
                return Ended(Outcome.UNSTARTED, failure="cancelled before it was started")
            begun = clock.monotonic()
            try:
                self._target.poll(self._run, 0)
            except TargetUnreachableError as error:
                why = self._hide(str(error))
                if begun >= gives_up_at:
                    return Ended(Outcome.UNREACHABLE, failure=f"it cannot be reached: {why}")
                self._slice.hold.troubled(why)
            except TargetError:
                return None
            else:
                return None
            if self._slice.hold.stopping:
                return None
            self._slice.pause(UNREACHABLE_PAUSE_SECONDS)

    def _look(self) -> Ended | None:
        """One look at the run, and what is to be done about it."""
        if self._slice.hold.cancelling:
            return self._abort(Outcome.ABORTED, "cancelled")
        if self._slice.timed_out():
            return self._abort(Outcome.TIMED_OUT, self._why_late())
        if self._first_time:
            self._first_time = False
            return self._start()
        return self._take(self._target.poll(self._run, self._slice.sink.offset))

    def _why_late(self) -> str:
        """What kept it from its start belongs to that; once it has begun nobody knows what took so long."""
        late, trouble = (
            f"not done after {self._slice.claim.work.timeout_seconds:g} s",
            self._slice.hold.trouble,
        )
        return late if self._may_have_begun or not trouble else f"{late}: {trouble}"

    def _start(self) -> Ended | None:
        """Start it; without its secrets it is made sure instead that nobody else starts it later."""
        if self._refusal:
            self._target.abort(self._run, grace_seconds=0)
            return Ended(Outcome.UNSTARTED, failure=self._refusal)
        if not self._brought():
            return None
        try:
            first = self._target.start(
                replace(self._run, start_by=self._slice.hold.acts_until), self._command
            )
        except TargetUnreachableError:
            self._may_have_begun = True
            raise
        self._may_have_begun = True
        return None if first is None or self._slice.sink.offset else self._take(first)

    def _brought(self) -> bool:
        """Bring what the run needs; False: something else is to be looked at first, and then the rest is brought."""
        artifact = self._slice.claim.work.artifact
        if artifact is None:
            return True
        if not isinstance(self._target, SupportsArtifacts):
            raise TargetError("files cannot be brought to a target of this kind")
        missing = self._target.missing(self._run, artifact)
        while missing is not None:
            file = self._artifacts.fetch(artifact, self._slice.goes_on)
            if file is None or not self._slice.goes_on():
                return False
            missing = self._target.bring(self._run, artifact, file, missing)
        return True

    def _take(self, poll: Poll) -> Ended | None:
        if isinstance(poll, Absent):
            self._may_have_begun = False
            return self._start()
        if isinstance(poll, Lost):
            return Ended(Outcome.LOST, failure=self._hide(poll.reason))
        self._slice.sink.add(poll.output)
        if isinstance(poll, Exited):
            return self._exited(poll.code)
        self._rest(poll)
        return None

    def _rest(self, poll: Running) -> None:
        if len(poll.output) >= MUCH_BYTES:
            return
        if poll.output:
            self._pause = self._longest_pause / 5
        self._slice.sink.flush()
        pause = min(self._pause, self._slice.sink.due_in_seconds(), self._slice.seconds_left())
        wait = getattr(self._target, "wait", None)
        if wait is not None and not self._slice.hold.woken.is_set():
            wait(self._run, pause)
        else:
            self._slice.pause(pause)
        self._pause = min(self._pause * 2, self._longest_pause)

    def _abort(self, outcome: Outcome, why: str) -> Ended | None:
        """End it; one that ended by itself before keeps its own end."""
        outcome = outcome if self._may_have_begun else Outcome.UNSTARTED
        before = self._target.poll(self._run, self._slice.sink.offset)
        if isinstance(before, Exited | Lost):
            return self._take(before)
        self._target.abort(self._run, grace_seconds=self._slice.claim.work.grace_seconds)
        while True:
            self._slice.require_lease()
            poll = self._target.poll(self._run, self._slice.sink.offset)
            if isinstance(poll, Exited):
                self._slice.sink.add(poll.output)
                return Ended(outcome, poll.code, why)
            if not isinstance(poll, Running):
                return Ended(outcome, None, why)
            if not poll.output:
                raise TargetUnreachableError("it says that the run goes on, and said that it had ended it")
            self._slice.sink.add(poll.output)

    def _exited(self, code: int) -> Ended:
        """What a run that succeeded left running stays; what a failed one left is ended first."""
        if code == 0:
            return Ended(Outcome.SUCCEEDED, 0)
        self._target.abort(self._run, grace_seconds=self._slice.claim.work.grace_seconds)
        return Ended(Outcome.FAILED, code, f"exit code {code}")

    def _trouble(self, error: TargetError, *, begun: float) -> Ended | None:
        """What the target could not do: try again, if that may help. A run that may have begun is never called failed for it.

        A target that still cannot say how it ended a while after the step's timeout leaves that to a person. Only a look that
        has `begun` after that while decides it: one that hung all the time before is not all that was tried.
        """
        why = self._hide(str(error))
        if not error.retryable and not self._may_have_begun:
            return Ended(Outcome.UNSTARTED, failure=why)
        if begun >= self._slice.deadline + self._slice.settings.unreachable_seconds:
            return Ended(Outcome.LOST, failure=f"its end cannot be known: {why}", certainly_over=False)
        _logger.warning("target_trouble", error=why)
        self._slice.hold.troubled(why)
        self._slice.pause(UNREACHABLE_PAUSE_SECONDS)
        return None


def _shift(shift: Shift, slice_: _Slice, timeout_seconds: float) -> Probe:
    return shift.probe(
        timeout_seconds,
        elapsed_seconds=slice_.claim.work.timeout_seconds - (slice_.deadline - clock.monotonic()),
        before_writing=slice_.require_lease,
    )


class _Asking:
    """A check or a shift, repeated until it says yes or its time is over. A second time is as the first, so anyone goes on."""

    def __init__(self, slice_: _Slice, ask: Callable[[float], Probe]) -> None:
        self._slice = slice_
        self._ask = ask
        self._last = ""

    def go(self) -> Ended | None:
        while True:
            self._slice.require_lease()
            if self._slice.hold.cancelling:
                return Ended(Outcome.ABORTED, failure="cancelled")
            probe = self._probe()
            if probe.ok:
                return Ended(Outcome.SUCCEEDED, 0)
            if self._slice.timed_out():
                within = self._slice.claim.work.timeout_seconds
                return Ended(Outcome.FAILED, 1, f"not so within {within:g} s: {probe.detail}")
            self._slice.sink.hand_on()
            if self._slice.is_over():
                return None
            self._slice.pause(self._slice.claim.work.interval_seconds)

    def _probe(self) -> Probe:
        left = max(self._slice.deadline - clock.monotonic(), 0.1)
        probe = self._ask(min(PROBE_SECONDS, left))
        line = f"{'ok' if probe.ok else 'not yet'}: {probe.detail}"
        if line != self._last:
            self._last = line
            stamp = datetime.now(UTC).strftime("%H:%M:%S")
            self._slice.sink.add(f"{stamp} {line}\n".encode())
        return probe
