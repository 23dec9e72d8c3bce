"""A deployment in memory: what `services/execution.py` and Postgres make of a decision, in the plainest way there is."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from orchestrator.domain.engine import Decision, OpenAttempt, Snapshot, WaveCounts, decide
from orchestrator.domain.gates import Blocker
from orchestrator.domain.statuses import TERMINAL, DeploymentStatus, Outcome, StepStatus
from orchestrator.domain.verdicts import judge

BEGINNING = datetime(2026, 11, 23, 12, tzinfo=UTC)
LEASE = timedelta(seconds=8)
S = StepStatus


@dataclass
class ToyStep:
    """One action on one target."""

    id: int
    wave: int
    target: int
    status: StepStatus = S.WAITING
    attempt: int = 0
    claimed: bool = False
    not_before: datetime = BEGINNING
    lease_until: datetime | None = None
    starts: int = 0

    @property
    def open(self) -> bool:
        return self.status in {S.READY, S.RUNNING}


@dataclass
class Toy:
    """One deployment; `now` moves by hand."""

    steps: list[ToyStep]
    max_failures: int = 0
    max_parallel: int = 100
    retries: int = 0
    idempotent: bool = False
    rolls_back: bool = False
    answer_seconds: int = 0
    answer_by: datetime | None = None
    wait_seconds: int = 0
    """After each wave."""
    max_wave_failures: int | None = None
    """A batch here is a wave."""
    sliding: bool = False
    """There is one wave, in which each target goes through its steps by itself."""
    next_wave_at: datetime | None = None
    blockers: tuple[Blocker, ...] = ()
    status: DeploymentStatus = DeploymentStatus.PENDING
    cancelling: bool = False
    wave: int = 0
    failed_targets: set[int] = field(default_factory=set)
    rollbacks: int = 0
    wake_at: datetime | None = BEGINNING
    now: datetime = BEGINNING
    history: list[DeploymentStatus] = field(default_factory=lambda: [DeploymentStatus.PENDING])

    def current(self) -> list[ToyStep]:
        """The steps of the current wave."""
        return [step for step in self.steps if step.wave == self.wave]

    def startable(self) -> list[ToyStep]:
        """The waiting steps of the current wave; where it slides, those before which none of their target is left."""
        if not self.sliding:
            return [step for step in self.current() if step.status is S.WAITING]
        first: dict[int, ToyStep] = {}
        for step in self.current():
            if step.open or step.status in {S.WAITING, S.UNKNOWN}:
                first.setdefault(step.target, step)
        return [step for step in first.values() if step.status is S.WAITING]

    def count(self, status: StepStatus) -> int:
        return sum(step.status is status for step in self.current())

    def idle(self) -> list[ToyStep]:
        """Open steps that nobody holds."""
        return [s for s in self.steps if s.open and (s.lease_until is None or s.lease_until <= self.now)]

    def snapshot(self) -> Snapshot:
        """As the shell makes it."""
        leases = [s.lease_until for s in self.steps if s.open and s.lease_until and s.lease_until > self.now]
        return Snapshot(
            id=1,
            status=self.status,
            cancel_requested=self.cancelling,
            failed_targets=len(self.failed_targets),
            max_failures=self.max_failures,
            max_parallel=self.max_parallel,
            rolls_back_on_failure=self.rolls_back,
            is_rollback=False,
            wave_count=1 + max(step.wave for step in self.steps),
            wave=WaveCounts(
                self.wave,
                self.count(S.WAITING),
                self.count(S.READY),
                self.count(S.RUNNING),
                self.count(S.UNKNOWN),
            ),
            startable=len(self.startable()) if self.sliding else None,
            idle_attempts=tuple(OpenAttempt(s.id, s.id, s.claimed, s.not_before) for s in self.idle()),
            next_lease_end=min(leases, default=None),
            unstarted_anywhere=any(step.status is S.WAITING for step in self.steps),
            blockers=self.blockers,
            answer_seconds=self.answer_seconds,
            answer_by=self.answer_by,
            rolls_back_unanswered=self.rolls_back,
            wait_seconds=self.wait_seconds,
            next_wave_at=self.next_wave_at,
            batch_failures=self.count(S.FAILED),
            max_batch_failures=self.max_wave_failures,
        )

    def apply(self, decision: Decision) -> None:
        """Write a decision down."""
        if decision.close_unstarted_as is not None:
            for step in self.steps:
                if step.status is S.WAITING or (step.status is S.READY and not step.claimed):
                    step.status = decision.close_unstarted_as
        startable = self.startable()
        assert decision.hand_out <= len(startable)
        for step in startable[: decision.hand_out]:
            step.status, step.attempt, step.claimed, step.not_before = (
                S.READY,
                step.attempt + 1,
                False,
                self.now,
            )
        if decision.next_wave:
            assert self.next_wave_at is None or self.next_wave_at <= self.now
            self.wave, self.next_wave_at = self.wave + 1, None
        self.next_wave_at = decision.next_wave_at or self.next_wave_at
        self.answer_by = decision.answer_by or self.answer_by
        self.rollbacks += decision.roll_back
        if decision.status is not None:
            self.status = decision.status
            self.history.append(decision.status)
        self.wake_at = None if self.status in TERMINAL else decision.wake_at or self.wake_at

    def proceed(self, most: int = 1000) -> list[Decision]:
        """Decide and write until nothing more follows at once; every decision that was made."""
        made: list[Decision] = []
        while len(made) < most:
            made.append(decide(self.snapshot(), self.now))
            self.apply(made[-1])
            if not made[-1].again:
                return made
        raise AssertionError(f"no fixed point after {most} moves: {made[-3:]}")

    def claim(self, step: ToyStep) -> None:
        """A worker takes the lease and starts the run."""
        assert step.not_before <= self.now
        step.starts += step.status is S.READY
        step.status, step.claimed, step.lease_until = S.RUNNING, True, self.now + LEASE

    def finish(self, step: ToyStep, outcome: Outcome, *, certainly_over: bool = True) -> None:
        """A worker records an end."""
        verdict = judge(
            outcome,
            self.now,
            attempt=step.attempt,
            retries=self.retries,
            idempotent=self.idempotent,
            cancelling=self.cancelling,
            certainly_over=certainly_over,
        )
        step.status, step.lease_until = verdict.status, None
        if verdict.status is S.READY:
            step.attempt, step.claimed, step.not_before = (
                step.attempt + 1,
                False,
                verdict.retry_at or self.now,
            )
        if verdict.status is S.FAILED:
            self.fail_target(step.target)

    def answer(self, step: ToyStep, new: StepStatus) -> None:
        """A person says what became of it."""
        step.status = new
        if new is S.READY:
            step.attempt, step.claimed, step.not_before = step.attempt + 1, False, self.now
        if new is S.FAILED:
            self.fail_target(step.target)

    def say(self, answer: str) -> None:
        """A person says what to do after too many failures."""
        failed = [step for step in self.current() if step.status is S.FAILED]
        self.answer_by = None
        if answer == "skip":
            self.max_failures = max(self.max_failures, len(self.failed_targets))
            if self.max_wave_failures is not None:
                self.max_wave_failures = max(self.max_wave_failures, len(failed))
        elif answer == "retry":
            places = {step.target: step.id for step in failed}
            self.failed_targets -= places.keys()
            for step in self.steps:
                if step.id > places.get(step.target, step.id) and step.status is S.SKIPPED:
                    step.status = S.WAITING
            for step in failed:
                step.status = S.WAITING
        else:
            self.answer_seconds, self.rolls_back = 0, answer == "rollback"

    def fail_target(self, target: int) -> None:
        """Count it, and skip what it had before it."""
        self.failed_targets.add(target)
        for step in self.steps:
            if step.target == target and step.status is S.WAITING:
                step.status = S.SKIPPED


def lay_out(targets: int, *, actions: int, batch: int) -> list[ToyStep]:
    """Each batch of targets goes through every action, a wave each, before the next batch."""
    steps: list[ToyStep] = []
    for first in range(0, targets, batch):
        for action in range(actions):
            wave = first // batch * actions + action
            for target in range(first, min(first + batch, targets)):
                steps.append(ToyStep(len(steps) + 1, wave, target))
    return steps


def slide(targets: int, *, actions: int) -> list[ToyStep]:
    """All steps of each target, one target after the other, in one wave."""
    return [ToyStep(number + 1, 0, number // actions) for number in range(targets * actions)]
