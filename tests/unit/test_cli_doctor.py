"""doctor tells each unhealthy thing in a sentence, with what to do."""

import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.doctor import of_check, of_clock
from orchestrator.client import Answer
from tests.unit.cli_run import Cli, cli_in
from tests.unit.cli_server import problem

STREAM = f"/deployments/{2**63 - 1}/stream"
GOOD = {"postgres": {"status": "ok", "latency_ms": 1.2}, "workers": {"status": "ok", "latency_ms": 3}}


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    with cli_in(tmp_path, monkeypatch) as made:
        made.env["RELEASECTL_TOKEN"] = "dpl_1"
        made.on("GET", "/auth/me", {"username": "ann", "role": "admin"})
        made.on("GET", "/diagnosis", {"findings": []})
        made.on("GET", STREAM, problem(404, "not_found", "there is none"))
        yield made


def told(severity: str) -> dict[str, Any]:
    """A finding of the server's."""
    return {
        "severity": severity,
        "code": "asks_a_person",
        "says": "deployment 7: unknown",
        "do": "releasectl deployments resume 7",
        "evidence": {"deployment_id": 7, "step_ids": [3]},
    }


def test_a_healthy_server_is_exit_0(cli: Cli) -> None:
    cli.server.on("GET", "/health", {"status": "ok", "checks": GOOD})
    done = cli.run("doctor")
    assert done.exit_code == 0
    assert "ok    postgres: ok, answers in 1.2 ms" in done.stdout
    assert "BAD" not in done.stdout


def test_each_unhealthy_thing_says_what_to_do(cli: Cli) -> None:
    checks = {**GOOD, "workers": {"status": "unavailable", "latency_ms": None}, "odd": {"status": "degraded"}}
    cli.server.on("GET", "/health", (503, {"status": "degraded", "checks": checks}))
    done = cli.run("doctor")
    assert done.exit_code == 1
    assert "BAD   workers: unavailable" in done.stdout
    assert "start a worker" in done.stdout
    assert "BAD   odd: degraded" in done.stdout
    assert len(cli.server.got("GET", "/health")) == 1


def test_a_dead_server_is_one_finding(cli: Cli) -> None:
    cli.env["RELEASECTL_URL"] = "http://127.0.0.1:1"
    done = cli.run("doctor", "--json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert (found["healthy"], [each["code"] for each in found["findings"]]) == (False, ["server"])


def test_a_missing_login_is_found(cli: Cli) -> None:
    cli.env["RELEASECTL_TOKEN"] = None
    cli.server.on("GET", "/health", {"status": "ok", "checks": GOOD})
    done = cli.run("doctor")
    assert done.exit_code == 1
    assert "BAD   login: you are not logged in\n      Log in: releasectl login" in done.stdout


def test_what_the_server_finds_is_shown_with_what_to_do(cli: Cli) -> None:
    cli.server.on("GET", "/health", {"status": "ok", "checks": GOOD})
    cli.server.answers["GET", "/api/v1/diagnosis"] = [{"findings": [told("error")]}]
    done = cli.run("doctor")
    assert done.exit_code == 1
    assert "BAD   asks_a_person: deployment 7: unknown\n      releasectl deployments resume 7" in done.stdout


def test_a_warning_alone_is_shown_and_is_exit_0(cli: Cli) -> None:
    cli.server.on("GET", "/health", {"status": "ok", "checks": GOOD})
    cli.server.answers["GET", "/api/v1/diagnosis"] = [{"findings": [told("warning")]}]
    done = cli.run("doctor")
    assert done.exit_code == 0
    assert "WARN  asks_a_person: deployment 7: unknown\n      releasectl deployments resume 7" in done.stdout


def test_a_program_is_told_every_field(cli: Cli) -> None:
    cli.server.on("GET", "/health", {"status": "ok", "checks": GOOD})
    cli.server.answers["GET", "/api/v1/diagnosis"] = [{"findings": [told("error")]}]
    done = cli.run("doctor", "--json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert found["findings"][-1] == told("error")
    assert {each["severity"] for each in found["findings"]} == {"ok", "error"}


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (problem(404, "not_found", "no such"), "ok    stream: followers are served"),
        (
            problem(503, "stream_unavailable", "none"),
            "ok    stream: the server has none (STREAM_URL is not set)",
        ),
        (problem(503, "stream_full", "2,000 follow"), "WARN  stream: 503 2,000 follow; releasectl polls"),
        ((200, b"<html>", {"Content-Type": "text/html"}), "WARN  stream: something else answers there"),
        (
            (307, b"", {"Location": "http://127.0.0.1:1/"}),
            "WARN  stream: http://127.0.0.1:1/ does not answer",
        ),
        (
            (307, b"", {"Location": "http://192.0.2.1/"}),
            "leads to another host: http://192.0.2.1/; releasectl polls",
        ),
    ],
)
def test_the_stream_process_is_asked_too(cli: Cli, answer: object, shown: str) -> None:
    cli.server.on("GET", "/health", {"status": "ok", "checks": GOOD})
    cli.server.answers["GET", f"/api/v1{STREAM}"] = [answer]
    done = cli.run("doctor")
    assert shown in done.stdout
    assert done.exit_code == 0


def test_a_stream_process_that_keeps_still_is_not_waited_for_as_a_follower_would(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.cli.doctor.STREAM_SECONDS", 0.1)
    cli.server.on("GET", "/health", {"status": "ok", "checks": GOOD})
    with socket.create_server(("127.0.0.1", 0)) as still:
        url = f"http://127.0.0.1:{still.getsockname()[1]}/"
        cli.server.answers["GET", f"/api/v1{STREAM}"] = [(307, b"", {"Location": url})]
        assert f"WARN  stream: {url} does not answer" in cli.run("doctor").stdout


def test_who_may_not_ask_the_server_is_told_so_and_is_fine(cli: Cli) -> None:
    cli.server.on("GET", "/health", {"status": "ok", "checks": GOOD})
    refusal = (403, {"code": "forbidden", "title": "no", "detail": "no", "status": 403})
    cli.server.answers["GET", "/api/v1/diagnosis"] = [refusal]
    done = cli.run("doctor")
    assert done.exit_code == 0
    assert "that needs the role operator" in done.stdout


def test_another_version_is_found(cli: Cli) -> None:
    cli.server.on("GET", "/health", {"status": "ok", "checks": GOOD, "version": "99.0"})
    assert "WARN  version: the server has 99.0" in cli.run("doctor").stdout


@pytest.mark.parametrize(
    ("second", "ok", "says"),
    [(7, True, "5 s ahead of"), (8, False, "6 s ahead of"), (0, True, "2 s behind")],
)
def test_clocks_more_than_five_seconds_apart_are_bad(second: int, ok: bool, says: str) -> None:
    answer = Answer(status=200, headers={"Date": "Mon, 23 Nov 2026 12:00:02 GMT"}, body=b"")
    (finding,) = of_clock(answer, datetime(2026, 11, 23, 12, 0, second, tzinfo=UTC))
    assert finding.severity == ("ok" if ok else "error")
    assert says in finding.says


def test_a_check_without_details_is_understood() -> None:
    assert of_check("redis", "ok").severity == "ok"
    assert of_check("redis", {"status": "unavailable", "error": "refused"}).severity == "error"
