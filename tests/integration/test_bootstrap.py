"""What happens before anything runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from orchestrator.bootstrap import known_revisions
from orchestrator.config import Settings
from orchestrator.db import make_engine
from orchestrator.domain.errors import MisconfiguredError
from orchestrator.packages import check_packages
from tests.conftest import environment, settings_for
from tests.servers import PostgresServer, worker_id


def start(command: str, env: dict[str, str], folder: Path) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "orchestrator.bootstrap", command]
    return subprocess.Popen(
        argv, env=env, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_two_starters_migrate_once_and_one_tells_the_first_password(
    postgres_server: PostgresServer, redis_url: str, tmp_path: Path
) -> None:
    name = f"bootstrap_{worker_id()}"
    url = postgres_server.create_database(name)
    env = environment(url, redis_url, tmp_path)
    try:
        for command in ("migrate", "first-admin"):
            starters = [start(command, env, tmp_path) for _ in range(2)]
            ended = [(starter, *starter.communicate()) for starter in starters]
            assert [starter.returncode for starter, _, _ in ended] == [0, 0], ended
        told = [json.loads(said) for _, said, _ in ended]
        assert sorted(map(sorted, told)) == [[], ["password", "username"]]
        engine = make_engine(settings_for(url, redis_url, tmp_path))
        with engine.connect() as connection:
            revisions = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
        engine.dispose()
        assert revisions == [known_revisions()[0]]
    finally:
        postgres_server.drop_database(name)


def test_each_statement_is_logged_once_where_that_is_wished_and_no_value_of_it(
    settings: Settings, tmp_path: Path
) -> None:
    env = environment(settings.database_url, settings.redis_url, tmp_path) | {"DB_ECHO": "true"}
    starter = start("first-admin", env, tmp_path)
    said, logged = starter.communicate()
    assert json.loads(said)["username"] == "admin"
    events = [json.loads(line)["event"] for line in logged.splitlines()]
    assert sum("INSERT INTO users" in event for event in events) == 1
    assert "$2b$" not in logged


def test_unusable_settings_are_told_in_one_line(tmp_path: Path) -> None:
    starter = start("migrate", {"DATABASE_URL": "mysql://x"}, tmp_path)
    said, error = starter.communicate()
    assert (starter.returncode, said) == (1, "")
    assert "DATABASE_URL must start with" in error
    assert "Traceback" not in error


def test_a_package_that_two_distributions_own_stops_the_start() -> None:
    with pytest.raises(MisconfiguredError, match="'api' belongs to another-thing and devops-release-manager"):
        check_packages(lambda: {"api": ["devops-release-manager", "another-thing"]})
    check_packages(lambda: {"api": ["devops-release-manager", "devops-release-manager"]})
    check_packages()
