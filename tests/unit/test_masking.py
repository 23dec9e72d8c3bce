"""Secrets in a stream of bytes: hidden however it is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.masking import Secrets, Withheld

few = st.text("ab\n", min_size=1, max_size=7)


def masked(values: list[str], pieces: list[bytes]) -> bytes:
    masker = Secrets(values)
    return b"".join(masker.feed(piece) for piece in pieces) + masker.finish()


@pytest.mark.parametrize(
    ("values", "output", "shown"),
    [
        (["hunter22"], b"pw=hunter22;", b"pw=***;"),
        (["hunter22"], b"hunter2hunter22hunter", b"hunter2***hunter"),
        (["abcd", "abcdef"], b"abcdef abcde abcd", b"*** ***e ***"),
        (["abcX", "Xyzz"], b"abcXyzz", b"***yzz"),
        (["line one\nline two"], b"line two, line one", b"***, ***"),
        (["abc"], b"abc is too short to hide", b"abc is too short to hide"),
        (["p\u00e4ss"], "p\u00e4ss".encode(), b"***"),
        ([], b"anything \x00\xff", b"anything \x00\xff"),
    ],
)
def test_secrets_are_hidden(values: list[str], output: bytes, shown: bytes) -> None:
    assert masked(values, [output]) == shown


@given(st.lists(few, max_size=4), st.lists(st.text("ab\n", max_size=9), max_size=9))
def test_any_way_of_cutting_shows_the_same(values: list[str], pieces: list[str]) -> None:
    whole = "".join(pieces).encode()
    assert masked(values, [piece.encode() for piece in pieces]) == masked(values, [whole])


@given(st.lists(few, max_size=4), st.text("abc\n", max_size=40))
def test_no_secret_is_left(values: list[str], output: str) -> None:
    shown = masked(values, [output.encode()]).decode()
    assert not any(value in shown.replace("***", "\0") for value in values if len(value) >= 4)


def test_no_more_is_kept_back_than_may_begin_a_secret() -> None:
    masker = Secrets(["hunter22"])
    assert masker.feed(b"the word is hunt") == b"the word is "
    assert masker.held == 4
    assert masker.feed(b"ing") == b"hunting"
    assert masker.held == 0


def test_what_nobody_can_mask_is_withheld_and_said_once() -> None:
    masker = Withheld("no key")
    assert masker.feed(b"secret") + masker.feed(b" again") == b""
    assert masker.held == len(b"secret again")
    assert masker.finish() == b"[output withheld: no key]\n"
    assert (masker.held, masker.finish()) == (0, b"")


def test_nothing_withheld_is_nothing_said() -> None:
    assert Withheld("no key").finish() == b""
