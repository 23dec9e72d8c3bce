"""How values are said on pages."""

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.domain.statuses import DeploymentStatus, StepStatus
from orchestrator.presenting.pages import words


def test_every_status_has_a_colour() -> None:
    assert set(words.TONES) == {str(each) for each in (*DeploymentStatus, *StepStatus)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("it is in wave 1 of 2", "It is in wave 1 of 2."),
        ("every step of its plan succeeded at its target", "Every step of its plan succeeded at its target."),
        ("admin locked it (lock 1): why?", "admin locked it (lock 1): why?"),
        ("iris asked for its end", "iris asked for its end."),
        ("it", "It."),
        ("", "."),
    ],
)
def test_sentences_begin_large_but_for_names(text: str, said: str) -> None:
    assert words.sentence(text) == said


def test_what_is_to_be_typed_and_what_can_be_looked_at_is_found_in_a_sentence() -> None:
    assert list(words.pieces("deployment 12 waits: type `make it go`.")) == [
        ("text", ""),
        ("deployment", "deployment 12"),
        ("text", " waits: type "),
        ("code", "make it go"),
        ("text", "."),
    ]
    for plain in ("redeployment 1, deployment 0", "it's 5 o`clock", "``"):
        assert list(words.pieces(plain)) == [("text", plain)]


def test_output_keeps_its_lines_and_nothing_that_steers_a_terminal() -> None:
    written = "\x1b[32mok\x1b[0m 1\r\n\x1b]0;title\x07two\ttabs\n\n"
    assert words.output(written) == "ok 1\ntwo\ttabs\n\n"


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1_572_864, "1.5 MiB")]
)
def test_sizes(count: int, said: str) -> None:
    assert words.size(count) == said


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (["mon", "tue", "wed", "thu", "fri"], "Mon to Fri"),
        (["sat", "sun"], "Sat, Sun"),
        (["mon", "wed", "thu"], "Mon, Wed, Thu"),
        (["sun"], "Sun"),
    ],
)
def test_days_of_the_week(days: list[str], said: str) -> None:
    assert words.weekdays(days) == said


def test_spans_and_instants() -> None:
    start = datetime(2026, 11, 28, 16, 0, 30, 999_999, tzinfo=UTC)
    assert words.instant(start) == "2026-11-28 16:00:30 UTC"
    assert words.minute(start) == "2026-11-28 16:00:30 UTC"
    assert words.minute(start.replace(second=0)) == "2026-11-28 16:00 UTC"
    assert words.machine(start) == "2026-11-28T16:00:30Z"
    assert words.span(start, start + timedelta(minutes=2, seconds=5)) == "2m5s"
    assert words.span(start, start + timedelta(milliseconds=20)) == "under 1s"
    assert words.span(start, None) == ""
    assert (words.plural(1, "step"), words.plural(0, "step")) == ("1 step", "0 steps")
