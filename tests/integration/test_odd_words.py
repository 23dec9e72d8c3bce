"""Whatever characters others use, a step ends and a check is recorded: Postgres keeps no NUL and no half of a pair."""

from pathlib import Path

import pytest

from orchestrator.config import Settings
from orchestrator.db import Database
from orchestrator.domain.masking import Secrets
from orchestrator.services import drift, pipelines
from tests.integration.engine_world import World, worker
from tests.unit.cli_server import scripted_server
from workers.context import WorkerContext
from workers.follower import Follower
from workers.leases import LeaseKeeper
from workers.preparing import Prepared


@pytest.fixture
def world(database: Database) -> World:
    made = World(database)
    made.release("1.0.0")
    return made


@pytest.fixture
def follower(world: World, settings: Settings) -> Follower:
    leases = LeaseKeeper(world.database, lease_seconds=30)
    return Follower(WorkerContext(settings, world.database, leases, worker()))


def apply(world: World, source: str) -> None:
    with world.database.transaction() as session:
        pipelines.apply(session, name="shop", source=source, actor=world.actor)


def test_a_step_ends_whose_service_answers_with_nul_and_half_a_pair(world: World, follower: Follower) -> None:
    with scripted_server() as service:
        service.on("GET", "/api/v1/query", b'{"status": "error", "error": "no\\u0000such \\ud800 query"}')
        apply(
            world,
            "application: shop\n"
            "environments: {staging: {targets: [{name: web-a, kind: noop}]}}\n"
            "deploy:\n"
            f"  - verify: {{prometheus: '{service.url}', query: up, at_least: 1, within: 1s, interval: 200ms}}\n",
        )
        deployment = world.request("1.0.0")
        follower.advance(deployment)
    assert world.status(deployment) == "failed"
    why = world.scalar("SELECT failure FROM attempts WHERE deployment_id = :id", id=deployment)
    assert why == "not so within 1 s: status 200: no such   query"


def test_what_a_drift_script_says_is_recorded_without_nul(
    world: World, follower: Follower, tmp_path: Path
) -> None:
    file = tmp_path / "VERSION"
    file.write_text("1.0", encoding="utf-16-be")
    apply(
        world,
        "application: shop\n"
        "environments:\n"
        "  staging:\n"
        "    targets: [{name: web-a, kind: command}]\n"
        f"    drift: {{run: 'cat {file}; exit 1'}}\n"
        "deploy: [{run: ./install}]\n",
    )
    assert world.run_to_end(world.request("1.0.0")) == "succeeded"
    with world.database.transaction() as session:
        drift.ask_now(session, application="shop", environment="staging", actor=world.actor)
    follower.check_drift()
    assert world.rows("SELECT state, detail FROM drift_checks") == [("differs", "exit code 1:  1 . 0")]


def test_what_a_target_says_is_hidden_first_and_then_made_readable() -> None:
    secret = "horse\tbattery"
    prepared = Prepared(Secrets([secret]), {"PASSPHRASE": secret})
    assert prepared.hide(f"no\0{secret}\ncome \ud800") == "no *** come ?"
