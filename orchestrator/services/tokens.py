"""Access and refresh tokens: how they are signed, and what is read from one, whatever it came with."""

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import jwt

from orchestrator import clock
from orchestrator.domain.errors import UnauthenticatedError
from orchestrator.security import derive_key

ALGORITHM = "HS256"
ACCESS, REFRESH, TICKET = "access", "refresh", "ticket"
TICKET_SECONDS = 30
"""How long a page may take to come to the stream process with the ticket that web gave it."""
LEEWAY_SECONDS = 5
_MAX_TOKEN_CHARACTERS = 2048
_MOST_VERIFIED = 10_000
_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_SHAPES = {"sub": re.compile(r"\d{1,18}"), "sid": _ID, "jti": _ID}


def signing_key(secret_key: str) -> str:
    """The key of every token, from the one secret."""
    return derive_key(secret_key, "tokens").hex()


def bearer_token(header: str | None) -> str:
    """The token in an Authorization header. Raises UnauthenticatedError."""
    scheme, _, token = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise UnauthenticatedError
    return token.strip()


def write_ticket(
    secret_key: str, *, user_id: int, sign_in_id: str, now: datetime, news: Sequence[str] = ()
) -> str:
    """What lets a page with a session in at the stream process, once it has asked for it and for a few seconds.

    `news`: kinds of what may be told to it.
    """
    claims = {
        "type": TICKET,
        "sub": str(user_id),
        "sid": sign_in_id,
        "news": list(news),
        "jti": secrets.token_urlsafe(12),
        "iat": int(now.timestamp()),
        "exp": int(now.timestamp()) + TICKET_SECONDS,
    }
    return jwt.encode(claims, signing_key(secret_key), algorithm=ALGORITHM)


class TokenReader:
    """Verifies tokens; remembers which signatures were good, but asks each time whether the token has expired."""

    def __init__(self, secret_key: str) -> None:
        self._key = signing_key(secret_key)
        self._verified: dict[bytes, dict[str, Any]] = {}

    def read(self, token: str, *, kind: str) -> Mapping[str, Any]:
        """The claims of a token of ours. Raises UnauthenticatedError for anything else, whatever it is."""
        if len(token) > _MAX_TOKEN_CHARACTERS:
            raise UnauthenticatedError
        try:
            claims = self._claims(token)
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise UnauthenticatedError("the token is not valid or has expired; log in again") from error
        if claims.get("type") != kind:
            raise UnauthenticatedError(f"this is no {kind} token")
        return claims

    def _claims(self, token: str) -> dict[str, Any]:
        name = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        known = self._verified.get(name)
        if known is not None and known["exp"] > clock.now().timestamp():
            return known
        options: Any = {"require": ["exp", "iat", "jti", "sub"]}
        claims = jwt.decode(token, self._key, algorithms=[ALGORITHM], leeway=LEEWAY_SECONDS, options=options)
        if not all(shape.fullmatch(str(claims.get(name))) for name, shape in _SHAPES.items()):
            raise ValueError("it names nobody")
        if len(self._verified) >= _MOST_VERIFIED:
            self._verified.clear()
        self._verified[name] = claims
        return claims
