"""Cache-aside in Redis. Redis may be away, flushed or behind at any moment: that costs time, never truth."""

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from logging import DEBUG

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from orchestrator import clock, log

TIMEOUT_SECONDS = 0.2
BREAKER_OPEN_SECONDS = 2.0
REPAIR_SECONDS = 1.0

RELEASES, RELEASE_LISTS, USERS = "releases", "release-lists", "users"
RELEASE_SECONDS, USER_SECONDS, REFRESH_SECONDS = 1800, 600, 86_400
_GENERATION_SECONDS = 86_400

# Stored only if nothing of the namespace changed since its generation was read, which was before Postgres was read.
_PUT = """
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[3])
redis.call('SADD', KEYS[3], KEYS[1])
redis.call('EXPIRE', KEYS[3], ARGV[4])
return 1
"""
_FORGET = """
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
for _, key in ipairs(redis.call('SMEMBERS', KEYS[2])) do redis.call('DEL', key) end
redis.call('DEL', KEYS[2])
"""

_logger = log.get(__name__)


def release_key(release_id: int) -> str:
    """Where one release is kept."""
    return f"cache:releases:{release_id}"


def user_key(user_id: int) -> str:
    """Where one user is kept."""
    return f"api:users:{user_id}"


def user_list_key(skip: int, limit: int) -> str:
    """Where one page of users is kept."""
    return f"api:users:list:{skip}:{limit}"


RELEASE_LIST_KEY = "api:releases:all"


@dataclass(frozen=True, slots=True)
class Miss:
    """What was not there; `put` with it stores what Postgres says, unless that has changed meanwhile."""

    key: str
    namespace: str
    generation: str | None


class Cache:
    """Bytes under keys, in namespaces that are forgotten as a whole. Every call answers within TIMEOUT_SECONDS."""

    def __init__(self, redis_url: str, *, note_lookup: Callable[[str], None] = lambda _result: None) -> None:
        self._note_lookup = note_lookup
        self._redis: redis.Redis = redis.Redis.from_url(
            redis_url,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._open_until = 0.0
        self._lock = threading.Lock()
        self._unforgotten: set[str] = set()

    def get(self, key: str, *, namespace: str) -> bytes | Miss:
        """What is kept under a key, or the miss to `put` with."""
        found = self._call("get", key, lambda: self._redis.get(key))
        if isinstance(found, bytes):
            self._note_lookup("hit")
            return found
        miss = Miss(key, namespace, self._generation(namespace))
        self._note_lookup("miss" if miss.generation is not None else "away")
        return miss

    def put(self, miss: Miss, value: bytes, *, seconds: int) -> None:
        """Keep what was read from Postgres after the miss."""
        mark = miss.generation
        if mark is None:
            return
        names = (miss.key, _generation_key(miss.namespace), f"cache:keys:{miss.namespace}")
        self._call(
            "put", miss.key, lambda: self._redis.eval(_PUT, 3, *names, value, mark, seconds, RELEASE_SECONDS)
        )

    def forget(self, namespace: str) -> None:
        """Drop all of a namespace; call it after the commit. While Redis is away it is tried again until it is done."""
        if not self._forget_now(namespace):
            with self._lock:
                first = not self._unforgotten
                self._unforgotten.add(namespace)
            if first:
                self._repair_later()

    def note(self, key: str, value: str, *, seconds: int) -> None:
        """Write something that nobody reads as truth, if Redis is there."""
        self._call("note", key, lambda: self._redis.set(key, value, ex=seconds))

    def drop(self, key: str) -> None:
        """Remove a note, if Redis is there."""
        self._call("drop", key, lambda: self._redis.delete(key))

    def _generation(self, namespace: str) -> str | None:
        """The namespace's mark, which changes with each `forget`; made where there is none. None: Redis is away."""
        if namespace in self._unforgotten:
            return None
        key, new = _generation_key(namespace), secrets.token_hex(8)
        found = self._call(
            "mark", key, lambda: self._redis.set(key, new, nx=True, get=True, ex=_GENERATION_SECONDS)
        )
        if isinstance(found, bytes):
            return found.decode()
        return new if self._open_until <= clock.monotonic() else None

    def _forget_now(self, namespace: str) -> bool:
        names = (_generation_key(namespace), f"cache:keys:{namespace}")
        mark = secrets.token_hex(8)
        done = self._call(
            "forget",
            namespace,
            lambda: self._redis.eval(_FORGET, 2, *names, mark, _GENERATION_SECONDS) or True,
        )
        return done is not None

    def _repair_later(self) -> None:
        timer = threading.Timer(REPAIR_SECONDS, self._repair)
        timer.daemon = True
        timer.start()

    def _repair(self) -> None:
        for namespace in tuple(self._unforgotten):
            if self._forget_now(namespace):
                with self._lock:
                    self._unforgotten.discard(namespace)
        if self._unforgotten:
            self._repair_later()

    def _call(self, operation: str, key: str, action: Callable[[], object]) -> object:
        begun = clock.monotonic()
        if begun < self._open_until:
            return None
        try:
            found = action()
        except (RedisError, OSError) as error:
            self._open_until = clock.monotonic() + BREAKER_OPEN_SECONDS
            _logger.warning("cache_away", error=type(error).__name__, instead="Postgres")
            return None
        if _logger.isEnabledFor(DEBUG):
            ms = round((clock.monotonic() - begun) * 1000, 2)
            _logger.debug("redis", operation=operation, key=key, found=found is not None, ms=ms)
        return found


def _generation_key(namespace: str) -> str:
    return f"cache:generation:{namespace}"
