"""Workers that die, hang, restart and lose their broker, with real processes and real commands."""

import signal
from pathlib import Path

from redis import Redis

from orchestrator.config import Settings
from orchestrator.services import deployments, pipelines, releases
from tests.acceptance.fleet import Fleet, bearers, eventually
from tests.acceptance.tool import workers, world
from tests.integration.engine_world import World

__all__ = ["workers", "world"]


def deploy(
    world: World, script: str, *, application: str = "tool", targets: int = 1, grace: str = "2s"
) -> int:
    """Record an application whose one step is `script`, and request a deployment of it."""
    names = ", ".join(f"{{name: t{n}, kind: command}}" for n in range(targets))
    body = "".join(f"      {line}\n" for line in script.strip().splitlines())
    source = (
        f"application: {application}\nenvironments:\n  lab:\n    targets: [{names}]\n"
        f"deploy:\n  - run: |\n{body}    grace: {grace}\n"
    )
    with world.database.transaction() as session:
        applied = pipelines.apply(session, name=application, source=source, actor=world.actor)
        if applied.created:
            releases.create(
                session, name=application, version="1", artifact="", changes="", actor=world.actor
            )
    return again(world, application)


def again(world: World, application: str) -> int:
    with world.database.transaction() as session:
        return deployments.request(
            session, application=application, version="1", environment="lab", reason="", actor=world.actor
        ).id


def log_of(world: World, deployment: int) -> str:
    return world.stored_log(deployment).decode()


def ended(world: World, deployment: int) -> str:
    def status() -> str | None:
        row = world.get(deployment)
        return str(row.status) if row.ended_at else None

    return eventually(status, f"deployment {deployment} ends")


def counting(ledger: Path, gate: Path) -> str:
    """A script that notes its start and its pid, counts, and ends when the gate is opened."""
    return f"""
echo "$$" >> {ledger}
n=0
while [ ! -e {gate} ]; do n=$((n + 1)); echo "line $n"; sleep 0.2; done
echo "end after $n"
"""


def expected_lines(log: str) -> bool:
    """Whether the log counts from 1 without a gap or a repeat, and says so at its end."""
    *lines, last = log.splitlines()
    return lines == [f"line {n}" for n in range(1, len(lines) + 1)] and last == f"end after {len(lines)}"


def test_a_run_goes_on_when_every_worker_is_killed(world: World, workers: Fleet, tmp_path: Path) -> None:
    ledger, gate = tmp_path / "ledger", tmp_path / "gate"
    first = workers.worker()
    deployment = deploy(world, counting(ledger, gate))
    eventually(lambda: "line 3" in log_of(world, deployment), "the run has begun")
    pid = int(ledger.read_text())
    first.kill()
    seen = len(log_of(world, deployment))
    workers.worker()
    eventually(lambda: len(log_of(world, deployment)) > seen, "the log continues")
    gate.touch()
    assert ended(world, deployment) == "succeeded"
    assert ledger.read_text() == f"{pid}\n"
    assert expected_lines(log_of(world, deployment))
    assert world.scalar("SELECT count(*) FROM attempts WHERE deployment_id = :id", id=deployment) == 1


def test_a_worker_says_that_its_node_lives_and_how_much_room_it_has(world: World, workers: Fleet) -> None:
    workers.worker()
    said = "SELECT free_bytes FROM heartbeats WHERE source LIKE 'node:%'"
    free = eventually(lambda: world.scalar(said), "the node is heard of")
    assert int(str(free)) > 0


def test_a_rolling_restart_interrupts_nothing(world: World, workers: Fleet, tmp_path: Path) -> None:
    ledger, gate = tmp_path / "ledger", tmp_path / "gate"
    old = workers.worker()
    deployment = deploy(world, counting(ledger, gate))
    eventually(lambda: "line 2" in log_of(world, deployment), "the run has begun")
    workers.worker()
    old.signal(signal.SIGTERM)
    assert old.popen.wait(timeout=30) == 0
    gate.touch()
    assert ended(world, deployment) == "succeeded"
    assert len(ledger.read_text().splitlines()) == 1
    assert expected_lines(log_of(world, deployment))


def test_a_worker_that_sleeps_past_its_lease_changes_nothing_when_it_wakes(
    world: World, workers: Fleet, tmp_path: Path
) -> None:
    ledger, gate = tmp_path / "ledger", tmp_path / "gate"
    sleeper = workers.worker()
    deployment = deploy(world, counting(ledger, gate))
    eventually(lambda: "line 2" in log_of(world, deployment), "the run has begun")
    token = world.scalar("SELECT token FROM attempts WHERE deployment_id = :id", id=deployment)
    sleeper.signal(signal.SIGSTOP)
    workers.worker()
    eventually(
        lambda: world.scalar("SELECT token FROM attempts WHERE deployment_id = :id", id=deployment) != token,
        "another worker takes over",
    )
    sleeper.signal(signal.SIGCONT)
    eventually(lambda: sleeper.says("lease_lost"), "the sleeper finds out")
    gate.touch()
    assert ended(world, deployment) == "succeeded"
    assert len(ledger.read_text().splitlines()) == 1
    assert expected_lines(log_of(world, deployment))


STUBBORN = """
trap '' TERM
(trap '' TERM; setsid sh -c 'trap "" TERM; while :; do sleep 0.1; done' &)
echo started
while :; do sleep 0.1; done
"""


def test_cancelled_is_said_only_when_nothing_of_it_is_alive(
    world: World, workers: Fleet, settings: Settings
) -> None:
    workers.worker()
    deployment = deploy(world, STUBBORN)
    eventually(lambda: "started" in log_of(world, deployment), "the run has begun")
    step = world.scalar("SELECT id FROM steps WHERE deployment_id = :id", id=deployment)
    run = f"{deployment}-{step}-1"
    assert len(bearers(run, settings.data_dir)) >= 2
    with world.database.transaction() as session:
        deployments.cancel(session, deployment, actor=world.actor, reason="wrong version")

    def status_and_survivors() -> tuple[str, list[int]] | None:
        status = world.status(deployment)
        alive = bearers(run, settings.data_dir)
        assert status != "cancelled" or not alive
        return (status, alive) if status == "cancelled" else None

    assert eventually(status_and_survivors, "it is cancelled") == ("cancelled", [])


def test_ten_deployments_of_one_slot_run_one_after_the_other_in_order(
    world: World, workers: Fleet, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    script = f'echo "+$DEPLOYMENT_ID" >> {ledger}; sleep 0.1; echo "-$DEPLOYMENT_ID" >> {ledger}'
    ids = [deploy(world, script), *(again(world, "tool") for _ in range(9))]
    for _ in range(2):
        workers.worker()
    assert [ended(world, each) for each in ids] == ["succeeded"] * 10
    assert ledger.read_text().split() == [f"{sign}{each}" for each in ids for sign in "+-"]


def test_ten_slots_run_side_by_side(world: World, workers: Fleet, tmp_path: Path) -> None:
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    script = f"""
touch {meeting}/"$RELEASE_NAME"
while [ "$(ls {meeting} | wc -l)" -lt 10 ]; do sleep 0.1; done
"""
    workers.worker()
    ids = [deploy(world, script, application=f"app-{n}") for n in range(10)]
    assert [ended(world, each) for each in ids] == ["succeeded"] * 10


def test_a_deployment_whose_message_was_lost_is_found_without_a_beat(
    world: World, workers: Fleet, redis_url: str
) -> None:
    deployment = deploy(world, "echo found")
    with Redis.from_url(redis_url) as broker:
        broker.flushdb()
    workers.worker()
    assert ended(world, deployment) == "succeeded"
    assert log_of(world, deployment) == "found\n"


def test_beats_find_what_is_due_and_two_do_no_harm(world: World, workers: Fleet, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    workers.worker()
    workers.beat()
    workers.beat()
    ids = [deploy(world, f"echo $DEPLOYMENT_ID >> {ledger}", application=f"app-{n}") for n in range(5)]
    assert {ended(world, each) for each in ids} == {"succeeded"}
    assert sorted(ledger.read_text().split()) == sorted(str(each) for each in ids)


def test_a_step_that_takes_too_long_is_ended_and_fails(world: World, workers: Fleet) -> None:
    workers.worker()
    source = """
application: slow
environments:
  lab:
    targets: [{name: one, kind: command}]
deploy:
  - run: echo begun; sleep 600
    timeout: 1s
    grace: 1s
"""
    with world.database.transaction() as session:
        pipelines.apply(session, name="slow", source=source, actor=world.actor)
        releases.create(session, name="slow", version="1", artifact="", changes="", actor=world.actor)
    deployment = again(world, "slow")
    assert ended(world, deployment) == "failed"
    step = world.scalar("SELECT failure FROM steps WHERE deployment_id = :id", id=deployment)
    assert step == "not done after 1 s"
