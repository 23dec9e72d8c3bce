"""From an Authorization header to who sent it: somebody who logged in, or a machine with an API token."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from orchestrator.domain.errors import UnauthenticatedError
from orchestrator.services import api_tokens, users
from orchestrator.services.actors import Actor
from orchestrator.services.tokens import ACCESS, TICKET, TokenReader, bearer_token

T = TypeVar("T")


class Lookup(Protocol):
    """Runs a SELECT on a connection of its own."""

    def __call__(self, look: Callable[[Connection], T], /) -> T:
        """Give what it found."""


def admit(header: str | None, *, tokens: TokenReader, lookup: Lookup) -> tuple[Actor, float]:
    """Who it is, and until when the token is good (seconds since the epoch).

    Postgres is asked each time: who is deactivated, logged out or revoked is out at once. Raises UnauthenticatedError.
    """
    token = bearer_token(header)
    if api_tokens.is_one(token):
        found = lookup(lambda connection: api_tokens.find_actor(connection, token))
        if found is None:
            raise UnauthenticatedError("this API token is not valid, was revoked or has expired")
        return found
    claims = tokens.read(token, kind=ACCESS)
    actor = lookup(lambda connection: users.find_actor(connection, claims["sid"]))
    if actor is None or str(actor.id) != claims["sub"]:
        raise UnauthenticatedError("this login has ended; log in again")
    return actor, float(claims["exp"])


def admit_ticket(ticket: str, *, tokens: TokenReader, lookup: Lookup) -> tuple[Actor, tuple[str, ...]]:
    """Who it is that comes with a ticket, and kinds of what their page may be told. Postgres is asked each time.

    Raises UnauthenticatedError.
    """
    claims = tokens.read(ticket, kind=TICKET)
    actor = lookup(lambda connection: users.find_actor(connection, claims["sid"]))
    if actor is None or str(actor.id) != claims["sub"]:
        raise UnauthenticatedError("this login has ended; log in again")
    return actor, tuple(claims.get("news", ()))
