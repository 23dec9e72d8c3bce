"""Foreign text on a terminal, log lines from pieces, spoken times."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli.loglines import LONGEST_LINE, LineAssembler
from orchestrator.cli.output import ago, elapsed
from orchestrator.domain.foreign import cleaned, escaped
from tests.unit.cli_server import piece

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m\x1b[0m"),
        ("\x1b[38;2;1;2;3mdeep", "\x1b[38;2;1;2;3mdeep\x1b[0m"),
        ("\x1b[8mhidden", "hidden"),
        ("a\x1b[2Jb\x1b[10;10Hc\x1b[?1049hd", "abcd"),
        ("a\x1b]0;title\x07b\x1b]52;c;aGk=\x1b\\c", "abc"),
        ("a\x1b]0;never ends", "a0;never ends"),
        ("a\x1bPq\x1b\\b\x1bcc", "abc"),
        ("a\x9b31mb\x08\x00\x07", "a31mb"),
        ("tab\tstays", "tab\tstays"),
        ("x\u202ey", r"x\u202ey"),
        ("żółć 漢字 🚀", "żółć 漢字 🚀"),
    ],
)
def test_a_log_line_keeps_its_colours_and_nothing_that_steers(line: str, shown: str) -> None:
    assert cleaned(line, colours=True) == shown


def test_without_colours_no_escape_is_left() -> None:
    assert cleaned("\x1b[1;31mred\x1b[0m", colours=False) == "red"


@given(st.text(alphabet=st.sampled_from("\x1b[]8;0mP\\\x07\x9b\x9dA?1 \r\n\x00\u202e"), max_size=40))
def test_whatever_is_logged_only_colours_remain(line: str) -> None:
    shown = cleaned(line, colours=False)
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 or char == "\u202e" for char in shown)
    assert all(part[:1] == "[" and "m" in part for part in cleaned(line, colours=True).split("\x1b")[1:])


@given(st.text())
def test_an_escaped_text_is_one_printable_line(text: str) -> None:
    shown = escaped(text)
    assert len(shown.splitlines()) <= 1
    assert "\x1b" not in shown
    shown.encode()


@given(st.lists(st.text(alphabet="ab \n", min_size=1, max_size=12)))
def test_lines_are_the_same_however_the_log_was_cut(parts: list[str]) -> None:
    lines = LineAssembler()
    got = [line for part in parts for _, line in lines.feed([piece(part)])]
    got += [line for _, line in lines.flush()]
    whole = "".join(parts)
    expected = whole.split("\n") if not whole.endswith("\n") and whole else whole.split("\n")[:-1]
    assert got == expected


def test_two_runs_do_not_mix_their_lines() -> None:
    lines = LineAssembler()
    pieces = [piece("a1 "), piece("b1\n", target="web-b", step_id=2), piece("a2\n")]
    assert list(lines.feed(pieces)) == [("web-b", "b1"), ("web-a", "a1 a2")]


def test_a_progress_bar_that_overwrites_itself_shows_its_last_state() -> None:
    assert list(LineAssembler().feed([piece("10%\r50%\r"), piece("100%\r\n")])) == [("web-a", "100%")]


def test_a_line_without_end_is_let_go_at_its_greatest_length() -> None:
    text = "x" * (LONGEST_LINE + 1)
    assert list(LineAssembler().feed([piece(text)])) == [("web-a", text)]


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("2026-11-23T11:59:18Z", "42 s ago"),
        ("2026-11-23T11:00:01Z", "59 min ago"),
        ("2026-11-23T13:00:00+01:00", "0 s ago"),
        ("2026-11-23T15:30:00Z", "in 3 h"),
        ("2026-11-21T12:00:00Z", "2 d ago"),
        ("someday", "someday"),
    ],
)
def test_times_are_told_in_their_greatest_unit(text: str, spoken: str) -> None:
    assert ago(text, NOON) == spoken


def test_elapsed_counts_to_the_end_or_to_now() -> None:
    assert elapsed("2026-11-23T11:58:00Z", None, NOON) == "2 min"
    assert elapsed("2026-11-23T11:58:00Z", "2026-11-23T11:58:30Z", NOON) == "30 s"
    assert elapsed(None, None, NOON) == ""
