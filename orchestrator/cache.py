"""Cache-aside in Redis. Redis may be away, flushed or behind at any moment: that costs time, never truth."""

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from logging import DEBUG

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

from orchestrator import clock, log
from orchestrator.domain.errors import NotFoundError
from orchestrator.lines import Lines

TIMEOUT_SECONDS = 0.1
"""Redis that is slower than this is as good as away."""
BREAKER_OPEN_SECONDS = 2.0
REPAIR_SECONDS = 1.0
PROBE_SECONDS = 2.0
"""How often it is asked whether Redis takes what is written: while it does not, what others have changed is not forgotten there."""

RELEASES, RELEASE_LISTS, USERS = "releases", "release-lists", "users"
RELEASE_SECONDS, USER_SECONDS, REFRESH_SECONDS = 1800, 600, 86_400
_GENERATION_SECONDS = 86_400
ABSENT_SECONDS, MOST_ABSENT = 30, 1000
"""How long it is kept that something is not there, and of how many things of a namespace at once: anybody can ask for many."""
JOIN_SECONDS = 1.0
"""How long a thread waits for another one that loads the same."""
_ABSENT = b"!"
"""Begins what is kept of something that is not there; no JSON does."""

# Stored only if nothing of the namespace changed since its generation was read, which was before Postgres was read.
_PUT = """
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return 0 end
if KEYS[4] then
  if redis.call('SCARD', KEYS[4]) >= tonumber(ARGV[5]) then return 0 end
  redis.call('SADD', KEYS[4], KEYS[1])
  redis.call('EXPIRE', KEYS[4], ARGV[3])
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[3])
redis.call('SADD', KEYS[3], KEYS[1])
redis.call('EXPIRE', KEYS[3], ARGV[4])
return 1
"""
# Also while Redis is full: who can still read there must not be told what was before.
_FORGET = """#!lua flags=allow-oom
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
for _, key in ipairs(redis.call('SMEMBERS', KEYS[2])) do redis.call('DEL', key) end
redis.call('DEL', KEYS[2])
"""
_FORGET_ONE = """#!lua flags=allow-oom
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
redis.call('DEL', KEYS[2])
"""
_PROBE = """#!lua flags=allow-oom
return redis.call('SET', KEYS[1], '', 'EX', ARGV[1])
"""
_PROBED, _PROBED_SECONDS = "cache:probe", 300

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


class _Load:
    """One thread's look into Postgres, for which others wait."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.value: bytes | None = None


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
        self._lines = Lines(self._redis.connection_pool)
        self._open_until: float | None = None
        """While it is set, Redis was away or slow when it was asked last; None: it answers."""
        self._refuses = False
        """Whether it answered then that it does not do that: it is full, a replica, or cannot save to its disk."""
        self._is_writable = True
        self._probe_at = 0.0
        self._lock = threading.Lock()
        self._unforgotten: set[str] = set()
        self._loads: dict[Miss, _Load] = {}
        self._repairing: threading.Timer | None = None

    def close(self) -> None:
        """Try no more to forget what could not be forgotten, and close the connections."""
        if self._repairing is not None:
            self._repairing.cancel()
        self._lines.close()
        self._redis.close()

    def read(self, key: str, *, namespace: str, seconds: int, load: Callable[[], bytes]) -> bytes:
        """What is kept under a key; else what `load` reads from Postgres, which is kept. Raises what `load` raises.

        Of those who miss it at once in this process one loads. Others have seen the same generation, so nothing was forgotten
        between its look and theirs. That something is not there (NotFoundError) is kept, too, but shortly.
        """
        found = self.get(key, namespace=namespace)
        if isinstance(found, bytes):
            if found.startswith(_ABSENT):
                raise NotFoundError(found.removeprefix(_ABSENT).decode())
            return found
        if found.generation is None:
            return load()
        with self._lock:
            ahead = self._loads.get(found)
            mine = None if ahead is not None else self._loads.setdefault(found, _Load())
        if mine is not None:
            return self._load(found, mine, load, seconds=seconds)
        if ahead is not None and ahead.done.wait(JOIN_SECONDS) and ahead.value is not None:
            return ahead.value
        return load()

    def _load(self, miss: Miss, mine: _Load, load: Callable[[], bytes], *, seconds: int) -> bytes:
        try:
            mine.value = load()
            self.put(miss, mine.value, seconds=seconds)
        except NotFoundError as error:
            self._put_absent(miss, error.message)
            raise
        else:
            return mine.value
        finally:
            with self._lock:
                del self._loads[miss]
            mine.done.set()

    def get(self, key: str, *, namespace: str) -> bytes | Miss:
        """What is kept under a key, or the miss to `put` with."""
        found = None
        if namespace not in self._unforgotten and self._may_be_believed():
            found = self._call("get", key, lambda: self._lines.ask("GET", key))
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

    def _put_absent(self, miss: Miss, message: str) -> None:
        space, value = miss.namespace, _ABSENT + message.encode()
        names = (miss.key, _generation_key(space), f"cache:keys:{space}", f"cache:absent:{space}")
        arguments = (value, str(miss.generation), ABSENT_SECONDS, RELEASE_SECONDS, MOST_ABSENT)
        self._call("absent", miss.key, lambda: self._redis.eval(_PUT, 4, *names, *arguments))

    def forget(self, namespace: str) -> None:
        """Drop all of a namespace; call it after the commit. While Redis is away it is tried again until it is done."""
        if not self._forget_now(namespace):
            self._forget_later(namespace)

    def forget_one(self, key: str, *, namespace: str) -> None:
        """As `forget`, for one key: the others stay."""
        names, mark = (_generation_key(namespace), key), secrets.token_hex(8)
        if not self._call(
            "forget",
            key,
            lambda: self._redis.eval(_FORGET_ONE, 2, *names, mark, _GENERATION_SECONDS) or True,
            although_it_refuses=True,
        ):
            self._forget_later(namespace)

    def note(self, key: str, value: str, *, seconds: int) -> None:
        """Write something that nobody reads as truth, if Redis is there."""
        self._call("note", key, lambda: self._redis.set(key, value, ex=seconds))

    def noted(self, key: str) -> bytes | None:
        """What was noted there; None: nothing, or Redis is away."""
        found = self._call("noted", key, lambda: self._lines.ask("GET", key))
        return found if isinstance(found, bytes) else None

    def drop(self, key: str) -> None:
        """Remove a note, if Redis is there."""
        self._call("drop", key, lambda: self._redis.delete(key))

    def _may_be_believed(self) -> bool:
        """Whether what is kept there can have been forgotten by whoever changed it; asked now and then, by one thread."""
        now = clock.monotonic()
        if now >= self._probe_at:
            with self._lock:
                is_mine = now >= self._probe_at
                self._probe_at = max(self._probe_at, now + PROBE_SECONDS)
            if is_mine:
                self._probe()
        return self._is_writable

    def _probe(self) -> None:
        """What nobody answers says nothing. When it takes writes again, what was kept meanwhile is forgotten first."""
        taken = self._call(
            "probe",
            _PROBED,
            lambda: self._redis.eval(_PROBE, 1, _PROBED, _PROBED_SECONDS),
            although_it_refuses=True,
        )
        if taken is None:
            self._is_writable = self._is_writable and not self._refuses
        elif not self._is_writable:
            self._is_writable = all(self._forget_now(each) for each in (RELEASES, RELEASE_LISTS, USERS))

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
        return new if self._open_until is None else None

    def _forget_now(self, namespace: str) -> bool:
        names = (_generation_key(namespace), f"cache:keys:{namespace}")
        mark = secrets.token_hex(8)
        done = self._call(
            "forget",
            namespace,
            lambda: self._redis.eval(_FORGET, 2, *names, mark, _GENERATION_SECONDS) or True,
            although_it_refuses=True,
        )
        return done is not None

    def _forget_later(self, namespace: str) -> None:
        with self._lock:
            first = not self._unforgotten
            self._unforgotten.add(namespace)
        if first:
            self._repair_later()

    def _repair_later(self) -> None:
        timer = self._repairing = threading.Timer(REPAIR_SECONDS, self._repair)
        timer.daemon = True
        timer.start()

    def _repair(self) -> None:
        for namespace in tuple(self._unforgotten):
            if self._forget_now(namespace):
                with self._lock:
                    self._unforgotten.discard(namespace)
        if self._unforgotten:
            self._repair_later()

    def _call(
        self, operation: str, key: str, action: Callable[[], object], *, although_it_refuses: bool = False
    ) -> object:
        """What Redis answers; None: it does not, or not now. `although_it_refuses` other things, it may do this one."""
        if self._open_until is not None and not ((although_it_refuses and self._refuses) or self._may_try()):
            return None
        begun = clock.monotonic()
        try:
            found = action()
        except (RedisError, OSError) as error:
            self._refuses = isinstance(error, ResponseError)
            self._open_until = clock.monotonic() + BREAKER_OPEN_SECONDS
            _logger.warning("cache_away", error=type(error).__name__, instead="Postgres")
            return None
        self._open_until = None
        if _logger.isEnabledFor(DEBUG):
            ms = round((clock.monotonic() - begun) * 1000, 2)
            _logger.debug("redis", operation=operation, key=key, found=found is not None, ms=ms)
        return found

    def _may_try(self) -> bool:
        """Once in a while one thread finds out whether Redis is back; the others do not wait for that."""
        with self._lock:
            now = clock.monotonic()
            if self._open_until is None or now < self._open_until:
                return self._open_until is None
            self._open_until = now + BREAKER_OPEN_SECONDS
            return True


def _generation_key(namespace: str) -> str:
    return f"cache:generation:{namespace}"
