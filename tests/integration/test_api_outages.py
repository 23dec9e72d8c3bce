"""Postgres away, back again, or not migrated: said clearly, and over as soon as it is over."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest
from flask import Flask
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from api import health_checks
from orchestrator import db
from orchestrator.repositories import heartbeats
from orchestrator.revisions import known_revisions
from tests.integration.api_world import PASSWORD, V1, ApiWorld, Person, world

__all__ = ["world"]

NOWHERE = "postgresql://user:password@127.0.0.1:1/none"


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For who finds Postgres well: that it answers also where the machine is busy."""
    monkeypatch.setattr(health_checks, "POSTGRES_SECONDS", 30.0)


def test_without_postgres_the_answer_is_try_again(world: ApiWorld) -> None:
    client = world.another(database_url=NOWHERE).test_client()
    person = Person(client, world.admin.tokens)
    answers = [
        person.get("/releases/"),
        client.post(f"{V1}/auth/login", json={"username": "admin", "password": PASSWORD}),
        person.post("/deployments/", json={"application": "a", "version": "1", "environment": "b"}),
    ]
    for answer in answers:
        assert (answer.status_code, answer.get_json()["code"]) == (503, "unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        assert "127.0.0.1" not in answer.text
    health = client.get("/health")
    assert (health.status_code, health.get_json()["status"]) == (503, "unavailable")
    assert client.get("/health/ready").status_code == 503
    assert client.get("/health/live").status_code == 200


def test_a_page_offers_to_try_again_what_can_be_asked_for_again(world: ApiWorld) -> None:
    browser, _ = world.browser("viewer")
    client = world.another(database_url=NOWHERE).test_client()
    cookie = browser.get_cookie("session")
    assert cookie is not None
    client.set_cookie("session", cookie.value)
    sent = {"Origin": "http://localhost"}
    asked, told = client.get("/locks"), client.post("/locks/7/release", data={}, headers=sent)
    assert [answer.status_code for answer in (asked, told)] == [503, 503]
    assert ">Try again</a>" in asked.text
    assert ">Try again</a>" not in told.text


def test_what_somebody_else_holds_for_long_is_busy_and_not_away(
    world: ApiWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "LOCK_MILLISECONDS", 100)
    deployment = world.deploy(world.application("1.0.0"), "1.0.0")
    path = f"/deployments/{deployment['id']}"
    browser, form_token = world.browser("admin")
    client = world.another().test_client()
    client.set_cookie("session", browser.get_cookie("session").value)  # type: ignore[union-attr]
    with world.database.transaction() as session:
        session.execute(text("SELECT FROM deployments WHERE id = :id FOR UPDATE"), {"id": deployment["id"]})
        answer = Person(client, world.admin.tokens).post(f"{path}/cancel", json={})
        form = {"form_token": form_token, "reason": ""}
        page = client.post(f"{path}/cancel", data=form, headers={"Origin": "http://localhost"})
    said = "somebody else is changing the same, and takes long: nothing was changed, try again soon"
    assert (answer.status_code, answer.get_json()["code"], answer.get_json()["detail"]) == (503, "busy", said)
    assert int(answer.headers["Retry-After"]) > 0
    assert (page.status_code, page.headers["Retry-After"]) == (503, answer.headers["Retry-After"])
    assert said in page.text
    assert world.admin.get(path).get_json()["cancel_requested_at"] is None


@pytest.mark.parametrize("broken_off", ["SET LOCAL statement_timeout = 20", "SET LOCAL lock_timeout = 20"])
def test_a_statement_that_postgres_broke_off_is_no_sign_that_it_is_away(
    world: ApiWorld, broken_off: str
) -> None:
    ours = db.Database(world.settings)
    with ours.transaction() as holds, ours.reading() as waits:
        holds.execute(text("LOCK TABLE heartbeats"))
        waits.execute(text(broken_off))
        with pytest.raises(OperationalError) as caught:
            waits.execute(text("SELECT FROM heartbeats"))
    ours.close()
    assert db.refusal(caught.value).code == "busy"


def test_a_pool_that_is_used_up_is_no_sign_that_postgres_is_away(
    world: ApiWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "POOL_SECONDS", 0.1)
    ours = db.Database(replace(world.settings, db_pool_size=1))
    with ours.reading() as holds, ours.reading() as waits:
        holds.execute(text("SELECT 1"))
        with pytest.raises(PoolTimeoutError) as caught:
            waits.execute(text("SELECT 1"))
    ours.close()
    assert db.refusal(caught.value).code == "busy"


AWAY_ON_EVERY_ROUTE = {
    **{f"GET {path}": 200 for path in ("/docs", "/health/live", "/openapi.json")},
    # What has no body is refused before Postgres is asked.
    **{f"POST {V1}/{path}": 422 for path in ("auth/login", "auth/oidc", "auth/refresh", "users/")},
    f"GET {V1}/auth/oidc": 404,  # there is no provider
    f"POST {V1}/targets/callbacks/<run>": 404,  # no run is called `1`
}


def on_every_route(app: Flask, world: ApiWorld) -> dict[str, int]:
    """What each route answers the admin that is not 503."""
    headers = {"Authorization": f"Bearer {world.admin.tokens['access_token']}"}
    others = {}
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith("dashboard."):
            continue  # who has no session is led to the login
        values = {name: "shop" if name == "name" else 1 for name in rule.arguments}
        path = app.url_map.bind("").build(rule.endpoint, values, method=None)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            answer = app.test_client().open(path, method=method, headers=headers)
            if answer.status_code != 503:
                others[f"{method} {rule.rule}"] = answer.status_code
    return others


def test_without_postgres_every_route_says_so(world: ApiWorld) -> None:
    app = world.another(database_url=NOWHERE)
    assert on_every_route(app, world) == AWAY_ON_EVERY_ROUTE


@contextmanager
def silent() -> Iterator[tuple[int, list[socket.socket]]]:
    """A server that takes every connection and never says a word: its port, and who is waiting."""
    waiting: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    waiting.append(server.accept()[0])

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1], waiting
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for each in waiting:
                each.close()


def still_waits(connection: socket.socket) -> bool:
    """Whether the other side has neither hung up nor been answered."""
    connection.setblocking(False)
    try:
        while connection.recv(4096):
            pass
    except BlockingIOError:
        return True
    return False


def test_health_does_not_wait_for_a_postgres_that_keeps_still(world: ApiWorld) -> None:
    with silent() as (port, waiting):
        url = f"postgresql://user:password@127.0.0.1:{port}/none"
        client = world.another(database_url=url).test_client()
        assert client.get("/health/live").status_code == 200
        assert not waiting, "whether it lives is asked of nobody"
        ready = client.get("/health/ready")
        answered_before = any(still_waits(each) for each in waiting)
        health = client.get("/health")
        checks = health.get_json()["checks"]
    assert (ready.status_code, health.status_code) == (503, 503)
    assert answered_before, "readiness was told while Postgres was still being waited for"
    assert (checks["postgres"]["status"], checks["redis"]["status"]) == ("down", "ok")


@pytest.mark.usefixtures("patient")
def test_health_does_not_wait_for_a_redis_that_keeps_still(world: ApiWorld) -> None:
    with silent() as (port, waiting):
        client = world.another(redis_url=f"redis://127.0.0.1:{port}/0").test_client()
        assert client.get("/health/live").status_code == 200
        assert client.get("/health/ready").status_code == 200
        assert not waiting, "requests are served without Redis, so readiness does not ask it"
        health = client.get("/health")
    assert health.status_code == 200
    assert health.get_json()["checks"]["redis"]["status"] == "down"
    assert health.get_json()["checks"]["postgres"]["status"] == "ok"


@pytest.mark.usefixtures("patient")
def test_the_first_request_after_a_restart_of_postgres_succeeds(world: ApiWorld) -> None:
    assert world.admin.get("/releases/?limit=1").status_code == 200
    assert world.client().get("/health").status_code == 200
    with world.database.transaction() as session:
        ended = session.execute(
            text("""
                SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()
            """)
        ).scalar_one()
    assert ended >= 1
    assert world.admin.get("/releases/?limit=1").status_code == 200
    assert world.client().get("/health").status_code == 200


@pytest.mark.usefixtures("patient")
def test_health_tells_of_each_dependency(world: ApiWorld) -> None:
    with world.database.transaction() as session:
        session.execute(text("DELETE FROM heartbeats"))
    silent = world.client().get("/health").get_json()
    assert silent["status"] == "degraded"
    assert (silent["checks"]["workers"]["status"], silent["checks"]["beat"]["status"]) == ("down", "down")
    with world.database.transaction() as session:
        heartbeats.node(session, "node-1")
        heartbeats.tick(session)
    alive = world.client().get("/health").get_json()
    assert {each["status"] for each in alive["checks"].values()} == {"ok"}
    assert alive["status"] == "ok"
    assert alive["checks"]["postgres"]["latency_ms"] > 0


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize(
    ("revision", "status"), [(None, 200), ("0000", 200), ("", 503)], ids=["head", "newer", "none"]
)
def test_ready_means_tables_at_least_as_new_as_the_code(
    world: ApiWorld, revision: str | None, status: int
) -> None:
    head, known = known_revisions()
    assert "0000" not in known, "it stands for a revision of a later version"
    engine = create_engine(world.settings.sqlalchemy_url)
    with engine.connect() as connection:
        connection.execute(text("DELETE FROM alembic_version"))
        if revision != "":
            connection.execute(
                text("INSERT INTO alembic_version (version_num) VALUES (:it)"), {"it": revision or head}
            )
        connection.commit()
    try:
        assert world.client().get("/health/ready").status_code == status
    finally:
        with engine.connect() as connection:
            connection.execute(text("DELETE FROM alembic_version"))
            connection.execute(text("INSERT INTO alembic_version VALUES (:it)"), {"it": head})
            connection.commit()
        engine.dispose()
