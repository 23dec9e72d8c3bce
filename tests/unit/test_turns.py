"""Few threads at a time begin a transaction that locks one deployment."""

import threading

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


def test_a_turn_that_ends_by_an_error_is_over() -> None:
    turns = Turns()
    for _ in range(AT_ONCE + 1):
        with pytest.raises(LookupError), turns.of(7):
            {}["nothing"]
    assert turns.deployments() == 0
