"""What the engine does all the time costs the same with ten thousand deployments as with ten: no table is read whole."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event, text

from orchestrator.db import Database
from orchestrator.domain.statuses import Outcome
from orchestrator.presenting.pages import deployment, grid, inbox
from orchestrator.presenting.pages import deployments as listed
from orchestrator.presenting.pages.deployments import Asked
from orchestrator.repositories import deployments as rows
from orchestrator.repositories import heartbeats, installations, waking
from orchestrator.services import deployments
from orchestrator.services import inbox as waiting
from tests.integration.engine_world import World, worker

# 10,000 that wait (half behind the slot, half for their promotion) and 10,000 that ended, each with a wave and a step.
MANY = """
    INSERT INTO deployments (application_id, release_id, environment, status, requested_by, strategy, plan_hash,
        max_failures, max_parallel, on_failure, promote_after, wave_count, step_count, held_by, wake_at,
        started_at, deployed_at, ended_at)
    SELECT d.application_id, d.release_id, CASE WHEN n % 2 = 0 THEN 'production' ELSE 'staging' END,
        CASE WHEN n <= 10000 THEN 'pending' ELSE 'succeeded' END, d.requested_by, d.strategy, d.plan_hash, 0, 1, 'fail',
        '{}', 1, 1, CASE WHEN n <= 10000 AND n % 2 = 0 THEN 'promotion' END,
        CASE WHEN n <= 10000 THEN clock_timestamp() + interval '10 minutes' END,
        CASE WHEN n > 10000 THEN now() END, CASE WHEN n > 10000 THEN now() END, CASE WHEN n > 10000 THEN now() END
    FROM generate_series(1, 20000) n, (SELECT * FROM deployments ORDER BY id LIMIT 1) d;
    INSERT INTO waves (deployment_id, index, batch, action_index, total, waiting)
    SELECT id, 0, 0, 0, 1, 1 FROM deployments WHERE id NOT IN (SELECT deployment_id FROM waves);
    INSERT INTO steps (deployment_id, wave_index, position, action_index, target_id, target_name, target)
    SELECT d.id, 0, 0, 0, t.id, t.name, '{}' FROM deployments d, (SELECT id, name FROM targets ORDER BY id LIMIT 1) t
    WHERE d.id NOT IN (SELECT deployment_id FROM steps);
    INSERT INTO plans (deployment_id, document) SELECT id, '{}' FROM deployments
    WHERE id NOT IN (SELECT deployment_id FROM plans);
    INSERT INTO attempts (deployment_id, step_id, number, token, ended_at, outcome)
    SELECT s.deployment_id, s.id, 1, 1, clock_timestamp(), 'succeeded' FROM steps s
    WHERE s.id NOT IN (SELECT step_id FROM attempts);
    INSERT INTO events (subject, seq, deployment_id, kind, at, data, hash)
    SELECT 'deployment:' || id, 9, id, 'x', clock_timestamp(), '{}', '' FROM deployments;
"""
TABLES = ("deployments", "waves", "steps", "plans", "attempts", "events")


@pytest.fixture
def world(database: Database) -> World:
    made = World(database)
    made.release("1.0.0")
    made.request("1.0.0")
    with database.transaction() as session:
        session.execute(text("SET LOCAL session_replication_role = replica"))
        session.execute(text(MANY))
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in TABLES:
            connection.execute(text(f"ANALYZE {table}"))
    return made


@pytest.fixture
def executed(database: Database) -> Iterator[dict[str, Any]]:
    """Every statement with its last parameters."""
    seen: dict[str, Any] = {}

    def note(_conn: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        seen[statement] = parameters

    event.listen(database.engine, "before_cursor_execute", note)
    yield seen
    event.remove(database.engine, "before_cursor_execute", note)


def whole_reads(plan: dict[str, Any]) -> list[str]:
    """The tables of ours that a plan reads from one end to the other."""
    found = [str(plan["Relation Name"])] if plan["Node Type"] == "Seq Scan" else []
    return [name for name in found if name in TABLES] + [
        name for inner in plan.get("Plans", ()) for name in whole_reads(inner)
    ]


def whole_reads_of(database: Database, executed: dict[str, Any]) -> dict[str, list[str]]:
    """The statements of which the plan reads whole tables, with these tables."""
    reads = {}
    with database.engine.connect() as connection:
        for statement, parameters in executed.items():
            if not statement.lstrip().startswith(("SELECT", "WITH", "UPDATE", "INSERT")):
                continue
            cursor = connection.connection.cursor()
            cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
            answer = cursor.fetchone()
            assert answer is not None
            plan = answer[0] if isinstance(answer[0], list) else json.loads(answer[0])
            if found := whole_reads(plan[0]["Plan"]):
                reads[statement] = found
    return reads


def test_nothing_that_the_engine_does_reads_a_whole_table(world: World, executed: dict[str, Any]) -> None:
    lab = world.request("1.0.0", "lab")
    again = world.request("1.0.0", "lab")
    with world.database.transaction() as session:
        heartbeats.tick(session)
        heartbeats.node(session, "node-1", overdue_seconds=1.5)
        waking.take_due(session, limit=500, push_seconds=3)
        waking.take_due(session, limit=20, push_seconds=5, overdue_seconds=1.5)
        rows.get(session, lab)
    world.run_to_end(lab, {"lab-a": Outcome.FAILED, "lab-b": Outcome.FAILED, "lab-c": Outcome.LOST})
    with world.database.transaction() as session:
        deployments.cancel(session, again, actor=world.actor, reason="")
    world.advance(again, worker())
    assert len(executed) > 15
    assert whole_reads_of(world.database, executed) == {}


def test_no_open_page_reads_a_whole_table(world: World, executed: dict[str, Any]) -> None:
    """Not when its part is made, which is done again at every change."""
    failed = world.request("1.0.0", "lab")
    world.run_to_end(failed, {"lab-a": Outcome.FAILED, "lab-b": Outcome.FAILED, "lab-c": Outcome.FAILED})
    executed.clear()
    with world.database.reading() as session:
        grid.read(session, part="", actor=world.actor)
        inbox.read(session, actor=world.actor)
        waiting.read(session)
        deployment.read(session, failed, actor=world.actor)
        for asked in (
            Asked(),
            Asked(application="shop", environment="staging", status="failed", before=15_000),
        ):
            listed.read(session, asked)
    assert len(executed) > 15
    assert whole_reads_of(world.database, executed) == {}


def test_what_ran_where_at_an_instant_is_found_without_reading_the_history(
    world: World, executed: dict[str, Any]
) -> None:
    """10,000 deployments went to the target before, each tenth with another release."""
    world.release("0.9.0")
    with world.database.transaction() as session:
        session.execute(text("SET LOCAL session_replication_role = replica"))
        session.execute(
            text("UPDATE deployments SET release_id = (SELECT max(id) FROM releases) WHERE id % 10 = 0")
        )
        session.execute(
            text("UPDATE plans SET document = (SELECT document FROM plans ORDER BY deployment_id LIMIT 1)")
        )
        session.execute(
            text("""
            UPDATE steps s SET status = 'succeeded', started_at = now(), ended_at = now() - make_interval(secs => 20000 - s.id)
            FROM deployments d WHERE d.id = s.deployment_id AND d.status = 'succeeded'
        """)
        )
    with world.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in TABLES:
            connection.execute(text(f"ANALYZE {table}"))
    executed.clear()
    with world.database.reading() as session:
        found = installations.page_at(session, "staging", application=None, at=None, skip=0, limit=100)
    assert [row.target for row in found] == ["web-a"]
    ((statement, parameters),) = executed.items()
    with world.database.engine.connect() as connection:
        cursor = connection.connection.cursor()
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
        answer = cursor.fetchone()
    assert answer is not None
    plan = (answer[0] if isinstance(answer[0], list) else json.loads(answer[0]))[0]["Plan"]
    assert whole_reads(plan) == []
    assert set(ways(plan, "steps")) == {"ix_steps_history"}


def ways(plan: dict[str, Any], table: str) -> Iterator[str]:
    """The indexes by which a plan comes into a table."""
    if plan.get("Relation Name") == table:
        yield str(plan.get("Index Name"))
    for inner in plan.get("Plans", ()):
        yield from ways(inner, table)
