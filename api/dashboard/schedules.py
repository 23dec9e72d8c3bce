"""Recurring deployments: made, replaced and removed by form, with what they would do said at once."""

from collections.abc import Mapping
from typing import Any

from flask import Response, request

from api.auth import current_actor
from api.dashboard import choices, frame, renewal
from api.dashboard.frame import blueprint
from api.extensions import session
from api.schemas.schedules import ScheduleIn
from orchestrator.db import transaction
from orchestrator.domain.access import Permission
from orchestrator.domain.errors import InvalidInputError, NotFoundError
from orchestrator.domain.wall_time import zone_names
from orchestrator.repositories import schedules as rows
from orchestrator.services import schedules

FIELDS = ("application", "environment", "from_environment", "cron", "zone", "reason")


@blueprint.route("/calendar/schedules/new", methods=["GET"])
@frame.page_for(Permission.DEPLOY)
@renewal.never("a form, which is judged when it is sent")
def new_schedule() -> Response:
    """A form for a recurring deployment; filled in with one that it will replace."""
    asked = request.args
    filled: Mapping[str, Any] = {
        name: asked.get(name, "").replace("\0", "") for name in ("application", "environment")
    }
    replaces = asked.get("replaces", "")
    if replaces.isascii() and replaces.isdecimal():
        row = rows.get(session(), int(replaces[:18]))
        filled = {"id": row.id, **{name: getattr(row, name) or "" for name in FIELDS}}
    return frame.render(
        "schedule.html",
        schedule=filled,
        applications=choices.of_applications(),
        environments=choices.of_environments(),
        zones=sorted(zone_names()),
    )


@blueprint.route("/calendar/schedules/check", methods=["POST"])
@frame.page_for(Permission.DEPLOY)
def check_schedule() -> Response:
    """What is wrong with it as it is filled in, what is perhaps not meant, and when it would deploy first."""
    try:
        body = frame.read_form(ScheduleIn)
        body.pop("reason")
        found = schedules.rehearse(session(), **body)
    except InvalidInputError as error:
        return frame.render("schedule_check.html", problems=error.problems, found=None)
    except NotFoundError as error:
        return frame.render("schedule_check.html", refusal=error.message, found=None)
    return frame.render("schedule_check.html", found=found, zone=body["zone"])


@blueprint.route("/calendar/schedules", methods=["POST"])
@frame.page_for(Permission.DEPLOY)
def make_schedule() -> Response:
    """Make it; and remove the one that it replaces, in the same moment."""
    body = frame.read_form(ScheduleIn)
    replaces = request.form.get("replaces", "")
    session().rollback()
    with transaction(session()):
        schedules.create(session(), **body, actor=current_actor())
        if replaces.isascii() and replaces.isdecimal():
            schedules.remove(session(), int(replaces[:18]), actor=current_actor())
    return frame.see(f"/calendar?environment={body['environment']}#recurring")


@blueprint.route("/calendar/schedules/<id:schedule_id>/remove", methods=["POST"])
@frame.page_for(Permission.DEPLOY)
def remove_schedule(schedule_id: int) -> Response:
    """Request nothing more; what was requested goes on."""
    session().rollback()
    with transaction(session()):
        schedules.remove(session(), schedule_id, actor=current_actor())
        row = rows.get(session(), schedule_id)
    return frame.see(f"/calendar?environment={row.environment}#recurring")
