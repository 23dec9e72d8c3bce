"""Watching by the server's own events: what is shown, how it comes back, and where a token never goes."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli_run import Cli
from tests.unit.cli_server import deployment, listed, log, piece, problem, scripted_server, step

D = "/deployments/42"


def told(*events: tuple[str, Any]) -> tuple[int, bytes, dict[str, str]]:
    """An answer that is a stream of events, with running ids, and then breaks off."""
    lines = [
        f"event: {kind}\nid: {number}.{kind}\ndata: {json.dumps(data)}\n\n"
        for number, (kind, data) in enumerate(events)
    ]
    return (
        200,
        ("retry: 1\n\n:\n\n" + "".join(lines)).encode(),
        {"Content-Type": "text/event-stream; charset=utf-8"},
    )


def page(*pieces: Any, cursor: str) -> tuple[str, Any]:
    return "log", log(*pieces, cursor=cursor)


END = ("end", {"id": 42, "status": "succeeded"})


def test_a_watch_shows_what_it_is_told_and_asks_for_nothing(cli: Cli) -> None:
    cli.on(
        "GET",
        f"{D}/stream",
        told(
            ("status", deployment("running", running=1)),
            ("steps", {"items": [step(1, "web-a", "running"), step(3, "web-b", "waiting")]}),
            page(piece("unpack"), cursor="c1"),
            ("steps", {"items": [step(1, "web-a", "succeeded"), step(2, "web-a", "running", wave=1)]}),
            page(piece("ing\n", offset=6), cursor="c2"),
            ("status", deployment("succeeded", succeeded=2, wave=1)),
            ("steps", {"items": [step(2, "web-a", "succeeded", wave=1)]}),
            END,
        ),
    )
    done = cli.run("deployments", "watch", "42")
    assert (done.exit_code, done.stdout) == (0, "web-a | unpacking\n")
    assert [line for line in done.stderr.splitlines() if line.startswith("wave")] == [
        "wave 1  web-a unpack  running",
        "wave 1  web-a unpack  succeeded",
        "wave 2  web-a unpack  running",
        "wave 2  web-a unpack  succeeded",
    ]
    assert [each.path for each in cli.server.requests] == [f"/api/v1{D}/stream"]


def test_the_stream_of_what_took_its_place_is_followed(cli: Cli) -> None:
    superseded = deployment("superseded", replaced_by_id=43)
    cli.on("GET", f"{D}/stream", told(("status", superseded), END))
    cli.on("GET", "/deployments/43/stream", told(("status", deployment("cancelled", id=43)), END))
    done = cli.run("deployments", "watch", "42")
    assert done.exit_code == 7
    assert "deployment 42 got another plan; following deployment 43\n" in done.stderr


def test_a_stream_that_breaks_off_is_taken_up_behind_its_last_event(cli: Cli) -> None:
    cli.on(
        "GET",
        f"{D}/stream",
        told(("status", deployment("running")), page(piece("one\n"), cursor="c1")),
        told(("cut", {"code": "too_slow", "detail": "too slow"})),
        told(page(piece("two\n", offset=4), cursor="c2"), ("status", deployment("succeeded")), END),
    )
    done = cli.run("deployments", "logs", "-f", "42", "--step", "1")
    assert (done.exit_code, done.stdout) == (0, "web-a | one\nweb-a | two\n")
    sent = cli.server.requests
    assert [each.headers.get("last-event-id") for each in sent] == [None, "1.log", "0.cut"]
    assert [each.query for each in sent] == [{"step": "1"}] * 3


@pytest.mark.parametrize(
    "away",
    [problem(503, "stream_unavailable", "Nobody streams."), problem(404, "not_found", "No."), (200, {})],
)
def test_without_a_stream_it_polls_from_where_it_was_told_last(cli: Cli, away: Any) -> None:
    first = told(("status", deployment("running")), page(piece("one\n"), cursor="c1"))
    cli.on("GET", f"{D}/stream", first, away)
    cli.on("GET", D, deployment("succeeded")).on("GET", f"{D}/steps", listed())
    cli.on("GET", f"{D}/logs", log(piece("two\n", offset=4), cursor="c2"), log(cursor="c2", complete=True))
    done = cli.run("deployments", "watch", "42")
    assert (done.exit_code, done.stdout) == (0, "web-a | one\nweb-a | two\n")
    assert "away" not in done.stderr
    assert cli.server.got("GET", f"/api/v1{D}/logs")[0].query["cursor"] == "c1"


def test_a_stream_that_never_brings_anything_is_given_up(cli: Cli) -> None:
    cli.on("GET", f"{D}/stream", told()).on("GET", D, deployment("succeeded"))
    cli.on("GET", f"{D}/steps", listed()).on("GET", f"{D}/logs", log(cursor="c", complete=True))
    assert cli.run("deployments", "watch", "42").exit_code == 0
    assert len(cli.server.got("GET", f"/api/v1{D}/stream")) == 5


def test_it_follows_to_another_process_of_the_same_host_with_its_token(cli: Cli) -> None:
    cli.env["RELEASECTL_TOKEN"] = "of-ada"
    with scripted_server() as stream:
        stream.on("GET", "/elsewhere", told(("status", deployment("succeeded")), END))
        cli.on("GET", f"{D}/stream", (307, {}, {"Location": f"{stream.url}/elsewhere"}))
        assert cli.run("deployments", "watch", "42").exit_code == 0
        assert [each.headers["authorization"] for each in stream.requests] == ["Bearer of-ada"]


def test_it_sends_nothing_to_another_host_and_polls(cli: Cli) -> None:
    cli.env["RELEASECTL_TOKEN"] = "of-ada"
    with scripted_server() as other:
        elsewhere = other.url.replace("127.0.0.1", "127.0.0.2")
        cli.on("GET", f"{D}/stream", (307, {}, {"Location": f"{elsewhere}/x"}))
        cli.on("GET", D, deployment("succeeded")).on("GET", f"{D}/steps", listed())
        cli.on("GET", f"{D}/logs", log(cursor="c", complete=True))
        assert cli.run("deployments", "watch", "42").exit_code == 0
        assert other.requests == []


def test_an_old_token_is_renewed_once_for_the_stream(cli: Cli, tmp_path: Path) -> None:
    config = tmp_path / "releasectl" / "config.json"
    config.parent.mkdir()
    kept = {"access_token": "old", "refresh_token": "r1"}
    config.write_text(json.dumps({"servers": {cli.server.url: kept}}))
    fresh = {"access_token": "new", "refresh_token": "r2", "token_type": "Bearer", "expires_in": 1800}
    cli.on("POST", "/auth/refresh", fresh)
    cli.on(
        "GET",
        f"{D}/stream",
        problem(401, "unauthenticated", "It has expired."),
        told(("status", deployment("succeeded")), END),
    )
    assert cli.run("deployments", "watch", "42").exit_code == 0
    sent = [each.headers["authorization"] for each in cli.server.got("GET", f"/api/v1{D}/stream")]
    assert sent == ["Bearer old", "Bearer new"]


def test_the_time_is_up_also_while_nothing_is_told(cli: Cli) -> None:
    cli.on("GET", f"{D}/stream", told(("status", deployment("running"))))
    cli.on("GET", D, deployment("running")).on("GET", f"{D}/steps", listed()).on(
        "GET", f"{D}/logs", log(cursor="c")
    )
    assert cli.run("deployments", "watch", "42", "--timeout", "0.2").exit_code == 124
