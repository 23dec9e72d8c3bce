"""Recurring deployments."""

from typing import Any

from flask import Response

from api.auth import current_actor, requires
from api.conditional import if_match
from api.extensions import session
from api.idempotency import create_once
from api.pagination import PageArgs, window
from api.parsing import Blueprint
from api.responses import changed_response, json_response, tagged_response
from api.schemas import schedules as schemas
from orchestrator.db import transaction
from orchestrator.domain.access import Permission
from orchestrator.presenting.json import dumps
from orchestrator.repositories import schedules as rows
from orchestrator.services import schedules

blueprint = Blueprint(
    "schedules", __name__, url_prefix="/api/v1/schedules", description="Recurring deployments"
)


@blueprint.route("/", methods=["POST"])
@requires(Permission.DEPLOY)
@blueprint.arguments(schemas.ScheduleIn)
@blueprint.response(201, schemas.Schedule)
def create_schedule(body: dict[str, Any]) -> Response:
    """Have a deployment requested again and again, as you may each time."""
    actor = current_actor()
    made = create_once(
        session(),
        lambda: schedules.create(session(), **body, actor=actor),
        user_id=actor.id,
        body=body,
        show=_shown,
    )
    location = {"Location": f"/api/v1/schedules/{made.id}"}
    return json_response(made.shown, 201, headers=location | made.headers)


@blueprint.route("/", methods=["GET"])
@requires(Permission.READ)
@blueprint.arguments(PageArgs, location="query")
@blueprint.response(200, schemas.SchedulePage)
def list_schedules(query: dict[str, Any]) -> Response:
    """List those that go on, the newest first."""
    part = window("schedules", query)
    found = rows.page(session(), before_id=part.after, skip=part.skip, limit=part.one_more)
    return json_response(part.answer(found, schemas.present, key=lambda row: row.id))


@blueprint.route("/<id:schedule_id>", methods=["GET"])
@requires(Permission.READ)
@blueprint.response(200, schemas.Schedule)
def get_schedule(schedule_id: int) -> Response:
    """Read one, with what came of its last time."""
    return tagged_response(dumps(_shown(schedule_id)))


@blueprint.route("/<id:schedule_id>", methods=["DELETE"])
@requires(Permission.DEPLOY)
@blueprint.response(200, schemas.Schedule)
def remove_schedule(schedule_id: int) -> Response:
    """Request nothing more; removing it twice is removing it once. What was requested goes on."""
    with transaction(session()):
        schedules.remove(
            session(), schedule_id, actor=current_actor(), precondition=if_match(schemas.present)
        )
        shown = _shown(schedule_id)
    return changed_response(shown)


def _shown(schedule_id: int) -> dict[str, Any]:
    return schemas.present(rows.get(session(), schedule_id))
