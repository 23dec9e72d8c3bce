"""A running installation to measure, with applications in it and somebody logged in."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2

from orchestrator.client import Client, MemoryTokens
from orchestrator.config import Settings
from orchestrator.embedded import processes
from orchestrator.embedded.output import Output
from orchestrator.embedded.processes import Processes, Site
from orchestrator.embedded.stack import Stack, StackOptions

ROOT = Path(__file__).resolve().parents[1]
UNLIMITED = {"RATE_LIMIT": "1000000000"}
"""One user sends everything that is measured. What counting costs is in the figures."""


@dataclass
class World:
    """A stack and what the measurements ask of it."""

    stack: Stack
    client: Client
    tokens: MemoryTokens

    def pids(self, *names: str) -> list[int]:
        """The processes of the stack by the names it gives them."""
        return [self.stack.supervisor.process(name).pid for name in names]

    def query(self, statement: str, *parameters: object) -> list[tuple[object, ...]]:
        connection = psycopg2.connect(self.stack.env["DATABASE_URL"])
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters or None)
                return cursor.fetchall()
        finally:
            connection.close()

    def application(self, name: str, target: str, script: str = "true") -> None:
        """Record an application with one target and one step, and its release 1."""
        source = (
            f"application: {name}\nenvironments:\n  lab:\n    targets: [{{name: one, kind: {target}}}]\n"
            f"deploy:\n  - run: |\n      {script}\n"
        )
        self.client.apply_pipeline(name, source.encode())
        self.client.create("/releases/", {"name": name, "version": "1"})

    def wait_until_none_goes_on(self, seconds: float = 300) -> None:
        """Return when every deployment has ended."""
        deadline = time.monotonic() + seconds
        while self.query("SELECT count(*) FROM deployments WHERE wake_at IS NOT NULL") != [(0,)]:
            if time.monotonic() > deadline:
                raise TimeoutError("deployments did not end")
            time.sleep(0.1)


@contextmanager
def filling(database_url: str) -> Iterator[psycopg2.extensions.cursor]:
    """Writes rows as they are: each statement for itself, and no trigger or foreign key is asked."""
    with closing(psycopg2.connect(database_url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
            yield cursor


def _only(*names: str) -> Callable[[Site], Processes]:
    def table(site: Site) -> Processes:
        full = processes.of(site)
        services = tuple(spec for spec in full.services if spec.name in names)
        return Processes(migrate=full.migrate, first_admin=full.first_admin, services=services)

    return table


@contextmanager
def world(*names: str, env: dict[str, str] | None = None) -> Iterator[World]:
    """A durable installation with these services (`web`, `worker1`, `beat`) on a folder of its own."""
    ours = {name.upper() for name in Settings.__dataclass_fields__}
    own = {key: value for key, value in os.environ.items() if key not in ours}
    with tempfile.TemporaryDirectory(prefix="release-manager-bench-") as folder:
        Path(folder).chmod(0o711)
        options = StackOptions(
            data_dir=Path(folder) / "data",
            env=own | UNLIMITED | {"LOG_LEVEL": "WARNING"} | (env or {}),
            flower_port=None,
        )
        with (
            Path(folder, "log").open("w") as log,
            Stack(options, output=Output(log), progress=lambda _: None, table=_only(*names)) as stack,
        ):
            tokens = MemoryTokens()
            client = Client(stack.url, tokens)
            assert stack.admin is not None
            client.login(stack.admin.username, stack.admin.password)
            yield World(stack, client, tokens)


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def process(*argv: str, env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """One more process beside the stack, ended afterwards."""
    popen = subprocess.Popen(
        [sys.executable, "-m", *argv], env=env, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield popen
    finally:
        popen.terminate()
        popen.wait(30)


def say(text: str) -> None:
    """Progress goes to standard error, the tables to standard output."""
    print(text, file=sys.stderr, flush=True)
