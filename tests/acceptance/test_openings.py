"""Deployments that begin at an instant, with real workers and two beats: not before it, and once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from orchestrator import clock
from orchestrator.domain.windows import RuleKind
from orchestrator.services import deployments, windows
from tests.acceptance.fleet import Fleet
from tests.acceptance.test_workers import deploy, ended, workers, world
from tests.integration.engine_world import World

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
    moments = {"from": f"{opens:%Y-%m-%dT%H:%M:%S}", "to": f"{opens + timedelta(hours=1):%Y-%m-%dT%H:%M:%S}"}
    document = {"name": "soon", "zone": "UTC", "dated": moments}
    with world.database.transaction() as session:
        windows.create(session, RuleKind.WINDOW, environment="lab", document=document, actor=world.actor)
    waiting = [deploy(world, script, application=f"app-{n}") for n in range(3)]
    assert {world.status(each) for each in waiting} == {"pending"}
    assert {ended(world, each) for each in waiting} == {"succeeded"}
    assert all(started(world, each) >= opens for each in waiting)
    assert sorted(ledger.read_text().split()[1:]) == sorted(map(str, waiting))


def test_a_schedule_is_kept_and_one_that_expires_runs_nothing(
    world: World, workers: Fleet, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    workers.worker()
    workers.beat()
    first = deploy(world, f"echo $DEPLOYMENT_ID >> {ledger}; sleep 5")
    begins = in_seconds(4)
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
            )
            for times in ({"scheduled_for": begins}, {"expires_at": in_seconds(2)})
        )
    assert [ended(world, each) for each in (first, later, never)] == ["succeeded", "succeeded", "expired"]
    assert started(world, later) >= begins
    assert ledger.read_text().split() == [str(first), str(later)]
