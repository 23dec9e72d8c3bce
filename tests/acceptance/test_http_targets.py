"""Deployments to an HTTP service by real workers: killed, cut off in each phase, and answered by one that repeats secrets."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.config import Settings
from orchestrator.db import Database
from orchestrator.services import deployments, pipelines, releases
from tests.acceptance.fleet import Fleet, eventually, fleet
from tests.acceptance.test_workers import counting, ended, expected_lines, log_of
from tests.chaos.proxy import Mode, Proxy
from tests.conftest import environment
from tests.integration.engine_world import World
from tests.receiver import Receiver, receiving
from tests.unit.cli_server import scripted_server


@pytest.fixture
def workers(settings: Settings, tmp_path: Path) -> Iterator[Fleet]:
    env = environment(settings.database_url, settings.redis_url, settings.data_dir)
    more = {"LEASE_SECONDS": "3", "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8"}
    with fleet(env | more, tmp_path) as made:
        yield made


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with receiving(tmp_path / "receiver") as found:
        yield found


@pytest.fixture
def line(receiver: Receiver) -> Iterator[Proxy]:
    """What is between the workers and the receiver."""
    with Proxy() as proxy:
        proxy.link("receiver", receiver.port)
        yield proxy


def deploy(world: World, url: str, secret: Path, script: str, *, more: str = "") -> int:
    """Record an application whose one step is `script` at the URL, and request a deployment of it."""
    body = "".join(f"      {each}\n" for each in script.strip().splitlines())
    source = (
        f"application: tool\nenvironments:\n  lab:\n    targets:\n"
        f"      - {{name: web-a, kind: http, url: '{url}', secret: {secret}}}\n"
        f"deploy:\n  - run: |\n{body}    grace: 1s\n{more}"
    )
    with world.database.transaction() as session:
        pipelines.apply(session, name="tool", source=source, actor=world.actor)
        releases.create(session, name="tool", version="1", artifact="", changes="", actor=world.actor)
    with world.database.transaction() as session:
        return deployments.request(
            session, application="tool", version="1", environment="lab", reason="", actor=world.actor
        ).id


def over(line: Proxy) -> str:
    return f"http://127.0.0.1:{line.links['receiver'].port}/runs"


def step(world: World, deployment: int, column: str) -> str:
    return str(world.scalar(f"SELECT {column} FROM steps WHERE deployment_id = :id", id=deployment))  # noqa: S608  # a name of ours


def test_a_run_goes_on_when_the_worker_is_killed_and_the_receiver_is_out_of_reach(
    world: World, workers: Fleet, receiver: Receiver, line: Proxy, tmp_path: Path
) -> None:
    ledger, gate = tmp_path / "ledger", tmp_path / "gate"
    first = workers.worker()
    deployment = deploy(world, over(line), receiver.secret, counting(ledger, gate))
    eventually(lambda: "line 3" in log_of(world, deployment), "the run has begun")
    first.kill()
    second = workers.worker()
    seen = len(log_of(world, deployment))
    eventually(lambda: len(log_of(world, deployment)) > seen, "another worker reads on")
    line.turn("receiver", Mode.CUT)
    eventually(lambda: second.says("target_trouble"), "the worker notices")
    line.turn("receiver", Mode.OPEN)
    seen = len(log_of(world, deployment))
    eventually(lambda: len(log_of(world, deployment)) > seen, "the log continues")
    gate.touch()
    assert ended(world, deployment) == "succeeded"
    assert len(ledger.read_text().splitlines()) == 1
    assert expected_lines(log_of(world, deployment))


def test_a_start_whose_answer_is_lost_begins_once(
    world: World, workers: Fleet, receiver: Receiver, line: Proxy, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    line.turn("receiver", Mode.MUTE)
    first = workers.worker()
    deployment = deploy(world, over(line), receiver.secret, f"echo x >> {ledger}")
    eventually(ledger.exists, "the run has begun")
    first.kill()
    line.turn("receiver", Mode.OPEN, reset=True)
    workers.worker()
    assert ended(world, deployment) == "succeeded"
    assert ledger.read_text() == "x\n"


@pytest.mark.parametrize("phase", ["before the start", "in the middle"])
def test_a_receiver_out_of_reach_past_the_limit_makes_the_step_unknown(
    world: World, workers: Fleet, receiver: Receiver, line: Proxy, tmp_path: Path, phase: str
) -> None:
    ledger = tmp_path / "ledger"
    workers.worker()
    workers.beat()
    if phase == "before the start":
        line.turn("receiver", Mode.CUT)
    script, limit = f"echo begun >> {ledger}; sleep 600", "    timeout: 5s\n"
    deployment = deploy(world, over(line), receiver.secret, script, more=limit)
    if phase == "in the middle":
        eventually(ledger.exists, "the run has begun")
        line.turn("receiver", Mode.CUT)
    eventually(lambda: world.status(deployment) == "paused", "a person is asked")
    assert step(world, deployment, "status") == "unknown"
    assert step(world, deployment, "failure").startswith("its end cannot be known: no answer")
    assert ledger.exists() is (phase == "in the middle")


def test_a_secret_that_a_receiver_repeats_is_in_no_record(
    world: World, workers: Fleet, settings: Settings, receiver: Receiver
) -> None:
    file = settings.secrets_folder / "tool" / "PASSWORD"
    file.parent.mkdir(parents=True)
    file.write_text("correct-horse-battery")
    file.chmod(0o600)
    worker = workers.worker()
    with scripted_server() as server:
        server.on("POST", "/runs", lambda sent: (400, {"detail": f"what is {sent.json()['variables']}?"}))
        url = f"{server.url}/runs"
        deployment = deploy(world, url, receiver.secret, "deploy", more="secrets: [PASSWORD]\n")
        assert ended(world, deployment) == "failed"
        (sent,) = server.requests
        assert sent.json()["variables"]["PASSWORD"] == "correct-horse-battery"
    failure = step(world, deployment, "failure")
    assert failure.startswith("it refuses with status 400: what is {")
    assert "'PASSWORD': '***'" in failure
    assert not worker.says("correct-horse-battery")
