"""Hooks: being told of releases."""

from typing import Any

from flask import Response, request

from api.auth import current_actor, requires
from api.extensions import services, session
from api.idempotency import create_secret_once
from api.pagination import PageArgs, window
from api.parsing import Blueprint
from api.responses import json_response
from api.schemas import hooks as schemas
from orchestrator import cache
from orchestrator.db import after_commit, transaction
from orchestrator.domain.access import Permission
from orchestrator.domain.inbound import HEADERS, Sender
from orchestrator.repositories import hooks as rows
from orchestrator.services import hooks

_MESSAGE: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}
}

blueprint = Blueprint("hooks", __name__, url_prefix="/api/v1/hooks", description="Being told of releases")


@blueprint.route("/", methods=["POST"])
@requires(Permission.OPERATE)
@blueprint.arguments(schemas.HookIn)
@blueprint.response(201, schemas.NewHook)
def create_hook(body: dict[str, Any]) -> Response:
    """Let another system announce releases, in your name. The secret is shown this once.

    Who asks again with the same Idempotency-Key gets null for it.
    """
    actor = current_actor()
    made = create_secret_once(
        session(),
        lambda: hooks.create(session(), **body, actor=actor, vault=services().vault),
        field="secret",
        user_id=actor.id,
        body=body,
        show=_shown,
    )
    headers = {"Location": f"/api/v1/hooks/{made.id}", "Cache-Control": "no-store", **made.headers}
    return json_response(made.shown, 201, headers=headers)


@blueprint.route("/", methods=["GET"])
@requires(Permission.OPERATE)
@blueprint.arguments(PageArgs, location="query")
@blueprint.response(200, schemas.HookPage)
def list_hooks(query: dict[str, Any]) -> Response:
    """List those that were not removed, the newest first."""
    part = window("hooks", query)
    found = rows.page(session(), before_id=part.after, skip=part.skip, limit=part.one_more)
    return json_response(part.answer(found, schemas.present, key=lambda row: row.id))


@blueprint.route("/<id:hook_id>", methods=["GET"])
@requires(Permission.OPERATE)
@blueprint.response(200, schemas.Hook)
def get_hook(hook_id: int) -> Response:
    """Read one."""
    return json_response(_shown(hook_id))


@blueprint.route("/<id:hook_id>", methods=["DELETE"])
@requires(Permission.OPERATE)
@blueprint.response(200, schemas.Hook)
def remove_hook(hook_id: int) -> Response:
    """Believe it nothing more; removing it twice is removing it once."""
    with transaction(session()):
        hooks.remove(session(), hook_id, actor=current_actor())
        shown = _shown(hook_id)
    return json_response(shown)


@blueprint.route("/github/<id:hook_id>", methods=["POST"])
@requires(Permission.PUBLIC)
@blueprint.doc(**_MESSAGE)
@blueprint.response(200, schemas.Received)
def receive_from_github(hook_id: int) -> Response:
    """Take a message of GitHub, signed in X-Hub-Signature-256."""
    return _receive(Sender.GITHUB, hook_id)


@blueprint.route("/gitlab/<id:hook_id>", methods=["POST"])
@requires(Permission.PUBLIC)
@blueprint.doc(**_MESSAGE)
@blueprint.response(200, schemas.Received)
def receive_from_gitlab(hook_id: int) -> Response:
    """Take a message of GitLab, signed in webhook-signature, or with its secret in X-Gitlab-Token."""
    return _receive(Sender.GITLAB, hook_id)


@blueprint.route("/generic/<id:hook_id>", methods=["POST"])
@requires(Permission.PUBLIC)
@blueprint.doc(**_MESSAGE)
@blueprint.response(200, schemas.Received)
def receive(hook_id: int) -> Response:
    """Take a message of anybody, signed as Standard Webhooks says."""
    return _receive(Sender.GENERIC, hook_id)


def _receive(sender: Sender, hook_id: int) -> Response:
    headers = {name: request.headers[name] for name in HEADERS if name in request.headers}
    body = request.get_data(cache=False)
    with transaction(session()):
        answer = hooks.receive(session(), hook_id, sender, headers, body, vault=services().vault)
        if answer["outcome"] == hooks.RECORDED:
            after_commit(session(), lambda: services().cache.forget(cache.RELEASE_LISTS))
    return json_response(answer)


def _shown(hook_id: int) -> dict[str, Any]:
    return schemas.present(rows.get(session(), hook_id))
