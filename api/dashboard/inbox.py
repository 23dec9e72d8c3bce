"""What waits for people, and first of all for whoever looks."""

from flask import Response

from api.auth import current_actor
from api.dashboard import frame
from api.dashboard.frame import blueprint
from api.extensions import session
from orchestrator.domain.access import Permission
from orchestrator.presenting.explanations import present_explanation
from orchestrator.services import acting, overview


@blueprint.route("/inbox", methods=["GET"])
@frame.page_for(Permission.READ)
def inbox() -> Response:
    """Approvals and questions that are open."""
    return frame.render("inbox.html", items=_items())


@blueprint.route("/inbox/items", methods=["GET"])
@frame.page_for(Permission.READ)
def inbox_items() -> Response:
    """The items alone, for a page that is open."""
    return frame.part(_items())


def _items() -> str:
    found = [
        (each.row, present_explanation(each), acting.verbs(each, current_actor()))
        for each in overview.inbox(session(), actor=current_actor())
    ]
    mine = [each for each in found if acting.APPROVE in each[2] or acting.ANSWER in each[2]]
    return frame.text_of("inbox_items.html", mine=mine, others=[each for each in found if each not in mine])
