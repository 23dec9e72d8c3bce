"""Postgres and Valkey of one data folder, for `releasectl up`, `releasectl demo` and tests."""

import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Self

from orchestrator.domain.errors import MisconfiguredError
from orchestrator.embedded import binaries, ports
from orchestrator.embedded.folder import DataFolder, store_account, store_home
from orchestrator.embedded.output import Output
from orchestrator.embedded.postgres import Postgres
from orchestrator.embedded.supervisor import Supervisor
from orchestrator.embedded.valkey import Valkey

_BOOK = "stores.json"


class EmbeddedStores:
    """Both stores below one folder that survives restarts and kills: `with EmbeddedStores(path) as stores`.

    Holds the folder while it lives, unless a `folder` that is held already is given. Give a `supervisor` to
    let the stores be part of something larger, which then stops them, last. `durable=False` is for tests: a
    crash of the machine loses data.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        durable: bool = True,
        output: Output | None = None,
        notice: Callable[[str], None] | None = None,
        supervisor: Supervisor | None = None,
        folder: DataFolder | None = None,
    ) -> None:
        self._folder = folder or DataFolder(data_dir)
        self._owns_folder = folder is None
        self._durable = durable
        self._notice = notice or _ignore
        self._output = output
        self._given = supervisor
        self._supervisor = supervisor
        self._ports: list[ports.Port] = []
        self.postgres: Postgres | None = None
        self.valkey: Valkey | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:  # whatever it was, nothing that was started may stay
            self.stop()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def database_url(self) -> str:
        """The URL of the database; only after start_postgres."""
        if self.postgres is None:
            raise MisconfiguredError("Postgres has not been started")
        return self.postgres.url()

    @property
    def redis_url(self) -> str:
        """The URL of Valkey; only after start_valkey."""
        if self.valkey is None:
            raise MisconfiguredError("Valkey has not been started")
        return self.valkey.url()

    @property
    def supervisor(self) -> Supervisor:
        """Who looks after the servers: `supervisor.process("postgres").pid`."""
        if self._supervisor is None:
            self._supervisor = Supervisor(self._output or Output.nowhere(), notice=self._notice)
        return self._supervisor

    def start(self) -> None:
        """Start both and wait until they answer.

        Raises FolderInUseError, StartFailedError, MisconfiguredError.
        """
        self.start_postgres()
        self.start_valkey()

    def start_postgres(self) -> Postgres:
        """Start Postgres alone (the first time: make its cluster) and wait until it answers."""
        home = self._home()
        account = store_account()
        postgres = Postgres(
            bin=binaries.postgres_bin(home, account),
            data=home / "postgres",
            port=self._port("postgres"),
            password=self._password("postgres", home / "postgres"),
            account=account,
            durable=self._durable,
        )
        if not postgres.is_made():
            self._notice("making the database (once)")
            self.supervisor.run(postgres.initdb())
            postgres.adopt()
        self._show(postgres.data)
        self.supervisor.start([postgres.server()])
        postgres.make_database()
        self.postgres = postgres
        return postgres

    def start_valkey(self) -> Valkey:
        """Start Valkey alone and wait until it answers."""
        home = self._home()
        account = store_account()
        valkey = Valkey(
            program=binaries.valkey_server(home, account),
            data=home / "valkey",
            port=self._port("valkey"),
            password=self._password("valkey", None),
            account=account,
            durable=self._durable,
        )
        valkey.make_folder()
        self._show(valkey.data)
        self.supervisor.start([valkey.server()])
        self.valkey = valkey
        return valkey

    def stop(self) -> None:
        """Stop what was started and let the folder go; a second call does nothing."""
        if self._supervisor is not None and self._given is None:
            self._supervisor.close()
            self._supervisor = None
        for port in self._ports:
            port.release()
        self._ports.clear()
        if self._owns_folder:
            self._folder.release()

    def _home(self) -> Path:
        """Hold the folder, say where its stores live, delete what a deleted data folder left elsewhere."""
        if self._owns_folder and not self._folder.is_held:
            self._folder.hold()
        home = store_home(self._folder.path, store_account())
        for name in ("postgres", "valkey"):
            if (
                home != self._folder.path
                and not (self._folder.path / name).is_symlink()
                and (home / name).exists()
            ):
                self._notice(f"removing {home / name}: its data folder {self._folder.path} was deleted")
                shutil.rmtree(home / name)
        return home

    def _show(self, data: Path) -> None:
        """Leave a link to a store that lives elsewhere; a store without its link counts as deleted."""
        link = self._folder.path / data.name
        if data != link and not link.is_symlink():
            link.symlink_to(data)

    def _port(self, name: str) -> int:
        book = self._folder.read(_BOOK)
        last = book.get(name, {}).get("port")
        port = ports.Port.take(ports.for_store(last))
        self._ports.append(port)
        book[name] = {**book.get(name, {}), "port": port.number}
        self._folder.write(_BOOK, book)
        return port.number

    def _password(self, name: str, made_with_it: Path | None) -> str:
        """The password in the book, made the first time. Raises MisconfiguredError if it was lost."""
        book = self._folder.read(_BOOK)
        password = book.get(name, {}).get("password")
        if isinstance(password, str):
            return password
        if made_with_it and (made_with_it / "PG_VERSION").exists():
            raise MisconfiguredError(
                f"{self._folder.path / _BOOK} does not hold the password of {made_with_it}: restore that file"
            )
        password = secrets.token_urlsafe(24)
        book[name] = {**book.get(name, {}), "password": password}
        self._folder.write(_BOOK, book)
        return password


def _ignore(_line: str) -> None:
    return
