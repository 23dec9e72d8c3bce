"""A Postgres or a Redis that is there and says nothing, as when its process is stopped or its network is cut."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from flask import Flask
from sqlalchemy import text

from tests.acceptance.fleet import eventually
from tests.chaos.proxy import Mode, Proxy
from tests.integration.api_world import PASSWORD, V1, ApiWorld, Person, world
from tests.integration.stream_world import Listener, StreamWorld, running, stream_server, streams
from tests.integration.test_api_outages import AWAY_ON_EVERY_ROUTE, on_every_route
from tests.integration.test_live_pages import listen, ticket_of

__all__ = ["streams", "world"]

POSTGRES, REDIS = "postgres", "redis"


def through(proxy: Proxy, name: str, url: str) -> str:
    """The same URL by way of the proxy."""
    parts = urlsplit(url)
    port = proxy.link(name, parts.port or 0)
    login = parts.netloc.rpartition("@")[0]
    return urlunsplit(parts._replace(netloc=f"{login}@127.0.0.1:{port}"))


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as made:
        yield made
        made.heal()


def behind(proxy: Proxy, world: ApiWorld) -> tuple[Flask, Person]:
    """An application whose stores are behind the proxy, and the admin there."""
    app = world.another(
        database_url=through(proxy, POSTGRES, world.settings.database_url),
        redis_url=through(proxy, REDIS, world.settings.redis_url),
    )
    return app, Person(app.test_client(), world.admin.tokens)


def test_a_postgres_that_keeps_still_is_away_and_comes_back(world: ApiWorld, proxy: Proxy) -> None:
    app, person = behind(proxy, world)
    assert person.get("/releases/").status_code == 200
    proxy.turn(POSTGRES, Mode.STALLED)
    assert on_every_route(app, world) == AWAY_ON_EVERY_ROUTE
    proxy.heal()
    eventually(lambda: person.get("/releases/").status_code == 200, "it serves again")


def test_who_connects_while_it_keeps_still_is_let_go(world: ApiWorld, proxy: Proxy) -> None:
    app, person = behind(proxy, world)
    proxy.turn(POSTGRES, Mode.STALLED)
    login = {"username": "admin", "password": PASSWORD}
    with ThreadPoolExecutor(2) as both:
        first = both.submit(person.get, "/releases/")
        second = both.submit(app.test_client().post, f"{V1}/auth/login", json=login)
    assert (first.result().status_code, second.result().status_code) == (503, 503)
    assert first.result().get_json()["code"] == "unavailable"


def test_who_waits_for_a_lock_waits_on(world: ApiWorld) -> None:
    person = {"email": "late@example.com", "username": "late", "password": PASSWORD}
    asked = """
        SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query = 'SELECT 1' AND state_change > :since
    """
    with ThreadPoolExecutor(1) as other, world.database.engine.connect() as holder:
        holder.execute(text("LOCK TABLE users IN SHARE MODE"))
        since = holder.execute(text("SELECT clock_timestamp()")).scalar_one()
        late = other.submit(world.admin.post, "/users/", json=person)
        for _ in range(3):  # a whole silence would be over at the third

            def is_asked(moment: object = since) -> bool:
                with world.database.reading() as session:
                    return bool(session.execute(text(asked), {"since": moment}).scalar_one())

            eventually(is_asked, "Postgres is asked whether it is there")
            since = holder.execute(text("SELECT clock_timestamp()")).scalar_one()
        assert not late.done()
        holder.rollback()
        assert late.result().status_code == 201


def test_followers_hear_of_a_postgres_that_keeps_still(
    streams: StreamWorld, world: ApiWorld, proxy: Proxy, tmp_path: Path
) -> None:
    deployment = streams.running().work.deployment_id
    url = through(proxy, POSTGRES, world.settings.database_url)
    with running(stream_server(world, tmp_path, DATABASE_URL=url)) as server:
        there = streams.on(server)
        listener = there.follow(deployment)
        assert listener.status == 200
        listener.close()
        proxy.turn(POSTGRES, Mode.STALLED)
        away = there.follow(deployment)
        assert (away.status, away.problem()["code"]) == (503, "unavailable")
        assert there.get("/health/ready", {}).status == 503
        assert there.get("/health/live", {}).status == 200
        proxy.heal()
        eventually(lambda: there.follow(deployment).status == 200, "it serves again")


def test_open_pages_are_sent_to_web_before_programs_are_sent_away(
    streams: StreamWorld, world: ApiWorld, proxy: Proxy, tmp_path: Path
) -> None:
    """Web tells people that what they see may be old; a program waits for longer, and misses nothing."""
    claim = streams.running()
    deployment = claim.work.deployment_id
    browser, _ = world.browser("viewer")
    url = through(proxy, POSTGRES, world.settings.database_url)
    with running(stream_server(world, tmp_path, DATABASE_URL=url)) as server:
        program = streams.on(server).follow(deployment)
        program.until("status")
        log = f"/api/v1/deployments/{deployment}/stream?ticket={ticket_of(browser)}"
        pages = [
            listen(streams.on(server), "dashboard", "", ticket_of(browser)),
            Listener(server.port, log, {}),
        ]
        for page, first in zip(pages, ("view", "status"), strict=True):
            page.until(first)
        proxy.turn(POSTGRES, Mode.STALLED)
        for page in pages:
            assert json.loads(page.until("cut")[-1].data)["code"] == "unavailable"
        proxy.heal()
        streams.end(claim)
        assert "cut" not in [each.type for each in program.until("end")]


def test_a_redis_that_keeps_still_takes_nothing_from_the_api(world: ApiWorld, proxy: Proxy) -> None:
    application = world.application("1", "2")
    deployment = world.deploy(application, "1")["id"]
    _app, person = behind(proxy, world)
    reads = (
        "/releases/",
        "/releases/1",
        "/users/",
        "/auth/me",
        "/deployments/",
        f"/deployments/{deployment}",
        "/applications",
        "/locks/",
    )
    before = {path: person.get(path).get_json() for path in reads}
    proxy.turn(REDIS, Mode.STALLED)
    body = {"application": application, "version": "2", "environment": "staging"}
    made = person.post("/deployments/", json=body)
    assert made.status_code == 202
    assert person.get(f"/deployments/{made.get_json()['id']}").get_json()["version"] == "2"
    login = {"username": "admin", "password": PASSWORD}
    assert person.client.post(f"{V1}/auth/login", json=login).status_code == 200
    after = {path: person.get(path).get_json() for path in reads if path != "/deployments/"}
    assert after == {path: before[path] for path in after}
