"""How often passwords may be tried. Counted in Redis, and by each process for itself while that is away."""

from dataclasses import dataclass

from flask import request
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from orchestrator import clock, log
from orchestrator.cache import BREAKER_OPEN_SECONDS, TIMEOUT_SECONDS
from orchestrator.domain.errors import TooManyRequestsError

ADDRESS_FACTOR, ACCOUNT_FACTOR = 6, 10

_logger = log.get(__name__)


@dataclass(frozen=True, slots=True)
class _Rule:
    """So many a minute of what this key names."""

    item: RateLimitItem
    key: tuple[str, ...]


class LoginRates:
    """Lets so many logins through a minute: of an account from an address, of an address, and of an account."""

    def __init__(self, redis_url: str, limit: int) -> None:
        self._limit = limit
        self._redis = Redis.from_url(
            redis_url,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._shared = MovingWindowRateLimiter(
            RedisStorage(redis_url, connection_pool=self._redis.connection_pool, key_prefix="rates")
        )
        self._own = MovingWindowRateLimiter(MemoryStorage())
        self._own_until = 0.0

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def check(self, account: str) -> None:
        """Count one more login. Raises TooManyRequestsError before anything costly is done."""
        for rule in self._rules(account):
            limiter = self._limiter_that_counted(rule)
            if limiter is not None:
                reset = limiter.get_window_stats(rule.item, *rule.key).reset_time
                wait = max(1, round(reset - clock.now().timestamp()))
                raise TooManyRequestsError(
                    "too many logins; wait, and ask for a new password if you forgot yours",
                    retry_after_seconds=min(wait, 60),
                )

    def _limiter_that_counted(self, rule: _Rule) -> MovingWindowRateLimiter | None:
        """The limiter that says no; None: it may pass."""
        if clock.monotonic() >= self._own_until:
            try:
                return None if self._shared.hit(rule.item, *rule.key) else self._shared
            except (RedisError, OSError) as error:
                self._own_until = clock.monotonic() + BREAKER_OPEN_SECONDS
                _logger.warning("rates_away", error=type(error).__name__, instead="this process counts")
        return None if self._own.hit(rule.item, *rule.key) else self._own

    def _rules(self, account: str) -> tuple[_Rule, ...]:
        name, address = account.lower(), request.remote_addr or ""
        return (
            _Rule(RateLimitItemPerMinute(self._limit), ("login", name, address)),
            _Rule(RateLimitItemPerMinute(self._limit * ADDRESS_FACTOR), ("login-from", address)),
            _Rule(RateLimitItemPerMinute(self._limit * ACCOUNT_FACTOR), ("login-of", name)),
        )
