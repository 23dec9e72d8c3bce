"""From a token to an actor, and from an actor to a permission."""

import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from flask import Flask, g, request
from flask_jwt_extended import create_access_token, create_refresh_token, decode_token
from flask_jwt_extended.exceptions import JWTExtendedException
from jwt import PyJWTError
from sqlalchemy.exc import DBAPIError

from api.extensions import forget_connections, services
from orchestrator import clock
from orchestrator.domain.access import Permission
from orchestrator.domain.errors import UnauthenticatedError
from orchestrator.security import derive_key
from orchestrator.services import users
from orchestrator.services.actors import Actor
from orchestrator.services.sign_ins import REFRESH_LIFETIME, SignedIn

ACCESS_LIFETIME = timedelta(minutes=30)
ACCESS, REFRESH = "access", "refresh"
_MAX_TOKEN_CHARACTERS = 2048
_MOST_VERIFIED = 10_000
_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_SHAPES = {"sub": re.compile(r"\d{1,18}"), "sid": _ID, "jti": _ID}
_PERMISSION = "permission"

P = ParamSpec("P")
R = TypeVar("R")


def init(app: Flask, secret_key: str) -> None:
    """How tokens are signed and how long they are good."""
    app.config.update(
        JWT_SECRET_KEY=derive_key(secret_key, "tokens").hex(),
        JWT_ALGORITHM="HS256",
        JWT_ACCESS_TOKEN_EXPIRES=ACCESS_LIFETIME,
        JWT_REFRESH_TOKEN_EXPIRES=REFRESH_LIFETIME,
        JWT_DECODE_LEEWAY=5,
        JWT_TOKEN_LOCATION=["headers"],
    )


def requires(permission: Permission) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let only those in who have the permission, and write down on the view what it asks for. Outermost but for the route."""

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            if permission is not Permission.PUBLIC:
                authenticate().require(permission)
            return view(*args, **kwargs)

        setattr(guarded, _PERMISSION, permission)
        return guarded

    return decorate


def permission_of(view: Callable[..., Any]) -> Permission | None:
    """What a view asks for; None: it does not say, and must not be served."""
    found = getattr(view, _PERMISSION, None)
    return found if isinstance(found, Permission) else None


def authenticate() -> Actor:
    """Who sent this request. Raises UnauthenticatedError."""
    header = request.headers.get("Authorization", "")
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise UnauthenticatedError
    claims = read_token(token.strip(), kind=ACCESS)
    actor = _find_actor(claims["sid"])
    if actor is None or str(actor.id) != claims["sub"]:
        raise UnauthenticatedError("this login has ended; log in again")
    g.actor = actor
    return actor


def current_actor() -> Actor:
    """Who sent this request, in a view that is not public."""
    found: Actor = g.actor
    return found


def optional_actor() -> Actor | None:
    """Who sent this request; None where nobody says who they are. Raises UnauthenticatedError for a bad token."""
    return authenticate() if "Authorization" in request.headers else None


def read_token(token: str, *, kind: str) -> Mapping[str, Any]:
    """The claims of a token of ours. Raises UnauthenticatedError for anything else, whatever it is."""
    if len(token) > _MAX_TOKEN_CHARACTERS:
        raise UnauthenticatedError
    try:
        claims = _verified(token)
    except (PyJWTError, JWTExtendedException, ValueError, RecursionError) as error:
        raise UnauthenticatedError("the token is not valid or has expired; log in again") from error
    shapes_fit = all(shape.fullmatch(str(claims.get(name))) for name, shape in _SHAPES.items())
    if claims.get("type") != kind or not shapes_fit:
        raise UnauthenticatedError(f"this is no {kind} token")
    return claims


def _verified(token: str) -> dict[str, Any]:
    """The claims of a token whose signature is ours and which has not expired. Raises what `decode_token` raises."""
    known, name = services().verified, hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
    claims = known.get(name)
    if claims is not None and claims["exp"] > clock.now().timestamp():
        return claims
    claims = decode_token(token)
    if len(known) >= _MOST_VERIFIED:
        known.clear()
    known[name] = claims
    return claims


def tokens_of(signed_in: SignedIn) -> dict[str, Any]:
    """The pair of tokens for a sign-in, as it is sent."""
    identity, claims = str(signed_in.user_id), {"sid": signed_in.sign_in_id}
    refresh_claims = {**claims, "jti": signed_in.token_id}
    return {
        "access_token": create_access_token(identity, additional_claims=claims),
        "refresh_token": create_refresh_token(identity, additional_claims=refresh_claims),
        "token_type": "Bearer",
        "expires_in": int(ACCESS_LIFETIME.total_seconds()),
    }


def _find_actor(sign_in_id: str) -> Actor | None:
    """Ask Postgres, each time: who is deactivated or logged out is out at once.

    It is every request's first statement, so it is also what finds out that Postgres restarted since the last one.
    """
    for attempt in (1, 2):
        try:
            with services().lookups.connect() as connection:
                return users.find_actor(connection, sign_in_id)
        except DBAPIError as error:
            if attempt == 2 or not error.connection_invalidated:
                raise
            forget_connections()
    return None
