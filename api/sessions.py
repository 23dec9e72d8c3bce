"""Sessions of browsers. Redis keeps which sign-in a cookie stands for; the cookie says it, too, under a seal of ours."""

import base64
import hashlib
import hmac
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

    Redis holds no cookie, only its digest under our key: who reads it cannot come in, and another SECRET_KEY ends them all.
    """

    def __init__(self, secret_key: str, cache: Cache) -> None:
        key = derive_key(secret_key, "session")
        self._seal, self._marking = Fernet(base64.urlsafe_b64encode(key[:32])), key[32:]
        self._cache = cache

    def begin(self, sign_in_id: str) -> WebSession:
        """A new one, for a day."""
        form_token = secrets.token_urlsafe(32)
        kept = orjson.dumps([sign_in_id, form_token])
        cookie = self._seal.encrypt(kept).decode()
        self._cache.note(self._key(cookie), kept.decode(), seconds=LIFETIME_SECONDS)
        return WebSession(cookie, sign_in_id, form_token)

    def find(self, cookie: str | None) -> WebSession | None:
        """The one of this cookie; None: it was never begun, or a day is over. Whether its sign-in goes on, Postgres knows."""
        if not cookie or len(cookie) > _MOST_CHARACTERS:
            return None
        kept = self._cache.noted(self._key(cookie)) or self._sealed(cookie)
        if kept is None:
            return None
        sign_in_id, form_token = orjson.loads(kept)
        return WebSession(cookie, sign_in_id, form_token)

    def end(self, session: WebSession) -> None:
        """Forget it: the end of its sign-in is what counts."""
        self._cache.drop(self._key(session.cookie))

    def _sealed(self, cookie: str) -> bytes | None:
        try:
            return self._seal.decrypt(cookie.encode(), ttl=LIFETIME_SECONDS)
        except InvalidToken:
            return None

    def _key(self, cookie: str) -> str:
        return f"session:{hmac.digest(self._marking, cookie.encode(), hashlib.sha256).hex()}"
