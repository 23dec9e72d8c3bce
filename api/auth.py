"""From a token to an actor, and from an actor to a permission."""

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from flask import Flask, g, request
from flask_jwt_extended import create_access_token, create_refresh_token

from api.extensions import services
from api.quotas import Standing
from orchestrator.domain.access import Permission
from orchestrator.domain.errors import TooManyRequestsError, UnauthenticatedError
from orchestrator.services import credentials
from orchestrator.services.actors import Actor
from orchestrator.services.sign_ins import REFRESH_LIFETIME, SignedIn
from orchestrator.services.tokens import ALGORITHM, LEEWAY_SECONDS, signing_key

ACCESS_LIFETIME = timedelta(minutes=30)
_PERMISSION = "permission"

P = ParamSpec("P")
R = TypeVar("R")


def init(app: Flask, secret_key: str) -> None:
    """How tokens are signed and how long they are good."""
    app.config.update(
        JWT_SECRET_KEY=signing_key(secret_key),
        JWT_ALGORITHM=ALGORITHM,
        JWT_ACCESS_TOKEN_EXPIRES=ACCESS_LIFETIME,
        JWT_REFRESH_TOKEN_EXPIRES=REFRESH_LIFETIME,
        JWT_DECODE_LEEWAY=LEEWAY_SECONDS,
        JWT_TOKEN_LOCATION=["headers"],
    )


def requires(
    permission: Permission, *, is_counted: bool = True, by: Callable[[], Actor] | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let only those in who have the permission, and write down on the view what it asks for. Outermost but for the route.

    Each request is counted, but for those of load balancers, whom nobody must keep from asking. `by` finds out who
    sent it; without, the bearer token tells.
    """

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            if permission is not Permission.PUBLIC:
                _authenticate_and_count(by or authenticate).require_somewhere(permission)
            elif is_counted:
                _count_anonymous()
            return view(*args, **kwargs)

        setattr(guarded, _PERMISSION, permission)
        return guarded

    return decorate


def _authenticate_and_count(who: Callable[[], Actor]) -> Actor:
    try:
        actor = who()
    except UnauthenticatedError:
        _count_anonymous()
        raise
    _count(services().quotas.spend(actor))
    return actor


def _count_anonymous() -> None:
    _count(services().quotas.spend_anonymous(request.remote_addr or ""))


def _count(standing: Standing) -> None:
    """Let the answer say how it stands. Raises TooManyRequestsError for one request too many."""
    g.standing = standing
    if standing.wait_seconds is not None:
        raise TooManyRequestsError(
            f"more than {standing.limit} requests a minute; wait", retry_after_seconds=standing.wait_seconds
        )


def permission_of(view: Callable[..., Any]) -> Permission | None:
    """What a view asks for; None: it does not say, and must not be served."""
    found = getattr(view, _PERMISSION, None)
    return found if isinstance(found, Permission) else None


def authenticate() -> Actor:
    """Who sent this request. Raises UnauthenticatedError."""
    ours, header = services(), request.headers.get("Authorization")
    actor, _ = credentials.admit(header, tokens=ours.tokens, lookup=ours.lookups)
    g.actor = actor
    return actor


def current_actor() -> Actor:
    """Who sent this request, in a view that is not public."""
    found: Actor = g.actor
    return found


def optional_actor() -> Actor | None:
    """Who sent this request; None where nobody says who they are. Raises UnauthenticatedError for a bad token."""
    return authenticate() if "Authorization" in request.headers else None


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
