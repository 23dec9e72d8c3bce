"""How many requests a minute: each process counts what it serves, and once a second they tell each other through Redis."""

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from orchestrator import clock, log
from orchestrator.cache import TIMEOUT_SECONDS
from orchestrator.services.actors import Actor

WINDOW_SECONDS = 60
TELL_SECONDS = 1.0
MOST_TALLIES = 100_000
"""Beyond it a process forgets what it counted: whoever sends from so many addresses is not stopped by counting."""

_logger = log.get(__name__)
_Key = tuple[str, int]
"""Whom a tally is for, and which window since the epoch."""


def _now() -> float:
    return clock.now().timestamp()


class _Tally:
    """Requests of somebody in one window: of all processes as they last told, and ours since."""

    __slots__ = ("told", "untold")

    def __init__(self) -> None:
        self.told = 0
        self.untold = 0

    @property
    def total(self) -> int:
        return self.told + self.untold


@dataclass(frozen=True, slots=True)
class Standing:
    """What is left of somebody's quota after a request."""

    limit: int
    remaining: int
    reset_seconds: int
    wait_seconds: int | None = None
    """How long to wait, where this request was one too many."""

    @property
    def headers(self) -> dict[str, str]:
        """As clients know them (draft-ietf-httpapi-ratelimit-headers-06)."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_seconds),
        }


class Quotas:
    """A sliding minute: what was counted in this window, and of the one before as much as lies within sixty seconds.

    No request waits for Redis. While it is away each process goes by what it counted itself.
    """

    def __init__(
        self, redis_url: str, *, limit: int, anonymous_limit: int, now: Callable[[], float] = _now
    ) -> None:
        self._limit, self._anonymous_limit, self._now = limit, anonymous_limit, now
        self._redis: Redis = Redis.from_url(
            redis_url,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._lock = threading.Lock()
        self._telling = threading.Lock()
        self._tallies: dict[_Key, _Tally] = {}
        self._teller: threading.Timer | None = None
        """Tells in a while; None: there is nothing to tell."""
        self._is_alone = False

    def close(self) -> None:
        """Tell what is not told yet, and close the connections."""
        with self._lock:
            teller = self._teller
        if teller is not None:
            teller.cancel()
            self.tell()
        with self._telling:  # also of what was begun before
            self._redis.close()

    def spend(self, actor: Actor) -> Standing:
        """Count a request of a login or a token; those of one user's logins together."""
        who = f"user:{actor.id}" if actor.limits is None else actor.sign_in_id
        return self._spend(who, self._limit)

    def spend_anonymous(self, address: str) -> Standing:
        """Count a request of nobody that is known."""
        return self._spend(f"address:{address}", self._anonymous_limit)

    def _spend(self, who: str, limit: int) -> Standing:
        window, passed = divmod(self._now(), WINDOW_SECONDS)
        number = int(window)
        with self._lock:
            current = self._tally((who, number))
            before = self._tallies.get((who, number - 1))
            earlier = before.total if before is not None else 0
            used = current.total + earlier * (1 - passed / WINDOW_SECONDS)
            is_allowed = used + 1 <= limit
            if is_allowed:
                current.untold += 1
                used += 1
            if self._teller is None:
                self._teller = self._tell_later()
            counted = current.total
        reset = math.ceil(WINDOW_SECONDS - passed)
        if is_allowed:
            return Standing(limit, int(limit - used), reset)
        return Standing(limit, 0, reset, _wait_seconds(limit, passed, current=counted, earlier=earlier))

    def _tally(self, key: _Key) -> _Tally:
        found = self._tallies.get(key)
        if found is None:
            if len(self._tallies) >= MOST_TALLIES:
                self._tallies.clear()
            found = self._tallies[key] = _Tally()
        return found

    def _tell_later(self) -> threading.Timer:
        timer = threading.Timer(TELL_SECONDS, self.tell)
        timer.daemon = True
        timer.start()
        return timer

    def tell(self) -> None:
        """Tell Redis what was counted since, and learn what all have counted. A second after the next request it is done again."""
        with self._telling:
            self._tell()

    def _tell(self) -> None:
        oldest = int(self._now() // WINDOW_SECONDS) - 1
        with self._lock:
            self._teller = None
            self._tallies = {key: each for key, each in self._tallies.items() if key[1] >= oldest}
            sent = [(key, each, each.untold) for key, each in self._tallies.items() if each.untold]
        try:
            totals = self._exchange([(key, count) for key, _, count in sent])
        except (RedisError, OSError) as error:
            if not self._is_alone:
                _logger.warning("quotas_away", error=type(error).__name__, instead="this process counts")
            self._is_alone = True
            return
        self._is_alone = False
        with self._lock:
            for (key, tally, count), (total, earlier) in zip(sent, totals, strict=True):
                # The greater: Redis may have been emptied.
                tally.told, tally.untold = max(total, tally.told + count), tally.untold - count
                if earlier is not None:
                    self._tally((key[0], key[1] - 1)).told = int(earlier)

    def _exchange(self, counts: Sequence[tuple[_Key, int]]) -> list[tuple[int, bytes | None]]:
        """One round trip, whoever many they are: for each the total in its window, and in the one before."""
        pipe: Any = self._redis.pipeline(transaction=False)
        for (who, window), count in counts:
            pipe.incrby(_name(who, window), count)
            pipe.expire(_name(who, window), 3 * WINDOW_SECONDS)
            pipe.get(_name(who, window - 1))
        answers = pipe.execute()
        return list(zip(answers[::3], answers[2::3], strict=True))


def _name(who: str, window: int) -> str:
    return f"quotas:{who}:{window}"


def _wait_seconds(limit: int, passed: float, *, current: int, earlier: int) -> int:
    """Until the next request fits in: the window before slides out, and then perhaps this one begins to."""
    room = limit - 1 - current
    if room >= 0 and earlier:
        wait = WINDOW_SECONDS * (1 - room / earlier) - passed
    else:
        wait = WINDOW_SECONDS - passed + WINDOW_SECONDS * (1 - (limit - 1) / max(current, 1))
    return max(1, math.ceil(wait))
