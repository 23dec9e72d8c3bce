"""A worker asks real servers for their health, as the pipeline of the deployment says, and holds no connection meanwhile."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from api.schemas.installations import present
from orchestrator.checks.base import Probe
from orchestrator.checks.http import HttpCheck
from orchestrator.config import Settings
from orchestrator.db import Database
from orchestrator.repositories import installations
from orchestrator.services import health, pipelines
from tests.integration.engine_world import World, worker
from tests.integration.time_travel import Clocks, clocks, world
from tests.unit.cli_server import DROPPED, ScriptedServer, scripted_server
from workers.context import WorkerContext
from workers.follower import Follower
from workers.health import ask
from workers.leases import LeaseKeeper

__all__ = ["clocks", "world"]

PIPELINE = """
application: shop
variables: {HOST: 127.0.0.1}
environments:
  staging:
    variables: {AT: health}
    targets:
      - {name: web-a, kind: noop, variables: {PORT: "%(a)s"}, labels: {zone: north}}
      - {name: web-b, kind: noop, variables: {PORT: "%(b)s"}, labels: {zone: south}}
    health: {http: "http://$HOST:$PORT/$AT/$TARGET_LABEL_ZONE?wave=$DEPLOYMENT_WAVE", expect: $RELEASE_VERSION, every: 1m}
  production:
    after: staging
    soak: 30m
    targets: [{name: web-a, kind: noop}]
deploy:
  - run: ./install
"""


@pytest.fixture
def services() -> Iterator[tuple[ScriptedServer, ScriptedServer]]:
    with scripted_server() as one, scripted_server() as two:
        yield one, two


def port(service: ScriptedServer) -> str:
    return service.url.rpartition(":")[2]


@pytest.fixture
def staging(world: World, services: tuple[ScriptedServer, ScriptedServer]) -> int:
    """1.0.0 is there, and it is 12:00."""
    source = PIPELINE % {"a": port(services[0]), "b": port(services[1])}
    with world.database.transaction() as session:
        pipelines.apply(session, name="shop", source=source, actor=world.actor)
    deployment = world.request("1.0.0")
    assert world.run_to_end(deployment) == "succeeded"
    return deployment


def work(world: World, settings: Settings, deployment: int) -> None:
    leases = LeaseKeeper(world.database, lease_seconds=30)
    Follower(WorkerContext(settings, world.database, leases, worker())).ask_for_health(deployment)


def states(world: World) -> list[tuple[str, bool, str]]:
    return world.rows(
        "SELECT t.name, h.healthy, h.detail FROM target_health h JOIN targets t ON t.id = h.target_id ORDER BY t.name"
    )


def test_each_target_is_asked_with_its_own_variables(
    world: World,
    settings: Settings,
    clocks: Clocks,
    services: tuple[ScriptedServer, ScriptedServer],
    staging: int,
) -> None:
    one, two = services
    one.on("GET", "/health/north", {"version": "1.0.0"}, DROPPED, (500, {}), {"version": "1.1.0"})
    two.on("GET", "/health/south", {"version": "1.0.0"})
    work(world, settings, staging)
    assert [(each.path, each.query) for each in one.requests + two.requests] == [
        ("/health/north", {}),  # a health check belongs to no wave
        ("/health/south", {}),
    ]
    well = "status 200, with '1.0.0'"
    assert states(world) == [("web-a", True, well), ("web-b", True, well)]
    seen = []
    for _ in range(3):
        clocks.go(60)
        work(world, settings, staging)
        seen.append(states(world)[0])
    assert [healthy for _, healthy, _ in seen] == [False, False, False]
    assert seen[0][2].startswith("no answer: ")
    assert seen[1][2] == "status 500, not 200"
    assert seen[2][2] == "status 200, but '1.0.0' is not in the answer: '{\"version\": \"1.1.0\"}'"
    assert len(two.requests) == 4
    work(world, settings, staging)
    assert len(two.requests) == 4  # nothing is due


def test_it_is_shown_with_what_is_installed(
    world: World,
    settings: Settings,
    clocks: Clocks,
    services: tuple[ScriptedServer, ScriptedServer],
    staging: int,
) -> None:
    def shown() -> list[object]:
        with world.database.reading() as session:
            found = installations.page(session, application="shop", environment="staging", skip=0, limit=9)
        return [present(row)["health"] for row in found]

    services[0].on("GET", "/health/north", {"version": "1.0.0"})
    assert shown() == [None, None]
    clocks.go(30)
    work(world, settings, staging)
    at = datetime.fromisoformat("2026-11-23T12:00:30+00:00")
    assert shown() == [
        {"healthy": True, "detail": "status 200, with '1.0.0'", "checked_at": at},
        {"healthy": False, "detail": "status 404, not 200", "checked_at": at},
    ]
    assert world.advance(world.request("1.1.0"), worker()) is not None
    assert shown() == [None, None]  # nobody knows how the next one is


def test_the_pipeline_is_that_of_the_deployment(
    world: World, settings: Settings, services: tuple[ScriptedServer, ScriptedServer], staging: int
) -> None:
    source = PIPELINE % {"a": port(services[1]), "b": port(services[1])}
    with world.database.transaction() as session:
        pipelines.apply(session, name="shop", source=source, actor=world.actor)
    pipelines._parsed.clear()  # as in a worker that was started after that
    work(world, settings, staging)
    assert [each.path for each in services[0].requests] == ["/health/north"]


def test_health_that_nobody_asks_for_is_warned_of(world: World) -> None:
    def warnings(source: str) -> list[str]:
        with world.database.transaction() as session:
            return pipelines.apply(session, name="shop", source=source, actor=world.actor).warnings

    source = PIPELINE % {"a": 9, "b": 9}
    assert warnings(source) == []
    assert warnings(source.replace("    soak: 30m\n", "")) == [
        "the health of staging is never asked for: no environment that comes after it has a `soak`"
    ]


def test_no_connection_is_held_while_targets_are_asked(
    world: World, settings: Settings, staging: int
) -> None:
    ours = Database(replace(settings, db_pool_size=1))
    held: list[str] = []

    class Looking(HttpCheck):
        """Looks at our own pool of connections, beside asking."""

        def probe(self, timeout_seconds: float) -> Probe:
            held.append(ours.engine.pool.status())
            return super().probe(timeout_seconds)

    with ours.transaction() as session:
        questions = health.take(session, staging, limit=64)
    answers = ask([replace(each, check=Looking("http://127.0.0.1:9/")) for each in questions])
    with ours.transaction() as session:
        health.record(session, staging, answers)
    ours.close()
    assert [status.rpartition(": ")[2] for status in held] == ["0", "0"]
    assert [(name, healthy) for name, healthy, _ in states(world)] == [("web-a", False), ("web-b", False)]


def test_a_silent_target_is_not_waited_for_longer_than_its_time(world: World, staging: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, world.database.transaction() as session:
        check = HttpCheck(f"http://127.0.0.1:{silent.getsockname()[1]}/")
        [first, _] = health.take(session, staging, limit=64)
        [(_, probe)] = ask([replace(first, check=check)]).values()
    assert (probe.ok, probe.detail.partition(":")[0]) in {
        (False, "no answer"),
        (False, "no answer within 5 s"),
    }


def test_a_target_that_cannot_be_asked_is_not_well(world: World, settings: Settings) -> None:
    source = PIPELINE % {"a": "here", "b": 9}
    with world.database.transaction() as session:
        pipelines.apply(session, name="shop", source=source, actor=world.actor)
    deployment = world.request("1.0.0")
    assert world.run_to_end(deployment) == "succeeded"
    work(world, settings, deployment)
    [(name, healthy, detail), _] = states(world)
    assert (name, healthy) == ("web-a", False)
    assert detail.startswith("it cannot be asked: ")


def test_a_server_that_fails_at_a_moment_holds_the_release_until_it_has_soaked(
    world: World,
    settings: Settings,
    clocks: Clocks,
    services: tuple[ScriptedServer, ScriptedServer],
    staging: int,
) -> None:
    """Well at 12:00 to 12:09, ill at 12:10, well from 12:11 on."""
    one, two = services
    well = {"version": "1.0.0"}
    one.on("GET", "/health/north", *[well] * 10, (503, {}), well)
    two.on("GET", "/health/south", well)
    production = world.request("1.0.0", "production")
    began = None
    for _ in range(50):
        work(world, settings, staging)
        if began is None and world.run_to_end(production) == "succeeded":
            began = clocks.now
        clocks.go(60)
    assert began == datetime.fromisoformat("2026-11-23T12:40:00+00:00")
    assert world.get(production).started_at == began
    assert len(one.requests) == 41
    assert timedelta(minutes=30) == began - datetime.fromisoformat("2026-11-23T12:10:00+00:00")
