"""How an open page comes to the stream process, which sends it what changes."""

from collections.abc import Sequence
from http import HTTPStatus

from flask import Response, current_app, request

from api.auth import current_actor, permission_of, requires
from api.dashboard import frame, renewal
from api.dashboard.frame import blueprint
from api.extensions import services
from api.responses import json_response
from orchestrator import clock
from orchestrator.domain.access import Permission
from orchestrator.domain.errors import NotFoundError
from orchestrator.services import tokens


@blueprint.route("/live/ticket", methods=["GET"])
@frame.page_for(Permission.READ)
@renewal.never("no page")
def live_ticket() -> Response:
    """Where to, and what lets one in there for a few seconds. It is no cookie: the stream may be under another origin.

    `page`: the view of a page that is to be told of what it shows, which only those are who may see it.
    """
    actor, settings = current_actor(), services().settings
    ticket = tokens.write_ticket(
        settings.secret_key,
        user_id=actor.id,
        sign_in_id=actor.sign_in_id,
        now=clock.now(),
        news=_news(request.args.get("page", "")),
    )
    return json_response({"origin": settings.stream_url.rstrip("/"), "ticket": ticket})


def _news(page: str) -> Sequence[str]:
    """What a page is told of. Raises NotFoundError for one that there is not, ForbiddenError."""
    if not page:
        return ()
    view = current_app.view_functions.get(page)
    how = renewal.of(view)
    permission = permission_of(view) if view is not None else None
    if how is None or permission is None:
        raise NotFoundError("there is no such page")
    current_actor().require_somewhere(permission)
    return how.news


@blueprint.route("/live", methods=["GET"])
@requires(Permission.PUBLIC, is_counted=False)
@renewal.never("no page")
def live_elsewhere() -> Response:
    """Nothing: nobody streams here. Where STREAM_URL is empty, a proxy may route this path to the stream process."""
    return Response(status=HTTPStatus.NO_CONTENT)
