"""A whole installation that can be broken anywhere: two stores, and processes that reach them through the proxy."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from psycopg2.extensions import connection as PgConnection  # noqa: N812  # it is a class

from orchestrator.embedded import binaries, ports, processes
from orchestrator.embedded.folder import store_account, store_home
from orchestrator.embedded.postgres import Postgres
from orchestrator.embedded.process import GuardianLink
from orchestrator.embedded.processes import Site
from orchestrator.embedded.spec import ProcessSpec
from orchestrator.embedded.valkey import Valkey
from tests.chaos import world
from tests.chaos.places import Places
from tests.chaos.processes import Member
from tests.chaos.proxy import Proxy

APIS = ("api1", "api2")
BEATS = ("beat1", "beat2")
STREAM = "stream"
FOLLOWERS = "followers"
"""Not a process of the installation: the link by which followers reach the stream bears this name."""
STORES = ("postgres", "valkey")
SECRET_KEY = "only-for-chaos-0123456789abcdef0123456789"


@dataclass(frozen=True, slots=True)
class Shape:
    """How many processes there are: each worker by the node it is on."""

    nodes: tuple[str, ...] = ("node-a", "node-a", "node-b")

    @property
    def workers(self) -> tuple[str, ...]:
        return tuple(f"worker{number}" for number in range(1, len(self.nodes) + 1))


class Installation:
    """`with Installation(folder) as installed:`; nothing of it is left afterwards but the folder."""

    def __init__(self, folder: Path, *, shape: Shape | None = None, notice: Callable[[str], None]) -> None:
        self.folder = folder
        self.shape = shape or Shape()
        self.members: dict[str, Member] = {}
        self.urls: dict[str, str] = {}
        self.stream_url = ""
        """The stream process, by way of the proxy."""
        self.password = ""
        self.proxy = Proxy()
        self.places = Places(folder, self.proxy, notice=notice)
        self._notice = notice
        self._guardian: GuardianLink | None = None
        self._ports: list[ports.Port] = []
        for name in ("logs", "out", "state", "store"):
            (folder / name).mkdir(parents=True)
        self.ledger.touch()

    @property
    def ledger(self) -> Path:
        """Where every command says that it starts and ends."""
        return self.folder / "ledger"

    @property
    def store(self) -> Path:
        """From where workers take the files of releases."""
        return self.folder / "store"

    def node_dir(self, node: str) -> Path:
        """The DATA_DIR of a node."""
        return self.folder / node

    @property
    def nodes(self) -> dict[str, str]:
        """The name that the node of each worker gave itself."""
        return {
            worker: (self.node_dir(node) / "node").read_text().strip()
            for worker, node in zip(self.shape.workers, self.shape.nodes, strict=True)
        }

    def __enter__(self) -> "Installation":
        try:
            self._guardian = GuardianLink()
            self.proxy.__enter__()
            self._start_stores()
            self._prepare()
            self._add_processes()
            self.places.start({self.node_dir(node) for node in self.shape.nodes})
        except BaseException:  # whatever it was, nothing that was started may stay
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        for name in [name for name in self.members if name not in STORES]:
            self.members[name].signal(signal.SIGCONT)
            self.members[name].kill()
        self.places.stop()
        world.kill_all(self.folder)
        for name in STORES:
            if name in self.members:
                self.members[name].kill()
        if self._guardian is not None:
            self._guardian.close()
        self.proxy.__exit__()
        for port in self._ports:
            port.release()

    def start(self, *names: str) -> None:
        """Start these and wait until they answer."""
        for name in names:
            self.members[name].start()
        for name in names:
            self.members[name].wait_healthy()

    @contextmanager
    def connection(self, *, wait_seconds: int = 5) -> Iterator[PgConnection]:
        """A connection of the harness's own, past the proxy."""
        made = psycopg2.connect(self._database_url, connect_timeout=wait_seconds)
        made.autocommit = True
        try:
            yield made
        finally:
            made.close()

    @property
    def redis_url(self) -> str:
        """Valkey, past the proxy."""
        return self._valkey.url()

    def wipe_valkey(self) -> None:
        """Remove what Valkey would find again; it must not run."""
        for place in self._valkey.data.glob("appendonly*"):
            shutil.rmtree(place)

    def link(self, member: str, store: str) -> str:
        """The name of the way of a process to a store."""
        return f"{member}-{store}"

    def _start_stores(self) -> None:
        account = store_account()
        home = store_home(self.folder, account)
        self._home = home
        self._postgres = Postgres(
            bin=binaries.postgres_bin(home, account),
            data=home / "postgres",
            port=self._port(),
            password=secrets.token_urlsafe(16),
            account=account,
            durable=True,
        )
        self._valkey = Valkey(
            program=binaries.valkey_server(home, account),
            data=home / "valkey",
            port=self._port(),
            password=secrets.token_urlsafe(16),
            account=account,
            durable=True,
        )
        self._run_once("initdb", self._postgres.initdb())
        self._postgres.adopt()
        self._valkey.make_folder()
        self._add("postgres", self._postgres.server())
        self._add("valkey", self._valkey.server())
        self.start(*STORES)
        self._postgres.make_database()
        self._database_url = self._postgres.url()

    def _prepare(self) -> None:
        site = self._site("setup", direct=True)
        table = processes.of(site)
        self._run_once("migrate", table.migrate)
        self.password = json.loads(self._run_once("first-admin", table.first_admin))["password"]

    def _add_processes(self) -> None:
        for name in APIS:
            port = self._port()
            self._add(name, _spec(self._site(name, port=port), "web"))
            self.urls[name] = f"http://127.0.0.1:{port}"
        port = self._port()
        self._add(STREAM, _spec(self._site(STREAM, stream_port=port), STREAM))
        self.stream_url = f"http://127.0.0.1:{self.proxy.link(self.link(FOLLOWERS, STREAM), port)}"
        for number, (name, node) in enumerate(
            zip(self.shape.workers, self.shape.nodes, strict=True), start=1
        ):
            site = self._site(name, node=node, workers=number)
            self._add(name, _spec(site, name))
            self.members[name].says_ready = " ready."
        for name in BEATS:
            self._add(name, _spec(self._site(name), "beat"))

    def _site(
        self,
        name: str,
        *,
        port: int = 1,
        stream_port: int = 1,
        node: str | None = None,
        workers: int = 0,
        direct: bool = False,
    ) -> Site:
        data_dir = self.node_dir(node or name)
        data_dir.mkdir(exist_ok=True)
        urls = {"postgres": self._postgres.url(), "valkey": self._valkey.url()}
        if not direct:
            for store, port_of_store in (("postgres", self._postgres.port), ("valkey", self._valkey.port)):
                near = self.proxy.link(self.link(name, store), port_of_store)
                urls[store] = urls[store].replace(f":{port_of_store}/", f":{near}/")
        env = {
            **{key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ},
            "DATABASE_URL": urls["postgres"],
            "REDIS_URL": urls["valkey"],
            "SECRET_KEY": SECRET_KEY,
            "DATA_DIR": str(data_dir),
            "ARTIFACT_SOURCES": self.store.as_uri(),
            "BCRYPT_ROUNDS": "4",
            "RATE_LIMIT": "1000000",
            "ANONYMOUS_RATE_LIMIT": "1000000",
            "LOG_LEVEL": "INFO",
            "PYTHONUNBUFFERED": "1",
        }
        return Site(
            data_dir=data_dir,
            redis_url=urls["valkey"],
            port=port,
            stream_port=stream_port,
            flower_port=None,
            workers=workers,
            env=env,
        )

    def _add(self, name: str, spec: ProcessSpec) -> None:
        assert self._guardian is not None
        self.members[name] = Member(name, spec, link=self._guardian, logs=self.folder / "logs")

    def _run_once(self, name: str, spec: ProcessSpec) -> str:
        self._notice(f"{name}")
        account = spec.account
        done = subprocess.run(
            spec.argv,
            env=dict(spec.env),
            cwd=spec.cwd,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
        return done.stdout

    def _port(self) -> int:
        taken = ports.Port.take(ports.for_store(None))
        self._ports.append(taken)
        return taken.number


def _spec(site: Site, name: str) -> ProcessSpec:
    return next(spec for spec in processes.of(site).services if spec.name == name)


@contextmanager
def folder(keep: Callable[[], bool]) -> Iterator[Path]:
    """A new folder that every user may pass, removed afterwards unless it is to be kept."""
    path = Path(tempfile.mkdtemp(prefix="release-manager-chaos-"))
    path.chmod(0o711)
    try:
        yield path
    finally:
        if not keep():
            shutil.rmtree(path, ignore_errors=True)
