"""A web server that is told to end answers first what it has begun."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import urllib3
from sqlalchemy import text

from orchestrator.config import Settings
from orchestrator.db import Database
from tests.acceptance.fleet import eventually
from tests.acceptance.installation import WEB
from tests.conftest import environment
from tests.integration.stream_world import Server, running
from tests.ports import free_port


@pytest.fixture
def counts(tmp_path: Path) -> Path:
    """Where it counts, with something of its predecessor's and something of others."""
    made = tmp_path / "counts"
    made.mkdir()
    for name in ("counter_1.db", "gauge_livesum_1.db", "shop.db", "notes"):
        (made / name).touch()
    return made


@pytest.fixture
def web(settings: Settings, tmp_path: Path, counts: Path) -> Iterator[Server]:
    port = free_port()
    env = environment(settings.database_url, settings.redis_url, tmp_path)
    env["PROMETHEUS_MULTIPROC_DIR"] = str(counts)
    argv = ["gunicorn", *WEB.split(), "--bind", f"127.0.0.1:{port}", "api.wsgi:app"]
    with running(Server(argv, env, tmp_path / "web.log", port)) as server:
        yield server


def waits(database: Database) -> bool:
    """Whether a statement waits for our lock."""
    with database.reading() as session:
        asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        return bool(session.execute(text(asked)).scalar_one())


def names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


def test_what_has_begun_is_answered_nothing_more_is_taken_and_what_others_have_is_left(
    web: Server, database: Database, counts: Path
) -> None:
    assert "counter_1.db" not in names(counts)
    body = {"email": "ada@example.com", "username": "ada", "password": "correct horse battery"}
    with ThreadPoolExecutor(1) as other, database.engine.connect() as holder:
        holder.execute(text("LOCK TABLE users IN ACCESS EXCLUSIVE MODE"))
        asked = other.submit(
            urllib3.request, "POST", f"{web.url}/api/v1/users/", json=body, retries=False, timeout=60
        )
        eventually(lambda: waits(database), "the request has begun")
        web.popen.send_signal(signal.SIGTERM)
        eventually(lambda: "Handling signal: term" in web.log.read_text(), "the server was told to end")
        assert not asked.done()
        holder.rollback()
        assert asked.result().status == 201
    assert web.popen.wait(60) == 0
    assert names(counts) == {"shop.db", "notes"}
