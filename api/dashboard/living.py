"""How an open page comes to the stream process, which sends it what changes."""

from http import HTTPStatus

from flask import Response

from api.auth import current_actor, requires
from api.dashboard import frame
from api.dashboard.frame import blueprint
from api.extensions import services
from api.responses import json_response
from orchestrator import clock
from orchestrator.domain.access import Permission
from orchestrator.services import tokens


@blueprint.route("/live/ticket", methods=["GET"])
@frame.page_for(Permission.READ)
def live_ticket() -> Response:
    """Where to, and what lets one in there for a few seconds. It is no cookie: the stream may be under another origin."""
    actor, settings = current_actor(), services().settings
    ticket = tokens.write_ticket(
        settings.secret_key, user_id=actor.id, sign_in_id=actor.sign_in_id, now=clock.now()
    )
    return json_response({"origin": settings.stream_url.rstrip("/"), "ticket": ticket})


@blueprint.route("/live", methods=["GET"])
@requires(Permission.PUBLIC, is_counted=False)
def live_elsewhere() -> Response:
    """Nothing: nobody streams here. Where STREAM_URL is empty, a proxy may route this path to the stream process."""
    return Response(status=HTTPStatus.NO_CONTENT)
