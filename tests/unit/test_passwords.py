"""Passwords: hashed a few at a time, and never cut."""

import threading

import bcrypt
import pytest

from orchestrator.domain.errors import TooManyRequestsError
from orchestrator.security import CONCURRENT_HASHES, WAITING_HASHES, PasswordHasher

CROWD = 12
COST = 11


def test_of_a_crowd_few_hash_few_wait_and_the_others_are_told_at_once() -> None:
    hasher, together = PasswordHasher(COST), threading.Barrier(CROWD)
    kept = hasher.hash("correct horse")
    said: list[bool | None] = []

    def log_in() -> None:
        together.wait()
        try:
            said.append(hasher.matches("correct horse", kept))
        except TooManyRequestsError:
            said.append(None)

    threads = [threading.Thread(target=log_in) for _ in range(CROWD)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(said) == CROWD
    assert said.count(True) >= CONCURRENT_HASHES + WAITING_HASHES
    assert said.count(None) >= 1
    assert hasher.matches("correct horse", kept)  # whoever was refused holds no place


def test_who_is_unknown_matches_nothing() -> None:
    hasher = PasswordHasher(4)
    assert not hasher.matches("anything", None)
    assert not hasher.matches("", None)


@pytest.mark.parametrize("more", ["x", "ü" * 40])
def test_a_password_is_not_cut(more: str) -> None:
    whole = "a" * 72
    kept = bcrypt.hashpw(whole.encode(), bcrypt.gensalt(4)).decode()
    hasher = PasswordHasher(4)
    assert hasher.matches(whole, kept)
    assert not hasher.matches(whole + more, kept)
