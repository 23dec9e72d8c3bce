"""Callbacks of HTTP targets: there is news of a run."""

from typing import Any

from flask import Response, request

from api.auth import requires
from api.extensions import services, session
from api.parsing import Blueprint
from orchestrator.db import transaction
from orchestrator.domain.access import Permission
from orchestrator.domain.inbound import HEADERS
from orchestrator.services import callbacks

_MESSAGE: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}
}

blueprint = Blueprint(
    "callbacks", __name__, url_prefix=callbacks.PATH, description="News of runs at HTTP targets"
)


@blueprint.route("/<run>", methods=["POST"])
@requires(Permission.PUBLIC)
@blueprint.doc(**_MESSAGE)
@blueprint.response(204)
def call_back(run: str) -> Response:
    """Be told that there is news of a run, signed as Standard Webhooks says with the secret that its start named."""
    headers = {name: request.headers[name] for name in HEADERS if name in request.headers}
    body = request.get_data(cache=False)
    with transaction(session()):
        callbacks.receive(session(), run, headers, body, secret_key=services().settings.secret_key)
    return Response(status=204)
