"""A worker process whose threads are puppets: the real follower, leases and poller over a database and targets that can fail."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from orchestrator.config import Settings
from orchestrator.db import Database
from orchestrator.repositories import heartbeats
from orchestrator.services.attempts import Claim, Worker
from orchestrator.targets import command
from tests.model.puppets import Puppet, Waiting, point
from tests.model.site import Site
from tests.model.virtual_time import Clocks
from workers import outlived
from workers.context import WorkerContext
from workers.follower import Follower
from workers.leases import Hold, LeaseKeeper
from workers.poller import Poller
from workers.turns import Turns

_SAY_WHAT_IS_HELD = text("SELECT set_config('model.held', :held, true)")


class Away(Exception):  # noqa: N818  # what psycopg2 would raise
    """The connection broke."""


class BreakableDatabase(Database):
    """The real one; a puppet stands still before and after each transaction, and the connection may break at either."""

    def __init__(self, real: Database, leases: "StillLeases", clocks: Clocks) -> None:
        self._real = real
        self._leases = leases
        self._clocks = clocks
        self.late_seconds = 0.0
        """How long the process is stopped right before its next COMMIT."""

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A transaction whose COMMIT may also be carried out without an answer."""
        if point("begins a transaction"):
            raise _broken()
        with self._real.transaction() as session:
            session.execute(_SAY_WHAT_IS_HELD, {"held": json.dumps(self._leases.tokens)})
            yield session
            late, self.late_seconds = self.late_seconds, 0.0
            self._clocks.go(late)
        if point("committed"):
            raise _broken()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """As the real one."""
        with self._real.reading() as session:
            yield session


def _broken() -> OperationalError:
    return OperationalError("(the connection broke)", None, Away(), connection_invalidated=True)


class StillLeases(LeaseKeeper):
    """The real keeper without its thread: it renews when it is told to."""

    def hold(self, claim: Claim, *, claimed_at: float) -> Hold:
        """As the real one; a puppet waits for it by standing still."""
        hold = super().hold(claim, claimed_at=claimed_at)
        was_set, hold.woken, hold.gone = hold.woken.is_set(), Waiting(), Waiting()
        if was_set:
            hold.woken.set()
        return hold

    @property
    def tokens(self) -> dict[int, int]:
        """The tokens that are held, also those that others have overtaken."""
        return {attempt_id: hold.token for attempt_id, hold in self._holds.items()}

    def renew(self) -> None:
        """Renew all leases once."""
        if holds := dict(self._holds):
            self._renew(holds)


class PuppetPool:
    """Instead of the poller's threads."""

    def __init__(self, process: "Process") -> None:
        self._process = process

    def submit(self, _guarded: object, what: str, subject: int, do: Callable[[Follower], object]) -> None:
        """Begin it."""
        self._process.follow(f"{what} {subject}", do)


class Process:
    """One worker process on a node; `stopped` as by SIGSTOP."""

    def __init__(self, name: str, settings: Settings, database: Database, site: Site, clocks: Clocks) -> None:
        self.name = name
        self.node = node = name.partition(":")[0]
        self.stopped = False
        self.puppets: list[Puppet] = []
        self._begun = 0
        self._database = database
        self._site = site
        self._leases = StillLeases(database, lease_seconds=settings.lease_seconds)
        self.breakable = BreakableDatabase(database, self._leases, clocks)
        self.ours = WorkerContext(
            settings=replace(settings, data_dir=Path(node)),
            database=self.breakable,
            leases=self._leases,
            worker=Worker(
                self.name,
                node,
                settings.lease_seconds,
                settings.node_lost_seconds,
                settings.unreachable_seconds,
            ),
            turns=Turns(
                at_once=1000
            ),  # threads stand still in the middle of one here, for as long as the model wants
        )
        self._poller = Poller(replace(self.ours, database=database))
        self._poller._pool = PuppetPool(self)  # type: ignore[assignment]

    @property
    def ending(self) -> bool:
        """Whether it was told to end its slices."""
        return self._leases.stopping

    def follow(self, label: str, do: Callable[[Follower], object]) -> Puppet:
        """Begin anything a follower does."""
        self._begun += 1
        puppet = Puppet(f"{self.name} {label} ({self._begun})", lambda: self._guarded(do))
        self.puppets.append(puppet)
        return puppet

    def _guarded(self, do: Callable[[Follower], object]) -> None:
        """As the task shell, but only what the model broke itself is to be expected."""
        try:
            do(Follower(self.ours))
        except DBAPIError as error:
            if not isinstance(error.orig, Away):
                raise

    def resume(self, puppet: Puppet, *, broken: bool = False) -> None:
        """Let a thread go on to its next point."""
        puppet.resume(broken=broken)
        if puppet.done and puppet in self.puppets:
            self.puppets.remove(puppet)

    def renew(self) -> None:
        """What happens in the background: leases are renewed, the node is heard of."""
        self._leases.renew()
        with self._database.transaction() as session:
            heartbeats.node(session, self.node)

    def poll(self) -> None:
        """Look for what is overdue, and for runs that outlived their attempts."""
        self._poller.poll()
        place = str(self.ours.settings.runs_dir)
        names = [run.name for run in self._site.living if run.place == place]
        with patch.object(command, "living", lambda _: names):
            outlived.end_outlived(self._database, self.ours.settings.runs_dir)

    def end_slices(self) -> None:
        """SIGTERM."""
        self._leases.end_slices()

    def kill(self) -> None:
        """SIGKILL."""
        for puppet in self.puppets:
            puppet.kill()
        self.puppets.clear()
