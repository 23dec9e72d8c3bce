"""Deployments to an HTTP service by real workers: lost answers, secrets that are repeated, callbacks, and nobody there."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from werkzeug.serving import make_server

from api.app import close, create_app
from orchestrator.config import Settings
from orchestrator.services import deployments, pipelines, releases
from tests.acceptance.fleet import Fleet, eventually
from tests.acceptance.test_workers import ended
from tests.acceptance.tool import deploy, workers, world
from tests.chaos.proxy import Mode, Proxy
from tests.integration.engine_world import World
from tests.ports import free_port
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


@contextmanager
def web(settings: Settings) -> Iterator[str]:
    """The API at a port of its own."""
    app = create_app(settings)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        close(app)


def test_a_receiver_calls_back_when_a_run_is_over(
    world: World, workers: Fleet, settings: Settings, receiver: Receiver, line: Proxy, tmp_path: Path
) -> None:
    goes_on, may_end = tmp_path / "goes-on", tmp_path / "may-end"
    called = "SELECT called_back FROM attempts WHERE deployment_id = :id"
    with web(settings) as url:
        workers.worker(CALLBACK_URL=url)
        script = f"touch {goes_on}\nuntil test -e {may_end}; do sleep 0.1; done\necho it is over"
        deployment = deploy(world, f"{at(over(line), receiver.secret)}, callback: true", script)
        eventually(goes_on.exists, "the run has begun")
        assert world.scalar(called, id=deployment) == 0
        line.turn("receiver", Mode.CUT)  # or the worker may happen to ask before it is told
        may_end.touch()
        eventually(lambda: world.scalar(called, id=deployment) == 1, "it is told")
        line.turn("receiver", Mode.OPEN, reset=True)
        assert ended(world, deployment) == "succeeded"
    assert world.scalar(called, id=deployment) == 1
    assert world.stored_log(deployment) == b"it is over\n"


def test_a_service_that_is_not_there_is_left_out_and_the_others_are_done(
    world: World, workers: Fleet, receiver: Receiver
) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}/runs"
    targets = ", ".join(
        f"{{name: {name}, {at(url, receiver.secret)}}}"
        for name, url in (("away", nowhere), ("here", str(receiver.settings()["url"])))
    )
    source = (
        f"application: tool\nenvironments:\n  lab:\n    targets: [{targets}]\n"
        "    strategy: {kind: rolling, unreachable: {skip: 1}}\ndeploy: [{run: 'true'}]\n"
    )
    with world.database.transaction() as session:
        pipelines.apply(session, name="tool", source=source, actor=world.actor)
        releases.create(session, name="tool", version="1", artifact="", changes="", actor=world.actor)
        deployment = deployments.request(
            session, application="tool", version="1", environment="lab", reason="", actor=world.actor
        ).id
    workers.worker(SLICE_SECONDS="2")
    assert ended(world, deployment) == "failed"
    assert (
        world.get(deployment).failure
        == "1 target could not be reached and was skipped, so all others were done"
    )
    statement = "SELECT target_name || ' ' || status FROM steps WHERE deployment_id = :id ORDER BY 1"
    assert world.column(statement, id=deployment) == ["away skipped", "here succeeded"]
    failure = world.scalar(
        "SELECT failure FROM steps WHERE deployment_id = :id AND status = 'skipped'", id=deployment
    )
    assert str(failure).startswith("it cannot be reached: ")
