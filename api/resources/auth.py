"""Logging in, staying logged in, logging out."""

from typing import Any

from flask import Response

from api import logins
from api.auth import current_actor, requires, tokens_of
from api.extensions import provider, services, session
from api.oidc import Asked
from api.parsing import Blueprint
from api.responses import json_response
from api.schemas import auth as schemas
from api.schemas import users as user_schemas
from orchestrator.db import after_commit, transaction
from orchestrator.domain.access import Permission
from orchestrator.domain.errors import UnauthenticatedError
from orchestrator.repositories import users as rows
from orchestrator.services import sign_ins
from orchestrator.services.sign_ins import SignedIn
from orchestrator.services.tokens import REFRESH

blueprint = Blueprint("auth", __name__, url_prefix="/api/v1/auth", description="Logging in and out")


@blueprint.route("/login", methods=["POST"])
@requires(Permission.PUBLIC)
@blueprint.arguments(schemas.Login)
@blueprint.response(200, schemas.TokenPair)
def login(body: dict[str, Any]) -> Response:
    """Log in with the user name or the e-mail address; so often a minute (LOGIN_LIMIT), then 429."""
    return _answer(logins.log_in(body["username"], body["password"]))


@blueprint.route("/oidc", methods=["GET"])
@requires(Permission.PUBLIC)
@blueprint.response(200, schemas.Provider)
def get_provider() -> Response:
    """Where to log in with OpenID Connect, for a client that waits for the answer on the same machine; 404: nowhere."""
    known = provider()
    return json_response(
        {
            "issuer": known.issuer,
            "authorization_endpoint": known.known()["authorization_endpoint"],
            "client_id": known.client_id,
            "scopes": known.scopes,
        }
    )


@blueprint.route("/oidc", methods=["POST"])
@requires(Permission.PUBLIC)
@blueprint.arguments(schemas.ProviderCode)
@blueprint.response(200, schemas.TokenPair)
def login_by_provider(body: dict[str, Any]) -> Response:
    """Log in with the code of the OpenID Connect provider, that was asked with PKCE (S256) and a nonce."""
    asked = Asked(body["redirect_uri"], body["nonce"], body["code_verifier"])
    return _answer(logins.log_in_by_provider(body["code"], asked))


@blueprint.route("/refresh", methods=["POST"])
@requires(Permission.PUBLIC)
@blueprint.arguments(schemas.RefreshIn)
@blueprint.response(200, schemas.TokenPair)
def refresh(body: dict[str, Any]) -> Response:
    """Exchange a refresh token for new tokens. Each is good once: a second use ends the whole login."""
    claims = services().tokens.read(body["refresh_token"], kind=REFRESH)
    with transaction(session()):
        signed_in = sign_ins.refresh(
            session(), sign_in_id=claims["sid"], token_id=claims["jti"], user_id=int(claims["sub"])
        )
        if signed_in is not None:
            after_commit(session(), lambda: logins.note(signed_in))
    if signed_in is None:
        raise UnauthenticatedError("this refresh token was used already or its login has ended; log in again")
    return _answer(signed_in)


@blueprint.route("/logout", methods=["POST"])
@requires(Permission.SELF)
@blueprint.arguments(schemas.Logout)
@blueprint.response(204)
def logout(body: dict[str, Any]) -> Response:
    """End this login, or all of yours: their access and refresh tokens stop at once. API tokens go on."""
    logins.log_out(current_actor(), everywhere=body["everywhere"])
    return Response(status=204)


@blueprint.route("/password", methods=["POST"])
@requires(Permission.SELF)
@blueprint.arguments(schemas.NewPassword)
@blueprint.response(204)
def change_password(body: dict[str, Any]) -> Response:
    """Change your password. Your other logins end; this one goes on."""
    logins.change_password(current_actor(), current=body["current_password"], wanted=body["password"])
    return Response(status=204)


@blueprint.route("/me", methods=["GET"])
@requires(Permission.READ)
@blueprint.response(200, user_schemas.User)
def me() -> Response:
    """Read the user these tokens belong to."""
    return json_response(user_schemas.present(rows.get(session(), current_actor().id)))


def _answer(signed_in: SignedIn) -> Response:
    return json_response(tokens_of(signed_in), headers={"Cache-Control": "no-store"})
