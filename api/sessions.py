"""Sessions of browsers, in Redis. Each stands for a sign-in in Postgres, and ends with it."""

import hashlib
import secrets
from dataclasses import dataclass

import orjson
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from orchestrator import log
from orchestrator.cache import TIMEOUT_SECONDS
from orchestrator.domain.errors import UnavailableError

LIFETIME_SECONDS = 86_400
_COOKIE_CHARACTERS = 43

_logger = log.get(__name__)


@dataclass(frozen=True, slots=True)
class WebSession:
    """Which sign-in a browser comes with, and what its forms have to bring along."""

    cookie: str
    sign_in_id: str
    form_token: str


class Sessions:
    """Begins, finds and ends them. Redis holds no cookie, only its digest: who reads Redis cannot come in."""

    def __init__(self, redis_url: str) -> None:
        self._redis: Redis = Redis.from_url(
            redis_url,
            socket_timeout=TIMEOUT_SECONDS * 5,
            socket_connect_timeout=TIMEOUT_SECONDS * 5,
            retry=Retry(NoBackoff(), 0),
        )

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def begin(self, sign_in_id: str) -> WebSession:
        """A new one, for a day. Raises UnavailableError while Redis is away."""
        made = WebSession(secrets.token_urlsafe(32), sign_in_id, secrets.token_urlsafe(32))
        kept = orjson.dumps([made.sign_in_id, made.form_token])
        try:
            self._redis.set(_key(made.cookie), kept, ex=LIFETIME_SECONDS)
        except (RedisError, OSError) as error:
            raise _away(error) from error
        return made

    def find(self, cookie: str | None) -> WebSession | None:
        """The one of this cookie; None: it was never begun, has ended, or Redis was emptied. Raises UnavailableError."""
        if not cookie or len(cookie) != _COOKIE_CHARACTERS:
            return None
        try:
            kept = self._redis.get(_key(cookie))
        except (RedisError, OSError) as error:
            raise _away(error) from error
        if not isinstance(kept, bytes):
            return None
        sign_in_id, form_token = orjson.loads(kept)
        return WebSession(cookie, sign_in_id, form_token)

    def end(self, session: WebSession) -> None:
        """Forget it, if Redis is there: the end of its sign-in, which Postgres knows, is what counts."""
        try:
            self._redis.delete(_key(session.cookie))
        except (RedisError, OSError) as error:
            _logger.warning("session_kept", error=type(error).__name__, instead="its sign-in has ended")


def _key(cookie: str) -> str:
    return f"session:{hashlib.sha256(cookie.encode()).hexdigest()}"


def _away(error: Exception) -> UnavailableError:
    _logger.warning("sessions_away", error=type(error).__name__)
    return UnavailableError("sessions cannot be read now, because Redis is away; try again soon")
