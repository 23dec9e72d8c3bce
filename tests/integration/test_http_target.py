"""The kind `http` beyond its contract: what is sent, what an answer means, and where it does not go."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from orchestrator.domain import standard_webhooks
from orchestrator.targets.base import (
    Absent,
    Command,
    Exited,
    Lost,
    Run,
    Running,
    StaleTokenError,
    TargetBusyError,
    TargetError,
    TargetUnreachableError,
)
from orchestrator.targets.http import HttpTarget
from orchestrator.testing import follow, new_run, until_written
from tests.receiver import LOOPBACK, Receiver, receiving
from tests.unit.cli_server import DROPPED, ScriptedServer, scripted_server

NEW = "whsec_" + "dGhlIG5ld2VyIGtleSBvZiAyNCBieXRl"
OLD = "whsec_" + "dGhlIG9sZGVyIGtleSBvZiAyNCBieXRl"
RUN = Run("7-8-1", "shop/production/web-a", 12, origin="0b5e")


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with scripted_server() as found:
        yield found


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text(f"{NEW}\n{OLD}\n")
    file.chmod(0o600)
    return file


@pytest.fixture
def target(server: ScriptedServer, secret: Path) -> HttpTarget:
    settings = {"url": f"{server.url}/runs/", "secret": str(secret)}
    return HttpTarget.from_settings(settings, runs_dir="/nowhere").within(LOOPBACK)


def test_a_start_says_what_to_do_and_is_signed_with_each_secret(
    server: ScriptedServer, target: HttpTarget
) -> None:
    server.on("POST", "/runs", (202, {}))
    for _ in range(2):
        target.start(RUN, Command("deploy", {"RELEASE_VERSION": "1.2.0"}))
    first, second = server.requests
    assert first.json() == {
        "run": "0b5e.7-8-1",
        "fence": "shop/production/web-a",
        "token": 12,
        "script": "deploy",
        "variables": {"RELEASE_VERSION": "1.2.0"},
    }
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"] == "0b5e.7-8-1"
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    for known in (NEW, OLD):
        assert Webhook(known).verify(first.body, first.headers) == json.loads(first.body)


def test_each_question_is_signed_under_an_id_of_its_own(server: ScriptedServer, target: HttpTarget) -> None:
    server.on("POST", "/runs/status", {"state": "absent"})
    for _ in range(2):
        assert target.poll(RUN, 5) == Absent()
    first, second = server.requests
    assert first.json() == {
        "run": "0b5e.7-8-1",
        "fence": "shop/production/web-a",
        "token": 12,
        "offset": 5,
    }
    assert Webhook(NEW).verify(first.body, first.headers) == json.loads(first.body)
    assert first.headers["webhook-id"] != second.headers["webhook-id"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"state": "running"}, Running(b"", 5)),
        ({"state": "running", "output": "AP8K"}, Running(b"\x00\xff\n", 8)),
        ({"state": "exited", "code": 3, "output": "AP8K"}, Exited(3, b"\x00\xff\n", 8)),
        ({"state": "exited", "code": 3, "output": "AP8K", "more": True}, Running(b"\x00\xff\n", 8)),
        ({"state": "lost", "reason": "the host was\nrestarted"}, Lost("the host was restarted")),
        ({"state": "lost"}, Lost("the target does not know how it ended")),
    ],
)
def test_an_answer_is_read_as_it_is_agreed(
    server: ScriptedServer, target: HttpTarget, answer: dict[str, Any], expected: object
) -> None:
    server.on("POST", "/runs/status", answer)
    assert target.poll(RUN, 5) == expected


@pytest.mark.parametrize(
    "answer",
    [
        DROPPED,
        b"<html>",
        b"[]",
        {},
        {"state": "gone"},
        {"state": ["running"]},
        {"state": "exited"},
        {"state": "exited", "code": "0"},
        {"state": "exited", "code": True},
        {"state": "exited", "code": 256},
        {"state": "running", "output": "not base64"},
        {"state": "running", "output": 5},
        (500, {"state": "absent"}),
        (502, b"bad gateway"),
        (429, {"code": "stale_token"}),
    ],
)
def test_an_answer_that_is_not_as_agreed_says_nothing_about_the_run(
    server: ScriptedServer, target: HttpTarget, answer: Any
) -> None:
    server.on("POST", "/runs/status", answer)
    with pytest.raises(TargetUnreachableError):
        target.poll(RUN, 5)


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (
            (409, {"code": "stale_token", "detail": "it has seen 13"}),
            StaleTokenError,
            "status 409: it has seen 13",
        ),
        ((409, {"code": "busy"}), TargetBusyError, "status 409"),
        ((401, {"detail": "its signature\tdoes not fit"}), TargetError, "its signature does not fit"),
        ((404, b"no such page"), TargetError, "it refuses with status 404"),
        ((302, {}, {"Location": "http://127.0.0.1:1/"}), TargetError, "it refuses with status 302"),
    ],
)
def test_a_refusal_is_told_apart_from_no_answer(
    server: ScriptedServer, target: HttpTarget, answer: Any, kind: type[TargetError], text: str
) -> None:
    server.on("POST", "/runs", answer)
    with pytest.raises(TargetError, match=f"{re.escape(text)}$") as refused:
        target.start(RUN, Command("deploy", {}))
    assert type(refused.value) is kind


def test_an_abort_is_over_when_the_far_side_says_so(server: ScriptedServer, target: HttpTarget) -> None:
    server.on("POST", "/runs/abort", (202, {"done": False}), (202, {}), {"done": True})
    target.abort(RUN, grace_seconds=10)
    assert [each.json()["grace_seconds"] for each in server.requests] == [10, 10, 10]


def test_our_own_network_is_called_only_where_that_is_allowed(
    server: ScriptedServer, target: HttpTarget
) -> None:
    with pytest.raises(TargetError, match="WEBHOOK_ALLOWED_NETWORKS does not allow it") as refused:
        replace(target, allowed=()).start(RUN, Command("deploy", {}))
    assert not refused.value.retryable
    assert server.requests == []


@pytest.mark.parametrize(
    ("text", "mode", "why"),
    [
        (NEW, 0o644, "chmod 600"),
        ("", 0o600, "is empty"),
        ("whsec_c2hvcnQ=", 0o600, "must hold 24 to 64 bytes"),
        ("whsec_pässwort", 0o600, "is not base64"),
    ],
)
def test_a_secret_that_cannot_be_used_sends_nothing_and_is_not_shown(
    server: ScriptedServer, target: HttpTarget, secret: Path, text: str, mode: int, why: str
) -> None:
    secret.write_text(text)
    secret.chmod(mode)
    with pytest.raises(TargetError, match=why) as refused:
        target.start(RUN, Command("deploy", {}))
    assert not text or text not in str(refused.value)
    assert server.requests == []


def test_a_secret_that_is_not_there_is_named(target: HttpTarget, secret: Path) -> None:
    secret.unlink()
    with pytest.raises(TargetError, match=f"{secret} cannot be read: No such file"):
        target.poll(RUN, 0)


def test_nobody_there_may_pass(target: HttpTarget, server: ScriptedServer) -> None:
    server.on("POST", "/runs/status", DROPPED)
    with pytest.raises(TargetUnreachableError, match="no answer"):
        target.poll(RUN, 0)


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with receiving(tmp_path / "receiver") as found:
        yield found


def of(receiver: Receiver) -> HttpTarget:
    return HttpTarget.from_settings(receiver.settings(), runs_dir="/nowhere").within(LOOPBACK)


def test_a_run_goes_on_while_the_receiver_is_killed_and_started_anew(
    receiver: Receiver, tmp_path: Path
) -> None:
    target, run, gate = of(receiver), new_run(), tmp_path / "gate"
    target.start(run, Command(f"echo one; while [ ! -e {gate} ]; do sleep 0.05; done; echo two", {}))
    until_written(target, run, b"one\n")
    receiver.kill()
    with pytest.raises(TargetUnreachableError):
        target.poll(run, 4)
    receiver.start()
    gate.touch()
    assert follow(target, run, 4) == (b"two\n", Exited(0, b"two\n", 8))


def test_the_example_believes_nobody_without_the_secret(receiver: Receiver, tmp_path: Path) -> None:
    started = tmp_path / "started"
    receiver.secret.write_text(standard_webhooks.write_secret(bytes(32)))
    with pytest.raises(TargetError, match="status 401: its signature does not fit"):
        of(receiver).start(new_run(), Command(f"touch {started}", {}))
    assert not started.exists()


def test_two_installations_do_not_take_each_others_runs_for_their_own(receiver: Receiver) -> None:
    target, ours = of(receiver), replace(new_run(), origin="ours")
    theirs = replace(ours, origin="theirs")
    target.start(ours, Command("echo ours", {}))
    assert target.poll(theirs, 0) == Absent()
