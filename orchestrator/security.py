"""Passwords, secret names of things, the keys derived from the one secret, and what is kept under one of them."""

import base64
import hashlib
import hmac
import re
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import bcrypt
import orjson
from cryptography.fernet import Fernet, InvalidToken

from orchestrator.domain.errors import (
    FieldProblem,
    InvalidInputError,
    MisconfiguredError,
    TooManyRequestsError,
)

MIN_PASSWORD_CHARACTERS = 8
MAX_PASSWORD_BYTES = 72
"""bcrypt reads no further, and a password is refused rather than cut."""
CONCURRENT_HASHES = 2
WAITING_HASHES = 2
"""More are refused at once: each that waits holds a thread of the web server."""
HASH_WAIT_SECONDS = 5.0
NO_PASSWORD = "!"  # noqa: S105  # what is no hash of any
"""The hash of who has none: they log in at the provider."""
_DIGEST_CHARACTERS = 31
"""Of a bcrypt hash, after its cost and salt."""
_COST = re.compile(r"\$2[abxy]\$([0-9]{2})\$")
_BUSY = "too many logins at once; wait a moment"


class WeakPasswordError(InvalidInputError):
    """The password cannot be used."""

    code = "weak_password"

    def __init__(self, detail: str) -> None:
        super().__init__(problems=[FieldProblem("/password", detail)])


class SealBrokenError(MisconfiguredError):
    """What was kept under SECRET_KEY cannot be read: it was another one then."""

    code = "seal_broken"


class Vault:
    """Seals what others entrusted to us, for Postgres to keep: who has a copy of the database alone cannot read it."""

    def __init__(self, secret_key: str) -> None:
        key = derive_key(secret_key, "vault")[:32]
        self._fernet = Fernet(base64.urlsafe_b64encode(key))
        self._marking = derive_key(secret_key, "fingerprint")

    def seal(self, values: Mapping[str, Any]) -> bytes:
        """These values as bytes that only a vault of the same secret opens."""
        return self._fernet.encrypt(orjson.dumps(values))

    def open(self, sealed: bytes) -> dict[str, Any]:
        """What was sealed. Raises SealBrokenError."""
        try:
            found: dict[str, Any] = orjson.loads(self._fernet.decrypt(sealed))
        except InvalidToken as error:
            raise SealBrokenError from error
        return found

    def fingerprint(self, values: Mapping[str, Any]) -> str:
        """What tells whether values are the same, and of what they are nothing to who has not the secret."""
        written = orjson.dumps(values, option=orjson.OPT_SORT_KEYS)
        return hmac.new(self._marking, written, hashlib.sha256).hexdigest()


class PasswordHasher:
    """Hashes and checks passwords, a few at a time: bcrypt is slow on purpose, and logins must not eat the machine."""

    def __init__(self, rounds: int) -> None:
        self._rounds = rounds
        self._slots = threading.BoundedSemaphore(CONCURRENT_HASHES)
        self._places = threading.BoundedSemaphore(CONCURRENT_HASHES + WAITING_HASHES)
        self._nobodys_hash = bcrypt.gensalt(rounds) + secrets.token_hex(16)[:_DIGEST_CHARACTERS].encode()

    def hash(self, password: str) -> str:
        """The salted hash to keep. Raises WeakPasswordError, TooManyRequestsError."""
        check_password(password)
        with self._slot():
            return bcrypt.hashpw(password.encode(), bcrypt.gensalt(self._rounds)).decode()

    def matches(self, password: str, kept: str | None) -> bool:
        """Whether it is the one that was hashed; takes as long where there is none. Raises TooManyRequestsError."""
        given = password.encode()
        fits = len(given) <= MAX_PASSWORD_BYTES
        has_one = kept is not None and kept != NO_PASSWORD
        against = kept.encode() if kept is not None and has_one else self._nobodys_hash
        with self._slot():
            same = bcrypt.checkpw(given if fits else b"", against)
        return same and fits and has_one

    def is_cheap(self, kept: str) -> bool:
        """Whether it was hashed when the cost was lower than now."""
        found = _COST.match(kept)
        return found is not None and int(found[1]) < self._rounds

    @contextmanager
    def _slot(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise TooManyRequestsError(_BUSY, retry_after_seconds=2)
        try:
            if not self._slots.acquire(timeout=HASH_WAIT_SECONDS):
                raise TooManyRequestsError(_BUSY, retry_after_seconds=2)
            try:
                yield
            finally:
                self._slots.release()
        finally:
            self._places.release()


def check_password(password: str) -> None:
    """Raise WeakPasswordError for a password that is too short to be safe or too long to be read whole."""
    if len(password) < MIN_PASSWORD_CHARACTERS:
        raise WeakPasswordError(f"must have at least {MIN_PASSWORD_CHARACTERS} characters")
    if len(password.encode()) > MAX_PASSWORD_BYTES:
        raise WeakPasswordError(f"must have at most {MAX_PASSWORD_BYTES} bytes")


def new_id() -> str:
    """A name nobody can guess: of a sign-in, of a refresh token."""
    return secrets.token_urlsafe(18)


def new_password() -> str:
    """A password for a person to copy once."""
    return secrets.token_urlsafe(15)


def derive_key(secret: str, purpose: str) -> bytes:
    """A key of 64 bytes for one purpose only, so that what is signed for one is worth nothing for another."""
    return hmac.digest(secret.encode(), purpose.encode(), hashlib.sha512)
