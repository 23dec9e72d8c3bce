"""A world on a database whose clock, as all clocks of this process, moves only when it is told to."""

from collections.abc import Iterator
from datetime import datetime

import psycopg2
import pytest

from orchestrator.config import Settings
from orchestrator.db import Database
from orchestrator.domain.windows import RuleKind
from orchestrator.services import openings, pipelines, windows
from tests.integration.engine_world import PIPELINE, World, between
from tests.model import virtual_time
from tests.model.virtual_time import BEGINNING, Clocks

__all__ = ["BEGINNING", "Clocks", "clocks", "use_pipeline", "window", "world"]


@pytest.fixture
def clocks(settings: Settings) -> Iterator[Clocks]:
    """It is Monday 2026-11-23, 12:00 UTC."""
    connection = psycopg2.connect(settings.database_url)
    with connection:
        virtual_time.install(connection)
    connection.close()
    for cache in (pipelines._parsed, openings._read):
        cache.clear()  # their keys tell databases apart by the time, which is always the same here
    made = Clocks(settings.database_url)
    with made.everywhere():
        yield made
    made.close()


@pytest.fixture
def world(settings: Settings, clocks: Clocks) -> Iterator[World]:
    """`shop`, with the releases 1.0.0 and 1.1.0."""
    database = Database(settings)
    made = World(database)
    made.release("1.0.0")
    made.release("1.1.0")
    yield made
    database.close()


def use_pipeline(world: World, old: str, new: str) -> None:
    """Change a line of the usual pipeline."""
    assert old in PIPELINE
    with world.database.transaction() as session:
        pipelines.apply(session, name="shop", source=PIPELINE.replace(old, new), actor=world.actor)


def window(
    world: World,
    start: datetime,
    end: datetime,
    *,
    environment: str = "production",
    kind: RuleKind = RuleKind.WINDOW,
) -> int:
    """Make a window, or a freeze, of these two times."""
    document = between(start, end)
    with world.database.transaction() as session:
        return windows.create(session, kind, environment=environment, document=document, actor=world.actor)
