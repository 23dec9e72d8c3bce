"""Watching, waiting, logs and cancelling: what is shown, what is asked, and how the program ends."""

import json
import os
import pty
import signal
import subprocess
import sys

import pytest

from tests.unit.cli_run import Cli
from tests.unit.cli_server import DROPPED, Request, deployment, listed, log, piece, problem, step

D = "/deployments/42"


def ended_at_once(cli: Cli, status: str, **changes: object) -> Cli:
    cli.on("GET", D, deployment(status, **changes)).on("GET", f"{D}/steps", listed())
    return cli.on("GET", f"{D}/logs", log(cursor="c0", complete=True))


def env_of(cli: Cli) -> dict[str, str]:
    return {
        **os.environ,
        **{name: value for name, value in cli.env.items() if value is not None},
        "TERM": "xterm",
    }


@pytest.mark.parametrize(
    ("status", "code"),
    [("succeeded", 0), ("failed", 1), ("cancelled", 7), ("superseded", 7), ("expired", 6)],
)
def test_the_exit_code_says_how_it_ended(cli: Cli, status: str, code: int) -> None:
    assert ended_at_once(cli, status).run("deployments", "watch", "42").exit_code == code


def test_a_watch_shows_waiting_steps_and_whole_log_lines(cli: Cli) -> None:
    gate = [{"kind": "approval", "message": "needs approval by an operator"}]
    cli.on(
        "GET",
        D,
        deployment("pending", waiting_for=gate),
        deployment("running", running=1),
        deployment("running", running=1, succeeded=1, wave=1),
        deployment("succeeded", succeeded=2, wave=1),
    )
    cli.on(
        "GET",
        f"{D}/steps",
        listed(step(1, "web-a", "running")),
        listed(step(1, "web-a", "succeeded")),
        listed(step(2, "web-b", "running", wave=1)),
        listed(step(2, "web-b", "succeeded", wave=1)),
    )
    cli.on(
        "GET",
        f"{D}/logs",
        log(cursor="c0"),
        log(piece("unpack"), cursor="c1"),
        log(cursor="c1"),
        log(piece("ing\ndone\n"), piece("\x1b[31mred\x1b[2J\r\n", target="web-b", step_id=2), cursor="c2"),
        log(cursor="c2"),
        log(piece("last words", target="web-b", step_id=2), cursor="c3", complete=True),
        log(cursor="c3", complete=True),
    )
    done = cli.run("deployments", "watch", "42")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "web-a | unpacking",
        "web-a | done",
        "web-b | red",
        "web-b | last words",
    ]
    assert done.stderr.splitlines() == [
        "deployment 42  shop 1.2.0 -> production",
        "deployment 42  pending; waits: needs approval by an operator",
        "deployment 42  running, 0 of 2 steps done",
        "wave 1  web-a unpack  running",
        "deployment 42  running, 1 of 2 steps done",
        "wave 1  web-a unpack  succeeded",
        "wave 2  web-b unpack  running",
        "deployment 42  succeeded, 2 of 2 steps done",
        "wave 2  web-b unpack  succeeded",
    ]


def test_each_log_page_is_asked_for_from_where_the_last_one_ended(cli: Cli) -> None:
    ended_at_once(cli, "succeeded")
    cli.server.answers["GET", f"/api/v1{D}/logs"] = []
    cli.on("GET", f"{D}/logs", log(piece("a\n"), cursor="c1"), log(cursor="c1", complete=True))
    cli.run("deployments", "watch", "42")
    asked = [each.query.get("cursor") for each in cli.server.got("GET", f"/api/v1{D}/logs")]
    assert asked == [None, "c1"]


def test_of_ten_thousand_steps_only_those_that_matter_are_asked_for(cli: Cli) -> None:
    wide = {"steps": 10_000, "waves": 1}
    cli.on("GET", D, deployment("running", running=40, failed=1, **wide), deployment("succeeded", **wide))

    def steps(request: Request) -> object:
        status = request.query.get("status")
        return listed(step(1, "web-1", status or "waiting"), cursor=None if status else "more")

    cli.on("GET", f"{D}/steps", steps).on(
        "GET", f"{D}/logs", log(cursor="c0"), log(cursor="c0", complete=True)
    )
    assert cli.run("deployments", "watch", "42").exit_code == 0
    asked = [each.query for each in cli.server.got("GET", f"/api/v1{D}/steps")]
    assert asked == [
        {"wave": "0", "limit": "50"},
        {"wave": "0", "status": "failed", "limit": "50"},
        {"wave": "0", "status": "running", "limit": "50"},
    ]


def test_a_failed_deployment_is_followed_through_its_rollback(cli: Cli) -> None:
    ended_at_once(cli, "failed", failure="2 of 2 targets failed", rolled_back_by_id=43)
    back = "/deployments/43"
    cli.on("GET", back, deployment("succeeded", id=43, version="1.1.0", rolls_back_id=42))
    cli.on("GET", f"{back}/steps", listed())
    cli.on("GET", f"{back}/logs", log(piece("restored\n"), cursor="c1"), log(cursor="c1", complete=True))
    done = cli.run("deployments", "watch", "42")
    assert done.exit_code == 8
    assert done.stdout == "web-a | restored\n"
    assert "2 of 2 targets failed" in done.stderr
    assert "deployment 43  shop 1.1.0 -> production  (rolls back 42)" in done.stderr


def test_a_rollback_that_fails_too_is_not_called_rolled_back(cli: Cli) -> None:
    ended_at_once(cli, "failed", rolled_back_by_id=43)
    cli.on("GET", "/deployments/43", deployment("failed", id=43, rolls_back_id=42))
    cli.on("GET", "/deployments/43/steps", listed()).on(
        "GET", "/deployments/43/logs", log(cursor="c", complete=True)
    )
    assert cli.run("deployments", "watch", "42").exit_code == 1


def got_another_plan(cli: Cli) -> None:
    """42, in whose place is 44, in whose place is 45, which fails."""
    ended_at_once(cli, "superseded", replaced_by_id=44)
    for number, status, instead in ((44, "superseded", 45), (45, "failed", None)):
        path = f"/deployments/{number}"
        cli.on("GET", path, deployment(status, id=number, replaced_by_id=instead)).on(
            "GET", f"{path}/steps", listed()
        )
        cli.on("GET", f"{path}/logs", log(cursor="c", complete=True))


def test_one_that_got_another_plan_is_followed_to_the_end_of_that(cli: Cli) -> None:
    got_another_plan(cli)
    done = cli.run("deployments", "watch", "42")
    assert done.exit_code == 1
    notices = [line for line in done.stderr.splitlines() if "following" in line]
    assert notices == [
        "deployment 42 got another plan; following deployment 44",
        "deployment 44 got another plan; following deployment 45",
    ]


def test_json_watch_tells_that_too_and_ends_with_the_last(cli: Cli) -> None:
    got_another_plan(cli)
    done = cli.run("deployments", "watch", "42", "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["type"] for line in lines] == [*["deployment", "notice"] * 2, "deployment", "end"]
    assert lines[-1] == {"type": "end", "id": 45, "status": "failed", "exit_code": 1}
    assert done.exit_code == 1


def test_a_rollback_that_got_another_plan_still_rolls_back(cli: Cli) -> None:
    ended_at_once(cli, "failed", rolled_back_by_id=43)
    for number, status, instead in ((43, "superseded", 44), (44, "succeeded", None)):
        path = f"/deployments/{number}"
        told = deployment(status, id=number, rolls_back_id=42, replaced_by_id=instead)
        cli.on("GET", path, told).on("GET", f"{path}/steps", listed())
        cli.on("GET", f"{path}/logs", log(cursor="c", complete=True))
    assert cli.run("deployments", "watch", "42").exit_code == 8


def test_json_watch_is_a_line_for_each_change_and_an_end(cli: Cli) -> None:
    ended_at_once(cli, "succeeded", succeeded=2)
    cli.server.answers["GET", f"/api/v1{D}/logs"] = []
    cli.on("GET", f"{D}/logs", log(piece("raw \x1b[2J"), cursor="c1"), log(cursor="c1", complete=True))
    lines = [json.loads(line) for line in cli.run("deployments", "watch", "42", "--json").stdout.splitlines()]
    assert [line["type"] for line in lines] == ["deployment", "log", "end"]
    assert lines[1]["log"]["text"] == "raw \x1b[2J"
    assert lines[2] == {"type": "end", "id": 42, "status": "succeeded", "exit_code": 0}


def test_a_server_that_restarts_does_not_end_the_watch(cli: Cli) -> None:
    away = problem(500, "internal", "Starting.")
    cli.on("GET", D, deployment("running"), away, DROPPED, deployment("succeeded"))
    cli.on("GET", f"{D}/steps", listed()).on(
        "GET", f"{D}/logs", log(cursor="c"), log(cursor="c", complete=True)
    )
    done = cli.run("deployments", "watch", "42")
    assert done.exit_code == 0
    assert "the deployment goes on" in done.stderr
    assert "the server is back" in done.stderr


def test_a_deployment_that_is_not_there_is_exit_3(cli: Cli) -> None:
    cli.on("GET", D, problem(404, "not_found", "There is no deployment 42."))
    assert cli.run("deployments", "watch", "42").exit_code == 3


def test_a_timeout_leaves_it_running_and_says_how_to_return(cli: Cli) -> None:
    cli.on("GET", D, deployment("pending")).on("GET", f"{D}/logs", log(cursor="c"))
    done = cli.run("deployments", "watch", "42", "--timeout", "0")
    assert done.exit_code == 124
    assert "come back with: releasectl deployments watch 42" in done.stderr
    assert {each.method for each in cli.server.requests} == {"GET"}


def test_an_unknown_step_asks_for_a_persons_answer(cli: Cli) -> None:
    cli.on("GET", D, deployment("paused", unknown=1), deployment("failed"))
    cli.on("GET", f"{D}/steps", listed()).on(
        "GET", f"{D}/logs", log(cursor="c"), log(cursor="c", complete=True)
    )
    said = cli.run("deployments", "watch", "42").stderr
    assert "releasectl deployments resume 42 --answer retry|skip|fail" in said


@pytest.mark.parametrize("followed", [42, 43])
def test_ctrl_c_detaches_and_never_cancels(cli: Cli, followed: int) -> None:
    cli.on("POST", "/deployments/", (202, deployment("pending")))
    process: list[subprocess.Popen[str]] = []
    path = f"/deployments/{followed}"

    def interrupt(_: Request) -> object:
        process[0].send_signal(signal.SIGINT)
        return deployment("running", id=followed)

    if followed != 42:
        ended_at_once(cli, "superseded", replaced_by_id=followed)
    cli.on("GET", path, deployment("running", id=followed), interrupt, deployment("running", id=followed))
    cli.on("GET", f"{path}/steps", listed()).on("GET", f"{path}/logs", log(cursor="c"))
    command = [sys.executable, "-c", "from orchestrator.cli import main; main()"]
    process.append(
        subprocess.Popen(
            [*command, "deploy", "shop", "1.2.0", "--to", "production", "--watch"],
            env=env_of(cli),
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
    )
    _, said = process[0].communicate(timeout=60)
    assert process[0].returncode == 130
    back = f"deployment {followed} goes on; come back with: releasectl deployments watch {followed}\n"
    assert said.endswith(back)
    assert [each.path for each in cli.server.requests if each.method == "POST"] == ["/api/v1/deployments/"]


def on_terminal(cli: Cli, *args: str) -> tuple[int, str]:
    """Run in a pseudo-terminal; returns the exit code and everything drawn."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", "from orchestrator.cli import main; main()", *args]
    with subprocess.Popen(
        command, env={**env_of(cli), "COLUMNS": "100"}, stdin=theirs, stdout=theirs, stderr=theirs
    ) as run:
        os.close(theirs)
        drawn = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # Linux says EIO when the other side is closed
                break
            drawn += part
    os.close(ours)
    return run.returncode, drawn.decode()


def test_a_terminal_gets_bars_steps_and_the_log_without_its_escapes(cli: Cli) -> None:
    cli.on("GET", D, deployment("running", running=1), deployment("succeeded", succeeded=2, wave=1))
    cli.on("GET", f"{D}/steps", listed(step(1, "web-a", "running")), listed(step(2, "web-b", "succeeded")))
    first = log(piece("\x1b[32mgreen\x1b[0m \x1b]0;owned\x07\x1b[2Jend\n"), cursor="c1")
    cli.on("GET", f"{D}/logs", first, log(cursor="c1"), log(cursor="c1", complete=True))
    code, drawn = on_terminal(cli, "deployments", "watch", "42")
    assert code == 0, drawn
    assert "\x1b[32mgreen\x1b[0m end" in drawn
    assert "owned" not in drawn
    assert "\x1b[2J" not in drawn
    assert "━" in drawn
    assert "2 of 2" in drawn
    assert "✓" in drawn


def test_a_terminal_is_shown_the_waves_around_the_current_one(cli: Cli) -> None:
    cli.on("GET", D, deployment("succeeded", steps=200, waves=90, wave=89, succeeded=200))
    cli.on("GET", f"{D}/steps", listed()).on("GET", f"{D}/logs", log(cursor="c0", complete=True))
    counts = dict.fromkeys(("failed", "running", "skipped", "cancelled", "unknown", "waiting", "ready"), 0)
    last = {
        "wave": 89,
        "batch": 89,
        "action": "run",
        "title": "./install",
        "total": 2,
        "succeeded": 2,
        **counts,
    }
    cli.on("GET", f"{D}/waves", listed(last))
    code, drawn = on_terminal(cli, "deployments", "watch", "42")
    assert code == 0, drawn
    assert "90 ./install" in drawn
    (asked,) = cli.server.got("GET", f"/api/v1{D}/waves")
    assert (asked.query["first"], asked.query["limit"]) == ("86", "4")


def test_a_terminal_gets_a_drawn_table_with_relative_times(cli: Cli) -> None:
    cli.on("GET", "/deployments/", listed(deployment("failed", requested_at="2000-01-01T00:00:00Z")))
    code, drawn = on_terminal(cli, "deployments", "list")
    assert code == 0
    assert " d ago" in drawn
    assert "\x1b[1;31mfailed" in drawn


def test_cancel_waits_until_nothing_runs_any_more(cli: Cli) -> None:
    asked = deployment("running", cancel_requested_at="2026-11-23T12:05:00Z")
    cli.on("POST", f"{D}/cancel", (202, asked)).on("GET", D, asked, asked, deployment("cancelled"))
    done = cli.run("deployments", "cancel", "42", "--wait", "--reason", "wrong price")
    assert done.exit_code == 0
    assert cli.server.requests[0].json() == {"reason": "wrong price"}
    assert "cancelling" in done.stderr
    assert done.stdout.endswith("cancelled, 0 of 2 steps done\n")


def test_cancel_that_came_too_late_is_a_conflict(cli: Cli) -> None:
    cli.on("POST", f"{D}/cancel", (202, deployment("running"))).on("GET", D, deployment("succeeded"))
    assert cli.run("deployments", "cancel", "42", "--wait").exit_code == 5


def test_logs_prints_what_there_is_and_returns(cli: Cli) -> None:
    cli.on("GET", f"{D}/logs", log(piece("a\nb"), cursor="c1"), log(cursor="c1"))
    done = cli.run("deployments", "logs", "42", "--step", "1")
    assert (done.exit_code, done.stdout) == (0, "web-a | a\nweb-a | b\n")
    assert cli.server.requests[0].query == {"step": "1", "limit": "200"}


def test_logs_follow_ends_when_the_log_is_complete(cli: Cli) -> None:
    cli.on("GET", D, deployment("running"), deployment("failed"))
    ends = (log(piece("a\n"), cursor="c1"), log(cursor="c1"), log(piece("b\n"), cursor="c2"))
    cli.on("GET", f"{D}/logs", *ends, log(cursor="c2", complete=True))
    done = cli.run("deployments", "logs", "-f", "42", "--json")
    assert done.exit_code == 0
    assert [json.loads(line)["text"] for line in done.stdout.splitlines()] == ["a\n", "b\n"]


def test_retry_makes_a_new_deployment_and_can_watch_it(cli: Cli) -> None:
    cli.on("POST", "/deployments/41/retry", (202, deployment("pending", retry_of_id=41)))
    ended_at_once(cli, "succeeded")
    assert cli.run("deployments", "retry", "41", "--watch").exit_code == 0
    assert "idempotency-key" in cli.server.requests[0].headers
