"""What runs where."""

from typing import Any

from flask import Response

from api.auth import current_actor, requires
from api.extensions import session
from api.pagination import window
from api.parsing import Blueprint
from api.responses import json_response
from api.schemas import installations as schemas
from orchestrator.db import transaction
from orchestrator.domain.access import Permission
from orchestrator.repositories import installations as rows
from orchestrator.services import drift

blueprint = Blueprint(
    "installations", __name__, url_prefix="/api/v1/installations", description="What runs where"
)


@blueprint.route("", methods=["GET"])
@requires(Permission.READ)
@blueprint.arguments(schemas.InstallationQuery, location="query")
@blueprint.response(200, schemas.InstallationPage)
def list_installations(query: dict[str, Any]) -> Response:
    """List every target with the release it has, since when, by which deployment, and how it is."""
    part = window("installations", query)
    begin = (part.after or 0) + part.skip
    found = rows.page(
        session(),
        application=query["application"],
        environment=query["environment"],
        skip=begin,
        limit=part.one_more,
    )
    return json_response(part.answer(found, schemas.present, key=lambda _row: begin + part.limit))


@blueprint.route("/check", methods=["POST"])
@requires(Permission.DEPLOY)
@blueprint.arguments(schemas.CheckIn)
@blueprint.response(202, schemas.CheckOut)
def check_installations(body: dict[str, Any]) -> Response:
    """Have the targets of an application in an environment asked what runs there; the list says what they answered."""
    with transaction(session()):
        asked = drift.ask_now(session(), **body, actor=current_actor())
    return json_response(asked, 202)
