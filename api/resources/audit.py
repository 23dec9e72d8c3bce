"""What happened, for those who ask."""

from typing import Any

from flask import Response

from api.auth import requires
from api.extensions import session
from api.pagination import window
from api.parsing import Blueprint
from api.responses import json_response
from api.schemas import audit as schemas
from orchestrator.domain.access import Permission
from orchestrator.repositories import events

blueprint = Blueprint("audit", __name__, url_prefix="/api/v1/audit", description="What happened")


@blueprint.route("/", methods=["GET"])
@requires(Permission.OPERATE)
@blueprint.arguments(schemas.AuditQuery, location="query")
@blueprint.response(200, schemas.EntryPage)
def list_entries(query: dict[str, Any]) -> Response:
    """List everything that happened, the oldest first."""
    subject = query["subject"]
    part = window(f"audit:{subject or ''}", query)
    found = events.page(
        session(), subject=subject, after=part.after or 0, skip=part.skip, limit=part.one_more
    )
    return json_response(part.answer(found, schemas.present, key=lambda row: row.id))
