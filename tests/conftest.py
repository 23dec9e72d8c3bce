"""Fixtures that every test may ask for: real servers, and a database that is migrated and empty."""

import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from alembic import command
from alembic.config import Config

from orchestrator import cache, log, prepared, queue
from orchestrator.config import Settings
from orchestrator.db import Database, make_engine

pytest.register_assert_rewrite("tests.servers", "tests.dockerd")

from tests.servers import PostgresServer, empty, worker_id  # noqa: E402  # its asserts are to be rewritten

pytest_plugins = ["tests.servers", "tests.dockerd"]

hypothesis.settings.register_profile("patient", deadline=None)  # no test is about how long something takes
hypothesis.settings.load_profile("patient")

prepared.AT_ONCE = True  # so that a statement which cannot be prepared fails its test
# What tests count on the broker, and find in the cache, is there however busy the machine is.
queue.PUBLISH_TIMEOUT_SECONDS = 30.0
cache.TIMEOUT_SECONDS = 2.0

MIGRATIONS = Path(__file__).resolve().parents[1] / "migrations"
SECRET_KEY = "only-for-tests-0123456789abcdef0123456789abcdef"


def pytest_configure() -> None:
    """Draw the fresh seed of the model (tests/model), the same for all processes of this run.

    Logs go where the programs send them, so that a thread which outlives its test never writes into another's output.
    """
    log.configure("WARNING")
    if (
        signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    ):  # as a shell leaves it for what it runs in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.setdefault("MODEL_SEED", str(secrets.randbelow(2**32)))


def pytest_report_header() -> str:
    """So that a run can be done again."""
    return f"fresh seed of the model: MODEL_SEED={os.environ['MODEL_SEED']}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest come first, so that at the end each process of this run finds something short to do.

    Within each kind the order stays as it was drawn.
    """
    longest = {item.path for item in items if item.get_closest_marker("timeout")}
    items.sort(
        key=lambda item: (item.path not in longest, item.path.parent.name not in {"acceptance", "browser"})
    )


def environment(database_url: str, redis_url: str, data_dir: Path) -> dict[str, str]:
    """The environment variables of a process of ours, with the cheapest password hash."""
    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "SECRET_KEY": SECRET_KEY,
        "DATA_DIR": str(data_dir),
        "BCRYPT_ROUNDS": "4",
        "LOGIN_LIMIT": "10000",
        "RATE_LIMIT": "1000000",
        "ANONYMOUS_RATE_LIMIT": "1000000",
    }


def settings_for(database_url: str, redis_url: str, data_dir: Path) -> Settings:
    """Settings as a process would read them."""
    return Settings.from_env(environment(database_url, redis_url, data_dir))


def migrate(database_url: str, redis_url: str, data_dir: Path) -> None:
    """Run the real migrations."""
    config = Config(MIGRATIONS / "alembic.ini")
    engine = make_engine(settings_for(database_url, redis_url, data_dir))
    config.attributes["engine"] = engine
    command.upgrade(config, "head")
    engine.dispose()


@pytest.fixture
def settings(
    postgres_server: PostgresServer,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Settings]:
    """Settings with a database of this test's own, cloned from one that was migrated once, and an empty Valkey."""
    template = postgres_server.template("migrated", lambda url: migrate(url, redis_url, tmp_path))
    name = f"test_{worker_id()}"
    url = postgres_server.create_database(name, template=template)
    empty(redis_url)
    for variable, value in environment(url, redis_url, tmp_path).items():
        monkeypatch.setenv(variable, value)
    yield settings_for(url, redis_url, tmp_path)
    empty(redis_url)  # for the world of a module, if there is one beside this
    postgres_server.drop_database(name)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """Connections to this test's own database."""
    made = Database(settings)
    yield made
    made.close()
