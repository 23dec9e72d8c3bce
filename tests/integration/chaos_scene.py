"""A database in which all is well, and what the chaos harness would have seen of it: its tests break one thing at a time."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2
import pytest
from psycopg2.extensions import connection as PgConnection  # noqa: N812  # it is a class
from psycopg2.extras import NamedTupleCursor

from orchestrator.config import Settings
from orchestrator.db import Database
from orchestrator.domain.statuses import Outcome
from orchestrator.services import attempts, deployments, pipelines, releases
from orchestrator.services.attempts import Output
from tests.chaos import history
from tests.chaos.evidence import collect
from tests.chaos.followers import Followed
from tests.chaos.gates import Said
from tests.chaos.invariants import Violation, check
from tests.chaos.ledger import Entry
from tests.chaos.traffic import Request
from tests.chaos.world import Bearer
from tests.integration.engine_world import World, worker

OUTPUT = b"one\ntwo\nthree\n"
SWITCHED = """
application: web
environments:
  live:
    targets: [{name: blue, kind: noop, labels: {side: blue}}, {name: green, kind: noop, labels: {side: green}}]
    traffic: {haproxy: /run/haproxy.sock, backend: web}
    strategy: blue-green
deploy:
  - run: ./install
"""


@dataclass
class Scene:
    """A database in which all is well, and what the harness would have seen of it."""

    connection: PgConnection
    folder: Path
    good: int
    """A deployment to staging that succeeded."""
    bad: int
    """A later one that failed."""
    wide: int
    """One to production, with three targets, that succeeded."""
    switched: int
    """One that moved the traffic from blue to green."""
    entries: list[Entry] = field(default_factory=list)
    bearers: list[Bearer] = field(default_factory=list)
    accepted: dict[str, set[int]] = field(default_factory=dict)
    accepted_at: dict[int, float] = field(default_factory=dict)
    said: Said = field(default_factory=Said)
    contradictions: list[str] = field(default_factory=list)
    severed: frozenset[str] = frozenset()
    followed: list[Followed] = field(default_factory=list)
    """Who followed the first three, in their order."""
    weights: dict[str, int] = field(default_factory=lambda: {"web.live.blue": 0, "web.live.green": 100})
    first_weights: dict[str, int] = field(default_factory=lambda: {"web.live.blue": 100, "web.live.green": 0})
    requests_at_servers: list[Request] = field(default_factory=list)
    failed_requests: list[str] = field(default_factory=list)

    def sql(self, statement: str, **params: object) -> list[tuple[object, ...]]:
        """Write what the database would refuse otherwise: no trigger fires."""
        with self.connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")
            cursor.execute(statement, params)
            found = cursor.fetchall() if cursor.description else []
            cursor.execute("RESET session_replication_role")
        return found

    def run_of(self, deployment: int) -> str:
        """The first run of a deployment."""
        return next(entry.run for entry in self.entries if entry.deployment_id == deployment)

    def index_of(self, kind: str, deployment: int) -> int:
        """Where the ledger has the first such line of a deployment."""
        wanted = (kind, deployment)
        return next(i for i, e in enumerate(self.entries) if (e.kind, e.deployment_id) == wanted)

    def violations(self) -> list[Violation]:
        seen = {
            "ledger": self.entries,
            "bearers": self.bearers,
            "accepted": self.accepted,
            "accepted_at": self.accepted_at,
            "said": self.said,
            "contradictions": self.contradictions,
            "severed": self.severed,
            "followed": self.followed,
            "weights": self.weights,
            "first_weights": self.first_weights,
            "requests_at_servers": self.requests_at_servers,
            "failed_requests": self.failed_requests,
        }
        found = check(collect(self.connection, self.folder, **seen))
        self.connection.rollback()
        return found


def switch(world: World) -> int:
    """Ask for a deployment that moves traffic."""
    with world.database.transaction() as session:
        pipelines.apply(session, name="web", source=SWITCHED, actor=world.actor)
        releases.create(session, name="web", version="1", artifact="", changes="", actor=world.actor)
        return deployments.request(
            session, application="web", version="1", environment="live", reason="", actor=world.actor
        ).id


def play(world: World, deployment: int, *, outcome: Outcome = Outcome.SUCCEEDED) -> None:
    """Be the worker of a deployment whose every step writes OUTPUT."""
    one = worker()
    claim = world.advance(deployment, one)
    while claim is not None:
        with world.database.transaction() as session:
            attempts.write_output(session, claim, Output(0, 4, OUTPUT[:4]))
        with world.database.transaction() as session:
            attempts.write_output(session, claim, Output(4, len(OUTPUT), OUTPUT[4:]))
        claim = world.finish(claim, outcome, one) or world.advance(deployment, one)


@pytest.fixture
def scene(database: Database, settings: Settings, tmp_path: Path) -> Iterator[Scene]:
    connection = psycopg2.connect(settings.database_url)
    connection.autocommit = True
    history.record(connection)
    world = World(database)
    world.release("1")
    world.release("2")
    good, bad, wide = world.request("1"), world.request("2"), world.request("1", "production")
    switched = switch(world)
    play(world, good)
    play(world, bad, outcome=Outcome.FAILED)
    play(world, wide)
    play(world, switched)
    ends = [world.status(each) for each in (good, bad, wide, switched)]
    assert ends == ["succeeded", "failed", "succeeded", "succeeded"]
    made = Scene(connection, tmp_path, good, bad, wide, switched)
    made.accepted = {"key-1": {good}, "key-2": {bad}, "key-3": {wide}}
    tell(made)
    yield made
    connection.close()


def tell(scene: Scene) -> None:
    """Write the ledger, the commands' own copies and the targets' state, as commands would have."""
    for folder in ("out", "state"):
        (scene.folder / folder).mkdir()
    for deployment, end in ((scene.good, "succeeded"), (scene.bad, "failed"), (scene.wide, "succeeded")):
        shown = ["pending", "running", "running", end]
        scene.followed.append(Followed(deployment, statuses=shown, end=end, connections=2))
    with scene.connection.cursor(cursor_factory=NamedTupleCursor) as cursor:
        cursor.execute("""
            SELECT a.deployment_id || '-' || s.id || '-' || a.number AS run, a.started_at, a.ended_at, a.exit_code, r.version,
                r.name || '.' || d.environment || '.' || s.target_name AS place
            FROM attempts a JOIN steps s ON s.id = a.step_id JOIN deployments d ON d.id = a.deployment_id
            JOIN releases r ON r.id = d.release_id JOIN plans p ON p.deployment_id = d.id
            WHERE a.started_at IS NOT NULL AND p.document #>> ARRAY['actions', s.action_index::text, 'kind'] = 'run'
            ORDER BY a.started_at
        """)
        rows = cursor.fetchall()
    for row in rows:
        scene.entries += [
            Entry("S", row.run, row.place, row.started_at.timestamp()),
            Entry("E", row.run, str(row.exit_code), row.started_at.timestamp()),
        ]
        (scene.folder / "out" / row.run).write_bytes(OUTPUT)
        if row.exit_code == 0:
            (scene.folder / "state" / row.place).write_text(f"{row.version}\n")
        deployment, step, number = (int(part) for part in row.run.split("-"))
        if deployment == scene.switched:
            continue
        followed = next(each for each in scene.followed if each.deployment_id == deployment)
        followed.pieces += [(step, number, 0, "one\n"), (step, number, 4, "two\nthree\n")]
        followed.steps[step] = "succeeded" if row.exit_code == 0 else "failed"
