"""Roles for one application."""

from typing import Any

from flask import Response

from api.auth import current_actor, requires
from api.conditional import if_match
from api.extensions import session
from api.idempotency import create_once
from api.pagination import window
from api.parsing import Blueprint
from api.responses import changed_response, json_response, tagged_response
from api.schemas import grants as schemas
from orchestrator.db import transaction
from orchestrator.domain.access import Permission
from orchestrator.presenting.json import dumps
from orchestrator.repositories import grants as rows
from orchestrator.services import grants

FILTERS = ("application", "user", "team")

blueprint = Blueprint(
    "grants", __name__, url_prefix="/api/v1/grants", description="Who may more in one application"
)


@blueprint.route("/", methods=["POST"])
@requires(Permission.SELF)
@blueprint.arguments(schemas.GrantIn)
@blueprint.response(201, schemas.Grant)
def create_grant(body: dict[str, Any]) -> Response:
    """Give a user or a team a role for an application: its owner and admins do, and none that they have not there."""
    actor = current_actor()
    made = create_once(
        session(),
        lambda: grants.create(session(), **body, actor=actor),
        user_id=actor.id,
        body=body,
        show=_shown,
    )
    return json_response(made.shown, 201, headers={"Location": f"/api/v1/grants/{made.id}", **made.headers})


@blueprint.route("/", methods=["GET"])
@requires(Permission.READ)
@blueprint.arguments(schemas.GrantQuery, location="query")
@blueprint.response(200, schemas.GrantPage)
def list_grants(query: dict[str, Any]) -> Response:
    """List those that were not removed, the newest first."""
    part = window("grants", query)
    filters = {name: query[name] for name in FILTERS if name in query}
    found = rows.page(session(), filters, before_id=part.after, skip=part.skip, limit=part.one_more)
    return json_response(part.answer(found, schemas.present, key=lambda row: row.id))


@blueprint.route("/<id:grant_id>", methods=["GET"])
@requires(Permission.READ)
@blueprint.response(200, schemas.Grant)
def get_grant(grant_id: int) -> Response:
    """Read one."""
    return tagged_response(dumps(_shown(grant_id)))


@blueprint.route("/<id:grant_id>", methods=["DELETE"])
@requires(Permission.SELF)
@blueprint.response(200, schemas.Grant)
def remove_grant(grant_id: int) -> Response:
    """Take a role away, from the next request on; removing it twice is removing it once."""
    with transaction(session()):
        grants.remove(session(), grant_id, actor=current_actor(), precondition=if_match(schemas.present))
        shown = _shown(grant_id)
    return changed_response(shown)


def _shown(grant_id: int) -> dict[str, Any]:
    return schemas.present(rows.get(session(), grant_id))
