"""Everything the invariants are checked against: the database (by SQL of the harness's own), the ledger, /proc, files."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psycopg2.extensions import connection as PgConnection  # noqa: N812  # it is a class
from psycopg2.extras import NamedTupleCursor

from tests.chaos.followers import Followed
from tests.chaos.gates import Said
from tests.chaos.ledger import Entry, read
from tests.chaos.traffic import Request
from tests.chaos.world import Bearer

_DEPLOYMENTS = """
    SELECT d.*, a.name AS application, r.version, a.name || '.' || d.environment AS slot
    FROM deployments d JOIN applications a ON a.id = d.application_id JOIN releases r ON r.id = d.release_id ORDER BY d.id
"""
_STEPS = """
    SELECT s.id, s.deployment_id, s.status, s.target_name, s.wave_index, s.attempt, s.started_at,
        p.document #>> ARRAY['actions', s.action_index::text, 'kind'] = 'run' AS runs,
        p.document #>> ARRAY['actions', s.action_index::text, 'kind'] = 'files' AS brings, s.target ->> 'kind' AS kind,
        CASE p.document #>> ARRAY['actions', s.action_index::text, 'kind'] WHEN 'traffic'
            THEN CAST(p.document #>> ARRAY['actions', s.action_index::text, 'settings', 'weight'] AS int) END AS weight
    FROM steps s JOIN plans p ON p.deployment_id = s.deployment_id ORDER BY s.id
"""
_ATTEMPTS = """
    SELECT a.*, a.deployment_id || '-' || a.step_id || '-' || a.number AS run,
        (SELECT count(*) FROM log_chunks c WHERE c.attempt_id = a.id) AS chunks,
        (SELECT coalesce(sum(length(c.data)), 0) FROM log_chunks c WHERE c.attempt_id = a.id) AS stored_bytes
    FROM attempts a ORDER BY a.id
"""
_EVENTS = """
    SELECT subject, seq, deployment_id, kind, actor_id, at, data, hash FROM events ORDER BY subject, seq
"""
_INSTALLATIONS = """
    SELECT a.name || '.' || t.environment || '.' || t.name AS place, r.version, i.deployment_id
    FROM targets t JOIN applications a ON a.id = t.application_id
    LEFT JOIN installations i ON i.target_id = t.id LEFT JOIN releases r ON r.id = i.release_id
"""
_LOG = "SELECT start_byte, data FROM log_chunks WHERE attempt_id = %s ORDER BY start_byte"
_LOG_OF_ALL = """
    SELECT c.step_id, a.number, c.start_byte, c.data FROM log_chunks c JOIN attempts a ON a.id = c.attempt_id
    WHERE c.deployment_id = %s AND length(c.data) > 0 ORDER BY c.xid, c.id
"""


@dataclass
class Evidence:
    """What is so after a run of the harness. Rows have the names of the tables' columns."""

    deployments: dict[int, Any]
    steps: Sequence[Any]
    attempts: Sequence[Any]
    events: Sequence[Any]
    statuses: Sequence[Any]
    """Every change of a status that was committed, as the harness's own trigger wrote it down."""
    tokens: Sequence[Any]
    """Every change of a token, likewise."""
    installations: Sequence[Any]
    cursor: Any
    folder: Path
    ledger: Sequence[Entry] = ()
    bearers: Sequence[Bearer] = ()
    accepted: dict[str, set[int]] = field(default_factory=dict)
    """The ids that the API answered for each Idempotency-Key."""
    accepted_at: dict[int, float] = field(default_factory=dict)
    """When the 202 for a deployment had come, in seconds since 1970."""
    requests: tuple[int, int] = (0, 0)
    """How many were answered, and how many had to be sent again."""
    followed: Sequence[Followed] = ()
    weights: Mapping[str, int] = field(default_factory=dict)
    """What each server behind a proxy weighs there, by the name of its target."""
    first_weights: Mapping[str, int] = field(default_factory=dict)
    """What they weighed before anything was deployed."""
    requests_at_servers: Sequence[Request] = ()
    failed_requests: Sequence[str] = ()
    """Requests to a proxy that were not answered well."""
    said: Said = field(default_factory=Said)
    """Who said when something may start."""
    contradictions: Sequence[str] = ()
    survivors: Sequence[str] = ()
    at_target: Callable[[str], bytes | None] = lambda _run: None
    """What a run's output is at its target, where that can be looked at."""
    severed: frozenset[str] = frozenset()
    """Runs whose supervisor the harness killed: their end cannot be known."""

    def read_ledger(self, path: Path) -> None:
        """Take what the commands said."""
        self.ledger = read(path)

    def log(self, attempt_id: int) -> list[tuple[int, bytes]]:
        """The stored output of an attempt, piece by piece, each with its first byte."""
        self.cursor.execute(_LOG, (attempt_id,))
        return [(row.start_byte, bytes(row.data)) for row in self.cursor.fetchall()]

    def log_of(self, deployment_id: int) -> list[tuple[int, int, int, str]]:
        """The stored output of a deployment in its order: step, attempt, first byte, text. No character is torn apart here."""
        self.cursor.execute(_LOG_OF_ALL, (deployment_id,))
        return [
            (row.step_id, row.number, row.start_byte, bytes(row.data).decode("utf-8", "replace"))
            for row in self.cursor.fetchall()
        ]

    def own_copy(self, run: str) -> bytes | None:
        """What the command wrote, by its own account."""
        path = self.folder / "out" / run
        return path.read_bytes() if path.exists() else None

    def installed_version(self, place: str) -> str | None:
        """What the target itself says it has."""
        path = self.folder / "state" / place
        path = path / "current" / "VERSION" if path.is_dir() else path
        return path.read_text().strip() if path.exists() else None


def collect(connection: PgConnection, folder: Path, **seen: Any) -> Evidence:
    """Read it all from one snapshot; the connection is used on for the logs."""
    cursor: Any = connection.cursor(cursor_factory=NamedTupleCursor)

    def rows(statement: str) -> list[Any]:
        cursor.execute(statement)
        return list(cursor.fetchall())

    cursor.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    return Evidence(
        deployments={row.id: row for row in rows(_DEPLOYMENTS)},
        steps=rows(_STEPS),
        attempts=rows(_ATTEMPTS),
        events=rows(_EVENTS),
        statuses=rows("SELECT * FROM chaos.statuses ORDER BY n"),
        tokens=rows("SELECT * FROM chaos.tokens ORDER BY n"),
        installations=rows(_INSTALLATIONS),
        cursor=cursor,
        folder=folder,
        **seen,
    )
