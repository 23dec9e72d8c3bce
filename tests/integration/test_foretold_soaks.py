"""What was foretold of releases that soak is what happens, however ill the environment was before, and windows beside it."""

import os
import random
from datetime import timedelta

import pytest

from orchestrator.domain.windows import RuleKind
from orchestrator.services import explaining, windows
from tests.integration.engine_world import World
from tests.integration.health_world import AFTER, ASKED, Site, use_health
from tests.integration.time_travel import Clocks, clocks, world

__all__ = ["clocks", "world"]

FIXED_SEEDS = (1, 2)
RELEASES = 12
SOAK = timedelta(minutes=90)
HOURLY = {"name": "hourly", "zone": "UTC", "cron": {"expression": "10 * * * *", "duration": "20m"}}


def disturb(site: Site, draw: random.Random) -> None:
    """An hour or so in which targets are ill, or nobody asks, or all is well."""
    for _ in range(draw.randrange(5)):
        trouble = draw.choice(["ill", "away", "well"])
        site.away = trouble == "away"
        site.sick = {draw.choice(["web-a", "web-b"]): "no answer"} if trouble == "ill" else {}
        site.go_on(timedelta(minutes=draw.uniform(0, 25)))
        site.away, site.sick = False, {}


@pytest.mark.parametrize("seed", [*FIXED_SEEDS, int(os.environ.get("MODEL_SEED", "3"))])
def test_soaks_go_as_they_were_foretold(world: World, clocks: Clocks, seed: int) -> None:
    draw, site = random.Random(seed), Site(world, clocks)
    use_health(world, asked=ASKED.replace("every: 1m", "every: 5m"), soaking=f"{AFTER}    soak: 90m\n")
    with world.database.transaction() as session:
        windows.create(session, RuleKind.WINDOW, environment="production", document=HOURLY, actor=world.actor)
    kept = 0
    for number in range(RELEASES):
        world.release(f"2.{number}")
        site.to_staging(f"2.{number}")
        disturb(site, draw)
        production = world.request(f"2.{number}", "production")
        with world.database.reading() as session:
            forecast = explaining.explain(session, production, actor=world.actor).forecast
        assert forecast is not None
        site.go_on(timedelta(hours=5))
        row = world.get(production)
        assert row.status == "succeeded"
        [(begun, soaked)] = world.rows(
            """SELECT d.started_at, h.checked_at - h.counts_from FROM deployments d
               JOIN health_watches h ON h.release_id = d.release_id WHERE d.id = :id""",
            id=production,
        )
        assert soaked >= SOAK
        if forecast.starts_at is not None:
            assert begun == forecast.starts_at, (number, forecast)
            kept += 1
    if seed in FIXED_SEEDS:  # of a drawn one nobody knows how much can be foretold
        assert kept >= RELEASES // 4
