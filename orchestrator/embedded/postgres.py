"""Postgres from its wheel: made once, started on a free port of 127.0.0.1, found again after any crash."""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2

from orchestrator.domain.errors import MisconfiguredError
from orchestrator.embedded.folder import write_private
from orchestrator.embedded.leftovers import end_leftovers
from orchestrator.embedded.spec import Account, ProcessSpec, StartFailedError

USER = "orchestrator"
DATABASE = "orchestrator"
_MAX_CONNECTIONS = 200
_UNSAFE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Postgres:
    """One server: where its programs and data are, and how to reach it."""

    bin: Path
    data: Path
    port: int
    password: str = field(repr=False)
    account: Account | None
    durable: bool

    def url(self, database: str = DATABASE) -> str:
        """How to reach a database of this server."""
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def is_made(self) -> bool:
        """Whether the folder holds a cluster. Raises MisconfiguredError if it is of another major version."""
        version = self.data / "PG_VERSION"
        if not version.exists():
            return False
        made_by, ours = version.read_text().strip(), _major(self.bin)
        if made_by != ours:
            raise MisconfiguredError(
                f"{self.data} was made by Postgres {made_by} and this is {ours}: "
                "dump it with the old version, or choose another data folder"
            )
        return True

    def initdb(self) -> ProcessSpec:
        """The one-shot process that makes the cluster, beside its place: `adopt` moves it there."""
        place, password_file = self._new_place(), self._password_file()
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(mode=0o700)
        if self.account:
            os.chown(place, self.account.uid, self.account.gid)
        write_private(password_file, self.password + "\n", account=self.account)
        argv = [
            str(self.bin / "initdb"),
            f"--pgdata={place}",
            f"--username={USER}",
            f"--pwfile={password_file}",
        ]
        argv += ["--auth=scram-sha-256", "--locale=C.UTF-8", "--encoding=UTF8"]
        # The password is drawn, so rounds that slow down guessing cost each connection 5 ms of CPU for nothing.
        argv += [] if self.durable else ["--no-sync", "--set=scram_iterations=1"]
        return ProcessSpec(
            name="initdb", argv=tuple(argv), env=store_env(), cwd=str(place.parent), account=self.account
        )

    def adopt(self) -> None:
        """Move what initdb made to its place in one step: a crash before it leaves nothing half made."""
        self._password_file().unlink()
        self._new_place().rename(self.data)

    def server(self) -> ProcessSpec:
        """The server's process; stops fast and cleanly on SIGINT."""
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": str(_MAX_CONNECTIONS),
            "log_checkpoints": "off",
            **({} if self.durable else _UNSAFE),
        }
        argv = [str(self.bin / "postgres"), "-D", str(self.data)]
        for name, value in options.items():
            argv += ["-c", f"{name}={value}"]
        return ProcessSpec(
            name="postgres",
            argv=tuple(argv),
            env=store_env(),
            cwd=str(self.data),
            account=self.account,
            prepare=self._clear,
            healthy=self._answers,
            healthy_within_seconds=120.0,  # crash recovery after a kill -9 under load takes its time
            stop_signal=signal.SIGINT,
            is_store=True,
        )

    def make_database(self, name: str = DATABASE) -> None:
        """Create a database unless it is there."""
        connection = psycopg2.connect(self.url("postgres"))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
                if cursor.fetchone() is None:
                    cursor.execute(f'CREATE DATABASE "{name}"')
        finally:
            connection.close()

    def _answers(self) -> bool:
        try:
            connection = psycopg2.connect(self.url("postgres"), connect_timeout=5)
        except psycopg2.OperationalError as error:
            if "password authentication failed" in str(error):
                raise StartFailedError(
                    f"the password in stores.json is not the one {self.data} was made with: restore that file"
                ) from error
            return False
        connection.close()
        return True

    def _clear(self) -> None:
        """End what an earlier server left, and only then remove its pid file: it guards live backends."""
        pid_file = self.data / "postmaster.pid"
        first_line = pid_file.read_text().partition("\n")[0].strip() if pid_file.exists() else ""
        main_pid = int(first_line) if first_line.isdigit() else 0
        end_leftovers(self.data, "postgres", clean=signal.SIGINT, main_pid=main_pid)
        pid_file.unlink(missing_ok=True)

    def _new_place(self) -> Path:
        return self.data.with_name("postgres.new")

    def _password_file(self) -> Path:
        return self.data.with_name(".postgres-password")


def store_env() -> Mapping[str, str]:
    """The environment of a store: nothing of ours, so that no secret of ours is in it."""
    return {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}


def _major(programs: Path) -> str:
    """The major version of the server in `programs`: the "18" of "postgres (PostgreSQL) 18.6"."""
    said = subprocess.run(
        [programs / "postgres", "--version"], check=True, capture_output=True, text=True
    ).stdout
    return said.split()[-1].split(".")[0]
