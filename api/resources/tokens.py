"""API tokens: for machines."""

from typing import Any

from flask import Response

from api.auth import current_actor, requires
from api.extensions import session
from api.idempotency import create_secret_once
from api.pagination import window
from api.parsing import Blueprint
from api.responses import json_response
from api.schemas import tokens as schemas
from orchestrator.db import transaction
from orchestrator.domain.access import Permission
from orchestrator.repositories import api_tokens as rows
from orchestrator.services import api_tokens

blueprint = Blueprint("tokens", __name__, url_prefix="/api/v1/tokens", description="For machines")


@blueprint.route("/", methods=["POST"])
@requires(Permission.SELF)
@blueprint.arguments(schemas.TokenIn)
@blueprint.response(201, schemas.NewToken)
def create_token(body: dict[str, Any]) -> Response:
    """Make a token with some of your rights. It is shown this once.

    Who asks again with the same Idempotency-Key gets null for it.
    """
    actor = current_actor()
    wanted = dict(body)
    names = wanted.pop("applications")
    made = create_secret_once(
        session(),
        lambda: api_tokens.create(session(), applications_=names, **wanted, actor=actor),
        field="token",
        user_id=actor.id,
        body=body,
        show=lambda token_id: schemas.present(rows.get(session(), token_id)),
    )
    headers = {"Location": f"/api/v1/tokens/{made.id}", "Cache-Control": "no-store", **made.headers}
    return json_response(made.shown, 201, headers=headers)


@blueprint.route("/", methods=["GET"])
@requires(Permission.SELF)
@blueprint.arguments(schemas.TokenQuery, location="query")
@blueprint.response(200, schemas.TokenPage)
def list_tokens(query: dict[str, Any]) -> Response:
    """List your tokens that were not revoked, the newest first; for admins with `all` everybody's."""
    actor = current_actor()
    if query["all"]:
        actor.require(Permission.ADMINISTER)
    part = window("tokens:all" if query["all"] else f"tokens:{actor.id}", query)
    found = rows.page(
        session(),
        user_id=None if query["all"] else actor.id,
        before_id=part.after,
        skip=part.skip,
        limit=part.one_more,
    )
    return json_response(part.answer(found, schemas.present, key=lambda row: row.id))


@blueprint.route("/<id:token_id>", methods=["DELETE"])
@requires(Permission.SELF)
@blueprint.response(200, schemas.Token)
def revoke_token(token_id: int) -> Response:
    """Make a token worth nothing at once; twice is once. Yours, or as an admin anybody's."""
    with transaction(session()):
        api_tokens.revoke(session(), token_id, actor=current_actor())
        shown = schemas.present(rows.get(session(), token_id))
    return json_response(shown)
