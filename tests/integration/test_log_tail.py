"""The end of a log without reading the whole of it, and logs that are too old."""

import json

import pytest
from sqlalchemy import text

from orchestrator.domain.statuses import Outcome
from orchestrator.repositories import logs
from orchestrator.services import attempts, housekeeping
from orchestrator.services.attempts import Ended, Output
from tests.acceptance.fleet import eventually
from tests.integration.api_world import ApiWorld, world
from tests.integration.test_api_deployments import begin, run, write

__all__ = ["world"]


def written(world: ApiWorld, *output: bytes) -> int:
    """A deployment that has ended, of which only the first step wrote."""
    deployment = int(world.deploy(world.application("1.0"), "1.0")["id"])
    claim = begin(world, deployment)
    assert claim is not None
    write(world, claim, *output)
    with world.database.transaction() as session:
        attempts.finish(session, claim, Ended(Outcome.SUCCEEDED, 0), None)
    run(world, deployment)
    return deployment


def tail(world: ApiWorld, deployment: int, lines: int) -> tuple[str, str]:
    page = world.admin.get(f"/deployments/{deployment}/logs?tail={lines}").get_json()
    return "".join(item["text"] for item in page["items"]), page["next_cursor"]


@pytest.mark.parametrize(
    ("output", "lines", "shown"),
    [
        ((b"one\ntwo\nthree\n",), 2, "two\nthree\n"),
        ((b"one\ntw", b"o\nthr", b"ee\n"), 2, "two\nthree\n"),
        ((b"one\ntwo\nunfinished",), 2, "two\nunfinished"),
        ((b"one\n",), 5, "one\n"),
        ((b"\xe2\x82", b"\xac\n\xe2", b"\x82\xac\n"), 1, "\u20ac\n"),
        ((), 3, ""),
    ],
)
def test_the_last_lines(world: ApiWorld, output: tuple[bytes, ...], lines: int, shown: str) -> None:
    assert tail(world, written(world, *output), lines)[0] == shown


def test_what_comes_after_a_tail_follows_its_cursor(world: ApiWorld) -> None:
    deployment = int(world.deploy(world.application("1.0"), "1.0")["id"])
    claim = begin(world, deployment)
    assert claim is not None
    write(world, claim, b"one\n", b"two\n")

    def last() -> str | None:
        """The cursor behind the last line, once no other transaction of the cluster holds it back."""
        shown, cursor = tail(world, deployment, 1)
        return cursor if shown == "two\n" else None

    cursor = eventually(last, "the last line is shown")

    def go_on() -> list[str]:
        page = world.admin.get(f"/deployments/{deployment}/logs?cursor={cursor}").get_json()
        return [item["text"] for item in page["items"]]

    assert go_on() == []
    with world.database.transaction() as session:
        attempts.write_output(session, claim, Output(8, 14, b"three\n"))
    assert eventually(go_on, "what came after it is shown") == ["three\n"]


def test_a_tail_has_no_cursor(world: ApiWorld) -> None:
    deployment = written(world, b"one\n")
    _, cursor = tail(world, deployment, 1)
    answer = world.admin.get(f"/deployments/{deployment}/logs?tail=1&cursor={cursor}")
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.get_json()["errors"]] == ["/query/tail"]


def test_a_tail_reads_backwards_by_an_index(world: ApiWorld) -> None:
    deployment = written(world, *(b"line\n",) * 300)
    with world.database.transaction() as session:
        session.execute(text("SET LOCAL session_replication_role = replica"))
        session.execute(
            text("""
            INSERT INTO log_chunks (deployment_id, step_id, attempt_id, start_byte, data)
            SELECT 1000000 + n % 500, step_id, attempt_id, 1000000 + n, data
            FROM (SELECT * FROM log_chunks LIMIT 1) c, generate_series(1, 50000) n""")
        )
    with world.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE log_chunks"))
        statement = logs._READ_BACK_DEPLOYMENT
        params = {"scope": deployment, "limit": 2000, "most_bytes": 1 << 20, "ended": True}
        explained = connection.execute(text(f"EXPLAIN (FORMAT JSON) {statement.text}"), params).scalar()
    with world.database.transaction() as session:  # the others of this file have the same database
        session.execute(text("DELETE FROM log_chunks WHERE deployment_id >= 1000000"))
    assert "Seq Scan on log_chunks" not in json.dumps(explained)
    assert "ix_log_chunks_reading" in json.dumps(explained)


def test_old_logs_are_removed_and_that_is_said(world: ApiWorld) -> None:
    old, new = written(world, b"old\n"), written(world, b"new\n")
    with world.database.transaction() as session:
        session.execute(
            text("UPDATE log_chunks SET at = at - interval '91 days' WHERE deployment_id = :id"), {"id": old}
        )
    with world.database.transaction() as session:
        assert housekeeping.sweep(session, world.settings) == 1
    with world.database.transaction() as session:
        assert housekeeping.sweep(session, world.settings) == 0
    pages = [world.admin.get(f"/deployments/{each}/logs").get_json() for each in (old, new)]
    assert [(page["pruned"], len(page["items"])) for page in pages] == [(True, 0), (False, 1)]


def test_keys_and_logins_that_ended_long_ago_are_forgotten(world: ApiWorld) -> None:
    name = world.application("1.0")
    body = {"application": name, "version": "1.0", "environment": "staging"}
    world.admin.post("/deployments/", json=body, headers={"Idempotency-Key": "old"})
    world.admin.post("/deployments/", json=body, headers={"Idempotency-Key": "new"})
    with world.database.transaction() as session:
        session.execute(
            text(
                "UPDATE idempotency_keys SET created_at = created_at - interval '25 hours' WHERE key = 'old'"
            )
        )
        session.execute(
            text("""
            INSERT INTO sign_ins (id, user_id, current_token_id, expires_at)
            SELECT 'gone', id, 'x', now() - interval '31 days' FROM users LIMIT 1""")
        )
    with world.database.transaction() as session:
        assert housekeeping.sweep(session, world.settings) == 2
    assert world.count("idempotency_keys") == 1
    assert world.admin.get("/auth/me").status_code == 200
