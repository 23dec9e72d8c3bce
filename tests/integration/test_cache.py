"""Cache-aside on real stores: never what was before a write that was answered, one loader, and Redis slow or away."""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
import pytest
import redis

from orchestrator import cache as cached
from orchestrator.cache import ABSENT_SECONDS, MOST_ABSENT, Cache
from orchestrator.config import Settings
from orchestrator.domain.errors import NotFoundError
from tests.acceptance.test_redis_away import valkey
from tests.chaos.proxy import Mode, Proxy
from tests.integration.api_world import ApiWorld, world

__all__ = ["world"]

SPACE, KEY = "users", "api:users:1"
READS = 10_000
PATIENCE_SECONDS = 60


@pytest.fixture
def store(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    """Redis with nothing in it, given time also on a busy machine: what is away is so because a test says so."""
    monkeypatch.setattr(cached, "TIMEOUT_SECONDS", 0.5)
    monkeypatch.setattr(cached, "JOIN_SECONDS", PATIENCE_SECONDS)
    found = redis.Redis.from_url(redis_url)
    found.flushdb()
    yield found
    found.close()


@pytest.fixture
def proxy(redis_url: str) -> Iterator[tuple[Proxy, str]]:
    """A way to Redis that can be cut and slowed down, and its URL."""
    parts = urlsplit(redis_url)
    assert parts.port is not None
    with Proxy() as made:
        port = made.link("web", parts.port)
        yield made, redis_url.replace(f":{parts.port}", f":{port}")


def read(cache: Cache, value: bytes = b"1", key: str = KEY) -> bytes:
    return cache.read(key, namespace=SPACE, seconds=60, load=lambda: value)


def test_nobody_reads_what_was_before_a_write_that_was_answered(
    settings: Settings, store: redis.Redis, redis_url: str
) -> None:
    """One writer, and readers of its own web process and of another one; all of them on Postgres and Redis."""
    answered = done = 0
    ended = threading.Event()
    wrong: list[tuple[int, int]] = []
    lookups: Counter[str] = Counter()
    ours, theirs = (Cache(redis_url, note_lookup=lambda result: lookups.update([result])) for _ in range(2))
    with psycopg2.connect(settings.database_url) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE raced (value bigint NOT NULL)")
        cursor.execute("INSERT INTO raced VALUES (0)")

    def reader(cache: Cache) -> None:
        nonlocal done
        connection = psycopg2.connect(settings.database_url)
        connection.autocommit = True
        cursor = connection.cursor()

        def load() -> bytes:
            cursor.execute("SELECT value FROM raced")
            return str(cursor.fetchone()[0]).encode()

        while not ended.is_set():
            least = answered
            found = int(cache.read(KEY, namespace=SPACE, seconds=60, load=load))
            if found < least:
                wrong.append((found, least))
            done += 1
        connection.close()

    readers = [threading.Thread(target=reader, args=(cache,)) for cache in (ours, theirs, theirs)]
    for each in readers:
        each.start()
    connection = psycopg2.connect(settings.database_url)
    connection.autocommit = True
    cursor = connection.cursor()
    deadline = time.monotonic() + PATIENCE_SECONDS * 5
    while done < READS and time.monotonic() < deadline:
        cursor.execute("UPDATE raced SET value = value + 1 RETURNING value")
        written = cursor.fetchone()[0]
        ours.forget(SPACE)
        answered = written
    ended.set()
    for each in readers:
        each.join()
    connection.close()
    assert wrong == []
    assert done >= READS
    assert answered > 100
    assert lookups["hit"] > 100
    assert lookups["miss"] > 100


def test_of_many_who_ask_at_once_one_loads(store: redis.Redis, redis_url: str) -> None:
    crowd = 8
    missed, go, loads = threading.Semaphore(0), threading.Event(), itertools.count()
    cache = Cache(redis_url, note_lookup=lambda _result: missed.release())

    def load() -> bytes:
        next(loads)
        assert go.wait(PATIENCE_SECONDS)
        return b"it"

    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(cache.read(KEY, namespace=SPACE, seconds=60, load=load)))
        for _ in range(crowd)
    ]
    for thread in threads:
        thread.start()
    for _ in range(crowd):
        assert missed.acquire(timeout=PATIENCE_SECONDS)
    go.set()
    for thread in threads:
        thread.join()
    assert found == [b"it"] * crowd
    assert next(loads) <= 2  # whoever had missed it, and was not yet waiting when it was there, looks again


def test_who_asks_after_a_write_does_not_wait_for_who_looked_before_it(
    store: redis.Redis, redis_url: str
) -> None:
    cache = Cache(redis_url)
    looking, go = threading.Event(), threading.Event()
    early: list[bytes] = []

    def load() -> bytes:
        looking.set()
        assert go.wait(PATIENCE_SECONDS)
        return b"old"

    thread = threading.Thread(
        target=lambda: early.append(cache.read(KEY, namespace=SPACE, seconds=60, load=load))
    )
    thread.start()
    assert looking.wait(PATIENCE_SECONDS)
    cache.forget(SPACE)
    assert read(cache, b"new") == b"new"
    go.set()
    thread.join()
    assert early == [b"old"]
    assert read(cache, b"newer") == b"new"


def test_a_load_that_fails_fails_for_who_loads(store: redis.Redis, redis_url: str) -> None:
    cache = Cache(redis_url)

    def load() -> bytes:
        raise ConnectionError("Postgres is away")

    for _ in range(2):
        with pytest.raises(ConnectionError):
            cache.read(KEY, namespace=SPACE, seconds=60, load=load)
    assert read(cache, b"there") == b"there"


def absent(cache: Cache, key: str, loads: list[str]) -> str:
    """What is said of something that is not there."""

    def load() -> bytes:
        loads.append(key)
        raise NotFoundError(f"there is no {key}")

    with pytest.raises(NotFoundError) as error:
        cache.read(key, namespace=SPACE, seconds=60, load=load)
    return error.value.message


def test_that_something_is_not_there_is_kept_until_it_is(store: redis.Redis, redis_url: str) -> None:
    cache, loads = Cache(redis_url), []
    assert [absent(cache, "gone", loads) for _ in range(3)] == ["there is no gone"] * 3
    assert loads == ["gone"]
    assert 0 < int(store.ttl("gone")) <= ABSENT_SECONDS  # type: ignore[arg-type]  # not asynchronous
    cache.forget_one("gone", namespace=SPACE)
    assert read(cache, b"back", "gone") == b"back"
    absent(cache, "other", loads)
    cache.forget(SPACE)
    assert read(cache, b"there", "other") == b"there"


def test_whoever_asks_for_what_is_not_there_fills_nothing(store: redis.Redis, redis_url: str) -> None:
    cache, loads = Cache(redis_url), []
    names = [f"none-{number}" for number in range(MOST_ABSENT + 20)]
    for name in names:
        absent(cache, name, loads)
    assert sum(1 for _ in store.scan_iter("none-*")) == MOST_ABSENT
    assert read(cache, b"it", "one that is there") == b"it"
    assert read(cache, b"another", "one that is there") == b"it"


def test_a_release_is_there_as_soon_as_it_was_made(world: ApiWorld) -> None:
    name = world.application("1.0")
    newest = world.admin.get(f"/releases/?name={name}").get_json()["items"][0]["id"]
    path = f"/releases/{newest + 1}"
    answers = [world.admin.get(path) for _ in range(2)]
    assert [each.status_code for each in answers] == [404, 404]
    assert answers[0].get_json()["detail"] == answers[1].get_json()["detail"]
    assert world.redis.get(f"cache:releases:{newest + 1}") is not None
    made = world.admin.post("/releases/", json={"name": name, "version": "1.1"})
    assert made.get_json()["id"] == newest + 1
    assert world.admin.get(path).get_json()["version"] == "1.1"


def until_hit(cache: Cache, value: bytes, seen: list[str]) -> set[bytes]:
    """Read until Redis gives an answer; what was read meanwhile."""
    found, deadline = set(), time.monotonic() + PATIENCE_SECONDS
    seen.clear()
    while "hit" not in seen and time.monotonic() < deadline:
        found.add(read(cache, value))
    assert "hit" in seen
    return found


@pytest.mark.parametrize(
    "forget",
    [lambda cache: cache.forget(SPACE), lambda cache: cache.forget_one(KEY, namespace=SPACE)],
    ids=["all", "one"],
)
def test_a_redis_that_is_full_tells_nobody_what_was_before_a_write(
    passable_path: Path, forget: Callable[[Cache], None]
) -> None:
    with valkey(passable_path) as (server, _), redis.Redis.from_url(server.url()) as store:
        writer, reader = Cache(server.url()), Cache(server.url())
        assert read(reader, b"1") == read(writer, b"2") == b"1"
        store.config_set("maxmemory", 1)
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            store.set("any", "more")
        assert (
            read(writer, b"3", "api:users:2") == b"3"
        )  # which it cannot keep, and so leaves Redis alone for a while
        forget(writer)
        assert read(reader, b"2") == b"2"
        writer.close()
        reader.close()


def test_a_redis_that_takes_no_writes_is_not_believed(
    passable_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that became a replica, or whose disk is full: it still tells what it keeps."""
    monkeypatch.setattr(cached, "PROBE_SECONDS", 0.0)
    with valkey(passable_path) as (server, _), redis.Redis.from_url(server.url()) as store:
        seen: list[str] = []
        writer, reader = Cache(server.url()), Cache(server.url(), note_lookup=seen.append)
        assert read(reader, b"1") == read(writer, b"2") == b"1"
        store.config_set("min-replicas-to-write", 1)
        with pytest.raises(redis.exceptions.ResponseError, match="NOREPLICAS"):
            store.set("any", "more")
        writer.forget(SPACE)
        assert read(reader, b"2") == b"2"
        store.config_set("min-replicas-to-write", 0)
        assert until_hit(reader, b"2", seen) == {b"2"}
        writer.close()
        reader.close()


def test_slow_redis_is_left_alone(store: redis.Redis, proxy: tuple[Proxy, str]) -> None:
    """A second late: one finds out, those after it are answered by Postgres and send nothing there."""
    ways, url = proxy
    seen: list[str] = []
    cache = Cache(url, note_lookup=seen.append)
    read(cache, b"1")
    assert read(cache, b"2") == b"1"
    ways.slow("web", 1.0)
    assert read(cache, b"2") == b"2"
    sent = ways.links["web"].pieces
    seen.clear()
    assert [read(cache, b"3") for _ in range(20)] == [b"3"] * 20
    assert seen == ["away"] * 20
    assert ways.links["web"].pieces == sent
    ways.heal()
    until_hit(cache, b"1", seen)


def test_a_connection_that_was_ended_since_is_no_reason_to_miss(
    store: redis.Redis, proxy: tuple[Proxy, str]
) -> None:
    ways, url = proxy
    seen: list[str] = []
    cache = Cache(url, note_lookup=seen.append)
    read(cache, b"1")
    assert read(cache, b"2") == b"1"
    ways.turn("web", Mode.CUT)
    ways.heal()
    seen.clear()
    assert read(cache, b"3") == b"1"
    assert seen == ["hit"]


def test_what_could_not_be_forgotten_is_not_read(store: redis.Redis, proxy: tuple[Proxy, str]) -> None:
    ways, url = proxy
    seen: list[str] = []
    cache = Cache(url, note_lookup=seen.append)
    read(cache, b"old")
    ways.turn("web", Mode.CUT)
    cache.forget(SPACE)
    ways.heal()
    assert until_hit(cache, b"new", seen) == {b"new"}
