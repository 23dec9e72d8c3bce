"""Backup and restore, by the very commands of docs/operations.md, while deployments run."""

import os
import subprocess
from copy import copy
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.config import Settings
from orchestrator.db import Database
from orchestrator.embedded import binaries
from orchestrator.services import deployments, pipelines, releases
from tests.acceptance.fleet import ROOT, eventually, fleet
from tests.conftest import environment
from tests.integration.engine_world import World
from tests.servers import PostgresServer, passable_path

__all__ = ["passable_path"]

PAGE = ROOT / "docs" / "operations.md"
RESTORED = "restored"


def command_of(beginning: str) -> str:
    """The one command of the page that begins like this."""
    lines = [line.strip() for line in PAGE.read_text().splitlines() if line.startswith("    ")]
    (found,) = [line for line in lines if line.startswith(beginning)]
    return found


class Shell:
    """Runs commands of the page as somebody would who has Postgres' programs."""

    def __init__(self, folder: Path, admin_url: str) -> None:
        self._folder = folder
        path = f"{binaries.postgres_bin(folder, None)}:{os.environ['PATH']}"
        self._env = {"PATH": path, "HOME": str(folder), "ADMIN_URL": admin_url}

    def run(self, beginning: str, database_url: str) -> None:
        done = subprocess.run(
            ["sh", "-c", command_of(beginning)],
            cwd=self._folder,
            env=self._env | {"DATABASE_URL": database_url},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


@pytest.fixture
def shell(passable_path: Path, postgres_server: PostgresServer) -> Shell:
    postgres_server.drop_database(RESTORED)
    return Shell(passable_path, postgres_server.url("postgres"))


def deploy(world: World, application: str, script: str) -> int:
    source = (
        f"application: {application}\nenvironments:\n  lab:\n    targets: [{{name: t, kind: command}}]\n"
        f"deploy:\n  - run: |\n      {script}\n"
    )
    with world.database.transaction() as session:
        if pipelines.apply(session, name=application, source=source, actor=world.actor).created:
            releases.create(
                session, name=application, version="1", artifact="", changes="", actor=world.actor
            )
        return deployments.request(
            session, application=application, version="1", environment="lab", reason="", actor=world.actor
        ).id


def succeeds(world: World, deployment: int) -> None:
    eventually(lambda: world.status(deployment) == "succeeded", f"deployment {deployment} succeeds")


def test_what_ran_at_the_backup_is_known_again_and_no_old_run_is_taken_for_a_new_one(
    settings: Settings, database: Database, postgres_server: PostgresServer, tmp_path: Path, shell: Shell
) -> None:
    gate, ledger = tmp_path / "gate", tmp_path / "ledger"
    env = environment(settings.database_url, settings.redis_url, settings.data_dir) | {"LEASE_SECONDS": "3"}
    before = World(database)
    noting = f"echo $DEPLOYMENT_ID >> {ledger}"
    with fleet(env, tmp_path) as workers:
        workers.worker()
        open_then = deploy(
            before, "gated", f"echo begun; while [ ! -e {gate} ]; do sleep 0.1; done; echo done"
        )
        eventually(lambda: before.stored_log(open_then) == b"begun\n", "it runs")
        shell.run("pg_dump", settings.database_url)
        forgotten = deploy(before, "noting", noting)
        succeeds(before, forgotten)
    gate.touch()

    url = postgres_server.url(RESTORED)
    shell.run("createdb", url)
    shell.run("pg_restore", url)
    shell.run("psql", url)
    restored = Database(replace(settings, database_url=url))
    after = copy(before)
    after.database = restored
    with fleet(env | {"DATABASE_URL": url}, tmp_path) as workers:
        workers.worker()
        succeeds(after, open_then)
        assert after.stored_log(open_then) == b"begun\ndone\n"
        anew = deploy(after, "noting", noting)
        succeeds(after, anew)
    restored.close()
    assert anew != forgotten
    assert ledger.read_text().split() == [str(forgotten), str(anew)]
    postgres_server.drop_database(RESTORED)
