"""`decide` and `judge` keep I1 to I9 as far as pure functions can, over any snapshot and over whole lives of deployments."""

from copy import deepcopy
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.domain.engine import HAND_OUT_AT_ONCE, Decision, Snapshot, decide
from orchestrator.domain.gates import Blocker
from orchestrator.domain.statuses import TERMINAL, DeploymentStatus, Outcome, StepStatus, may_follow
from orchestrator.domain.verdicts import judge
from tests.model.toy import Toy, lay_out, slide
from tests.unit.test_engine import NOW, snapshots

D, S = DeploymentStatus, StepStatus
LIVING = frozenset(D) - TERMINAL
CLOSED = {S.SUCCEEDED, S.FAILED, S.SKIPPED, S.CANCELLED}

toys = st.builds(
    lambda targets, actions, batch, **others: Toy(
        lay_out(targets, actions=actions, batch=batch) if batch else slide(targets, actions=actions),
        sliding=not batch,
        **others,
    ),
    st.integers(1, 5),
    st.integers(1, 3),
    st.sampled_from([0, 0, 1, 2, 3, 4, 5]),
    max_failures=st.integers(0, 2),
    max_parallel=st.integers(1, 4),
    retries=st.integers(0, 2),
    idempotent=st.booleans(),
    rolls_back=st.booleans(),
    answer_seconds=st.sampled_from([0, 600]),
    wait_seconds=st.sampled_from([0, 0, 5, 3600]),
    max_wave_failures=st.sampled_from([None, None, 0, 1]),
)
acts = st.lists(
    st.tuples(
        st.sampled_from(["claim"] * 4 + ["end"] * 4 + ["time", "time", "cancel", "answer", "say"]),
        st.integers(0, 9),
        st.sampled_from([Outcome.SUCCEEDED] * 4 + list(Outcome)),
        st.booleans(),
    ),
    max_size=60,
)


@given(snapshots)
def test_the_same_snapshot_gives_the_same_decision(given_: Snapshot) -> None:
    assert decide(given_, NOW) == decide(deepcopy(given_), NOW)


@given(snapshots)
def test_only_what_waits_is_handed_out_and_in_bounded_pieces(given_: Snapshot) -> None:
    assert 0 <= decide(given_, NOW).hand_out <= min(given_.wave.waiting, HAND_OUT_AT_ONCE)


@given(snapshots)
def test_only_what_is_idle_and_due_is_nudged(given_: Snapshot) -> None:
    due = {attempt.id for attempt in given_.idle_attempts if attempt.not_before <= NOW}
    assert set(decide(given_, NOW).nudge) <= due


@given(snapshots)
def test_what_is_pending_starts_only_without_any_blocker_and_hands_out_nothing_before(
    given_: Snapshot,
) -> None:
    """I1: the slot's being busy is a blocker."""
    decision = decide(given_, NOW)
    if given_.status is D.PENDING:
        assert (decision.hand_out, decision.nudge) == (0, ())
        assert (decision.status is D.RUNNING) == (not given_.blockers and not given_.cancel_requested)


@given(snapshots)
def test_each_decision_moves_one_status_at_most_and_never_both_ends_and_hands_out(given_: Snapshot) -> None:
    """I9: one change, one event."""
    decision = decide(given_, NOW)
    if decision.status is not None:
        assert decision.status is not given_.status
        assert not decision.next_wave
    if decision.status in TERMINAL:
        assert (decision.hand_out, decision.nudge) == (0, ())
        assert decision.close_unstarted_as is None


@given(snapshots)
def test_a_rollback_is_decided_only_with_a_failure_that_calls_for_one(given_: Snapshot) -> None:
    decision = decide(given_, NOW)
    if decision.roll_back:
        assert decision.status is D.FAILED
        late = given_.answer_by is not None
        assert given_.rolls_back_unanswered if late else given_.rolls_back_on_failure
        assert not given_.is_rollback
        assert given_.is_past_budget


@given(
    outcome=st.sampled_from(Outcome),
    attempt=st.integers(1, 12),
    retries=st.integers(0, 10),
    idempotent=st.booleans(),
    cancelling=st.booleans(),
    certainly_over=st.booleans(),
)
def test_another_try_begins_only_when_the_last_is_certainly_over_and_harmless(
    outcome: Outcome, attempt: int, retries: int, idempotent: bool, cancelling: bool, certainly_over: bool
) -> None:
    """I2, I3, I6."""
    verdict = judge(
        outcome,
        NOW,
        attempt=attempt,
        retries=retries,
        idempotent=idempotent,
        cancelling=cancelling,
        certainly_over=certainly_over,
    )
    assert (verdict.status is S.SUCCEEDED) == (outcome is Outcome.SUCCEEDED)
    assert (verdict.retry_at is not None) == (verdict.status is S.READY)
    if verdict.status is S.READY:
        assert certainly_over and not cancelling
        assert outcome in {Outcome.FAILED, Outcome.TIMED_OUT, Outcome.UNREACHABLE, Outcome.UNSTARTED} or (
            outcome is Outcome.LOST and idempotent
        )
        assert attempt <= max(retries, 1)
        assert verdict.retry_at is not None
        assert timedelta() <= verdict.retry_at - NOW <= timedelta(minutes=1)
    if outcome is not Outcome.SUCCEEDED and not certainly_over:
        assert verdict.status is S.UNKNOWN


def _act(toy: Toy, what: str, which: int, outcome: Outcome, sure: bool) -> None:
    """One thing that happens to a deployment, where it can."""
    due = [step for step in toy.idle() if step.not_before <= toy.now]
    held = [step for step in toy.steps if step.status is S.RUNNING and step not in toy.idle()]
    asked = [step for step in toy.steps if step.status is S.UNKNOWN]
    if what == "claim" and due and toy.status not in TERMINAL:
        toy.claim(due[which % len(due)])
    elif what == "end" and held:
        toy.finish(held[which % len(held)], outcome, certainly_over=sure or outcome is not Outcome.LOST)
    elif what == "time":
        toy.now += timedelta(seconds=which)
    elif what == "cancel" and toy.status not in TERMINAL:
        toy.cancelling = True
    elif what == "answer" and asked and toy.status is D.PAUSED:
        toy.answer(asked[which % len(asked)], [S.READY, S.SKIPPED, S.FAILED][which % 3])
    elif what == "say" and toy.status is D.PAUSED and toy.answer_by and not asked:
        toy.say(["retry", "skip", "fail", "rollback"][which % 4])


def _check(toy: Toy, before: list[StepStatus], decisions: list[Decision]) -> None:
    """What must be so after each transaction."""
    assert len(decisions) <= toy.snapshot().wave_count + 5
    assert all(may_follow(old, new) for old, new in zip(toy.history, toy.history[1:], strict=False))
    assert sum(step.open for step in toy.steps) <= toy.max_parallel
    assert all(step.wave == toy.wave for step in toy.steps if step.open or step.status is S.UNKNOWN)
    busy = [step.target for step in toy.steps if step.open or step.status is S.UNKNOWN]
    assert len(busy) == len(set(busy))
    over = {
        step.id
        for step, old in zip(toy.steps, before, strict=True)
        if old in CLOSED and step.status is not old
    }  # `before` is of after what happened: a person may have opened some again
    assert not over
    handed = any(decision.hand_out for decision in decisions)
    assert not (handed and (toy.cancelling or toy.snapshot().is_past_budget))
    if toy.status in TERMINAL:
        assert toy.wake_at is None
        assert not any(step.open or step.status is S.WAITING for step in toy.steps)
    else:
        assert toy.wake_at is not None and toy.wake_at >= toy.now - timedelta(seconds=0)
    if toy.status is D.SUCCEEDED:
        assert not toy.failed_targets
        assert {step.status for step in toy.steps} <= {S.SUCCEEDED, S.SKIPPED}
    assert toy.rollbacks <= (toy.status is D.FAILED)


@settings(max_examples=300)
@given(toys, acts)
def test_a_deployment_keeps_its_promises_whatever_happens_and_ends_once_nothing_bad_happens(
    toy: Toy, happens: list[tuple[str, int, Outcome, bool]]
) -> None:
    for each in happens:
        _act(toy, *each)
        before = [step.status for step in toy.steps]
        _check(toy, before, toy.proceed())
    for _ in range(4 * len(toy.steps) * (toy.retries + 2)):
        if toy.status in TERMINAL:
            break
        for step in toy.steps:
            if step.status is S.UNKNOWN:
                toy.answer(step, S.SKIPPED)
        assert toy.wake_at is not None
        toy.now = max(toy.now, toy.wake_at)
        before = [step.status for step in toy.steps]
        _check(toy, before, toy.proceed())
        for step in toy.idle():
            if step.not_before <= toy.now and step.open:
                toy.claim(step)
                toy.finish(step, Outcome.SUCCEEDED)
        before = [step.status for step in toy.steps]
        _check(toy, before, toy.proceed())
    assert toy.status in TERMINAL


@given(toys, st.integers(0, 60), st.integers(0, 60))
def test_deciding_again_at_the_same_moment_changes_nothing(toy: Toy, claims: int, seconds: int) -> None:
    """A message that comes twice."""
    toy.proceed()
    for step in toy.idle()[:claims]:
        toy.claim(step)
    toy.now += timedelta(seconds=seconds)
    toy.proceed()
    statuses, status = [step.status for step in toy.steps], toy.status
    for _ in range(3):
        toy.proceed()
    assert ([step.status for step in toy.steps], toy.status) == (statuses, status)


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_a_decision_is_as_large_with_ten_thousand_targets_as_with_a_hundred(
    targets: int, parallel: int
) -> None:
    toy = Toy(lay_out(min(targets, 2000), actions=1, batch=10_000), max_parallel=parallel)
    for decision in toy.proceed():
        assert decision.hand_out <= HAND_OUT_AT_ONCE


@given(toys, st.lists(st.integers(1, 60), min_size=1, max_size=3))
def test_what_waits_for_a_gate_sleeps_and_starts_when_the_gate_opens(toy: Toy, minutes: list[int]) -> None:
    toy.blockers = tuple(Blocker("slot", "busy", timedelta(minutes=each)) for each in minutes)
    toy.proceed()
    assert toy.status is D.PENDING
    assert toy.wake_at == toy.now + timedelta(minutes=min(minutes))
    toy.blockers = ()
    toy.proceed()
    assert toy.history == [D.PENDING, D.RUNNING]
