"""HTTP targets that do not do what they say: no worker is kept busy by one, and people are told why nothing goes on."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.config import Settings
from orchestrator.db import Database
from orchestrator.domain import standard_webhooks
from orchestrator.services import deployments, pipelines
from tests.integration.engine_world import World, worker
from tests.unit.cli_server import ScriptedServer, scripted_server
from workers.context import WorkerContext
from workers.follower import Follower
from workers.leases import LeaseKeeper

RUNNING, ABSENT, ENDED = {"state": "running"}, {"state": "absent"}, {"state": "exited", "code": 143}


@pytest.fixture
def service() -> Iterator[ScriptedServer]:
    with scripted_server() as found:
        yield found


@pytest.fixture
def world(database: Database, service: ScriptedServer, tmp_path: Path) -> World:
    secret = tmp_path / "secret"
    secret.write_text(standard_webhooks.write_secret(bytes(32)))
    secret.chmod(0o600)
    made = World(database)
    made.release("1.0.0")
    source = (
        "application: shop\n"
        "environments:\n"
        "  staging:\n"
        f"    targets: [{{name: web-a, kind: http, url: '{service.url}/runs', secret: {secret}}}]\n"
        "deploy: [{run: ./install, timeout: 1s}]\n"
    )
    with database.transaction() as session:
        pipelines.apply(session, name="shop", source=source, actor=made.actor)
    return made


@pytest.fixture
def ours(world: World, settings: Settings) -> WorkerContext:
    leases = LeaseKeeper(world.database, lease_seconds=30)
    allowed = replace(settings, webhook_allowed_networks="127.0.0.0/8")
    return WorkerContext(allowed, world.database, leases, worker())


def failure_of(world: World, deployment: int) -> object:
    return world.scalar("SELECT failure FROM attempts WHERE deployment_id = :id", id=deployment)


def test_a_run_that_is_said_to_have_ended_and_goes_on_is_left_alone_when_the_slice_is_over(
    world: World, service: ScriptedServer, ours: WorkerContext
) -> None:
    """One that was asked all the time would hear 200 times that it goes on, and then that it has ended."""
    service.on("POST", "/runs", (202, {})).on("POST", "/runs/abort", {"done": True})
    service.on("POST", "/runs/status", *[RUNNING] * 200, ENDED)
    follower = Follower(replace(ours, settings=replace(ours.settings, slice_seconds=0.5)))
    deployment = world.request("1.0.0")
    follower.advance(deployment)
    with world.database.transaction() as session:
        deployments.cancel(session, deployment, actor=world.actor, reason="")
    (open_,) = world.open_attempts(deployment)
    follower.run_step(int(str(open_)))
    assert world.open_attempts(deployment) == [open_]
    service.answers["POST", "/runs/status"][:] = [ENDED]
    follower.run_step(int(str(open_)))
    assert world.status(deployment) == "cancelled"


def test_what_kept_a_run_from_its_start_is_said_when_its_time_is_over(
    world: World, service: ScriptedServer, ours: WorkerContext
) -> None:
    service.on("POST", "/runs", (409, {"code": "busy", "detail": "a backup runs"}))
    service.on("POST", "/runs/status", ABSENT).on("POST", "/runs/abort", {"done": True})
    deployment = world.request("1.0.0")
    Follower(ours).advance(deployment)
    assert failure_of(world, deployment) == "not done after 1 s: status 409: a backup runs"
    assert world.status(deployment) == "failed"


def test_how_long_a_run_took_that_had_begun_has_no_such_reason(
    world: World, service: ScriptedServer, ours: WorkerContext
) -> None:
    aborted: list[bool] = []

    def abort(_: object) -> dict[str, bool]:
        aborted.append(True)
        return {"done": True}

    service.on("POST", "/runs", (202, {})).on("POST", "/runs/abort", abort)
    service.on("POST", "/runs/status", (502, b"bad gateway"), lambda _: ENDED if aborted else RUNNING)
    deployment = world.request("1.0.0")
    Follower(ours).advance(deployment)
    assert failure_of(world, deployment) == "not done after 1 s"
