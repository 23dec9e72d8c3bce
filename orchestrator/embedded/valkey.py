"""Valkey from its wheel: its password in a file, its data found again after any crash."""

import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

import redis

from orchestrator.embedded.folder import write_private
from orchestrator.embedded.leftovers import end_leftovers
from orchestrator.embedded.postgres import store_env
from orchestrator.embedded.spec import Account, ProcessSpec

_CONFIG = "valkey.conf"
_DATABASES = 64
"""One a test process, and one for each purpose in production."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Valkey:
    """One server: where its program and data are, and how to reach it."""

    program: Path
    data: Path
    port: int
    password: str = field(repr=False)
    account: Account | None
    durable: bool

    def url(self, database: int = 0) -> str:
        """How to reach a database of this server."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{database}"

    def server(self) -> ProcessSpec:
        """The server's process; its password is in a file, never on the command line."""
        return ProcessSpec(
            name="valkey",
            argv=(str(self.program), _CONFIG),
            env=store_env(),
            cwd=str(self.data),
            account=self.account,
            prepare=self._prepare,
            healthy=self._answers,
            stop_signal=signal.SIGTERM,
            is_store=True,
        )

    def _prepare(self) -> None:
        end_leftovers(self.data, "valkey-server", clean=signal.SIGTERM)
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "requirepass": self.password,
            "databases": str(_DATABASES),
            "appendonly": "yes" if self.durable else "no",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "save": '""',
            "daemonize": "no",
        }
        text = "".join(f"{name} {value}\n" for name, value in settings.items())
        write_private(self.data / _CONFIG, text, account=self.account)

    def make_folder(self) -> None:
        """Make the data folder unless it is there."""
        if not self.data.is_dir():
            self.data.mkdir(mode=0o700)
            if self.account:
                os.chown(self.data, self.account.uid, self.account.gid)

    def _answers(self) -> bool:
        with redis.Redis.from_url(self.url(), socket_timeout=5, socket_connect_timeout=5) as client:
            try:
                return bool(client.ping())
            except (
                redis.ConnectionError,
                redis.TimeoutError,
            ):  # a server that is loading its file counts as the former
                return False
