"""An application of one step, for tests of what becomes of its runs, and workers that give up their leases soon."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.config import Settings
from orchestrator.db import Database
from orchestrator.services import deployments, pipelines, releases
from tests.acceptance.fleet import Fleet, fleet
from tests.conftest import environment
from tests.integration.engine_world import World


@pytest.fixture
def workers(settings: Settings, tmp_path: Path) -> Iterator[Fleet]:
    env = environment(settings.database_url, settings.redis_url, settings.data_dir)
    more = {"LEASE_SECONDS": "3", "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8"}
    with fleet(env | more, tmp_path) as made:
        yield made


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def deploy(world: World, target: str, script: str, *, timeout: str = "5m", more: str = "") -> int:
    """Record the application, whose step is `script` at a target with these settings, and request a deployment of it."""
    body = "".join(f"      {each}\n" for each in script.strip().splitlines())
    source = (
        f"application: tool\nenvironments:\n  lab:\n    targets:\n      - {{name: one, {target}}}\n"
        f"deploy:\n  - run: |\n{body}    timeout: {timeout}\n    grace: 1s\n{more}"
    )
    with world.database.transaction() as session:
        pipelines.apply(session, name="tool", source=source, actor=world.actor)
        releases.create(session, name="tool", version="1", artifact="", changes="", actor=world.actor)
    with world.database.transaction() as session:
        return deployments.request(
            session, application="tool", version="1", environment="lab", reason="", actor=world.actor
        ).id
