"""A deployment whose plan nobody can read, or whose run nobody can reach, ends truthfully or asks a person."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from orchestrator.config import Settings
from orchestrator.db import Database
from orchestrator.domain.errors import PlanOfAnotherVersionError
from orchestrator.domain.statuses import Outcome
from orchestrator.services import attempts
from orchestrator.services.attempts import Ended
from orchestrator.targets import runs as files
from orchestrator.targets.base import Command, Run, Running
from orchestrator.targets.command import CommandTarget
from tests.integration.engine_world import World, worker
from workers.context import WorkerContext
from workers.follower import Follower
from workers.leases import LeaseKeeper
from workers.outlived import end_outlived

NEWER_FORMAT = (
    """UPDATE plans SET document = jsonb_set(document, '{format}', '99') WHERE deployment_id = :id"""
)
NO_ACTIONS = """UPDATE plans SET document = document - 'actions' WHERE deployment_id = :id"""
GONE_KIND = """UPDATE steps SET target = jsonb_set(target, '{kind}', '"removed"') WHERE deployment_id = :id"""


@pytest.fixture
def world(database: Database) -> World:
    made = World(database)
    made.release("1.0.0")
    return made


def spoil(world: World, statement: str, deployment_id: int) -> None:
    """Change what the database protects, as only a damaged database or another version would have it."""
    with world.database.transaction() as session:
        session.execute(text("SET LOCAL session_replication_role = replica"))
        session.execute(text(statement), {"id": deployment_id})


def end_leases(world: World, deployment_id: int, *, ago: str = "1 second") -> None:
    world.execute(
        "UPDATE attempts SET lease_until = clock_timestamp() - CAST(:ago AS interval),"
        " not_before = clock_timestamp() - CAST(:ago AS interval) WHERE deployment_id = :id",
        id=deployment_id,
        ago=ago,
    )


def test_a_damaged_plan_fails_the_deployment_before_anything_is_started(world: World) -> None:
    deployment = world.request("1.0.0")
    spoil(world, NO_ACTIONS, deployment)
    assert world.advance(deployment, worker()) is None
    assert world.status(deployment) == "failed"
    why = world.scalar("SELECT failure FROM attempts WHERE deployment_id = :id", id=deployment)
    assert "keys that this version knows" in str(why)


def test_a_plan_that_becomes_unreadable_under_a_started_run_asks_a_person(world: World) -> None:
    deployment = world.request("1.0.0")
    assert world.advance(deployment, worker()) is not None
    spoil(world, NO_ACTIONS, deployment)
    end_leases(world, deployment)
    assert world.advance(deployment, worker("two")) is None
    assert world.status(deployment) == "paused"
    assert (
        world.column("SELECT status FROM steps WHERE deployment_id = :id ORDER BY id", id=deployment)[0]
        == "unknown"
    )


@pytest.mark.parametrize("change", [NEWER_FORMAT, GONE_KIND])
def test_what_another_version_can_do_is_left_to_it_and_fails_when_none_comes(
    world: World, change: str
) -> None:
    deployment = world.request("1.0.0")
    world.advance(deployment)
    (attempt,) = world.open_attempts(deployment)
    assert isinstance(attempt, int)
    spoil(world, change, deployment)
    with pytest.raises(PlanOfAnotherVersionError):
        world.claim(attempt, worker())
    assert world.status(deployment) == "running"
    assert world.open_attempts(deployment) == [attempt]
    end_leases(world, deployment, ago="16 minutes")
    assert world.claim(attempt, worker()) is None
    assert world.status(deployment) == "failed"


def test_a_run_on_a_node_that_is_away_is_not_tried_again_even_if_that_were_harmless(world: World) -> None:
    deployment = world.request("1.0.0")
    claim = world.advance(deployment, worker())
    assert claim is not None
    spoil(
        world, "UPDATE plans SET document = jsonb_set(document, '{actions,0,idempotent}', 'true')", deployment
    )
    end_leases(world, deployment)
    again = world.claim(claim.attempt_id, worker("two"))
    assert again is not None and again.work.action.idempotent
    with world.database.transaction() as session:
        attempts.finish(
            session, again, Ended(Outcome.LOST, failure="away", certainly_over=False), worker("two")
        )
    assert world.status(deployment) == "paused"


def test_a_follower_that_finds_the_node_of_a_run_away_asks_a_person(world: World, settings: Settings) -> None:
    """Found by the model: the follower forgot to say that the run may be alive, and attempt 2 began beside it."""
    deployment = world.request("1.0.0")
    for change in (
        "UPDATE plans SET document = jsonb_set(document, '{actions,0,idempotent}', 'true')",
        "UPDATE steps SET target = jsonb_set(target, '{kind}', '\"command\"')",
    ):
        spoil(world, f"{change} WHERE deployment_id = :id", deployment)
    claim = world.advance(deployment, worker())
    assert claim is not None and claim.node == "node-1"
    end_leases(world, deployment)
    elsewhere = worker("two", node="node-2")
    leases = LeaseKeeper(world.database, lease_seconds=30)
    Follower(WorkerContext(settings, world.database, leases, elsewhere)).run_step(claim.attempt_id)
    assert world.status(deployment) == "paused"
    assert world.scalar("SELECT status FROM steps WHERE id = :id", id=claim.work.step_id) == "unknown"
    assert world.scalar("SELECT count(*) FROM attempts WHERE step_id = :id", id=claim.work.step_id) == 1


@pytest.fixture
def runs_dir(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "runs"
    for folder in (tmp_path / "runs" / "runs").glob("[!.]*"):
        if left := files.processes(folder):
            left.kill()


def test_a_run_that_outlived_its_attempt_is_ended_when_its_node_is_back(world: World, runs_dir: Path) -> None:
    deployment = world.request("1.0.0")
    claim = world.advance(deployment, worker())
    assert claim is not None
    target = CommandTarget.from_settings({}, runs_dir=str(runs_dir))
    run = Run(claim.work.run_name, claim.work.fence, claim.token)
    spoil(
        world,
        "UPDATE steps SET target = jsonb_set(target, '{kind}', '\"command\"') WHERE deployment_id = :id",
        deployment,
    )
    target.start(run, Command("sleep 600", {"PATH": "/usr/bin:/bin"}))
    assert end_outlived(world.database, runs_dir) == 0
    assert isinstance(target.poll(run, 0), Running)
    with world.database.transaction() as session:
        attempts.finish(session, claim, Ended(Outcome.LOST, failure="away", certainly_over=False), None)
    (pid,) = [int((folder / "pid").read_text()) for folder in (runs_dir / "runs").glob("[!.]*")]
    assert end_outlived(world.database, runs_dir) == 1
    assert not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text()
    assert end_outlived(world.database, runs_dir) == 0
