"""What the tests of webhooks share: an application, a worker played by hand, and whoever is told, on a real HTTP server."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as changed
from typing import Any

import pytest
from sqlalchemy import Row, text

from orchestrator.config import Settings
from orchestrator.db import Database
from orchestrator.repositories import outbox
from orchestrator.services import webhooks
from orchestrator.services.webhooks import outside_of
from tests.integration.engine_world import World, worker
from tests.unit.cli_server import ScriptedServer, scripted_server
from workers import telling
from workers.context import WorkerContext
from workers.leases import LeaseKeeper

PATH = "/told"


@dataclass
class WebhookWorld:
    """`world` makes things happen, `told` is told of them."""

    world: World
    settings: Settings
    told: ScriptedServer
    ours: WorkerContext = field(init=False)

    def __post_init__(self) -> None:
        leases = LeaseKeeper(self.world.database, lease_seconds=30)
        self.ours = WorkerContext(self.settings, self.world.database, leases, worker())

    def make(
        self,
        *events: str,
        kind: str = "webhook",
        settings: dict[str, Any] | None = None,
        applications: Sequence[str] = (),
        environments: Sequence[str] = (),
    ) -> tuple[int, str]:
        """A webhook, and its secret."""
        with self.world.database.transaction() as session:
            made, secret = webhooks.create(
                session,
                name="mine",
                kind=kind,
                settings={"url": self.told.url + PATH} if settings is None else settings,
                events=events or ("*",),
                applications_=applications,
                environments=environments,
                actor=self.world.actor,
                vault=self.ours.vault,
                outside=outside_of(self.settings),
            )
        return made, secret or ""

    def answers(self, *answers: Any) -> None:
        self.told.on("POST", PATH, *answers)

    def settle(self) -> None:
        """Wait until no transaction of any test on this server began before the last event: events are told in that order."""
        seen = """
            SELECT xid < pg_snapshot_xmin(pg_current_snapshot()) FROM events WHERE xid < pg_snapshot_xmax(pg_current_snapshot())
            ORDER BY xid DESC LIMIT 1
        """
        deadline = time.monotonic() + 60
        while not self.world.scalar(seen):
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def look(self) -> int:
        """Make deliveries of what happened; how many events there were."""
        self.settle()
        with self.world.database.transaction() as session:
            return outbox.advance(session, limit=1000)

    def tick(self) -> list[int]:
        """What the clock does; the deliveries that were handed out."""
        self.settle()
        telling.hand_out(self.ours)
        return [row.id for row in self.rows("handed_at IS NOT NULL AND started_at IS NULL")]

    def tell(self, *deliveries: int) -> None:
        for delivery in deliveries or self.tick():
            telling.tell(self.ours, delivery)

    def rows(self, which: str = "true") -> list[Row[Any]]:
        with self.world.database.reading() as session:
            return list(session.execute(text(f"SELECT * FROM deliveries WHERE {which} ORDER BY id")))  # noqa: S608

    def row(self) -> Row[Any]:
        (found,) = self.rows()
        return found

    def kinds(self, webhook: int) -> list[object]:
        """Of the events that it is to be told, or was."""
        return self.world.column(
            "SELECT e.kind FROM deliveries d JOIN events e ON e.id = d.event_id WHERE d.webhook_id = :id ORDER BY d.id",
            id=webhook,
        )

    def let_pass(self) -> None:
        """As if the time of everything that waits had come."""
        self.world.execute(
            "UPDATE deliveries SET next_at = clock_timestamp() - interval '1 second' WHERE next_at IS NOT NULL"
        )


@pytest.fixture
def hooks(database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebhookWorld]:
    """Loopback is allowed."""
    monkeypatch.setenv("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.0/8")
    allowing = changed(settings, webhook_allowed_networks="127.0.0.0/8")
    with scripted_server() as told:
        yield WebhookWorld(World(database), allowing, told)
