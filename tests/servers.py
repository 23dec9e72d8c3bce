"""Real Postgres and Valkey for the tests: one pair for all pytest-xdist processes, gone afterwards.

A keeper process (this file, run as a program) owns the servers. Every pytest process holds a connection to it
for as long as it lives; when the last connection is gone, also by a kill, the keeper stops the servers and
removes their folder.
"""

import contextlib
import fcntl
import json
import os
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import redis

from orchestrator.embedded.guardian import start_ticks
from orchestrator.embedded.stores import EmbeddedStores

_START_SECONDS = 120


@dataclass
class PostgresServer:
    """A running server, and one connection to it; `root` is the folder that all test processes of this run share."""

    base_url: str
    root: Path
    _filled: set[str] = field(default_factory=set)

    def url(self, database: str) -> str:
        """How to reach a database of this server."""
        return f"{self.base_url}/{database}"

    def create_database(self, name: str, *, template: str = "template1") -> str:
        """Make a database anew and hand back its URL; nobody may be connected to the template."""
        self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database with everyone in it."""
        self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def template(self, name: str, fill: Callable[[str], None]) -> str:
        """The name of a database that `fill(url)` filled, once for all test processes.

        `fill` must close its connections: nobody may be connected to a template.
        """
        if name not in self._filled:
            with _locked(self.root / f"template-{name}.lock"):
                if not self._is_template(name):
                    fill(self.create_database(name))
                    self._execute(f'ALTER DATABASE "{name}" IS_TEMPLATE true')
            self._filled.add(name)
        return name

    def close(self) -> None:
        """Let its connection go."""
        self._connection.close()

    @cached_property
    def _connection(self) -> Any:
        made = psycopg2.connect(self.url("postgres"))
        made.autocommit = True
        return made

    def _is_template(self, name: str) -> bool:
        return bool(self._execute(f"SELECT 1 FROM pg_database WHERE datname = '{name}' AND datistemplate"))  # noqa: S608  # test code's own names

    def _execute(self, statement: str) -> list[tuple[object, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the shared servers are."""

    database_base_url: str
    redis_base_url: str


def worker_id() -> str:
    """The pytest-xdist process this is (`gw0`, ...), or `main`."""
    return os.environ.get("PYTEST_XDIST_WORKER", "main")


@pytest.fixture
def passable_path() -> Iterator[Path]:
    """A temporary folder that every user may pass; the stores of root, which run as nobody, need one."""
    path = Path(tempfile.mkdtemp(prefix="release-manager-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


def is_gone(pid: int) -> bool:
    """Whether this process has ended; a zombie has."""
    return start_ticks(pid) is None


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """The shared servers, started by the first who asks."""
    with connect(shared_folder(tmp_path_factory)) as found:
        yield found


@pytest.fixture(scope="session")
def postgres_server(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """The shared Postgres: `.url(name)`, `.create_database(name, template=...)`, `.template(name, fill)`."""
    found = PostgresServer(servers.database_base_url, shared_folder(tmp_path_factory))
    yield found
    found.close()


@pytest.fixture(scope="session")
def redis_url(servers: Servers) -> str:
    """A database of the shared Valkey that belongs to this test process alone."""
    worker = worker_id()
    index = int(worker.removeprefix("gw")) + 1 if worker.startswith("gw") else 0
    return f"{servers.redis_base_url}/{index}"


def empty(redis_url: str) -> None:
    """Forget what is kept there: messages, sessions and cached rows name ids of the database of an earlier test."""
    with redis.Redis.from_url(redis_url) as store:
        store.flushdb()


def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that all processes of this pytest run share."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id() == "main" else base.parent


@contextlib.contextmanager
def connect(root: Path) -> Iterator[Servers]:
    """Use the servers of this run: find their keeper or start one, and hold on to it."""
    note = root / "keeper.address"
    with _locked(root / "keeper.lock"):
        connection = _join(note) or _start_keeper(note)
    with connection, connection.makefile("r", encoding="utf-8") as answers:
        yield Servers(**json.loads(answers.readline()))


def _join(note: Path) -> socket.socket | None:
    if not note.exists():
        return None
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(note.read_text())
    except OSError:  # that keeper is gone with the processes it served
        connection.close()
        return None
    return connection


def _start_keeper(note: Path) -> socket.socket:
    keeper = subprocess.Popen(
        [sys.executable, __file__, str(note)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd="/",
    )
    assert keeper.stdout is not None
    with keeper.stdout as said:
        if said.readline() != "ready\n":
            raise RuntimeError(f"the test servers did not start (exit code {keeper.wait(_START_SECONDS)})")
    connection = _join(note)
    if connection is None:
        raise RuntimeError("the keeper of the test servers is gone")
    return connection


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def keep(note: Path) -> None:
    """Be the keeper: run the servers until the last connection is gone."""
    folder = Path(tempfile.mkdtemp(prefix="release-manager-tests-"))
    folder.chmod(0o711)  # the servers of root run as another user and must pass
    try:
        with EmbeddedStores(folder / "data", durable=False) as stores, socket.socket(socket.AF_UNIX) as door:
            address = str(folder / "keeper")
            door.bind(address)
            Path(address).chmod(0o600)
            door.listen(64)
            note.write_text(address)
            assert stores.postgres is not None
            urls = [stores.postgres.url(""), stores.redis_url]
            names = ("database_base_url", "redis_base_url")
            answer = json.dumps({name: url.rpartition("/")[0] for name, url in zip(names, urls, strict=True)})
            os.write(1, b"ready\n")
            os.close(1)
            _serve(door, answer.encode() + b"\n")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _serve(door: socket.socket, answer: bytes) -> None:
    """Answer whoever connects; return when everyone who did is gone."""
    with selectors.DefaultSelector() as events:
        events.register(door, selectors.EVENT_READ)
        users = 0
        while True:
            for key, _ in events.select():
                if key.fileobj is door:
                    connection, _ = door.accept()
                    connection.sendall(answer)
                    events.register(connection, selectors.EVENT_READ)
                    users += 1
                    continue
                gone = key.fileobj
                assert isinstance(gone, socket.socket)
                events.unregister(gone)
                gone.close()
                users -= 1
            if users == 0:
                return


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
