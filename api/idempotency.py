"""Idempotency-Key: the same request a second time gives the answer of the first."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from flask import request
from sqlalchemy.orm import Session

from orchestrator.db import transaction
from orchestrator.domain.errors import InvalidInputError, RuleViolationError
from orchestrator.repositories import idempotency
from orchestrator.repositories.idempotency import Taken

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class BadKeyError(RuleViolationError):
    """An Idempotency-Key has 1 to 255 visible ASCII characters."""

    code = "bad_idempotency_key"


class KeyReusedError(InvalidInputError):
    """This Idempotency-Key was used for another request; take a new one for each thing you want done."""

    code = "idempotency_key_reused"


@dataclass(frozen=True, slots=True)
class Made:
    """What a request made, now or the first time it came."""

    id: int
    shown: dict[str, Any]
    """What it looks like, as the transaction saw it."""
    replayed: bool

    @property
    def headers(self) -> dict[str, str]:
        """What tells a client that nothing was made this time."""
        return {REPLAYED: "true"} if self.replayed else {}


def create_once(
    session: Session,
    create: Callable[[], int],
    *,
    user_id: int,
    body: Any,
    show: Callable[[int], dict[str, Any]],
    key: str | None = None,
) -> Made:
    """Create something in one transaction, once a key; the key is written in the same transaction.

    `show` presents it in that transaction. `key` is a form's; without, the header tells it.
    A concurrent request with the same key waits for the first.
    Raises KeyReusedError, BadKeyError and what `create` raises, and then the key is free again.
    """
    key = key or request.headers.get(HEADER)
    if key is None:
        with transaction(session):
            made = create()
            return Made(made, show(made), replayed=False)
    if not _KEY.fullmatch(key):
        raise BadKeyError
    digest = _hash(body)
    with transaction(session):
        taken = idempotency.take(session, user_id, key, request_hash=digest)
        if taken is not None:
            again = _again(taken, digest)
            return Made(again, show(again), replayed=True)
        made = create()
        idempotency.fill(session, user_id, key, made_id=made)
        return Made(made, show(made), replayed=False)


def create_secret_once(
    session: Session,
    create: Callable[[], tuple[int, str | None]],
    *,
    field: str,
    user_id: int,
    body: Any,
    show: Callable[[int], dict[str, Any]],
) -> Made:
    """As `create_once`, for what has a secret that nobody can read again: `field` is null to who asks a second time."""
    told: dict[str, str | None] = {field: None}

    def make() -> int:
        made, told[field] = create()
        return made

    return create_once(session, make, user_id=user_id, body=body, show=lambda made: show(made) | told)


def _again(taken: Taken, digest: bytes) -> int:
    if taken.request_hash != digest or taken.made_id is None:
        raise KeyReusedError
    return taken.made_id


def _hash(body: Any) -> bytes:
    asked = [request.method, request.path.rstrip("/"), body]
    return hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).digest()
