"""The supervisor keeps processes alive, stops them in order, and leaves nothing behind, however it ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.embedded import guardian
from orchestrator.embedded.output import Output
from orchestrator.embedded.spec import ProcessSpec, StartFailedError, StoppedError
from orchestrator.embedded.supervisor import Supervisor
from tests.servers import is_gone, passable_path

__all__ = ["passable_path"]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(said: list[str]) -> Iterator[Supervisor]:
    made = Supervisor(Output.nowhere(), notice=said.append)
    yield made
    made.close()


def shell(name: str, script: str, **more: object) -> ProcessSpec:
    spec = {"name": name, "argv": ("/bin/sh", "-c", script), "env": {"PATH": os.defpath}, "cwd": "/"}
    return ProcessSpec(**{**spec, **more})  # type: ignore[arg-type]  # a shorthand of the tests


def text_of(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_a_process_that_dies_is_started_again_and_said(supervisor: Supervisor, said: list[str]) -> None:
    supervisor.start([shell("sleeper", "exec sleep 600")])
    process = supervisor.process("sleeper")
    first_pid = process.pid
    os.kill(first_pid, signal.SIGKILL)
    assert guardian.wait_until(lambda: process.pid != first_pid and process.is_alive(), seconds=30)
    assert said == ["sleeper was ended by SIGKILL; starting it again in 0.5 s"]


def test_what_a_dead_process_left_in_its_session_is_gone_before_its_successor_starts(
    supervisor: Supervisor, passable_path: Path
) -> None:
    script = f"sleep 600 & echo $! >> {passable_path}/children; exec sleep 600"
    supervisor.start(
        [shell("parent", script, healthy=lambda: text_of(passable_path / "children").endswith("\n"))]
    )
    process = supervisor.process("parent")
    os.kill(process.pid, signal.SIGKILL)
    assert guardian.wait_until(lambda: text_of(passable_path / "children").count("\n") == 2, seconds=30)
    first, second = [int(line) for line in (passable_path / "children").read_text().split()]
    assert is_gone(first)
    assert not is_gone(second)


def test_one_that_dies_at_every_start_fails_with_what_it_said(supervisor: Supervisor) -> None:
    with pytest.raises(StartFailedError, match=r"broken died 3 times; it said last:\n.*no such table"):
        supervisor.start([shell("broken", "echo no such table >&2; exit 3", healthy=lambda: False)])


def test_a_one_shot_hands_back_its_output(supervisor: Supervisor) -> None:
    assert supervisor.run(shell("one-shot", "echo spoken; echo logged >&2")) == "spoken\n"


def test_a_failing_one_shot_raises_with_what_it_said(supervisor: Supervisor) -> None:
    with pytest.raises(
        StartFailedError, match=r"migrate ended with exit code 4; it said last:\n.*bad revision"
    ):
        supervisor.run(shell("migrate", "echo bad revision >&2; exit 4"))


def test_a_program_that_is_not_there_is_a_failed_start(supervisor: Supervisor) -> None:
    with pytest.raises(StartFailedError, match="ended with exit code 127"):
        supervisor.run(shell("ghost", "", argv=("/nonexistent/program",)))


def test_stores_stop_after_everything_else(supervisor: Supervisor, passable_path: Path) -> None:
    """The store notes at its stop whether the application, which takes its time, is still there."""
    place = passable_path
    app = f"trap 'sleep 0.5; exit 0' TERM; echo $$ > {place}/app; sleep 600 & wait"
    look = f"kill -0 $(cat {place}/app) && echo early > {place}/end || echo last > {place}/end"
    store = f"trap '{look}; exit 0' INT; : > {place}/store; sleep 600 & wait"
    supervisor.start(
        [
            shell("store", store, is_store=True, stop_signal=signal.SIGINT, healthy=(place / "store").exists),
            shell("app", app, healthy=(place / "app").exists),
        ]
    )
    supervisor.stop()
    assert (place / "end").read_text() == "last\n"
    assert supervisor.names() == []


def test_one_that_ignores_the_stop_is_killed_with_its_children_after_the_grace(
    supervisor: Supervisor, said: list[str], passable_path: Path
) -> None:
    script = f"trap '' TERM; sleep 600 & echo $! > {passable_path}/child; while :; do sleep 1; done"
    child = passable_path / "child"
    supervisor.start([shell("stubborn", script, grace_seconds=0.2, healthy=lambda: text_of(child) != "")])
    pids = [supervisor.process("stubborn").pid, int(child.read_text())]
    supervisor.stop()
    assert [is_gone(pid) for pid in pids] == [True, True]
    assert said == ["stubborn is killed"]


def test_hurry_kills_what_would_drain_for_long(
    supervisor: Supervisor, said: list[str], passable_path: Path
) -> None:
    script = f"trap '' TERM; : > {passable_path}/up; while :; do sleep 1; done"
    supervisor.start([shell("slow", script, grace_seconds=10_000, healthy=(passable_path / "up").exists)])
    supervisor.hurry()
    supervisor.stop()
    assert said == ["slow is killed"]


def test_interrupt_ends_a_start_that_waits(supervisor: Supervisor) -> None:
    def unhealthy() -> bool:
        supervisor.interrupt()
        return False

    with pytest.raises(StoppedError):
        supervisor.start([shell("never", "exec sleep 600", healthy=unhealthy, healthy_within_seconds=10_000)])


def test_a_killed_guardian_is_replaced_by_one_that_knows_everything(passable_path: Path) -> None:
    owner = Owner(passable_path, "os.kill(supervisor.guardian_pid, 9); wait_for_new_guardian()")
    session, child, detached = [int(line) for line in owner.wait_ready()]
    owner.kill()
    assert guardian.wait_until(lambda: is_gone(session) and is_gone(child), seconds=30)
    os.kill(detached, signal.SIGKILL)


def test_kill_9_of_the_supervisor_ends_grandchildren_but_no_detached_run(passable_path: Path) -> None:
    owner = Owner(passable_path, "pass")
    session, child, detached = [int(line) for line in owner.wait_ready()]
    owner.kill()
    assert guardian.wait_until(lambda: is_gone(session) and is_gone(child), seconds=30)
    assert not is_gone(detached)
    os.kill(detached, signal.SIGKILL)


OWNER = """
import os, sys
from pathlib import Path
from orchestrator.embedded import guardian
from orchestrator.embedded.output import Output
from orchestrator.embedded.spec import ProcessSpec
from orchestrator.embedded.supervisor import Supervisor

supervisor = Supervisor(Output.nowhere(), notice=lambda line: None)
first = supervisor.guardian_pid

def wait_for_new_guardian():
    assert guardian.wait_until(lambda: supervisor.guardian_pid != first, seconds=30)

script = "sleep 600 & echo $! > {place}/child; setsid sleep 600 & echo $! > {place}/detached; wait"
notes = [Path("{place}/child"), Path("{place}/detached")]
ready = lambda: all(note.exists() and note.read_text() for note in notes)
argv = ("/bin/sh", "-c", script)
supervisor.start([ProcessSpec(name="a", argv=argv, env=os.environ, cwd="/", healthy=ready)])
{then}
print(supervisor.process("a").pid, flush=True)
sys.stdin.read()
"""


class Owner:
    """A process that owns a supervisor and is to be killed."""

    def __init__(self, place: Path, then: str) -> None:
        self.place = place
        self.popen = subprocess.Popen(
            [sys.executable, "-c", OWNER.format(place=place, then=then)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_ready(self) -> list[str]:
        assert self.popen.stdout is not None
        return [
            self.popen.stdout.readline(),
            (self.place / "child").read_text(),
            (self.place / "detached").read_text(),
        ]

    def kill(self) -> None:
        self.popen.kill()
        self.popen.communicate()
