"""Few threads at a time begin a transaction that locks one deployment."""

import threading
import time

import pytest

from workers.turns import AT_ONCE, Turns


def test_who_comes_too_many_waits_until_one_has_done() -> None:
    turns = Turns()
    entered, done = threading.Event(), threading.Event()

    def enter() -> None:
        with turns.of(7):
            entered.set()
            done.wait()

    def enter_another() -> None:
        with turns.of(8):
            pass

    held = [turns.of(7) for _ in range(AT_ONCE)]
    for each in held:
        each.__enter__()
    late, other = threading.Thread(target=enter), threading.Thread(target=enter_another)
    late.start()
    other.start()
    other.join()
    assert not entered.is_set()
    held.pop().__exit__(None, None, None)
    assert entered.wait(60)
    done.set()
    late.join()
    held.pop().__exit__(None, None, None)


def test_who_waits_comes_before_who_comes_again() -> None:
    turns, order = Turns(at_once=1), list[str]()

    def enter() -> None:
        with turns.of(7):
            order.append("waited")

    late = threading.Thread(target=enter)
    with turns.of(7):
        late.start()
        while not turns.waiting():
            time.sleep(0.001)
    with turns.of(7):
        order.append("came again")
    late.join()
    assert order == ["waited", "came again"]


def test_who_waits_for_what_is_of_no_use_any_more_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.turns.LOOK_SECONDS", 0.01)
    turns = Turns(at_once=1)
    with turns.of(7) as first, turns.of(7, is_of_use=lambda: False) as second:
        assert (first, second, turns.waiting()) == (True, False, 0)
    with turns.of(7, is_of_use=lambda: False) as free:
        assert free
    assert turns.deployments() == 0


def test_a_turn_that_ends_by_an_error_is_over() -> None:
    turns = Turns()
    for _ in range(AT_ONCE + 1):
        with pytest.raises(LookupError), turns.of(7):
            {}["nothing"]
    assert turns.deployments() == 0
