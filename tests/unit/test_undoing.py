"""Putting back: what `decide` makes of it, and which waves it takes, worked out by hand."""

from datetime import timedelta

from orchestrator.domain.engine import WaveCounts, decide
from orchestrator.domain.plan import PlannedAction
from orchestrator.domain.undoing import Started, UndoWave, undo_waves
from tests.unit.test_engine import NOW, S, snapshot

ENDS = {"undoes": True, "failed_targets": 1, "wave_count": 3}
BACK = {**ENDS, "undo_from": 3, "wave_count": 5, "ending": "failed", "failure": "1 target failed"}
"""Of three waves the second failed; two waves put back."""

INSTALL, MIGRATE, UNINSTALL, UNMIGRATE, DRAIN, GIVE_BACK, RAISE, TAKE_AWAY = range(8)
ACTIONS = (
    PlannedAction(kind="run", title="install", settings={"script": "x"}, undo=UNINSTALL),
    PlannedAction(kind="run", title="migrate", settings={"script": "x"}, undo=UNMIGRATE),
    PlannedAction(kind="run", title="uninstall", settings={"script": "x"}),
    PlannedAction(kind="run", title="unmigrate", settings={"script": "x"}),
    PlannedAction(kind="traffic", title="drain", settings={"weight": 0}, undo=GIVE_BACK, only_untouched=True),
    PlannedAction(kind="traffic", title="give back", settings={"weight": 100}),
    PlannedAction(kind="traffic", title="raise", settings={"weight": 5}, undo=TAKE_AWAY),
    PlannedAction(kind="traffic", title="take away", settings={"weight": 0}),
)


def test_what_was_changed_is_put_back_before_the_end() -> None:
    decision = decide(snapshot(**ENDS, wave=WaveCounts(1)), NOW)
    assert (decision.status, decision.put_back, decision.again) == (None, "failed", True)
    assert decision.failure == "1 target failed and none may"
    rolled = decide(snapshot(**ENDS, wave=WaveCounts(1), rolls_back_on_failure=True), NOW)
    assert (rolled.roll_back, rolled.put_back) == (False, "rollback")
    wished = decide(snapshot(**ENDS, wave=WaveCounts(1), cancel_requested=True), NOW)
    assert (wished.status, wished.put_back) == (None, "cancelled")


def test_neither_failures_nor_a_wish_end_what_puts_back() -> None:
    back = snapshot(**BACK, wave=WaveCounts(3, waiting=1))
    assert decide(back, NOW).hand_out == 1
    assert decide(snapshot(**BACK, wave=WaveCounts(3)), NOW).next_wave
    paused = snapshot(**BACK, wave=WaveCounts(3, waiting=1), status=S.PAUSED)
    assert decide(paused, NOW).status is S.RUNNING


def test_it_ends_as_it_was_to_end() -> None:
    over = {"wave": WaveCounts(4)}
    failed = decide(snapshot(**BACK, **over), NOW)
    assert (failed.status, failed.failure) == (S.FAILED, "1 target failed; what it changed was put back")
    cancelled = decide(snapshot(**{**BACK, "ending": "cancelled"}, **over), NOW)
    assert cancelled.status is S.CANCELLED
    assert decide(snapshot(**{**BACK, "ending": "rollback"}, **over), NOW).roll_back


def test_what_could_not_be_put_back_is_loud_and_nothing_is_rolled_back() -> None:
    back = {**BACK, "ending": "rollback", "undo_failures": 2}
    decision = decide(snapshot(**back, wave=WaveCounts(4)), NOW)
    assert (decision.status, decision.roll_back) == (S.FAILED, False)
    assert "PUTTING BACK FAILED in 2 steps" in str(decision.failure)


def test_where_nothing_is_to_be_put_back_it_ends_at_once_whatever_is_unknown() -> None:
    nothing = {**BACK, "wave_count": 3}
    assert decide(snapshot(**nothing, wave=WaveCounts(1, unknown=1)), NOW).status is S.FAILED


def test_a_person_is_asked_after_the_hold_and_heard_at_any_time() -> None:
    asks = {"asks": True, "wave_count": 2, "wait_seconds": 60}
    held = decide(snapshot(**asks), NOW)
    assert held.next_wave_at == NOW + timedelta(seconds=60)
    asked = decide(snapshot(**asks, next_wave_at=NOW), NOW)
    assert (asked.status, asked.ask_to_promote) == (S.PAUSED, True)
    assert decide(snapshot(**asks, next_wave_at=NOW, status=S.PAUSED), NOW).status is None
    promoted = decide(snapshot(**asks, next_wave_at=NOW + timedelta(1), promoted=True), NOW)
    assert promoted.next_wave


def test_traffic_goes_back_first_to_who_was_not_changed_then_leaves_who_was() -> None:
    started = [
        Started(1, (DRAIN, INSTALL, RAISE)),
        Started(2, (DRAIN,)),
        Started(3, (DRAIN, INSTALL)),
        Started(4, (DRAIN, INSTALL, MIGRATE, GIVE_BACK)),
    ]
    traffic = (UndoWave(GIVE_BACK, (2,)), UndoWave(TAKE_AWAY, (1,)))
    assert undo_waves(ACTIONS, started, scripts=False) == traffic
    assert undo_waves(ACTIONS, started, scripts=True) == (
        *traffic,
        UndoWave(UNMIGRATE, (4,)),
        UndoWave(UNINSTALL, (4, 3, 1)),
    )


def test_where_nothing_was_started_nothing_is_put_back() -> None:
    assert undo_waves(ACTIONS, [], scripts=True) == ()
