"""A run never begins without its secrets, whoever comes to start it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.config import Settings
from orchestrator.db import Database
from orchestrator.services import pipelines
from orchestrator.services.attempts import Worker
from orchestrator.targets import runs as files
from tests.integration.engine_world import World, worker
from workers.context import WorkerContext
from workers.follower import Follower
from workers.leases import LeaseKeeper

PIPELINE = """
application: shop
secrets: [TOKEN]
environments:
  staging:
    targets: [{name: web-a, kind: command}]
deploy:
  - run: echo "$TOKEN" > %s
"""


@pytest.fixture
def started(tmp_path: Path) -> Path:
    return tmp_path / "started"


@pytest.fixture
def world(database: Database, settings: Settings, started: Path) -> Iterator[World]:
    made = World(database)
    made.release("1.0.0")
    with database.transaction() as session:
        pipelines.apply(session, name="shop", source=PIPELINE % started, actor=made.actor)
    yield made
    for folder in (settings.runs_dir / "runs").glob("[!.]*"):
        if left := files.processes(folder):
            left.kill()


def follow(world: World, settings: Settings, attempt: int, by: Worker) -> None:
    leases = LeaseKeeper(world.database, lease_seconds=30)
    Follower(WorkerContext(settings, world.database, leases, by)).run_step(attempt)


def write_secret(settings: Settings) -> None:
    file = settings.secrets_folder / "shop" / "TOKEN"
    file.parent.mkdir(parents=True)
    file.write_text("hunter22")
    file.chmod(0o600)


def claimed_by_one_who_died(world: World) -> int:
    claim = world.advance(world.request("1.0.0"), worker())
    assert claim is not None
    world.execute(
        "UPDATE attempts SET lease_until = clock_timestamp() - interval '1 s' WHERE id = :id",
        id=claim.attempt_id,
    )
    return claim.attempt_id


def test_who_goes_on_with_a_run_that_never_began_refuses_it_too(
    world: World, settings: Settings, started: Path
) -> None:
    attempt = claimed_by_one_who_died(world)
    follow(world, settings, attempt, worker("two"))
    assert world.scalar("SELECT outcome FROM attempts WHERE id = :id", id=attempt) == "unstarted"
    why = str(world.scalar("SELECT failure FROM attempts WHERE id = :id", id=attempt))
    assert "the secret TOKEN is not there" in why
    assert not started.exists()
    [name] = [folder.name for folder in (settings.runs_dir / "runs").glob("[!.]*")]
    assert name.endswith("-1")  # the name is taken, so that the first worker cannot start it any more


def test_who_goes_on_with_a_run_that_never_began_gives_it_its_secrets(
    world: World, settings: Settings, started: Path
) -> None:
    write_secret(settings)
    attempt = claimed_by_one_who_died(world)
    follow(world, settings, attempt, worker("two"))
    assert started.read_text() == "hunter22\n"
    assert world.scalar("SELECT outcome FROM attempts WHERE id = :id", id=attempt) == "succeeded"
