"""A whole installation on this machine: stores, web, stream, workers, beat and Flower."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from orchestrator.embedded import ports, processes
from orchestrator.embedded.folder import DataFolder
from orchestrator.embedded.output import Output
from orchestrator.embedded.processes import Processes, Site
from orchestrator.embedded.spec import ProcessSpec, StartFailedError
from orchestrator.embedded.stores import EmbeddedStores
from orchestrator.embedded.supervisor import Supervisor

UP_FILE = "up.json"
"""In the data folder while an installation runs: its `url`, `flower_url` and `pid`."""
_FLOWER_USER = "admin"
_FLOWER_SECRET = "flower_password"  # noqa: S105  # the name of a file


@dataclass(frozen=True, slots=True, kw_only=True)
class StackOptions:
    """What to start. `env` is the environment to build on; stores and secrets named in it are used."""

    data_dir: Path
    env: Mapping[str, str] = field(repr=False)
    port: int = 8000
    stream_port: int = 8001
    flower_port: int | None = 5555
    """None: without Flower."""
    workers: int = 1
    durable: bool = True


@dataclass(frozen=True, slots=True)
class FirstAdmin:
    """The account that was made because there was none; its password is known only now."""

    username: str
    password: str = field(repr=False)


class Stack:
    """`with Stack(options, output=..., progress=...) as stack: stack.url`; nothing of it outlives us.

    `progress` is told each step in a sentence, and every death and restart. `table`: which processes to run.
    """

    def __init__(
        self,
        options: StackOptions,
        *,
        output: Output,
        progress: Callable[[str], None],
        table: Callable[[Site], Processes] = processes.of,
    ) -> None:
        self._options = options
        self._progress = progress
        self._table = table
        self._folder = DataFolder(options.data_dir)
        self._ports: list[ports.Port] = []
        self.supervisor = Supervisor(output, notice=progress)
        self._stores = EmbeddedStores(
            options.data_dir,
            durable=options.durable,
            notice=progress,
            supervisor=self.supervisor,
            folder=self._folder,
        )
        self.url = ""
        self.flower_url = ""
        self.flower_login = "login from FLOWER_BASIC_AUTH"
        """Where to find the login, in words."""
        self.admin: FirstAdmin | None = None
        self.env: dict[str, str] = {}
        """What every process of it has in its environment."""

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
    def data_dir(self) -> Path:
        """The folder of the installation, absolute."""
        return self._folder.path

    def start(self) -> None:
        """Start everything and wait until it is healthy.

        Raises FolderInUseError, StartFailedError, MisconfiguredError, StoppedError (after `interrupt`).
        Whatever it raises, call `stop` then.
        """
        self._folder.hold()
        site = self._site()
        table = self._table(site)
        self._progress("preparing the database")
        self.supervisor.run(table.migrate)
        self.admin = self._first_admin(table.first_admin)
        self._progress("starting " + ", ".join(spec.name for spec in table.services))
        self.supervisor.start(table.services)
        self._folder.write(UP_FILE, {"url": self.url, "flower_url": self.flower_url, "pid": os.getpid()})

    def interrupt(self) -> None:
        """Make a `start` that is under way raise StoppedError; callable from any thread."""
        self.supervisor.interrupt()

    def hurry(self) -> None:
        """Let `stop` kill instead of wait; callable from any thread."""
        self.supervisor.hurry()

    def stop(self) -> None:
        """Drain web, stream, workers and beat, then close the stores; a second call does nothing."""
        if self._folder.is_held:
            (self._folder.path / UP_FILE).unlink(missing_ok=True)
        self.supervisor.close()
        self._stores.stop()
        for port in self._ports:
            port.release()
        self._ports.clear()
        self._folder.release()

    def _site(self) -> Site:
        given = self._options.env
        database_url = given.get("DATABASE_URL", "").strip() or self._stores.start_postgres().url()
        redis_url = given.get("REDIS_URL", "").strip() or self._stores.start_valkey().url()
        port = self._take_port("web", self._options.port)
        stream_port = self._take_port("stream", self._options.stream_port)
        wanted = self._options.flower_port
        flower_port = None if wanted is None else self._take_port("Flower", wanted)
        self.url = f"http://127.0.0.1:{port}"
        self.flower_url = "" if flower_port is None else f"http://127.0.0.1:{flower_port}"
        self.env = {
            **given,
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "SECRET_KEY": given.get("SECRET_KEY", "").strip() or self._folder.secret("secret_key"),
            "DATA_DIR": str(self._folder.path),
            "FLOWER_URL": self.flower_url,
            "CALLBACK_URL": given.get("CALLBACK_URL", "").strip() or self.url,
            "STREAM_URL": f"http://127.0.0.1:{stream_port}",
            "FLOWER_BASIC_AUTH": given.get("FLOWER_BASIC_AUTH", "").strip() or self._own_flower_login(),
            "PYTHONUNBUFFERED": "1",
        }
        return Site(
            data_dir=self._folder.path,
            redis_url=redis_url,
            port=port,
            stream_port=stream_port,
            flower_port=flower_port,
            workers=self._options.workers,
            env=self.env,
        )

    def _take_port(self, what: str, preferred: int) -> int:
        port = ports.Port.take(ports.from_preferred(preferred))
        self._ports.append(port)
        if port.number != preferred:
            self._progress(f"port {preferred} is taken: {what} uses {port.number}")
        return port.number

    def _own_flower_login(self) -> str:
        self.flower_login = f"user {_FLOWER_USER}, password in {self._folder.path / _FLOWER_SECRET}"
        return f"{_FLOWER_USER}:{self._folder.secret(_FLOWER_SECRET)}"

    def _first_admin(self, spec: ProcessSpec) -> FirstAdmin | None:
        said = self.supervisor.run(spec)
        try:
            made = json.loads(said)
            return FirstAdmin(made["username"], made["password"]) if made else None
        except (ValueError, KeyError, TypeError) as error:
            raise StartFailedError(
                f"{spec.name} must print JSON with username and password, or {{}}"
            ) from error
