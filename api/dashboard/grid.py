"""The dashboard: applications by environments."""

from flask import Response, request

from api.auth import current_actor
from api.dashboard import frame, renewal
from api.dashboard.frame import blueprint
from api.extensions import session
from orchestrator.domain.access import Permission
from orchestrator.presenting.pages import grid as view
from orchestrator.services import overview

_LONGEST_SEARCH = 63


@blueprint.route("/", methods=["GET"])
@frame.page_for(Permission.READ)
@renewal.sent()
def dashboard() -> Response:
    """What runs where, what is happening, and what waits."""
    part = _part()
    found = view.read(session(), part=part, actor=current_actor())
    return frame.render("dashboard.html", part=part, grid=frame.filled(found))


@blueprint.route("/dashboard/grid", methods=["GET"])
@frame.page_for(Permission.READ)
@renewal.never("a part of a page")
def dashboard_grid() -> Response:
    """The grid alone, for a page that is open."""
    part, actor = _part(), current_actor()
    found = overview.overview(session(), part=part)
    return frame.part_of(
        (found, part, actor.role, actor.grants, actor.restricted, frame.web_session().form_token),
        lambda: frame.filled(view.view_of(found, part=part, actor=actor)),
    )


def _part() -> str:
    return request.args.get("q", "").strip().lower().replace("\0", "")[:_LONGEST_SEARCH]
