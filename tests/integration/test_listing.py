"""A page of deployments reads about as many rows as it shows, however many there are and whatever is asked for."""

import pytest
from sqlalchemy import text

from orchestrator.db import Database
from orchestrator.repositories import deployments
from tests.integration.engine_world import World
from tests.integration.explained import listening, rows_read

PAGE = 20
READ_AT_MOST = 5 * PAGE
"""Rows of one table: each deployment has a wave, a release and a user, and one more is read to know whether there is more."""

# Of 20,000 deployments the oldest 30 are of another application, to an environment of their own.
MANY = """
    INSERT INTO applications (name, owner_id) SELECT 'rare', id FROM users;
    INSERT INTO environments (name) VALUES ('attic');
    INSERT INTO releases (name, version, application_id, created_by)
    SELECT 'rare', 'old-' || n, a.id, u.id FROM generate_series(1, 3) n, applications a, users u WHERE a.name = 'rare';
    INSERT INTO deployments (application_id, release_id, environment, status, requested_by, strategy, plan_hash,
        max_failures, max_parallel, on_failure, wave_count, step_count, started_at, ended_at, deployed_at)
    SELECT CASE WHEN n <= 30 THEN rare.application_id ELSE d.application_id END,
        CASE WHEN n <= 30 THEN rare.id ELSE d.release_id END,
        CASE WHEN n <= 30 THEN 'attic' ELSE 'staging' END, CASE WHEN n <= 30 THEN 'failed' ELSE 'succeeded' END,
        d.requested_by, d.strategy, d.plan_hash, 0, 1, 'fail', 1, 1, now(), now(), CASE WHEN n > 30 THEN now() END
    FROM generate_series(1, 20000) n, (SELECT * FROM deployments ORDER BY id LIMIT 1) d,
        (SELECT * FROM releases WHERE version = 'old-1') rare
    ORDER BY n;
    INSERT INTO waves (deployment_id, index, batch, action_index, total, waiting, succeeded)
    SELECT id, 0, 0, 0, 1, 0, 1 FROM deployments WHERE id NOT IN (SELECT deployment_id FROM waves);
"""


@pytest.fixture
def world(database: Database) -> World:
    made = World(database)
    made.release("1.0.0")
    made.request("1.0.0")
    with database.transaction() as session:
        session.execute(text("SET LOCAL session_replication_role = replica"))
        session.execute(text(MANY))
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in ("deployments", "waves", "releases", "applications"):
            connection.execute(text(f"ANALYZE {table}"))
    return made


FILTERS = [
    {},
    {"environment": "staging"},
    {"environment": "attic"},
    {"status": "succeeded"},
    {"status": "failed"},
    {"application": "shop"},
    {"application": "rare"},
    {"application": "rare", "environment": "attic"},
    {"application": "shop", "environment": "staging"},
    {"application": "rare", "status": "failed"},
    {"application": "rare", "version": "old-1"},
    {"version": "old-2"},
    {"application": "nobody"},
]


def test_a_page_reads_what_it_shows(world: World) -> None:
    too_much: dict[str, dict[str, float]] = {}
    for filters, before in [*((each, None) for each in FILTERS), *((each, 10_000) for each in FILTERS)]:
        with world.database.reading() as session, listening(world.database) as asked:
            found = deployments.page(session, filters, before_id=before, skip=0, limit=PAGE + 1)
            read = rows_read(session, *asked[-1])
        empty = filters.get("application") == "nobody" or filters.get("version") == "old-2"
        assert len(found) == (0 if empty else PAGE + 1), filters
        assert [row.id for row in found] == sorted((row.id for row in found), reverse=True)
        if max(read.values(), default=0) > READ_AT_MOST:
            too_much[f"{filters} before {before}"] = read
    assert too_much == {}
