"""What is so at one moment: everything the database holds, by one statement of the model's own."""

from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace as Row
from typing import Any

import orjson
from psycopg2.extensions import connection as PgConnection  # noqa: N812  # it is a class
from sqlalchemy import Engine

from tests.model.site import Site

TERMINAL = frozenset({"succeeded", "failed", "cancelled", "superseded", "expired"})
ACTIVE = frozenset({"running", "paused"})
OPEN = frozenset({"ready", "running"})

_TABLES = {
    "deployments": """SELECT d.*, encode(d.event_hash, 'hex') AS event_hash, r.version,
        d.wake_at <= clock_timestamp() AS due, extract(epoch FROM d.wake_at - clock_timestamp())::float AS wakes_in,
        extract(epoch FROM d.next_wave_at - clock_timestamp())::float AS next_wave_in,
        extract(epoch FROM d.answer_by - clock_timestamp())::float AS answer_in
        FROM deployments d JOIN releases r ON r.id = d.release_id ORDER BY d.id""",
    "waves": "SELECT * FROM waves ORDER BY deployment_id, index",
    "steps": """SELECT id, s.deployment_id, wave_index, position, action_index, target_id, target_name, status, attempt,
        extract(epoch FROM s.started_at)::float AS started, extract(epoch FROM s.ended_at)::float AS ended,
        (p.document #> ARRAY['actions', action_index::text, 'idempotent'])::bool AS idempotent
        FROM steps s JOIN plans p ON p.deployment_id = s.deployment_id ORDER BY id""",
    "attempts": """SELECT id, deployment_id, step_id, number, token, node, outcome, output_bytes, ended_at IS NOT NULL AS over,
        coalesce(lease_until > clock_timestamp(), false) AS leased,
        deployment_id || '-' || step_id || '-' || number AS run FROM attempts ORDER BY id""",
    "chunks": "SELECT attempt_id, start_byte, encode(data, 'hex') AS data FROM log_chunks ORDER BY attempt_id, id",
    "installations": """SELECT a.name || '/' || t.environment || '/' || t.name AS fence, r.version
        FROM installations i JOIN targets t ON t.id = i.target_id JOIN applications a ON a.id = t.application_id
        JOIN releases r ON r.id = i.release_id""",
    "statuses": "SELECT n, deployment_id, old, new FROM chaos.statuses ORDER BY n",
    "starts": "SELECT deployment_id, at FROM chaos.starts ORDER BY n",
    "tokens": "SELECT n, attempt_id, old, new FROM chaos.tokens ORDER BY n",
    "writes": "SELECT n, attempt_id, token, held FROM chaos.writes WHERE token <> held ORDER BY n",
    "events": """SELECT subject, seq, deployment_id, kind, actor_id, at, data, encode(hash, 'hex') AS hash
        FROM events WHERE deployment_id IS NOT NULL ORDER BY id""",
    "halts": "SELECT id, environment FROM locks WHERE created_by IS NULL AND released_at IS NULL ORDER BY id",
    "clock": "SELECT set_back_seconds FROM virtual.time",
}
_ALL = ", ".join(
    f"'{name}', (SELECT coalesce(json_agg(x), '[]') FROM ({rows}) x)"  # noqa: S608  # the statements above
    for name, rows in _TABLES.items()
)
# `collect` calls a function, so that Postgres keeps the plan. The triggers note under which lease a worker wrote, and when starts
# were committed.
_INSTALL = f"""
    CREATE TABLE chaos.writes (n bigserial PRIMARY KEY, attempt_id bigint, token bigint, held bigint);
    CREATE FUNCTION chaos.note_write() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE held bigint := (nullif(current_setting('model.held', true), '')::jsonb ->> NEW.id::text)::bigint;
    BEGIN
        IF held IS NOT NULL THEN
            INSERT INTO chaos.writes (attempt_id, token, held) VALUES (NEW.id, NEW.token, held);
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER chaos_write AFTER UPDATE ON attempts FOR EACH ROW
        WHEN (NEW.token = OLD.token) EXECUTE FUNCTION chaos.note_write();
    CREATE TABLE chaos.starts (n bigserial PRIMARY KEY, deployment_id bigint, at timestamptz);
    CREATE FUNCTION chaos.note_start() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO chaos.starts (deployment_id, at) VALUES (NEW.id, clock_timestamp());
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER chaos_start AFTER UPDATE ON deployments DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
        WHEN (OLD.status = 'pending' AND NEW.status = 'running') EXECUTE FUNCTION chaos.note_start();
    CREATE FUNCTION virtual.everything() RETURNS text LANGUAGE plpgsql AS $$
    BEGIN RETURN json_build_object({_ALL})::text; END $$
"""  # noqa: S608  # the same


@dataclass(frozen=True, slots=True)
class Evidence:
    """All rows of one moment, named as the tables' columns are."""

    deployments: list[Any]
    waves: list[Any]
    steps: list[Any]
    attempts: list[Any]
    chunks: list[Any]
    installations: list[Any]
    statuses: list[Any]
    """Every change of a status that was committed, as the model's own trigger wrote it down."""
    starts: list[Any]
    """When each start was committed."""
    tokens: list[Any]
    """Every change of a token, likewise."""
    writes: list[Any]
    """Every write to an attempt by a worker that held a lease on it under another token than the last."""
    events: list[Any]
    halts: list[Any]
    """Locks that the orchestrator set itself, and that nobody released."""
    clock: list[Any]
    """One row: by how much Postgres' clock was set back so far, all times together."""

    @property
    def at_a_loss(self) -> list[Any]:
        """Deployments that ask what to do after too many failures, and nothing else."""
        return [
            row
            for row in self.deployments
            if row.status == "paused" and row.answer_by and row.id not in self.asking
        ]

    @property
    def tries_again(self) -> list[set[tuple[int, str]]]:
        """Deployments and targets, for each answer so far that what failed is to be tried again."""
        return [
            {(event.deployment_id, target) for target in event.data["targets"]}
            for event in self.events
            if event.kind == "deployment.answered" and event.data["answer"] == "retry"
        ]

    @property
    def doubtful(self) -> set[str]:
        """Runs of which a person was asked: their end could not be known."""
        numbers = {(e.data["step"], e.data["attempt"]) for e in self.events if e.kind == "step.unknown"}
        return {a.run for a in self.attempts if (a.step_id, a.number) in numbers}

    @property
    def asking(self) -> set[int]:
        """Deployments with a step for which a person has to answer; an ended one asks nobody any more."""
        ended = {row.id for row in self.deployments if row.status in TERMINAL}
        return {step.deployment_id for step in self.steps if step.status == "unknown"} - ended


def install(connection: PgConnection) -> None:
    """Let `collect` work in this database, which has virtual time and the history of chaos already."""
    with connection.cursor() as cursor:
        cursor.execute(_INSTALL)


def collect(engine: Engine) -> Evidence:
    """Read it all."""
    with engine.connect() as connection:
        found = orjson.loads(connection.exec_driver_sql("SELECT virtual.everything()").scalar_one())
    return Evidence(**{name: [Row(**row) for row in rows] for name, rows in found.items()})


def is_over(engine: Engine, run: str) -> bool:
    """Whether the attempt of a run has ended."""
    _, step_id, number = run.split("-")
    with engine.connect() as connection:
        found = connection.exec_driver_sql(
            "SELECT ended_at IS NOT NULL FROM attempts WHERE step_id = %s AND number = %s", (step_id, number)
        )
        return bool(found.scalar_one())


def worth_meeting(now: Evidence, site: Site) -> Iterator[str]:
    """What an example came to, by name: a model that never gets there proves nothing."""
    yield "example"
    yield from (f"deployment {row.status}" for row in now.deployments)
    yield from ("rollback" for row in now.deployments if row.rolls_back_id)
    yield from ("automatic rollback" for row in now.deployments if row.rolls_back_id and not row.requested_by)
    yield from (f"attempt {attempt.outcome}" for attempt in now.attempts if attempt.token)
    yield from ("attempt with output" for attempt in now.attempts if attempt.output_bytes)
    yield from ("lease taken over" for change in now.tokens if change.old)
    yield from (event.kind for event in now.events if event.kind.startswith("step."))
    yield from (f"pending, held by {row.held_by}" for row in now.deployments if row.held_by)
    yield from ("stands still" for event in now.events if event.kind == "deployment.halted")
    yield from ("paused" for change in now.statuses if change.new == "paused")
    yield from ("started while in doubt" for new, _ in site.overlaps)
    yield from ("aborted before it started" for run in site.runs.values() if run.name not in site.starts)
    yield from ("stale token refused" for _ in range(site.stale))
    yield from ("late start refused" for _ in range(site.too_late))
