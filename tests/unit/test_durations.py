"""Lengths of time as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("60s", 60),
        ("10m", 600),
        ("1h30m", 5400),
        ("500ms", 0.5),
        ("1m500ms", 60.5),
        ("24h", 86_400),
        ("4d", 345_600),
        ("1d12h", 129_600),
        ("0s", 0),
        (" 5s ", 5),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "60", "s", "-5s", "1.5h", "30m1h", "1h1d", "5 s", "5S", "1s1s", "٣s", "9999999s"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="write a duration such as"):
        parse_duration(text)


@given(st.integers(0, 86_400_000))
def test_durations_are_read_as_they_are_written(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000
