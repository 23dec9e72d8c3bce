"""Asking the things this needs whether they are there, each within a bound."""

from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import redis
from flask import Flask, current_app
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from api.extensions import services_of
from orchestrator import clock
from orchestrator.config import Settings
from orchestrator.db import SILENT_MILLISECONDS
from orchestrator.pulse import Pulse
from orchestrator.repositories import diagnosis, heartbeats
from orchestrator.revisions import known_revisions

POSTGRES_SECONDS = 0.8
REDIS_SECONDS = 0.5
SILENCE_SECONDS = 15.0
OK, DOWN, UNKNOWN = "ok", "down", "unknown"
_KEY = "orchestrator.health"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Found:
    """What one dependency said."""

    status: str
    latency_ms: float | None = None

    @property
    def document(self) -> dict[str, Any]:
        return {"status": self.status, "latency_ms": self.latency_ms}


@dataclass(frozen=True, slots=True)
class Database:
    """What Postgres said of itself, of the workers and of its tables."""

    check: Found
    workers: Found = Found(UNKNOWN)
    beat: Found = Found(UNKNOWN)
    revision: str | None = None


class Probe:
    """Asks on connections and threads of its own, so that a busy pool is not taken for an outage."""

    def __init__(self, settings: Settings, pulse: Pulse) -> None:
        self._engine = create_engine(
            settings.sqlalchemy_url,
            isolation_level="AUTOCOMMIT",
            pool_size=1,
            max_overflow=1,
            pool_timeout=POSTGRES_SECONDS,
            connect_args={
                "connect_timeout": 2,
                "tcp_user_timeout": SILENT_MILLISECONDS,
                "options": "-c timezone=UTC -c statement_timeout=700",
            },
        )
        pulse.guard(self._engine)
        self._redis: redis.Redis = redis.Redis.from_url(
            settings.redis_url,
            socket_timeout=REDIS_SECONDS,
            socket_connect_timeout=REDIS_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="health-postgres")
        self._redis_threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="health-redis")

    def close(self) -> None:
        """Ask no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._redis_threads.shutdown(wait=False, cancel_futures=True)
        self._engine.dispose()
        self._redis.close()

    def both(self) -> tuple[Database, Found]:
        """Ask Postgres and Redis at the same time; never longer than POSTGRES_SECONDS."""
        begun = clock.monotonic()
        asked = self._redis_threads.submit(self._ask_redis)
        database = self.database()
        left = POSTGRES_SECONDS - (clock.monotonic() - begun)
        return database, _within(asked, max(left, 0.0), instead=Found(DOWN))

    def database(self) -> Database:
        """Ask Postgres; never longer than POSTGRES_SECONDS."""
        asked = self._threads.submit(self._ask_database)
        return _within(asked, POSTGRES_SECONDS, instead=Database(Found(DOWN)))

    def _ask_redis(self) -> Found:
        begun = clock.monotonic()
        try:
            self._redis.ping()
        except (RedisError, OSError):
            return Found(DOWN)
        return Found(OK, _milliseconds_since(begun))

    @cached_property
    def revisions(self) -> tuple[str, frozenset[str]]:
        """The newest revision of the tables and all that this version knows."""
        return known_revisions()

    def is_migrated(self, revision: str | None) -> bool:
        """Whether the tables are as new as the code; newer ones, which it does not know, still serve it."""
        head, known = self.revisions
        return revision is not None and (revision == head or revision not in known)

    def _ask_database(self) -> Database:
        for last in (False, True):
            begun = clock.monotonic()
            try:
                with Session(self._engine) as session:
                    session.execute(text("SELECT 1"))
                    latency = _milliseconds_since(begun)
                    return Database(Found(OK, latency), *_heard(session), diagnosis.revision(session))
            except PoolTimeoutError:
                break
            except DBAPIError as error:
                if last or not error.connection_invalidated:
                    break
        return Database(Found(DOWN))


def _within(asked: Future[T], seconds: float, *, instead: T) -> T:
    """The answer, or this where it takes longer."""
    try:
        return asked.result(timeout=seconds)
    except FutureTimeoutError:
        asked.cancel()
        return instead


def _heard(session: Session) -> tuple[Found, Found]:
    """What the workers and the clock last said of themselves."""
    if session.execute(text("SELECT to_regclass('heartbeats')")).scalar() is None:
        return Found(UNKNOWN), Found(UNKNOWN)
    return (
        _by_silence(heartbeats.node_silence_seconds(session)),
        _by_silence(heartbeats.tick_silence_seconds(session)),
    )


def _by_silence(seconds: float | None) -> Found:
    return Found(OK if seconds is not None and seconds < SILENCE_SECONDS else DOWN)


def _milliseconds_since(begun: float) -> float:
    return round((clock.monotonic() - begun) * 1000, 2)


def init(app: Flask, settings: Settings) -> None:
    """Give the application its probe."""
    app.extensions[_KEY] = Probe(settings, services_of(app).pulse)


def close(app: Flask) -> None:
    """End it."""
    found: Probe = app.extensions[_KEY]
    found.close()


def probe() -> Probe:
    """That of the application that answers now."""
    found: Probe = current_app.extensions[_KEY]
    return found
