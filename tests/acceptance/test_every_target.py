"""What every kind of target keeps together with real workers: one start, found again in each phase, nothing left, and the truth."""

import getpass
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.config import Settings
from orchestrator.presenting.explanations import present_explanation
from orchestrator.services import deployments, explaining
from tests.acceptance.fleet import Fleet, Process, eventually
from tests.acceptance.test_workers import counting, ended, expected_lines, log_of
from tests.acceptance.tool import deploy, workers, world
from tests.chaos.proxy import Mode, Proxy
from tests.dockerd import Dockerd, needs_dockerd
from tests.integration.engine_world import World
from tests.receiver import receiving
from tests.servers import is_gone
from tests.sshd import serving

__all__ = ["workers", "world"]


@dataclass
class Place:
    """Where a target of some kind is: its settings in a pipeline, and the line that leads there."""

    settings: str
    line: Proxy

    def turn(self, mode: Mode) -> None:
        self.line.turn("target", mode, reset=mode is Mode.OPEN)

    def is_gone(self, pid: int) -> bool:
        """Whether a process that a script there knows by this number has ended."""
        return is_gone(pid)

    def end(self, leader: int) -> None:
        """End a script that nobody reaches."""
        os.killpg(leader, signal.SIGKILL)


@dataclass
class ContainersPlace(Place):
    """Where processes have numbers of their own."""

    dockerd: Dockerd

    def is_gone(self, pid: int) -> bool:
        return not self.dockerd.processes(pid)

    def end(self, leader: int) -> None:
        for pid in self.dockerd.processes(leader):
            os.kill(pid, signal.SIGKILL)


@contextmanager
def command_place(_folder: Path, _request: pytest.FixtureRequest) -> Iterator[Place]:
    """The worker's own node: no line leads there that could be cut."""
    with Proxy() as line:
        yield Place("kind: command", line)


@contextmanager
def ssh_place(folder: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    """A host over SSH."""
    settings: Settings = request.getfixturevalue("settings")
    with serving(folder / "sshd") as host, Proxy() as line:
        port = line.link("target", host.port)
        host.record_key(settings.data_dir / "known_hosts", port=port)
        yield Place(
            f"kind: ssh, host: 127.0.0.1, port: {port}, user: {getpass.getuser()},"
            f" identity: {host.identity}, runs: {host.folder}/remote",
            line,
        )


@contextmanager
def http_place(folder: Path, _request: pytest.FixtureRequest) -> Iterator[Place]:
    """The receiver of the examples."""
    with receiving(folder / "receiver") as receiver, Proxy() as line:
        port = line.link("target", receiver.port)
        yield Place(f"kind: http, url: 'http://127.0.0.1:{port}/runs', secret: {receiver.secret}", line)


@contextmanager
def docker_place(folder: Path, request: pytest.FixtureRequest) -> Iterator[Place]:
    """A real Docker daemon, over TLS; scripts see the folder of the test."""
    dockerd: Dockerd = request.getfixturevalue("empty_dockerd")
    with Proxy() as line:
        port = line.link("target", dockerd.port)
        settings = dockerd.settings(port=port, volumes=[f"{folder}:{folder}"])
        yield ContainersPlace(f"kind: docker, {json.dumps(settings)[1:-1]}", line, dockerd)


COMMAND = pytest.param(command_place, id="command")
SSH = pytest.param(ssh_place, id="ssh")
HTTP = pytest.param(http_place, id="http")
DOCKER = pytest.param(docker_place, id="docker", marks=needs_dockerd)
EVERY = pytest.mark.parametrize("place", [COMMAND, SSH, HTTP, DOCKER], indirect=True)
FAR_AWAY = pytest.mark.parametrize("place", [SSH, HTTP, DOCKER], indirect=True)


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as stack:
        yield stack.enter_context(request.param(tmp_path, request))


def is_claimed(world: World, deployment: int) -> bool:
    query = "SELECT count(*) FROM attempts WHERE deployment_id = :id AND token > 0"
    return bool(world.scalar(query, id=deployment))


def why(world: World, deployment: int) -> str:
    with world.database.reading() as session:
        told = explaining.explain(session, deployment, actor=world.actor)
        return str(present_explanation(told)["because"])


def written(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


@contextmanager
def ended_afterwards(place: Place, ledger: Path) -> Iterator[None]:
    """What goes on at a target that nobody reaches: its scripts, which wrote down who they are."""
    try:
        yield
    finally:
        for leader in written(ledger):
            place.end(int(leader))


def kill_at(phase: str, worker: Process, begun: Callable[[], bool], claimed: Callable[[], bool]) -> None:
    eventually(claimed if phase == "as soon as it is claimed" else begun, f"it is time: {phase}")
    worker.kill()


@EVERY
@pytest.mark.parametrize(
    "phase", ["as soon as it is claimed", "in the middle", "over before anybody looks again"]
)
def test_a_worker_that_is_killed_costs_no_byte_and_no_second_start(
    world: World, workers: Fleet, place: Place, tmp_path: Path, phase: str
) -> None:
    ledger, gate, over = tmp_path / "ledger", tmp_path / "gate", tmp_path / "over"
    first = workers.worker()
    deployment = deploy(world, place.settings, f"trap ': >{over}' EXIT\n{counting(ledger, gate)}")
    kill_at(
        phase,
        first,
        begun=lambda: "line 3" in log_of(world, deployment),
        claimed=lambda: is_claimed(world, deployment),
    )
    if phase.startswith("over"):
        gate.touch()
        eventually(over.exists, "the run is over")
    workers.worker()
    eventually(lambda: "line 2" in log_of(world, deployment), "another worker reads on")
    gate.touch()
    assert ended(world, deployment) == "succeeded"
    assert len(written(ledger)) == 1
    assert expected_lines(log_of(world, deployment))


@EVERY
def test_what_a_killed_worker_left_is_ended_by_a_cancel_to_the_last_process(
    world: World, workers: Fleet, place: Place, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    first = workers.worker()
    daemon = f"(setsid sh -c 'trap \"\" TERM; echo $$ >>{ledger}; while :; do sleep 1; done' &) &"
    deployment = deploy(world, place.settings, f"echo $$ >>{ledger}\n{daemon}\nsleep 600")
    eventually(lambda: len(written(ledger)) == 2, "it runs, and has left a daemon")
    first.kill()
    with world.database.transaction() as session:
        deployments.cancel(session, deployment, reason="", actor=world.actor)
    workers.worker()
    assert ended(world, deployment) == "cancelled"
    assert [pid for pid in map(int, written(ledger)) if not place.is_gone(pid)] == []


@FAR_AWAY
def test_a_cancel_waits_for_a_target_that_is_away_and_then_ends_the_run(
    world: World, workers: Fleet, place: Place, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    worker = workers.worker()
    deployment = deploy(world, place.settings, f"echo $$ >>{ledger}; sleep 600")
    eventually(lambda: written(ledger), "it runs")
    place.turn(Mode.CUT)
    with world.database.transaction() as session:
        deployments.cancel(session, deployment, reason="", actor=world.actor)
    eventually(lambda: worker.says("target_trouble"), "the target is away")
    eventually(lambda: "; one: " in why(world, deployment), "everybody is told that it is")
    assert world.status(deployment) == "running"
    assert not place.is_gone(int(written(ledger)[0]))
    place.turn(Mode.OPEN)
    assert ended(world, deployment) == "cancelled"
    assert place.is_gone(int(written(ledger)[0]))


@FAR_AWAY
@pytest.mark.parametrize("phase", ["before the start", "in the middle"])
def test_a_target_that_stays_away_past_the_limit_makes_the_step_unknown(
    world: World, workers: Fleet, place: Place, tmp_path: Path, phase: str
) -> None:
    ledger = tmp_path / "ledger"
    workers.worker(UNREACHABLE_SECONDS="3")
    workers.beat()
    if phase == "before the start":
        place.turn(Mode.CUT)
    timeout = "5s" if phase == "before the start" else "10s"  # which begins before the run does
    deployment = deploy(world, place.settings, f"echo $$ >>{ledger}; sleep 600", timeout=timeout)
    if phase == "in the middle":
        eventually(lambda: written(ledger), "the run has begun")
        place.turn(Mode.CUT)
    with ended_afterwards(place, ledger):
        eventually(lambda: world.status(deployment) == "paused", "a person is asked")
    (step,) = world.rows("SELECT status, failure FROM steps WHERE deployment_id = :id", id=deployment)
    assert step[0] == "unknown"
    assert step[1].startswith("its end cannot be known: ")
    assert len(written(ledger)) == (phase == "in the middle")
