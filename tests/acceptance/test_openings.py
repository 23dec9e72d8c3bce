"""Deployments that begin at an instant, with real workers and two beats: not before it, and once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator import clock
from orchestrator.domain.windows import RuleKind
from orchestrator.services import deployments, pipelines, releases, schedules, windows
from tests.acceptance.fleet import Fleet, eventually
from tests.acceptance.test_workers import deploy, ended, workers, world
from tests.integration.engine_world import World, between

__all__ = ["workers", "world"]


def in_seconds(seconds: int) -> datetime:
    return clock.now().astimezone(UTC).replace(microsecond=0) + timedelta(seconds=seconds)


def started(world: World, deployment: int) -> datetime:
    found = world.get(deployment).started_at
    assert isinstance(found, datetime)
    return found


def test_what_waits_for_a_window_starts_once_it_opens(world: World, workers: Fleet, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    workers.worker()
    workers.beat()
    workers.beat()
    script = f"echo $DEPLOYMENT_ID >> {ledger}"
    assert ended(world, deploy(world, script, application="first")) == "succeeded"
    opens = in_seconds(8)
    document = between(opens, opens + timedelta(hours=1))
    with world.database.transaction() as session:
        windows.create(session, RuleKind.WINDOW, environment="lab", document=document, actor=world.actor)
    waiting = [deploy(world, script, application=f"app-{n}") for n in range(3)]
    assert {ended(world, each) for each in waiting} == {"succeeded"}
    assert all(started(world, each) >= opens for each in waiting)
    assert sorted(ledger.read_text().split()[1:]) == sorted(map(str, waiting))


def test_a_schedule_is_kept_and_one_that_expires_runs_nothing(
    world: World, workers: Fleet, tmp_path: Path
) -> None:
    """The slot is busy until the one that expires has done so."""
    ledger, gate = tmp_path / "ledger", tmp_path / "gate"
    workers.worker()
    workers.beat()
    first = deploy(world, f"echo $DEPLOYMENT_ID >> {ledger}; while [ ! -e {gate} ]; do sleep 0.1; done")
    eventually(ledger.exists, "the first one runs")
    begins = in_seconds(6)
    with world.database.transaction() as session:
        later, never = (
            deployments.request(
                session,
                application="tool",
                version="1",
                environment="lab",
                reason="",
                actor=world.actor,
                **times,
            ).id
            for times in ({"scheduled_for": begins}, {"expires_at": in_seconds(5)})
        )
    assert ended(world, never) == "expired"
    gate.touch()
    assert [ended(world, each) for each in (first, later)] == ["succeeded", "succeeded"]
    assert started(world, later) >= begins
    assert ledger.read_text().split() == [str(first), str(later)]


CHAIN = """
application: chain
environments:
  one: {targets: [{name: a, kind: noop}]}
  two: {after: one, auto: true, targets: [{name: a, kind: noop}]}
  three: {targets: [{name: a, kind: noop}]}
deploy: [{run: ./install}]
"""


def test_releases_go_on_by_themselves_and_again_and_again(world: World, workers: Fleet) -> None:
    workers.worker()
    workers.beat()
    workers.beat()
    with world.database.transaction() as session:
        pipelines.apply(session, name="chain", source=CHAIN, actor=world.actor)
        releases.create(session, name="chain", version="1", artifact="", changes="", actor=world.actor)
        schedule = schedules.create(
            session,
            application="chain",
            environment="three",
            from_environment="two",
            cron="0 9 * * tue",
            zone="UTC",
            reason="",
            actor=world.actor,
        )
        first = deployments.request(
            session, application="chain", version="1", environment="one", reason="", actor=world.actor
        ).id
    assert ended(world, first) == "succeeded"
    two = "SELECT id FROM deployments WHERE environment = 'two' AND status = 'succeeded'"
    eventually(lambda: world.column(two), "it went on")
    world.execute(
        "UPDATE schedules SET next_at = clock_timestamp(), due_at = clock_timestamp() WHERE id = :id",
        id=schedule,
    )
    three = "SELECT id FROM deployments WHERE environment = 'three' AND status = 'succeeded'"
    eventually(lambda: world.column(three), "its time came")
    assert world.scalar("SELECT count(*) FROM deployments") == 3


APPLICATIONS, ENVIRONMENTS, QUEUED = 40, 5, 5


def crowd(world: World, name: str) -> None:
    """An application whose environments all are slots of their own, with a queue in each."""
    environments = "".join(
        f"  lab-{n}: {{targets: [{{name: a, kind: noop}}]}}\n" for n in range(ENVIRONMENTS)
    )
    source = f"application: {name}\nenvironments:\n{environments}deploy: [{{run: ./install}}]\n"
    with world.database.transaction() as session:
        pipelines.apply(session, name=name, source=source, actor=world.actor)
        releases.create(session, name=name, version="1", artifact="", changes="", actor=world.actor)


def queue_up(world: World, name: str) -> None:
    with world.database.transaction() as session:
        for number in range(ENVIRONMENTS * QUEUED):
            deployments.request(
                session,
                application=name,
                version="1",
                environment=f"lab-{number % ENVIRONMENTS}",
                reason="",
                actor=world.actor,
            )


@pytest.mark.timeout(400)
def test_a_thousand_that_wait_for_one_opening_start_one_in_each_slot(world: World, workers: Fleet) -> None:
    names = [f"crowd-{n}" for n in range(APPLICATIONS)]
    for name in names:
        crowd(world, name)
    opens = in_seconds(20)
    document = between(opens, opens + timedelta(hours=1))
    with world.database.transaction() as session:
        for number in range(ENVIRONMENTS):
            windows.create(
                session, RuleKind.WINDOW, environment=f"lab-{number}", document=document, actor=world.actor
            )
    for name in names:
        queue_up(world, name)
    workers.worker()
    workers.worker()
    workers.beat()
    workers.beat()
    unfinished = "SELECT count(*) FROM deployments WHERE status <> 'succeeded'"
    eventually(lambda: world.scalar(unfinished) == 0, "all have succeeded", within_seconds=240)
    assert world.scalar("SELECT count(*) FROM deployments") == APPLICATIONS * ENVIRONMENTS * QUEUED
    early = "SELECT count(*) FROM deployments WHERE started_at < :opens"
    assert world.scalar(early, opens=opens) == 0
    # Ordered by request, each began when the one before it in its slot had ended.
    beside = """
        SELECT count(*) FROM (
            SELECT started_at, lag(ended_at) OVER (PARTITION BY application_id, environment ORDER BY id) AS before
            FROM deployments) x WHERE started_at < before
    """
    assert world.scalar(beside) == 0
    assert world.scalar("SELECT max(number) FROM attempts") == 1
