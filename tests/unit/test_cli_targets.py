"""releasectl targets list and check: what is on targets, and what they say themselves."""

from typing import Any

import pytest

from tests.unit.cli_run import Cli
from tests.unit.cli_server import deployment, listed

SAME = {"state": "same", "detail": "status 200", "since": "2026-11-28T12:00:00Z"}
DIFFERS = {"state": "differs", "detail": "it is 0.9", "since": "2026-11-28T12:00:00Z"}
ASKED = (202, {"targets": 2, "asked_at": "2026-11-28T12:00:00.5Z"})
HEAD = "application  environment  target  kind  version    deployment  since                 runs"


def target(name: str, drift: dict[str, Any] | None, *, version: str | None = "1.0") -> dict[str, Any]:
    place = {"application": "shop", "environment": "lab", "target": name, "kind": "ssh"}
    had = {"version": version, "deployment_id": 7 if version else None, "since": "2026-11-28T11:00:00Z"}
    return {**place, **had, "health": None, "drift": drift}


def said(drift: dict[str, Any], second: str) -> dict[str, Any]:
    return {**drift, "checked_at": f"2026-11-28T12:00:{second}Z"}


def last_words(cli_output: str) -> list[str]:
    return [line.rsplit("  ", 1)[-1].strip() for line in cli_output.splitlines()]


def test_list_shows_what_was_installed_and_what_targets_said(cli: Cli) -> None:
    found = [target("a", said(SAME, "01")), target("b", said(DIFFERS, "01")), target("c", None)]
    cli.on("GET", "/installations", listed(*found))
    run = cli.run("targets", "list", "shop", "--env", "lab")
    assert last_words(run.stdout)[:3] == ["runs", "as installed", "differs: it is 0.9"]
    assert cli.server.requests[0].query == {"application": "shop", "environment": "lab", "limit": "200"}


@pytest.mark.parametrize(("second", "code"), [(SAME, 0), (DIFFERS, 1)])
def test_check_waits_for_answers_from_after_it_asked(cli: Cli, second: dict[str, Any], code: int) -> None:
    cli.on("POST", "/installations/check", ASKED)
    stale = listed(target("a", said(SAME, "00.4")), target("b", said(SAME, "00")))
    half = listed(target("a", said(SAME, "00.6")), target("b", said(SAME, "00")))
    whole = listed(target("a", said(SAME, "00.6")), target("b", said(second, "01")))
    cli.on("GET", "/installations", stale, half, whole)
    run = cli.run("targets", "check", "shop", "--env", "lab")
    assert run.exit_code == code
    assert last_words(run.stdout)[1:] == [
        "as installed",
        "as installed" if code == 0 else "differs: it is 0.9",
    ]
    assert cli.server.requests[0].json() == {"application": "shop", "environment": "lab"}


def test_check_says_when_not_all_could_be_asked(cli: Cli) -> None:
    cli.on("POST", "/installations/check", ASKED)
    cli.on("GET", "/installations", listed(target("a", said(SAME, "01")), target("b", None)))
    run = cli.run("targets", "check", "shop", "--env", "lab", "--timeout", "0")
    assert run.exit_code == 124
    assert "only 1 of 2 were asked within 0 s" in run.stderr


@pytest.mark.parametrize(("until", "so_far"), [("2026-11-28T12:00:00Z", ""), (None, " so far")])
def test_a_deployment_shows_how_far_it_reached(cli: Cli, until: str | None, so_far: str) -> None:
    cli.on("GET", "/deployments/42", deployment(started_at="2026-11-28T11:00:00Z"))
    reached = {"targets": 3, "of": 10, "since": "2026-11-28T11:55:48Z", "until": until, "seconds": 252.4}
    cli.on("GET", "/deployments/42/touched", reached)
    assert f"3 of 10 targets, for 4m12s{so_far}\n" in cli.run("deployments", "show", "42").stdout


def test_one_that_reached_nothing_says_so_and_no_time(cli: Cli) -> None:
    cli.on("GET", "/deployments/42", deployment("failed", started_at="2026-11-28T11:00:00Z"))
    reached = {"targets": 0, "of": 10, "since": None, "until": None, "seconds": 0.0}
    cli.on("GET", "/deployments/42/touched", reached)
    assert "0 of 10 targets\n" in cli.run("deployments", "show", "42").stdout
