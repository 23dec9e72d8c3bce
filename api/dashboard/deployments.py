"""Deployments: the list, one of them with all that is known about it, and the log of a step."""

from collections.abc import Iterator
from typing import Any

import marshmallow as ma
from flask import Response, stream_with_context
from markupsafe import Markup
from marshmallow import fields, validate
from sqlalchemy import Row

from api.auth import current_actor
from api.dashboard import frame, renewal
from api.dashboard.frame import blueprint
from api.extensions import session
from api.pagination import window, write_cursor
from api.parsing import MAX_ID, Text
from api.responses import json_response
from api.schemas.deployments import STATUSES
from api.schemas.logs import LogQuery
from orchestrator.domain.access import Permission
from orchestrator.domain.statuses import TERMINAL, DeploymentStatus
from orchestrator.presenting import log_pages
from orchestrator.presenting import logs as log_texts
from orchestrator.presenting.pages import deployment as view
from orchestrator.presenting.pages import deployments as listed
from orchestrator.presenting.pages import words
from orchestrator.repositories import applications, steps
from orchestrator.repositories import deployments as rows
from orchestrator.services.cursors import log_scope


class ListQuery(ma.Schema):
    """Which deployments."""

    application = Text(load_default="", longest=63)
    environment = Text(load_default="", longest=63)
    status = fields.String(load_default="", validate=validate.OneOf(STATUSES))
    before = fields.Integer(load_default=None, validate=validate.Range(min=1, max=MAX_ID))


@blueprint.route("/deployments", methods=["GET"])
@frame.page_for(Permission.READ)
@renewal.sent()
def deployment_list() -> Response:
    """The newest deployments, filtered."""
    asked = _asked()
    return frame.render(
        "deployments.html",
        asked=asked,
        rows=frame.filled(listed.read(session(), asked)),
        statuses=STATUSES,
        environments=[row.name for row in applications.environments(session())],
    )


@blueprint.route("/deployments/list", methods=["GET"])
@frame.page_for(Permission.READ)
@renewal.never("a part of a page")
def deployment_rows() -> Response:
    """The list alone, for a page that is open."""
    return frame.part(frame.filled(listed.read(session(), _asked())))


def _asked() -> listed.Asked:
    return listed.Asked(**frame.read_query(ListQuery))


@blueprint.route("/deployments/<id:deployment_id>", methods=["GET"])
@frame.page_for(Permission.READ)
@renewal.sent()
def deployment(deployment_id: int) -> Response:
    """One deployment."""
    row, live = _live(deployment_id)
    return frame.render("deployment.html", row=row, live=live)


@blueprint.route("/deployments/<id:deployment_id>/live", methods=["GET"])
@frame.page_for(Permission.READ)
@renewal.never("a part of a page")
def deployment_live(deployment_id: int) -> Response:
    """All of the page that may change, for one that is open."""
    return frame.part(_live(deployment_id)[1])


def _live(deployment_id: int) -> tuple[Row[Any], Markup]:
    row, found = view.read(session(), deployment_id, actor=current_actor())
    return row, frame.filled(found)


def _has_ended(row: Row[Any]) -> bool:
    return DeploymentStatus(row.status) in TERMINAL


@blueprint.route("/deployments/<id:deployment_id>/steps/<id:step_id>", methods=["GET"])
@frame.page_for(Permission.READ)
@renewal.sent()
def step_log(deployment_id: int, step_id: int) -> Response:
    """The log of a step, which a script reads; without scripts it is a file."""
    row = rows.get(session(), deployment_id)
    step = steps.get(session(), deployment_id, step_id)
    return frame.render("step.html", row=row, step=step, failure=_failure(step))


@blueprint.route("/deployments/<id:deployment_id>/steps/<id:step_id>/lines", methods=["GET"])
@frame.page_for(Permission.READ)
@renewal.never("a part of a page")
def step_lines(deployment_id: int, step_id: int) -> Response:
    """What follows in the log of a step after a cursor, and how the step is."""
    row = rows.get(session(), deployment_id)
    step = steps.get(session(), deployment_id, step_id)
    page = _log(row, step_id)
    return json_response(
        {
            "text": "".join(str(each["text"]) for each in page["items"]),
            "cursor": page["next_cursor"],
            "complete": page["complete"],
            "pruned": page["pruned"],
            "status": step.status,
            "badge": frame.text_of("badge.html", word=step.status),
            "failure": _failure(step),
        }
    )


def _failure(step: Row[Any]) -> str:
    """Why it failed, where that says more than its status does."""
    return words.sentence(step.failure) if step.failure and step.failure != step.status else ""


def _log(row: Row[Any], step_id: int) -> dict[str, Any]:
    """As the API's `logs`. The status was read first: what a deployment wrote is there before its end is."""
    part = window(log_scope(row.id, step_id), frame.read_query(LogQuery))
    reading = log_pages.Reading(session(), row.id, step_id, has_ended=_has_ended(row))
    shown = reading.after(log_texts.Place.read(part.after), limit=part.limit)
    cursor = write_cursor(part.scope, shown.place.value())
    return {
        "items": shown.items,
        "next_cursor": cursor,
        "complete": shown.complete,
        "pruned": shown.pruned,
    }


@blueprint.route("/deployments/<id:deployment_id>/steps/<id:step_id>/log.txt", methods=["GET"])
@frame.page_for(Permission.READ)
@renewal.never("a file")
def step_log_file(deployment_id: int, step_id: int) -> Response:
    """The log of a step as far as it is, as a file."""
    row = rows.get(session(), deployment_id)
    step = steps.get(session(), deployment_id, step_id)
    name = f"{row.application}-{row.environment}-{deployment_id}-{step_id}.txt"
    return Response(
        stream_with_context(_pieces(row, step.id)),
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
        mimetype="text/plain",
    )


def _pieces(row: Row[Any], step_id: int) -> Iterator[str]:
    reading = log_pages.Reading(session(), row.id, step_id, has_ended=_has_ended(row))
    place = log_texts.Place()
    while True:
        page = reading.after(place, limit=1000)
        yield from (str(each["text"]) for each in page.items)
        if page.complete or not page.items:
            return
        place = page.place
