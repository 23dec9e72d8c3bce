"""calendar, window test and freeze import at the command line."""

import json
from pathlib import Path

import pytest

from tests.unit.cli_run import Cli

CALENDAR = {
    "environment": "production",
    "from": "2026-12-01T00:00:00Z",
    "to": "2026-12-15T00:00:00Z",
    "openings": [{"from": "2026-12-01T08:00:00Z", "to": "2026-12-01T16:00:00Z"}],
    "occurrences": [
        {
            "id": 1,
            "kind": "freeze",
            "name": "no",
            "from": "2026-11-30T00:00:00Z",
            "to": "2026-12-01T08:00:00Z",
        }
    ],
    "recurring": [{"schedule_id": 3, "application": "shop", "at": "2026-12-02T08:00:00Z"}],
    "warnings": [],
    "deployments": [
        {
            "id": 7,
            "application": "shop",
            "version": "1.0",
            "scheduled_for": None,
            "starts_at": "2026-12-01T08:00:00Z",
            "because": "x",
        }
    ],
}
OPENING = {
    "environment": "production",
    "at": "2026-12-01T07:00:00Z",
    "open": False,
    "closes_at": None,
    "next_opening": "2026-12-01T08:00:00Z",
    "windows": [],
    "freezes": [{"id": 1, "name": "no", "until": "2026-12-01T08:00:00Z"}],
}


def test_a_calendar_is_in_order_of_time(cli: Cli) -> None:
    cli.on("GET", "/environments/production/calendar", CALENDAR)
    done = cli.run("calendar", "production", "--from", "2026-12-01T00:00Z", "--application", "shop")
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["from", "to", "what"],
        ["2026-11-30T00:00:00Z", "2026-12-01T08:00:00Z", "freeze", "no"],
        ["2026-12-01T08:00:00Z", "2026-12-01T16:00:00Z", "deployments", "may", "start"],
        ["2026-12-01T08:00:00Z", "deployment", "7", "starts:", "shop", "1.0"],
        ["2026-12-02T08:00:00Z", "schedule", "3", "requests", "shop"],
    ]
    (asked,) = cli.server.got("GET", "/api/v1/environments/production/calendar")
    assert asked.query == {"from": "2026-12-01T00:00:00Z", "application": "shop"}
    assert json.loads(cli.run("calendar", "production", "--json").stdout) == CALENDAR


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({}, "shut; opens at 2026-12-01T08:00:00Z"),
        ({"next_opening": None}, "shut; it never opens"),
        ({"open": True, "closes_at": "2026-12-01T16:00:00Z"}, "open until 2026-12-01T16:00:00Z"),
        ({"open": True}, "open"),
    ],
)
def test_an_instant_is_open_or_shut(cli: Cli, changes: dict[str, object], first: str) -> None:
    cli.on("GET", "/environments/production/opening", {**OPENING, **changes})
    done = cli.run("window", "test", "production", "--at", "2026-12-01T07:00Z")
    assert done.stdout.splitlines() == [
        f"production at 2026-12-01T07:00:00Z: {first}",
        "  freeze no until 2026-12-01T08:00:00Z",
    ]


def test_a_calendar_is_sent_as_it_is(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "holidays.ics"
    file.write_bytes(b"BEGIN:VCALENDAR\r\n")
    cli.on("POST", "/freezes/import", (201, {"created": [3, 4]}))
    done = cli.run("freeze", "import", "production", str(file), "--zone", "Europe/Berlin")
    assert done.stdout == "2 freezes made\n"
    (sent,) = cli.server.got("POST", "/api/v1/freezes/import")
    assert (sent.body, sent.query) == (
        b"BEGIN:VCALENDAR\r\n",
        {"environment": "production", "zone": "Europe/Berlin"},
    )
