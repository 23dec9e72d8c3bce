"""What runs where."""

from typing import Any

from flask import Response

from api.auth import requires
from api.extensions import session
from api.pagination import window
from api.parsing import Blueprint
from api.responses import json_response
from api.schemas import installations as schemas
from orchestrator.domain.access import Permission
from orchestrator.repositories import installations as rows

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
