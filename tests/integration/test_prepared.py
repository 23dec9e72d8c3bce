"""Statements are prepared on the server: what they answer, and what a migration does to them."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError, OperationalError

from orchestrator.config import Settings
from orchestrator.db import Database, transaction
from orchestrator.prepared import execute, is_preparable

NAMES = text("SELECT statement FROM pg_prepared_statements WHERE name LIKE 'ours%' AND statement LIKE :like")


def test_a_statement_is_parsed_once_and_answers_the_same(database: Database) -> None:
    sum_of = text("SELECT CAST(:a AS int) + CAST(:b AS int) + CAST(:a AS int) AS total, '100%' AS all")
    with database.reading() as session:
        answers = [session.execute(sum_of, {"a": n, "b": 10}).one() for n in range(3)]
        kept = session.execute(NAMES, {"like": "%AS total%"}).scalars().all()
    assert answers == [(10, "100%"), (12, "100%"), (14, "100%")]
    assert len([each for each in kept if "pg_prepared_statements" not in each]) == 1


def test_a_rollback_does_not_forget_what_was_prepared(database: Database) -> None:
    one = text("SELECT CAST(:n AS int) AS after_rollback")
    with database.reading() as session:
        session.execute(one, {"n": 1})
        session.rollback()
        assert session.execute(one, {"n": 2}).scalar() == 2


def test_a_column_that_a_migration_adds_disturbs_nobody(database: Database) -> None:
    named = text("SELECT id, name FROM environments WHERE name = :name")
    with database.reading() as reader:
        reader.execute(named, {"name": "x"})
        reader.rollback()
        with database.transaction() as migration:
            migration.execute(text("ALTER TABLE environments ADD COLUMN later text"))
        assert reader.execute(named, {"name": "x"}).all() == []


def test_a_hot_statement_answers_by_name_from_its_first_execution_on(database: Database) -> None:
    named = text(
        "SELECT CAST(:n AS int) AS number, CAST(:n AS int) * 2 AS twice, '{\"a\": 1}'::json AS document"
    )
    with database.reading() as session:
        rows = [execute(session, named, {"n": n}).one() for n in (1, 2, 3)]
        in_core = execute(session.connection(), named, {"n": 4}).one()
    assert [(row.number, row.twice, row.document) for row in rows] == [
        (n, 2 * n, {"a": 1}) for n in (1, 2, 3)
    ]
    assert in_core.twice == 8


def test_a_hot_statement_may_give_no_rows_and_belongs_to_the_open_transaction(database: Database) -> None:
    add = text("INSERT INTO environments (name) VALUES (:name)")
    count = text("SELECT count(*) AS many FROM environments WHERE name LIKE 'hot-%'")
    with database.reading() as session:
        for name in ("hot-a", "hot-b"):
            assert execute(session, add, {"name": name}).all() == []
        assert execute(session, count, {}).scalar() == 2
        session.rollback()
        assert execute(session, count, {}).scalar() == 0


def test_a_hot_statement_is_prepared_and_seen_as_any_other(database: Database) -> None:
    named = text("SELECT CAST(:n AS int) AS of_a_hot_statement")
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        with database.reading() as session:
            assert [execute(session, named, {"n": n}).scalar() for n in (1, 2)] == [1, 2]
            kept = session.execute(NAMES, {"like": "%of_a_hot_statement%"}).scalars().all()
    finally:
        event.remove(database.engine, "before_cursor_execute", note)
    assert kept == ["PREPARE ours_0 AS SELECT CAST($1 AS int) AS of_a_hot_statement"]
    assert seen[:2] == ["SELECT CAST(%(n)s AS int) AS of_a_hot_statement"] * 2


def test_who_does_not_prepare_executes_hot_statements_all_the_same(settings: Settings) -> None:
    plain = Database(replace(settings, db_prepare=False))
    named = text("SELECT CAST(:n AS int) AS plain, '100%' AS all")
    with plain.reading() as session:
        assert [execute(session, named, {"n": n}).one() for n in (1, 2)] == [(1, "100%"), (2, "100%")]
        assert session.execute(NAMES, {"like": "%"}).scalars().all() == []
    plain.close()


def test_what_postgres_refuses_is_an_error_of_sqlalchemy_s(database: Database) -> None:
    add = text("INSERT INTO environments (name) VALUES (:name)")
    with database.reading() as session:
        execute(session, add, {"name": "twice"})
        with pytest.raises(IntegrityError):
            execute(session, add, {"name": "twice"})
        session.rollback()
        assert execute(session, text("SELECT 1 AS afterwards"), {}).scalar() == 1


def test_one_lost_connection_is_enough_for_all_that_postgres_has_ended(
    database: Database, settings: Settings
) -> None:
    number = text("SELECT pg_backend_pid() AS number")
    end = text("SELECT pg_terminate_backend(CAST(:number AS int))")
    with database.reading() as first, database.reading() as second:
        lost = [execute(each, number, {}).scalar() for each in (first, second)]
    other = Database(settings)
    with other.reading() as session:
        for each in lost:
            session.execute(end, {"number": each})
    other.close()
    with database.reading() as session, pytest.raises(OperationalError) as caught:
        execute(session, number, {})
    assert caught.value.connection_invalidated
    with database.reading() as first, database.reading() as second:
        assert not {execute(each, number, {}).scalar() for each in (first, second)} & set(lost)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM users",
        "SELECT d.*, 1 FROM deployments d",
        "BEGIN",
        "SET LOCAL x = 1",
        "select pg_catalog.version()",
    ],
)
def test_what_may_change_under_it_or_is_no_query_is_not_prepared(statement: str) -> None:
    assert not is_preparable(statement)


@pytest.mark.parametrize(
    "statement", ["SELECT count(*) FROM users", " WITH x AS (SELECT 1) SELECT 2 * 3 FROM x"]
)
def test_what_names_its_columns_is_prepared(statement: str) -> None:
    assert is_preparable(statement)


def test_a_session_lets_go_of_its_connection_with_the_commit(database: Database) -> None:
    pool: Any = database.engine.pool
    with database.reading() as session:
        with transaction(session):
            session.execute(text("SELECT 1"))
            assert pool.checkedout() == 1
        assert pool.checkedout() == 0
        session.execute(text("SELECT 1"))
        assert pool.checkedout() == 1
    assert pool.checkedout() == 0


def test_what_is_not_committed_is_taken_back(database: Database) -> None:
    count = text("SELECT count(*) FROM users")
    with database.reading() as session:
        before = session.execute(count).scalar_one()
        session.execute(
            text(
                "INSERT INTO users (email, username, password_hash, role) VALUES ('a@example.com', 'a', '', 'viewer')"
            )
        )
        assert session.execute(count).scalar_one() == before + 1
        session.rollback()
        assert session.execute(count).scalar_one() == before
