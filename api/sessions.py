"""Sessions of browsers. Redis keeps which sign-in a cookie stands for; the cookie says it, too, under a seal of ours."""

import base64
import hashlib
import secrets
from dataclasses import dataclass

import orjson
from cryptography.fernet import Fernet, InvalidToken

from orchestrator.cache import Cache
from orchestrator.security import derive_key

LIFETIME_SECONDS = 86_400
_MOST_CHARACTERS = 400
"""One of ours has 184."""


@dataclass(frozen=True, slots=True)
class WebSession:
    """Which sign-in a browser comes with, and what its forms have to bring along."""

    cookie: str
    sign_in_id: str
    form_token: str


class Sessions:
    """Begins, finds and ends them, also while Redis is away, or after it was emptied.

    It holds no cookie, only its digest: who reads Redis cannot come in.
    """

    def __init__(self, secret_key: str, cache: Cache) -> None:
        key = derive_key(secret_key, "session")[:32]
        self._seal = Fernet(base64.urlsafe_b64encode(key))
        self._cache = cache

    def begin(self, sign_in_id: str) -> WebSession:
        """A new one, for a day."""
        form_token = secrets.token_urlsafe(32)
        kept = orjson.dumps([sign_in_id, form_token])
        cookie = self._seal.encrypt(kept).decode()
        self._cache.note(_key(cookie), kept.decode(), seconds=LIFETIME_SECONDS)
        return WebSession(cookie, sign_in_id, form_token)

    def find(self, cookie: str | None) -> WebSession | None:
        """The one of this cookie; None: it was never begun, or a day is over. Whether its sign-in goes on, Postgres knows."""
        if not cookie or len(cookie) > _MOST_CHARACTERS:
            return None
        kept = self._cache.noted(_key(cookie)) or self._sealed(cookie)
        if kept is None:
            return None
        sign_in_id, form_token = orjson.loads(kept)
        return WebSession(cookie, sign_in_id, form_token)

    def end(self, session: WebSession) -> None:
        """Forget it: the end of its sign-in is what counts."""
        self._cache.drop(_key(session.cookie))

    def _sealed(self, cookie: str) -> bytes | None:
        try:
            return self._seal.decrypt(cookie.encode(), ttl=LIFETIME_SECONDS)
        except InvalidToken:
            return None


def _key(cookie: str) -> str:
    return f"session:{hashlib.sha256(cookie.encode()).hexdigest()}"
