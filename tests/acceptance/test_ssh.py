"""Deployments to a host over SSH by real workers: killed, cut off, and with another key at the host."""

import getpass
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.config import Settings
from orchestrator.repositories import steps
from orchestrator.services import deployments
from orchestrator.targets.ssh import SshTarget
from orchestrator.testing import new_run
from tests.acceptance.fleet import Fleet, eventually
from tests.acceptance.test_workers import counting, ended, expected_lines, log_of
from tests.acceptance.tool import deploy, workers, world
from tests.chaos.proxy import Mode, Proxy
from tests.integration.engine_world import World
from tests.servers import is_gone
from tests.sshd import Sshd, needs_sshd, serving

__all__ = ["workers", "world"]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Sshd]:
    with serving(tmp_path / "sshd") as server:
        yield server


@pytest.fixture
def line(host: Sshd, settings: Settings) -> Iterator[Proxy]:
    """What is between the workers and the host; the host's key is recorded for its port."""
    with Proxy() as proxy:
        host.record_key(settings.data_dir / "known_hosts", port=proxy.link("host", host.port))
        yield proxy


def at(host: Sshd, line: Proxy) -> str:
    return (
        f"kind: ssh, host: 127.0.0.1, port: {line.links['host'].port}, "
        f"user: {getpass.getuser()}, identity: {host.identity}, runs: {host.folder}/remote"
    )


def test_a_run_goes_on_when_the_worker_is_killed_and_the_host_is_out_of_reach(
    world: World, workers: Fleet, host: Sshd, line: Proxy, tmp_path: Path
) -> None:
    ledger, gate = tmp_path / "ledger", tmp_path / "gate"
    first = workers.worker()
    deployment = deploy(world, at(host, line), counting(ledger, gate))
    eventually(lambda: "line 3" in log_of(world, deployment), "the run has begun")
    first.kill()
    second = workers.worker()
    seen = len(log_of(world, deployment))
    eventually(lambda: len(log_of(world, deployment)) > seen, "another worker reads on")
    line.turn("host", Mode.CUT)
    eventually(lambda: second.says("target_trouble"), "the worker notices")
    line.turn("host", Mode.OPEN)
    seen = len(log_of(world, deployment))
    eventually(lambda: len(log_of(world, deployment)) > seen, "the log continues")
    gate.touch()
    assert ended(world, deployment) == "succeeded"
    assert len(ledger.read_text().splitlines()) == 1
    assert expected_lines(log_of(world, deployment))
    assert world.scalar("SELECT count(*) FROM attempts WHERE deployment_id = :id", id=deployment) == 1


def test_a_question_that_hangs_while_the_patience_ends_is_asked_once_more(
    world: World, workers: Fleet, host: Sshd, line: Proxy, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    worker = workers.worker(UNREACHABLE_SECONDS="1")
    deployment = deploy(world, at(host, line), f"echo $$ >>{ledger}; sleep 600", timeout="10s")
    eventually(ledger.exists, "the run has begun")
    line.turn("host", Mode.STALLED)
    over = "SELECT bool_and(started_at + interval '11500 ms' < clock_timestamp()) FROM attempts WHERE deployment_id = :id"
    eventually(lambda: world.scalar(over, id=deployment), "nobody is patient any more")
    line.turn("host", Mode.STALLED, reset=True)
    eventually(lambda: worker.says("target_trouble"), "what hung has come to nothing")
    line.turn("host", Mode.OPEN)
    assert ended(world, deployment) == "failed"
    (step,) = world.rows("SELECT status, failure FROM steps WHERE deployment_id = :id", id=deployment)
    assert step == ("failed", "not done after 10 s")


def test_a_key_that_is_not_the_recorded_one_fails_the_step_and_says_what_to_do(
    world: World, workers: Fleet, host: Sshd, line: Proxy, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    host.new_host_key()
    workers.worker()
    deployment = deploy(world, at(host, line), f"echo begun >> {ledger}")
    assert ended(world, deployment) == "failed"
    failure = world.scalar("SELECT failure FROM steps WHERE deployment_id = :id", id=deployment)
    assert "is not the recorded one" in failure
    assert "releasectl targets scan" in failure
    assert not ledger.exists()
    with world.database.reading() as session:
        assert steps.touched(session, deployment).targets == 0


def test_a_run_whose_host_shows_another_key_meanwhile_is_not_called_failed(
    world: World, workers: Fleet, host: Sshd, line: Proxy, settings: Settings, tmp_path: Path
) -> None:
    ledger, gate = tmp_path / "ledger", tmp_path / "gate"
    worker = workers.worker()
    deployment = deploy(world, at(host, line), counting(ledger, gate))
    eventually(lambda: "line 3" in log_of(world, deployment), "the run has begun")
    known = settings.data_dir / "known_hosts"
    right = known.read_text()
    known.write_text("")
    line.turn("host", Mode.OPEN, reset=True)
    eventually(lambda: worker.says("is not recorded"), "the worker does not speak to it")
    assert world.status(deployment) == "running"
    known.write_text(right)
    gate.touch()
    assert ended(world, deployment) == "succeeded"
    assert len(ledger.read_text().splitlines()) == 1
    assert expected_lines(log_of(world, deployment))


def test_cancelling_ends_what_runs_at_the_host(
    world: World, workers: Fleet, host: Sshd, line: Proxy, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    workers.worker()
    script = f"trap '' TERM; (setsid sh -c 'trap \"\" TERM; sleep 600' & echo $! $$ >> {ledger}); echo begun; sleep 600"
    deployment = deploy(world, at(host, line), script)
    eventually(lambda: "begun" in log_of(world, deployment), "the run has begun")
    with world.database.transaction() as session:
        deployments.cancel(session, deployment, actor=world.actor, reason="wrong version")
    assert ended(world, deployment) == "cancelled"
    pids = [int(each) for each in ledger.read_text().split()]
    assert len(pids) == 2
    assert all(is_gone(pid) for pid in pids)


GATES = """
echo "$SSH_ORIGINAL_COMMAND" >>{folder}/calls
while [ -e {folder}/before ]; do sleep 0.1; done
sh -c "$SSH_ORIGINAL_COMMAND"
while [ -e {folder}/after ]; do sleep 0.1; done
"""


@needs_sshd
@pytest.mark.parametrize("phase", ["before", "after"])
def test_a_worker_killed_before_or_after_the_host_began_what_it_asked_for_starts_nothing_twice(
    world: World, workers: Fleet, settings: Settings, tmp_path: Path, phase: str
) -> None:
    gates, ledger, gate = tmp_path / "gates.sh", tmp_path / "ledger", tmp_path / phase
    gates.write_text(GATES.format(folder=tmp_path))
    calls = tmp_path / "calls"
    with serving(tmp_path / "gated", more=f"ForceCommand sh {gates}") as host, Proxy() as line:
        host.record_key(settings.data_dir / "known_hosts", port=line.link("host", host.port))
        SshTarget.from_settings(host.settings(), runs_dir=str(host.folder / "runs")).poll(new_run(), 0)
        gate.touch()
        first = workers.worker()
        deployment = deploy(world, at(host, line), f'echo "$$" >> {ledger}; echo done')
        # In the one phase nothing has begun yet, in the other all is over; the worker knows neither.
        seen = ledger.exists if phase == "after" else lambda: " start " in calls.read_text()
        eventually(seen, "the host was asked to start it")
        first.kill()
        assert ledger.exists() is (phase == "after")
        workers.worker()
        gate.unlink()
        assert ended(world, deployment) == "succeeded"
        assert log_of(world, deployment) == "done\n"
        assert len(ledger.read_text().splitlines()) == 1
        assert world.scalar("SELECT count(*) FROM attempts WHERE deployment_id = :id", id=deployment) == 1
