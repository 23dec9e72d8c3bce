"""Environments."""

from datetime import timedelta
from typing import Any

from flask import Response

from api.auth import current_actor, requires
from api.conditional import if_match
from api.extensions import session
from api.pagination import PageArgs, window
from api.parsing import Blueprint
from api.responses import changed_response, json_response, tagged_response
from api.schemas import calendars as calendar_schemas
from api.schemas import environments as schemas
from api.schemas import installations as installation_schemas
from orchestrator import clock
from orchestrator.db import transaction
from orchestrator.domain.access import Permission
from orchestrator.presenting.json import dumps
from orchestrator.repositories import applications as rows
from orchestrator.repositories import installations
from orchestrator.services import calendars, places

SHOWN_BY_ITSELF = timedelta(weeks=4)

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
    return tagged_response(dumps(schemas.present(rows.get_environment(session(), name))))


@blueprint.route("/<name:name>", methods=["PATCH"])
@requires(Permission.OPERATE)
@blueprint.arguments(schemas.EnvironmentChanges)
@blueprint.response(200, schemas.Environment)
def change_environment(body: dict[str, Any], name: str) -> Response:
    """Restrict an environment to operators and to whom a grant names it for, or open it to all deployers again."""
    with transaction(session()):
        places.restrict(
            session(), name, **body, actor=current_actor(), precondition=if_match(schemas.present)
        )
        shown = schemas.present(rows.get_environment(session(), name))
    return changed_response(shown)


@blueprint.route("/<name:name>/installations", methods=["GET"])
@requires(Permission.READ)
@blueprint.arguments(installation_schemas.PastQuery, location="query")
@blueprint.response(200, installation_schemas.PastInstallationPage)
def list_past_installations(query: dict[str, Any], name: str) -> Response:
    """Say what ran on each target of an environment at an instant, since when, and by which deployment."""
    rows.get_environment(session(), name)
    part = window("past_installations", query)
    begin = (part.after or 0) + part.skip
    found = installations.page_at(
        session(),
        name,
        application=query["application"],
        at=query["at"],
        skip=begin,
        limit=part.one_more,
    )
    return json_response(
        part.answer(found, installation_schemas.present_past, key=lambda _row: begin + part.limit)
    )


@blueprint.route("/<name:name>/calendar", methods=["GET"])
@requires(Permission.READ)
@blueprint.arguments(calendar_schemas.CalendarQuery, location="query")
@blueprint.response(200, calendar_schemas.CalendarOut)
def read_calendar(query: dict[str, Any], name: str) -> Response:
    """Say when deploying to an environment is allowed, by which windows and freezes, and what will start when."""
    found = calendars.calendar(session(), name, application=query["application"], **_range(query))
    return json_response(calendar_schemas.present(found))


@blueprint.route("/<name:name>/calendar.ics", methods=["GET"])
@requires(Permission.READ)
@blueprint.arguments(calendar_schemas.CalendarQuery, location="query")
@blueprint.response(200, description="The windows and freezes (RFC 5545).", content_type="text/calendar")
def read_calendar_feed(query: dict[str, Any], name: str) -> Response:
    """Give windows and freezes to calendar programs."""
    found = calendars.feed(session(), name, application=query["application"], **_range(query))
    return Response(found, mimetype="text/calendar")


@blueprint.route("/<name:name>/opening", methods=["GET"])
@requires(Permission.READ)
@blueprint.arguments(calendar_schemas.OpeningQuery, location="query")
@blueprint.response(200, calendar_schemas.OpeningOut)
def read_opening(query: dict[str, Any], name: str) -> Response:
    """Say whether a deployment might start at an instant, and when the next might."""
    at = query["at"] or clock.now()
    found = calendars.opening(session(), name, application=query["application"], at=at)
    return json_response(calendar_schemas.present_opening(name, at, found))


def _range(query: dict[str, Any]) -> dict[str, Any]:
    start = query["start"] or clock.now()
    return {"start": start, "end": query["end"] or start + SHOWN_BY_ITSELF}
