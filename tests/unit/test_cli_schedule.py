"""schedule, promote, replan and user change at the command line."""

import pytest

from tests.unit.cli_run import Cli

SCHEDULE = {
    "id": 3,
    "application": "shop",
    "environment": "production",
    "from_environment": "staging",
    "cron": "0 9 * * tue",
    "zone": "Europe/Berlin",
    "reason": "",
    "next_at": "2026-11-24T08:00:00Z",
    "last_deployment_id": None,
    "last_outcome": "left out: nothing of shop has succeeded in staging yet",
    "created_by": "ada",
    "created_at": "2026-11-23T08:00:00Z",
    "removed_at": None,
    "removed_by": None,
}
ADD = ("schedule", "add", "shop", "--to", "production", "--cron", "0 9 * * tue", "--zone", "Europe/Berlin")


def test_a_schedule_is_sent_as_it_was_said(cli: Cli) -> None:
    cli.on("POST", "/schedules/", SCHEDULE)
    assert cli.run(*ADD, "--from", "staging").exit_code == 0
    (sent,) = cli.server.got("POST", "/api/v1/schedules/")
    assert sent.json() == {
        "application": "shop",
        "environment": "production",
        "from_environment": "staging",
        "cron": "0 9 * * tue",
        "zone": "Europe/Berlin",
    }
    assert "idempotency-key" in sent.headers


def test_schedules_are_listed_with_what_came_of_them(cli: Cli) -> None:
    cli.on("GET", "/schedules/", {"items": [SCHEDULE], "next_cursor": None})
    shown = cli.run("schedule", "list").stdout
    assert "left out: nothing of shop has succeeded in staging yet" in shown
    assert "what is in staging" in shown


def test_a_schedule_is_removed(cli: Cli) -> None:
    cli.on("DELETE", "/schedules/3", SCHEDULE)
    assert cli.run("schedule", "remove", "3").exit_code == 0


@pytest.mark.parametrize(
    ("words", "path", "body"),
    [
        (
            ("promote", "shop", "--from", "staging", "--to", "production", "--reason", "Tuesday"),
            "/deployments/",
            {
                "application": "shop",
                "environment": "production",
                "from_environment": "staging",
                "reason": "Tuesday",
            },
        ),
        (("deployments", "replan", "7"), "/deployments/7/replan", {}),
        (
            ("deployments", "approve", "7", "--plan", "abc"),
            "/deployments/7/approve",
            {"plan_hash": "abc"},
        ),
    ],
)
def test_what_is_sent(cli: Cli, words: tuple[str, ...], path: str, body: dict[str, str]) -> None:
    made = {
        "id": 8,
        "application": "shop",
        "version": "1.0",
        "environment": "production",
        "status": "pending",
    }
    cli.on("POST", path, made)
    done = cli.run(*words, "--json")
    assert done.exit_code == 0, done.output
    (sent,) = cli.server.got("POST", f"/api/v1{path}")
    assert sent.json() == body


def test_a_user_is_changed(cli: Cli) -> None:
    user = {"id": 4, "username": "ben", "email": "b@b", "role": "viewer", "teams": ["web"], "active": False}
    cli.on("PATCH", "/users/4", user)
    assert cli.run("user", "change", "4", "--team", "web", "--inactive", "--json").exit_code == 0
    assert cli.run("user", "change", "4", "--no-teams").exit_code == 0
    first, second = cli.server.got("PATCH", "/api/v1/users/4")
    assert first.json() == {"teams": ["web"], "active": False}
    assert second.json() == {"teams": []}
