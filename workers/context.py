"""What every task of a worker process shares: settings, database, leases, who it is."""

import os
import secrets
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path

from orchestrator import log, tracing
from orchestrator.config import Settings
from orchestrator.db import Database
from orchestrator.repositories import origins
from orchestrator.security import Vault
from orchestrator.services.attempts import Worker
from workers.leases import LeaseKeeper
from workers.turns import Turns

_logger = log.get(__name__)


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """One worker process."""

    settings: Settings
    database: Database
    leases: LeaseKeeper
    worker: Worker
    turns: Turns = field(default_factory=Turns)

    @property
    def vault(self) -> Vault:
        """What opens the secrets of webhooks."""
        return Vault(self.settings.secret_key)

    def cut_still(self, seconds: float) -> None:
        """Let go the threads that have waited for Postgres for so long: what they hold would keep others waiting for ever."""
        count = self.database.cut_still(seconds) + self.leases.cut_still(seconds)
        if count:
            _logger.warning("connections_still", count=count, seconds=seconds)

    @property
    def origin(self) -> str:
        """Who this installation is; asked of the database once."""
        return _origin(self.database)


def node_id(data_dir: Path) -> str:
    """The name of this node: made once, kept beside the runs that live on it. Several starters agree on one."""
    data_dir.mkdir(parents=True, exist_ok=True)
    file = data_dir / "node"
    fresh = data_dir / f"node.{os.getpid()}.{secrets.token_hex(4)}"
    if not file.exists():
        fresh.write_text(secrets.token_hex(6))
        try:
            os.link(fresh, file)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return file.read_text().strip()


@lru_cache(maxsize=1)
def _origin(database: Database) -> str:
    with database.reading() as session:
        return origins.read(session)


def make(settings: Settings) -> WorkerContext:
    """The context of a process with these settings."""
    database = Database(settings)
    node = node_id(settings.data_dir)
    worker = Worker(
        name=f"{node}:{os.getpid()}",
        node=node,
        lease_seconds=settings.lease_seconds,
        node_lost_seconds=settings.node_lost_seconds,
        unreachable_seconds=settings.unreachable_seconds,
    )
    # A renewal never queues behind those who wait for a lock; the second one is for when the first says nothing.
    of_its_own = Database(replace(settings, db_pool_size=2))
    return WorkerContext(
        settings=settings,
        database=database,
        leases=LeaseKeeper(of_its_own, lease_seconds=settings.lease_seconds),
        worker=worker,
    )


@cache
def current() -> WorkerContext:
    """The context of this process, made at the first call."""
    settings = Settings.from_env()
    log.configure(settings.log_level)
    made = make(settings)
    log.name_process(process="worker", worker=made.worker.name)
    tracing.start(settings, "worker")
    return made
