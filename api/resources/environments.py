"""Environments."""

from typing import Any

from flask import Response

from api.auth import requires
from api.extensions import session
from api.pagination import PageArgs, window
from api.parsing import Blueprint
from api.responses import json_response
from api.schemas import environments as schemas
from orchestrator.domain.access import Permission
from orchestrator.repositories import applications as rows

blueprint = Blueprint(
    "environments", __name__, url_prefix="/api/v1/environments", description="Where releases go"
)


@blueprint.route("", methods=["GET"])
@requires(Permission.READ)
@blueprint.arguments(PageArgs, location="query")
@blueprint.response(200, schemas.EnvironmentPage)
def list_environments(query: dict[str, Any]) -> Response:
    """List environments in order of promotion."""
    part = window("environments", query)
    begin = (part.after or 0) + part.skip
    found = rows.environments(session())[begin : begin + part.one_more]
    return json_response(part.answer(found, schemas.present, key=lambda _row: begin + part.limit))


@blueprint.route("/<name:name>", methods=["GET"])
@requires(Permission.READ)
@blueprint.response(200, schemas.Environment)
def get_environment(name: str) -> Response:
    """Read one environment."""
    return json_response(schemas.present(rows.get_environment(session(), name)))
