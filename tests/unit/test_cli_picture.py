"""What a terminal shows of a deployment to a fleet: it fits, and what matters is first."""

import io
from typing import Any

import pytest
from rich.console import Console

from orchestrator.cli import picture
from tests.unit.cli_server import deployment, step

BATCH, WAVES = 25, 8


def wave(number: int, **counts: int) -> dict[str, Any]:
    names = ("succeeded", "failed", "running", "skipped", "cancelled", "unknown", "waiting", "ready")
    found = {**dict.fromkeys(names, 0), **counts}
    found["waiting"] = BATCH - sum(counts.values())
    return {"wave": number, "batch": number, "action": "run", "title": "./install", "total": BATCH, **found}


def drawn(
    found: dict[str, Any],
    waves: list[dict[str, Any]],
    steps: list[dict[str, Any]],
    *,
    height: int = 24,
    width: int = 80,
) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    console.print(picture.draw(found, waves, steps, height=height))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def fleet() -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """The third of eight waves: two hosts failed, one in a wave before, twenty run."""
    counts = {"succeeded": 52, "failed": 2, "running": 20}
    found = deployment("running", steps=200, waves=WAVES, wave=2, **counts)
    waves = [
        wave(1, succeeded=24, failed=1),
        wave(2, succeeded=4, failed=1, running=20),
        wave(3),
        wave(4),
    ]
    steps = [step(n, f"web-{n:03}", "running", wave=2, position=n) for n in range(100, 120)]
    steps.insert(7, step(99, "web-099", "failed", wave=2, position=99, failure="exit code 3"))
    steps.append(step(31, "web-031", "failed", wave=1, position=31, failure="exit code 1"))
    steps += [step(n, f"web-{n:03}", "succeeded", wave=2, position=n) for n in range(120, 124)]
    return found, waves, steps


def test_two_hundred_targets_fit_on_half_of_a_small_terminal() -> None:
    lines = drawn(*fleet())
    assert len(lines) == 12
    assert max(map(len, lines)) <= 80


def test_there_is_a_bar_for_each_wave_with_what_is_where() -> None:
    lines = drawn(*fleet())
    assert lines[1].split("━")[0].split() == ["all"]
    assert lines[1].endswith("54 of 200 steps, 2 of 8 waves")
    assert [line.split()[:3] for line in lines[2:6]] == [
        ["✗", "2", "./install"],
        ["✗", "3", "./install"],
        ["·", "4", "./install"],
        ["·", "5", "./install"],
    ]
    assert lines[2].endswith("25 of 25, 1 failed")
    assert lines[3].endswith("5 of 25, 1 failed, 20 running")
    assert lines[4].endswith("0 of 25")


def test_hosts_that_failed_come_first_with_why_and_the_rest_is_counted() -> None:
    lines = drawn(*fleet())[6:]
    assert lines[0].split() == ["✗", "web-031", "unpack", "failed", "exit", "code", "1"]
    assert lines[1].split() == ["✗", "web-099", "unpack", "failed", "exit", "code", "3"]
    assert [line.split()[1] for line in lines[2:5]] == ["web-100", "web-101", "web-102"]
    assert lines[5].strip() == "and 17 running, 4 more"


def test_a_higher_terminal_shows_more_of_them() -> None:
    lines = drawn(*fleet(), height=60)
    assert len([line for line in lines if "web-" in line]) > 20
    assert len(lines) <= 30


@pytest.mark.parametrize("height", [5, 10, 24, 25, 60])
def test_it_is_never_higher_than_it_may_be(height: int) -> None:
    found, waves, steps = fleet()
    gates = [{"kind": "wait", "message": "the next begins at noon", "until": None}] * 4
    found["waiting_for"] = gates
    lines = drawn(found, waves[: picture.waves_for(height)], steps, height=height)
    assert len(lines) <= picture.lines_for(height)


def test_a_wave_that_is_over_is_ticked_and_one_that_goes_on_is_marked() -> None:
    found = deployment("running", steps=50, waves=2, wave=1, succeeded=25, running=25)
    marks = [line.split()[0] for line in drawn(found, [wave(0, succeeded=25), wave(1, running=25)], [])[2:]]
    assert marks == ["✓", "●"]


def test_nothing_that_somebody_named_can_steer_the_terminal() -> None:
    found, waves, steps = fleet()
    waves[0]["title"] = "\x1b[2Jgone"
    steps[0]["target"] = "web\x1b]0;owned\x07"
    text = "\n".join(drawn(found, waves, steps, width=200, height=60))
    assert "\x1b" not in text
    assert "\\x1b[2Jgone" in text
