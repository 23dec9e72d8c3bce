"""Flower, as we start it: what operators read there, and that nobody else does."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest
import urllib3
from flower.urls import handlers

from orchestrator.config import Settings
from orchestrator.queue import TaskName
from tests.acceptance.fleet import Fleet, eventually
from tests.acceptance.test_workers import ended
from tests.acceptance.tool import deploy, workers, world
from tests.integration.engine_world import World
from tests.ports import free_port

__all__ = ["workers", "world"]

LOGIN = "ops:only-for-this-test"
KNOWN = urllib3.make_headers(basic_auth=LOGIN)
SECRET, VARIABLE = "planted-for-the-run-91c7", "planted-as-a-variable-07aa"
OPEN = {"/metrics", "/healthcheck"}
"""They tell numbers, and answer everybody: docs say so."""
TICK = "recovery.tick"


def paths() -> list[str]:
    """Everything that Flower serves but its own scripts and styles, and what is not there."""
    patterns = [each[0] if isinstance(each, tuple) else each.regex.pattern for each in handlers]
    found = {re.sub(r"\([^)]*\)", "x", each).rstrip("$?/") or "/" for each in patterns}
    return sorted(each for each in found if not each.startswith("/static") and each != ".*")


@pytest.fixture
def flower(workers: Fleet) -> Iterator[str]:
    port = free_port()
    workers.flower(port, FLOWER_BASIC_AUTH=LOGIN)
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return urllib3.request("GET", f"{url}/healthcheck", retries=False).status == 200
        except urllib3.exceptions.HTTPError:
            return False

    eventually(answers, "Flower answers")
    yield url


def tasks(url: str) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = urllib3.request("GET", f"{url}/api/tasks", headers=KNOWN).json()
    return list(found.values())


def test_it_shows_deployments_by_their_names_and_nothing_secret(
    world: World, workers: Fleet, settings: Settings, flower: str
) -> None:
    file = settings.secrets_folder / "tool" / "TOKEN"
    file.parent.mkdir(parents=True)
    file.write_text(SECRET)
    file.chmod(0o600)
    workers.worker()
    workers.beat()
    more = f"secrets: [TOKEN]\nvariables: {{PLANTED: {VARIABLE}}}\n"
    deployment = deploy(world, "kind: command", 'echo "$TOKEN $PLANTED"', more=more)
    assert ended(world, deployment) == "succeeded"
    named = re.compile(rf"\(tool 1 -> lab\)|\(deployment {deployment} -> lab, due\)")

    def ours() -> list[dict[str, Any]]:
        """Not what an earlier test may have left on the broker."""
        done = [each for each in tasks(flower) if each["state"] == "SUCCESS"]
        return [each for each in done if named.fullmatch(each["args"])]

    shown = eventually(ours, "what was done is shown")[0]
    assert {each["name"] for each in tasks(flower)} <= set(TaskName) - {TICK}
    assert shown["kwargs"] == ""
    pages = ("/", "/tasks", "/broker", f"/task/{shown['uuid']}", f"/api/task/info/{shown['uuid']}")
    said = {path: urllib3.request("GET", flower + path, headers=KNOWN) for path in (*pages, "/api/tasks")}
    assert {path: each.status for path, each in said.items()} == dict.fromkeys(said, 200)
    assert b"-&gt; lab" in said[f"/task/{shown['uuid']}"].data
    hidden = (SECRET, VARIABLE, settings.secret_key, settings.database_url, settings.redis_url)
    assert [path for path, each in said.items() if any(word.encode() in each.data for word in hidden)] == []


def test_who_does_not_log_in_sees_nothing(flower: str) -> None:
    wrong = urllib3.make_headers(basic_auth="ops:guessed")
    for headers, method in itertools.product(({}, wrong), ("GET", "POST")):
        statuses = {
            path: urllib3.request(method, flower + path, headers=headers, redirect=False).status
            for path in paths()
        }
        refused = {path for path, status in statuses.items() if status in {401, 404, 405}}
        assert set(statuses) - refused <= OPEN | {"/logout"}, statuses
