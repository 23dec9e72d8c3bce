"""A real worker asks a real server what runs there, by itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.config import Settings
from orchestrator.db import Database
from orchestrator.services import drift, pipelines
from tests.acceptance.fleet import Fleet, eventually, fleet
from tests.conftest import environment
from tests.integration.engine_world import World
from tests.unit.cli_server import scripted_server

PIPELINE = """
application: shop
environments:
  lab:
    targets: [{name: web-a, kind: noop}]
    drift: {http: "%s/version", expect: $RELEASE_VERSION}
deploy:
  - run: ./install
"""


@pytest.fixture
def workers(settings: Settings, tmp_path: Path) -> Iterator[Fleet]:
    env = environment(settings.database_url, settings.redis_url, settings.data_dir)
    with fleet(env, tmp_path) as made:
        yield made


def test_what_somebody_changed_by_hand_is_found(database: Database, workers: Fleet) -> None:
    world = World(database)
    world.release("1.0.0")
    with scripted_server() as server:
        server.on("GET", "/version", b"1.0.0", b"1.0.0-patched-by-hand", b"0.9.9")
        with database.transaction() as session:
            pipelines.apply(session, name="shop", source=PIPELINE % server.url, actor=world.actor)
        assert world.run_to_end(world.request("1.0.0", "lab")) == "succeeded"
        worker = workers.worker()
        state = "SELECT state FROM drift_checks"
        eventually(lambda: world.scalar(state) == "same", "it is asked")
        for _ in range(2):
            with database.transaction() as session:
                drift.ask_now(session, application="shop", environment="lab", actor=world.actor)
            eventually(lambda: world.scalar(state + " WHERE asked_at IS NOT NULL"), "it is asked again")
        eventually(lambda: world.scalar(state) == "differs", "it differs")
        detail = "status 200, but '1.0.0' is not in the answer: '0.9.9'"
        assert world.scalar("SELECT detail FROM drift_checks") == detail
        assert (
            world.scalar("SELECT data ->> 'why' FROM events WHERE kind = 'drift.found'") == f"web-a: {detail}"
        )
        assert not worker.says("task_failed")


def test_a_script_on_the_target_says_what_is_there(
    database: Database, workers: Fleet, tmp_path: Path
) -> None:
    world = World(database)
    world.release("1.0.0")
    file = tmp_path / "VERSION"
    file.write_text("1.0.0\n")
    source = f"""
application: shop
environments:
  lab:
    targets: [{{name: web-a, kind: command}}]
    drift: {{run: "cat {file}", expect: $RELEASE_VERSION}}
deploy:
  - run: ./install
"""
    with database.transaction() as session:
        pipelines.apply(session, name="shop", source=source, actor=world.actor)
    assert world.run_to_end(world.request("1.0.0", "lab")) == "succeeded"
    worker = workers.worker()
    state = "SELECT state FROM drift_checks"
    for content, found, detail in (
        ("1.0.0", "same", "it says '1.0.0'"),
        ("0.9.9", "differs", "'1.0.0' is not in what it says: '0.9.9'"),
        (None, "unknown", "exit code 1: "),
    ):
        if content is None:
            file.unlink()
        else:
            file.write_text(content)
        with database.transaction() as session:
            drift.ask_now(session, application="shop", environment="lab", actor=world.actor)
        eventually(lambda found=found: world.scalar(state) == found, f"it is {found}")  # type: ignore[misc]
        assert str(world.scalar("SELECT detail FROM drift_checks")).startswith(detail)
    assert not worker.says("task_failed")
