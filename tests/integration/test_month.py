"""What was foretold is what happens: a busy month of two environments, on a clock that leaps from one event to the next."""

import os
import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from orchestrator.domain.access import Role
from orchestrator.domain.forecast import Forecast
from orchestrator.domain.windows import RuleKind
from orchestrator.repositories import users
from orchestrator.services import deployments, explaining, locks, pipelines, releases, windows
from orchestrator.services.actors import Actor
from tests.integration.engine_world import World
from tests.integration.time_travel import BEGINNING, Clocks, clocks, world

__all__ = ["clocks", "world"]

FIXED_SEEDS = (1, 2)
APPLICATIONS, DEPLOYMENTS = 6, 120
MONTH = timedelta(days=30)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")

PIPELINE = """
application: {name}
labels: {{tier: {tier}}}
environments:
  staging:
    targets: [{{name: web-a, kind: noop}}]
  production:
    after: staging
    {soak}
    {jitter}
    targets: [{{name: web-a, kind: noop}}, {{name: web-b, kind: noop}}]
deploy:
  - run: ./install
"""


@dataclass
class Foretold:
    """What was said when a deployment was requested."""

    deployment: int
    forecast: Forecast
    expires_at: datetime | None


def make_applications(world: World, draw: random.Random) -> None:
    for number in range(APPLICATIONS):
        name = f"app-{number}"
        source = PIPELINE.format(
            name=name,
            tier=draw.choice(["gold", "tin"]),
            soak=draw.choice(["soak: 90m", "soak: 26h", ""]),
            jitter=draw.choice(["jitter: 20m", ""]),
        )
        with world.database.transaction() as session:
            pipelines.apply(session, name=name, source=source, actor=world.actor)
        record(world, name, "v0")


def record(world: World, name: str, version: str) -> None:
    with world.database.transaction() as session:
        releases.create(session, name=name, version=version, artifact="", changes="", actor=world.actor)


def make_calendar(world: World, draw: random.Random) -> None:
    """Windows, freezes and locks that are all there before the month begins."""

    def rule(kind: RuleKind, environment: str, schedule: dict[str, Any]) -> None:
        narrowed = {"labels": {"tier": ["gold"]}} if draw.random() < 0.3 else {}
        document = {"name": "a rule", "zone": draw.choice(ZONES), **schedule, **narrowed}
        with world.database.transaction() as session:
            windows.create(session, kind, environment=environment, document=document, actor=world.actor)

    days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    for environment in ("staging", "production"):
        for _ in range(3):
            hours = {"from": f"{draw.randrange(24):02}:30", "to": f"{draw.randrange(24):02}:00"}
            rule(RuleKind.WINDOW, environment, {"weekly": {"days": draw.sample(days, 4), **hours}})
        rule(RuleKind.WINDOW, environment, {"cron": {"expression": "15 3 * * *", "duration": "45m"}})
        for _ in range(6):
            start = BEGINNING + MONTH * draw.random()
            end = start + timedelta(hours=draw.uniform(1, 40))
            dated = {"from": f"{start:%Y-%m-%dT%H:%M}", "to": f"{end:%Y-%m-%dT%H:%M}"}
            rule(RuleKind.FREEZE, environment, {"dated": dated})
    for number in range(APPLICATIONS):
        with world.database.transaction() as session:
            locks.create(
                session,
                application=f"app-{number}",
                environment=draw.choice(["staging", "production"]),
                reason="a move",
                warning_only=False,
                expires_at=BEGINNING + MONTH * draw.random() * 0.3,
                actor=world.actor,
            )


def request(world: World, draw: random.Random, now: datetime, by: Actor) -> Foretold:
    """Each release goes to staging once, so that nothing which comes later changes what was foretold; then to production."""
    name, environment = f"app-{draw.randrange(APPLICATIONS)}", draw.choice(["staging", "production"])
    count = world.scalar("SELECT count(*) FROM releases WHERE name = :name", name=name)
    assert isinstance(count, int)
    if environment == "staging":
        record(world, name, f"v{count}")
    begins = now + timedelta(days=3) * draw.random() if draw.random() < 0.4 else None
    hurried = environment == "production" or draw.random() < 0.3
    expires = (begins or now) + timedelta(days=6) * draw.random() if hurried else None
    with world.database.transaction() as session:
        made = deployments.request(
            session,
            application=name,
            version=f"v{count}" if environment == "staging" else f"v{count - 1}",
            environment=environment,
            reason="",
            actor=by,
            scheduled_for=begins,
            expires_at=expires,
        ).id
        forecast = explaining.explain(session, made, actor=by).forecast
    assert forecast is not None
    return Foretold(made, forecast, expires)


def until_next(world: World) -> datetime | None:
    found = world.scalar("SELECT min(wake_at) FROM deployments WHERE status = 'pending'")
    assert found is None or isinstance(found, datetime)
    return found


def run_what_is_due(world: World) -> None:
    """As ticks and a worker would; a deployment takes no time here."""
    due = "SELECT id FROM deployments WHERE wake_at <= clock_timestamp() ORDER BY priority DESC, id"
    while found := world.column(due):
        for each in found:
            assert isinstance(each, int)
            world.run_to_end(each)


@pytest.mark.parametrize("seed", [*FIXED_SEEDS, int(os.environ.get("MODEL_SEED", "3"))])
def test_a_month_goes_as_it_was_foretold(world: World, clocks: Clocks, seed: int) -> None:
    draw = random.Random(seed)
    make_applications(world, draw)
    make_calendar(world, draw)
    with world.database.transaction() as session:
        bob = users.insert(session, email="b@b", username="bob", password_hash="x", role="deployer")
    assert bob is not None
    requester = Actor(bob, "bob", Role.DEPLOYER, "")
    foretold: list[Foretold] = []
    requests = sorted(BEGINNING + MONTH * draw.random() for _ in range(DEPLOYMENTS))
    end = BEGINNING + 1.5 * MONTH
    while True:
        wakes = until_next(world)
        coming = [each for each in (wakes, *requests[:1]) if each is not None]
        if not coming or min(coming) > end:
            break
        clocks.go(max(0.0, (min(coming) - clocks.now).total_seconds()))
        if requests and requests[0] <= clocks.now:
            requests.pop(0)
            foretold.append(request(world, draw, clocks.now, requester))
            world.run_to_end(foretold[-1].deployment)
        run_what_is_due(world)
    kept = expired = 0
    for each in foretold:
        row = world.get(each.deployment)
        if each.forecast.starts_at is not None:
            assert row.started_at == each.forecast.starts_at, (each, row.failure)
            kept += 1
        elif each.forecast.because.startswith("it is given up"):
            assert (row.status, row.started_at, row.ended_at) == ("expired", None, each.expires_at)
            expired += 1
    if seed in FIXED_SEEDS:  # of a drawn one nobody knows how much can be foretold
        assert kept >= DEPLOYMENTS // 3
        assert expired >= 1
