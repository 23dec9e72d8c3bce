"""`decide` and `judge`: facts of the engine, worked out by hand from DESIGN 4, and properties over any snapshot."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.engine import (
    HAND_OUT_AT_ONCE,
    NUDGE_AGAIN,
    Decision,
    OpenAttempt,
    Snapshot,
    WaveCounts,
    decide,
)
from orchestrator.domain.gates import Blocker
from orchestrator.domain.statuses import TERMINAL, DeploymentStatus, Outcome, StepStatus, may_follow
from orchestrator.domain.verdicts import judge

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
S = DeploymentStatus


def snapshot(**changes: object) -> Snapshot:
    values: dict[str, object] = {
        "id": 1,
        "status": S.RUNNING,
        "cancel_requested": False,
        "failed_targets": 0,
        "max_failures": 0,
        "max_parallel": 100,
        "rolls_back_on_failure": False,
        "is_rollback": False,
        "wave_count": 1,
        "wave": WaveCounts(0),
    }
    return Snapshot(**(values | changes))  # type: ignore[arg-type]


def blocker(minutes: int, kind: str = "slot") -> Blocker:
    return Blocker(kind, "something comes first", timedelta(minutes=minutes))


def idle(attempt_id: int, *, claimed: bool = False, due: datetime = NOW) -> OpenAttempt:
    return OpenAttempt(attempt_id, attempt_id * 10, claimed, due)


def test_a_pending_deployment_without_blockers_starts() -> None:
    decision = decide(snapshot(status=S.PENDING, wave=WaveCounts(0, waiting=3)), NOW)
    assert decision.status is S.RUNNING
    assert decision.again


def test_a_blocked_deployment_sleeps_until_the_first_of_what_holds_it_may_have_gone() -> None:
    decision = decide(snapshot(status=S.PENDING, blockers=(blocker(1), blocker(15))), NOW)
    assert decision.status is None
    assert decision.wake_at == NOW + timedelta(minutes=1)


def test_a_start_has_to_be_committed_before_a_gate_closes_or_it_expires() -> None:
    soon, later = NOW + timedelta(seconds=1), NOW + timedelta(seconds=2)
    assert decide(snapshot(status=S.PENDING, closes_at=soon, expires_at=later), NOW).commit_by == soon
    assert decide(snapshot(status=S.PENDING, closes_at=later, expires_at=soon), NOW).commit_by == soon
    assert decide(snapshot(status=S.PENDING), NOW).commit_by is None
    between = snapshot(wave_count=2, closes_at=soon)
    assert decide(between, NOW) == Decision(next_wave=True, wake_at=NOW, commit_by=soon)


def test_only_a_gate_other_than_the_slot_lets_others_pass() -> None:
    assert decide(snapshot(status=S.PENDING, blockers=(blocker(1),)), NOW).held_by is None
    held = decide(snapshot(status=S.PENDING, blockers=(blocker(5, "promotion"), blocker(1))), NOW)
    assert held.held_by == "promotion"


def test_steps_are_handed_out_up_to_the_parallel_limit() -> None:
    wave = WaveCounts(0, waiting=8, ready=1, running=2)
    decision = decide(snapshot(wave=wave, max_parallel=5), NOW)
    assert decision.hand_out == 2


def test_of_a_wave_that_slides_only_what_waits_for_no_other_step_is_handed_out() -> None:
    wave = WaveCounts(0, waiting=8, running=2)
    assert decide(snapshot(wave=wave, max_parallel=5, startable=1), NOW).hand_out == 1
    assert decide(snapshot(wave=wave, max_parallel=5, startable=4), NOW).hand_out == 3
    assert decide(snapshot(wave=wave, max_parallel=5, startable=0), NOW).hand_out == 0


def test_another_one_takes_the_place_of_one_whose_plan_is_void_once_nothing_holds_it() -> None:
    held = decide(snapshot(status=S.PENDING, blockers=(blocker(1),), void="the other side is idle"), NOW)
    assert (held.status, held.replan) == (None, False)
    decision = decide(snapshot(status=S.PENDING, void="the other side is idle"), NOW)
    assert (decision.status, decision.failure, decision.replan) == (
        S.SUPERSEDED,
        "the other side is idle",
        True,
    )


def test_an_end_that_changes_nothing_else_leaves_what_is_open_to_the_timer() -> None:
    until = NOW + timedelta(seconds=7)
    wave = WaveCounts(0, ready=1, running=2)
    assert decide(snapshot(wave=wave, timer=until), NOW) == Decision(wake_at=until)
    wave = WaveCounts(0, waiting=1, running=2)
    assert decide(snapshot(wave=wave, timer=until), NOW) == Decision(hand_out=1, wake_at=NOW + NUDGE_AGAIN)
    soon = NOW + timedelta(seconds=1)
    assert decide(snapshot(wave=wave, timer=soon), NOW) == Decision(hand_out=1, wake_at=soon)


def test_a_wide_wave_is_handed_out_in_bounded_pieces() -> None:
    decision = decide(snapshot(wave=WaveCounts(0, waiting=500), max_parallel=1000), NOW)
    assert decision.hand_out == HAND_OUT_AT_ONCE
    assert decision.wake_at == NOW


def test_after_too_many_failures_a_person_is_asked_once_nothing_runs_and_nothing_more_is_started() -> None:
    asking = {"failed_targets": 1, "answer_seconds": 600}
    runs = decide(snapshot(**asking, wave=WaveCounts(0, waiting=1, running=1)), NOW)
    assert (runs.status, runs.hand_out, runs.answer_by) == (None, 0, None)
    by = NOW + timedelta(minutes=10)
    asked = decide(snapshot(**asking, wave=WaveCounts(0, waiting=1)), NOW)
    assert asked == Decision(status=S.PAUSED, answer_by=by, wake_at=by)
    still = decide(snapshot(**asking, wave=WaveCounts(0, waiting=1), status=S.PAUSED, answer_by=by), NOW)
    assert still == Decision(answer_by=by, wake_at=by)


@pytest.mark.parametrize(
    ("then_back", "is_rollback", "back"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_when_nobody_answers_in_time_the_default_is_done_and_no_rollback_is_rolled_back(
    then_back: bool, is_rollback: bool, back: bool
) -> None:
    decision = decide(
        snapshot(
            status=S.PAUSED,
            failed_targets=1,
            answer_seconds=600,
            answer_by=NOW,
            rolls_back_unanswered=then_back,
            is_rollback=is_rollback,
        ),
        NOW,
    )
    assert (decision.status, decision.roll_back) == (S.FAILED, back)
    assert decision.failure == (
        "1 target failed and none may; nobody said by 2026-11-23 12:00:00 UTC what to do"
    )


def test_what_is_unknown_is_asked_before_what_to_do_and_a_cancel_goes_before_both() -> None:
    both = {"failed_targets": 1, "answer_seconds": 600, "wave": WaveCounts(0, unknown=1)}
    assert decide(snapshot(**both), NOW).answer_by is None
    assert decide(snapshot(**both), NOW).status is S.PAUSED
    assert decide(snapshot(**both, cancel_requested=True), NOW).status is S.CANCELLED


def test_a_wait_after_a_wave_is_slept_through_and_only_then_the_next_one_begins() -> None:
    over = {"wave_count": 2, "wait_seconds": 90}
    begins = NOW + timedelta(seconds=90)
    assert decide(snapshot(**over), NOW) == Decision(next_wave_at=begins, wake_at=begins)
    waiting = snapshot(**over, next_wave_at=begins)
    assert decide(waiting, begins - timedelta(milliseconds=1)) == Decision(wake_at=begins)
    assert decide(waiting, begins) == Decision(next_wave=True, wake_at=begins)


def test_a_wait_ends_with_the_wish_to_cancel_and_none_comes_after_the_last_wave() -> None:
    cancelled = snapshot(
        wave_count=2, wait_seconds=90, next_wave_at=NOW + timedelta(1), cancel_requested=True
    )
    assert decide(cancelled, NOW).status is S.CANCELLED
    assert decide(snapshot(wait_seconds=90), NOW).status is S.SUCCEEDED


@pytest.mark.parametrize(
    ("failed", "most", "in_batch", "most_in_batch", "says"),
    [
        (2, 2, 2, None, None),
        (3, 2, 1, None, "3 targets failed and at most 2 may"),
        (3, 5, 1, 1, None),
        (3, 5, 2, 1, "2 targets of one batch failed and at most 1 may"),
        (1, 5, 1, 0, "1 target of one batch failed and none may"),
        (6, 5, 2, 1, "6 targets failed and at most 5 may"),
    ],
)
def test_a_budget_of_two_goes_on_at_two_and_stops_at_three_and_so_does_that_of_a_batch(
    failed: int, most: int, in_batch: int, most_in_batch: int | None, says: str | None
) -> None:
    decision = decide(
        snapshot(
            wave_count=2,
            failed_targets=failed,
            max_failures=most,
            batch_failures=in_batch,
            max_batch_failures=most_in_batch,
        ),
        NOW,
    )
    assert decision.failure == says
    assert decision.next_wave == (says is None)


def test_the_next_wave_begins_only_when_nothing_of_this_one_is_open() -> None:
    assert decide(snapshot(wave_count=2, wave=WaveCounts(0)), NOW).next_wave
    open_ = decide(snapshot(wave_count=2, wave=WaveCounts(0, running=1), next_lease_end=NOW), NOW)
    assert not open_.next_wave


def test_succeeded_is_said_only_when_no_target_failed() -> None:
    assert decide(snapshot(), NOW).status is S.SUCCEEDED
    tolerated = decide(snapshot(failed_targets=2, max_failures=2), NOW)
    assert tolerated.status is S.FAILED
    assert not tolerated.roll_back


def test_a_budget_of_two_goes_on_at_two_and_stops_at_three() -> None:
    wave = WaveCounts(0, waiting=4)
    on = decide(snapshot(failed_targets=2, max_failures=2, wave=wave), NOW)
    assert on.hand_out == 4
    over = decide(snapshot(failed_targets=3, max_failures=2, wave=wave, unstarted_anywhere=True), NOW)
    assert over.hand_out == 0
    assert over.close_unstarted_as is StepStatus.SKIPPED


def test_past_the_budget_it_fails_only_after_the_last_running_step_has_ended() -> None:
    running = decide(snapshot(failed_targets=1, wave=WaveCounts(0, running=1), next_lease_end=NOW), NOW)
    assert running.status is None
    ended = decide(snapshot(failed_targets=1, rolls_back_on_failure=True), NOW)
    assert ended.status is S.FAILED
    assert ended.roll_back


def test_a_rollback_that_fails_does_not_roll_back() -> None:
    decision = decide(snapshot(failed_targets=1, rolls_back_on_failure=True, is_rollback=True), NOW)
    assert decision.status is S.FAILED
    assert not decision.roll_back


def test_cancelled_is_said_only_when_nothing_runs() -> None:
    running = snapshot(cancel_requested=True, wave=WaveCounts(0, running=1), next_lease_end=NOW)
    assert decide(running, NOW).status is None
    assert decide(snapshot(cancel_requested=True), NOW).status is S.CANCELLED


def test_cancelling_withdraws_attempts_that_were_never_claimed() -> None:
    wave = WaveCounts(0, ready=1)
    decision = decide(snapshot(cancel_requested=True, wave=wave, idle_attempts=(idle(4),)), NOW)
    assert decision.close_unstarted_as is StepStatus.CANCELLED


def test_cancelling_nudges_a_claimed_attempt_that_nobody_holds_so_that_it_is_aborted() -> None:
    wave = WaveCounts(0, running=1)
    decision = decide(snapshot(cancel_requested=True, wave=wave, idle_attempts=(idle(4, claimed=True),)), NOW)
    assert decision.nudge == (4,)


def test_an_unknown_step_pauses_and_hands_out_nothing() -> None:
    decision = decide(snapshot(wave=WaveCounts(0, waiting=2, unknown=1)), NOW)
    assert decision.status is S.PAUSED
    assert decision.hand_out == 0


def test_a_paused_deployment_goes_on_when_nothing_is_unknown_any_more() -> None:
    assert decide(snapshot(status=S.PAUSED, wave=WaveCounts(0, waiting=1)), NOW).status is S.RUNNING


def test_a_retry_is_not_nudged_before_its_time() -> None:
    later = NOW + timedelta(seconds=4)
    decision = decide(snapshot(wave=WaveCounts(0, ready=1), idle_attempts=(idle(3, due=later),)), NOW)
    assert decision.nudge == ()
    assert decision.wake_at == later


@pytest.mark.parametrize(
    ("outcome", "attempt", "retries", "idempotent", "cancelling", "status"),
    [
        (Outcome.SUCCEEDED, 1, 0, False, False, StepStatus.SUCCEEDED),
        (Outcome.SUCCEEDED, 1, 0, False, True, StepStatus.SUCCEEDED),
        (Outcome.FAILED, 1, 0, False, False, StepStatus.FAILED),
        (Outcome.FAILED, 1, 1, False, False, StepStatus.READY),
        (Outcome.FAILED, 2, 1, False, False, StepStatus.FAILED),
        (Outcome.TIMED_OUT, 1, 1, False, False, StepStatus.READY),
        (Outcome.ABORTED, 1, 5, False, True, StepStatus.CANCELLED),
        (Outcome.LOST, 1, 3, False, False, StepStatus.UNKNOWN),
        (Outcome.LOST, 1, 0, True, False, StepStatus.READY),
        (Outcome.LOST, 2, 0, True, False, StepStatus.FAILED),
    ],
)
def test_what_the_end_of_an_attempt_means(
    outcome: Outcome,
    attempt: int,
    retries: int,
    idempotent: bool,
    cancelling: bool,
    status: StepStatus,
) -> None:
    verdict = judge(
        outcome, NOW, attempt=attempt, retries=retries, idempotent=idempotent, cancelling=cancelling
    )
    assert verdict.status is status
    assert (verdict.retry_at is not None) == (status is StepStatus.READY)


counts = st.integers(0, 5)
snapshots = st.builds(
    Snapshot,
    id=st.just(1),
    status=st.sampled_from(S),
    cancel_requested=st.booleans(),
    failed_targets=counts,
    max_failures=counts,
    max_parallel=st.integers(1, 6),
    rolls_back_on_failure=st.booleans(),
    is_rollback=st.booleans(),
    wave_count=st.integers(1, 4),
    wave=st.builds(
        WaveCounts, index=st.just(0), waiting=counts, ready=counts, running=counts, unknown=counts
    ),
    idle_attempts=st.lists(
        st.builds(
            OpenAttempt,
            id=st.integers(1, 99),
            step_id=st.integers(1, 99),
            claimed=st.booleans(),
            not_before=st.integers(-9, 9).map(lambda s: NOW + timedelta(seconds=s)),
        ),
        max_size=4,
    ).map(tuple),
    next_lease_end=st.none() | st.integers(-9, 9).map(lambda s: NOW + timedelta(seconds=s)),
    timer=st.none() | st.integers(0, 9).map(lambda s: NOW + timedelta(seconds=s)),
    unstarted_anywhere=st.booleans(),
    blockers=st.lists(st.integers(1, 15).map(blocker), max_size=2).map(tuple),
    wait_seconds=st.sampled_from([0, 5]),
    next_wave_at=st.none() | st.integers(-9, 9).map(lambda s: NOW + timedelta(seconds=s)),
    batch_failures=counts,
    max_batch_failures=st.none() | counts,
    answer_seconds=st.sampled_from([0, 0, 60]),
    answer_by=st.none() | st.integers(-9, 9).map(lambda s: NOW + timedelta(seconds=s)),
    rolls_back_unanswered=st.booleans(),
    asks=st.booleans(),
    promoted=st.booleans(),
    undoes=st.booleans(),
    undo_from=st.none() | st.integers(0, 3),
    ending=st.sampled_from(["failed", "cancelled", "rollback"]),
    undo_failures=counts,
)


@given(snapshots)
def test_only_allowed_transitions_are_decided(given_: Snapshot) -> None:
    decision = decide(given_, NOW)
    if decision.status is not None:
        assert may_follow(given_.status, decision.status)


@given(snapshots)
def test_a_terminal_status_never_changes(given_: Snapshot) -> None:
    if given_.status in TERMINAL:
        assert decide(given_, NOW) == Decision()


@given(snapshots)
def test_whatever_is_not_over_wakes_again(given_: Snapshot) -> None:
    """I4: nobody is forgotten. Every decision for a living deployment ends it or says when it is looked at next."""
    if given_.status in TERMINAL:
        return
    decision = decide(given_, NOW)
    ends = decision.status in TERMINAL
    assert ends == (decision.wake_at is None)
    if decision.wake_at is not None:
        assert decision.wake_at >= NOW


@given(snapshots)
def test_no_end_is_said_while_anything_is_open(given_: Snapshot) -> None:
    """I7 and I6."""
    decision = decide(given_, NOW)
    if decision.status in TERMINAL and given_.status is not S.PENDING:
        assert given_.wave.open == 0
    if decision.status is S.SUCCEEDED:
        assert given_.wave == WaveCounts(0)
        assert given_.failed_targets == 0


@given(snapshots)
def test_nothing_is_started_by_one_that_is_cancelled_over_budget_or_in_doubt(given_: Snapshot) -> None:
    decision = decide(given_, NOW)
    stops = given_.cancel_requested or given_.wave.unknown or given_.failed_targets > given_.max_failures
    if stops and given_.undo_from is None:  # what puts back what was changed is started all the same
        assert decision.hand_out == 0 or given_.status is S.PENDING


@given(snapshots)
def test_no_more_run_side_by_side_than_allowed(given_: Snapshot) -> None:
    decision = decide(given_, NOW)
    if decision.hand_out:
        assert given_.wave.open + decision.hand_out <= given_.max_parallel
