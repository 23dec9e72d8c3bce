"""A soak with real workers, real beats and a service that is not always well."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from orchestrator.services import deployments, pipelines, releases
from tests.acceptance.fleet import Fleet, eventually
from tests.acceptance.test_workers import ended, workers, world
from tests.integration.engine_world import World
from tests.unit.cli_server import ScriptedServer, scripted_server

__all__ = ["workers", "world"]

SOAK = timedelta(seconds=4)
PIPELINE = """
application: shop
variables: {PORT: "%s"}
environments:
  one:
    targets: [{name: web-a, kind: noop}, {name: web-b, kind: noop}]
    health: {http: "http://127.0.0.1:$PORT/$TARGET_NAME", every: 1s}
  two:
    after: one
    soak: 4s
    auto: true
    targets: [{name: web-a, kind: noop}]
deploy: [{run: ./install}]
"""
IN_TWO = "SELECT started_at FROM deployments WHERE environment = 'two' AND status = 'succeeded'"


@pytest.fixture
def service() -> Iterator[ScriptedServer]:
    with scripted_server() as found:
        yield found


def deploy(world: World, service: ScriptedServer) -> int:
    with world.database.transaction() as session:
        source = PIPELINE % service.url.rpartition(":")[2]
        pipelines.apply(session, name="shop", source=source, actor=world.actor)
        releases.create(session, name="shop", version="9", artifact="", changes="", actor=world.actor)
        return deployments.request(
            session, application="shop", version="9", environment="one", reason="", actor=world.actor
        ).id


def test_a_service_that_falls_ill_soaks_again(world: World, workers: Fleet, service: ScriptedServer) -> None:
    service.on("GET", "/web-a", (500, {}), {})
    service.on("GET", "/web-b", {})
    workers.worker()
    workers.worker()
    workers.beat()
    workers.beat()
    first = deploy(world, service)
    assert ended(world, first) == "succeeded"
    began = eventually(lambda: world.scalar(IN_TWO), "it has soaked and went on")
    [(counts_from, because, due_at)] = world.rows("SELECT counts_from, because, due_at FROM health_watches")
    assert counts_from > world.get(first).ended_at
    assert because.startswith("the health check of web-a in one failed at ")
    assert "(status 500, not 200)" in because
    assert began >= counts_from + SOAK
    assert due_at is None
    kinds = "SELECT kind FROM events WHERE deployment_id = :id AND kind LIKE 'health.%' ORDER BY seq"
    assert world.column(kinds, id=first) == ["health.failed", "health.recovered"]


def test_workers_ask_without_any_clock_and_what_falls_silent_is_not_well(
    world: World, workers: Fleet, service: ScriptedServer
) -> None:
    service.on("GET", "/web-a", {})
    service.on("GET", "/web-b", {})
    worker = workers.worker()
    assert ended(world, deploy(world, service)) == "succeeded"
    eventually(lambda: service.got("GET", "/web-b"), "it is asked")
    worker.kill()
    asked = len(service.requests)
    workers.worker()
    eventually(lambda: len(service.requests) > asked, "it is asked by another worker")
    eventually(lambda: world.scalar("SELECT due_at IS NULL FROM health_watches"), "it has soaked")
