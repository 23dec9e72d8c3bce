"""API tokens: for machines, with no more rights than their user has, and gone at once when they are revoked."""

import hashlib
import re
import secrets
import string
import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from orchestrator import clock
from orchestrator.domain.access import Permission
from orchestrator.domain.errors import RuleViolationError
from orchestrator.domain.limits import Limits
from orchestrator.repositories import api_tokens, applications
from orchestrator.services import actors, records
from orchestrator.services.actors import Actor

PREFIX = "drm_"
PATTERN = r"drm_[A-Za-z0-9]{40}[A-Za-z0-9]{6}"
"""What scanners for secrets look for; the last six are a checksum of the forty before, so that they find nothing else."""
LONGEST = timedelta(days=366)
DEFAULT = timedelta(days=90)
_HINT_CHARACTERS = 10
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SHAPE = re.compile(PATTERN)


def create(
    session: Session,
    *,
    name: str,
    scopes: Sequence[str],
    applications_: Sequence[str],
    environments: Sequence[str],
    expires_at: datetime | None,
    actor: Actor,
) -> tuple[int, str]:
    """Make a token with some of the rights of who asks; its id, and the token, which nobody can read again.

    Raises ForbiddenError for a scope that one has not, NotFoundError, RuleViolationError for a time that cannot be.
    """
    actor.require_person("making an API token")
    for scope in scopes:
        actor.require_somewhere(Permission(scope))
    for application in applications_:
        applications.get(session, application)
    for environment in environments:
        applications.get_environment(session, environment)
    now = clock.now()
    expires = expires_at or now + DEFAULT
    if not now < expires <= now + LONGEST:
        raise RuleViolationError(f"`expires_at` must lie in the future, within {LONGEST.days} days")
    token = _draw()
    values: dict[str, Any] = {
        "name": name,
        "scopes": sorted(set(scopes)),
        "applications": sorted(set(applications_)),
        "environments": sorted(set(environments)),
    }
    token_id = api_tokens.add(
        session,
        {
            **values,
            "user_id": actor.id,
            "hash": _digest(token),
            "hint": token[:_HINT_CHARACTERS],
            "expires_at": expires,
        },
    )
    _record(session, token_id, "api_token.created", actor, values | {"expires_at": expires.isoformat()})
    return token_id, token


def revoke(session: Session, token_id: int, *, actor: Actor) -> None:
    """Make it worth nothing at once; a second call does nothing. Its user and admins may. Raises NotFoundError, ForbiddenError."""
    actor.require_person("revoking an API token")
    row = api_tokens.get(session, token_id)
    if row.user_id != actor.id:
        actor.require(Permission.ADMINISTER)
    if api_tokens.revoke(session, token_id, revoked_by=actor.id):
        _record(session, token_id, "api_token.revoked", actor, {})


def is_one(token: str) -> bool:
    """Whether this is meant to be an API token and nothing else."""
    return token.startswith(PREFIX)


def find_actor(connection: Session | Connection, token: str) -> tuple[Actor, float] | None:
    """Whose token it is, and until when it is good (seconds since the epoch); None where it is worth nothing."""
    if not _SHAPE.fullmatch(token) or token[-6:] != _checksum(token[len(PREFIX) : -6]):
        return None
    row = api_tokens.use(connection, _digest(token))
    if row is None:
        return None
    limits = Limits.of(row.scopes, row.applications, row.environments)
    return actors.of_row(row, f"token:{row.token_id}", limits=limits), float(row.expires)


def _draw() -> str:
    body = "".join(secrets.choice(_ALPHABET) for _ in range(40))
    return f"{PREFIX}{body}{_checksum(body)}"


def _checksum(body: str) -> str:
    """CRC-32 in base 62, six characters."""
    rest, found = zlib.crc32(body.encode()), ""
    for _ in range(6):
        rest, digit = divmod(rest, len(_ALPHABET))
        found = _ALPHABET[digit] + found
    return found


def _digest(token: str) -> bytes:
    """Not salted and not slow: 238 bits that were drawn cannot be guessed."""
    return hashlib.sha256(token.encode()).digest()


def _record(session: Session, token_id: int, kind: str, actor: Actor, data: dict[str, Any]) -> None:
    records.record(session, f"api_token:{token_id}", kind, actor_id=actor.id, at=clock.now(), data=data)
