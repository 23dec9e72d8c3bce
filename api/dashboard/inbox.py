"""What waits for people, and first of all for whoever looks."""

from flask import Response

from api.auth import current_actor
from api.dashboard import frame, renewal
from api.dashboard.frame import blueprint
from api.extensions import session
from api.responses import json_response
from orchestrator.domain.access import Permission
from orchestrator.presenting.pages import inbox as view


@blueprint.route("/inbox", methods=["GET"])
@frame.page_for(Permission.READ)
@renewal.sent()
def inbox() -> Response:
    """Approvals and questions that are open."""
    return frame.render("inbox.html", items=frame.filled(view.read(session(), actor=current_actor())))


@blueprint.route("/inbox/items", methods=["GET"])
@frame.page_for(Permission.READ)
@renewal.never("a part of a page")
def inbox_items() -> Response:
    """The items alone, for a page that is open."""
    return frame.part(frame.filled(view.read(session(), actor=current_actor())))


@blueprint.route("/inbox/count", methods=["GET"])
@frame.page_for(Permission.READ)
@renewal.never("no page")
def inbox_count() -> Response:
    """How many of them wait for whoever looks."""
    return json_response({"count": frame.waiting()})
