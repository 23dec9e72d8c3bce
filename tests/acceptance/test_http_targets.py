"""Deployments to an HTTP service by real workers: an answer that is lost, and one that repeats secrets."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.config import Settings
from tests.acceptance.fleet import Fleet, eventually
from tests.acceptance.test_workers import ended
from tests.acceptance.tool import deploy, workers, world
from tests.chaos.proxy import Mode, Proxy
from tests.integration.engine_world import World
from tests.receiver import Receiver, receiving
from tests.unit.cli_server import scripted_server

__all__ = ["workers", "world"]


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


def at(url: str, secret: Path) -> str:
    return f"kind: http, url: '{url}', secret: {secret}"


def over(line: Proxy) -> str:
    return f"http://127.0.0.1:{line.links['receiver'].port}/runs"


def step(world: World, deployment: int, column: str) -> str:
    return str(world.scalar(f"SELECT {column} FROM steps WHERE deployment_id = :id", id=deployment))  # noqa: S608  # a name of ours


def test_a_start_whose_answer_is_lost_begins_once(
    world: World, workers: Fleet, receiver: Receiver, line: Proxy, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    line.turn("receiver", Mode.MUTE)
    first = workers.worker()
    deployment = deploy(world, at(over(line), receiver.secret), f"echo x >> {ledger}")
    eventually(ledger.exists, "the run has begun")
    first.kill()
    line.turn("receiver", Mode.OPEN, reset=True)
    workers.worker()
    assert ended(world, deployment) == "succeeded"
    assert ledger.read_text() == "x\n"


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
        deployment = deploy(world, at(url, receiver.secret), "deploy", more="secrets: [PASSWORD]\n")
        assert ended(world, deployment) == "failed"
        (sent,) = server.requests
        assert sent.json()["variables"]["PASSWORD"] == "correct-horse-battery"
    failure = step(world, deployment, "failure")
    assert failure.startswith("it refuses with status 400: what is {")
    assert "'PASSWORD': '***'" in failure
    assert not worker.says("correct-horse-battery")
