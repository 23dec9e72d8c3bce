"""Webhooks: whom to tell what happens, and how that went."""

from typing import Any

from flask import Response

from api.auth import current_actor, requires
from api.extensions import services, session
from api.idempotency import create_once, create_secret_once
from api.pagination import PageArgs, window
from api.parsing import Blueprint
from api.responses import json_response
from api.schemas import webhooks as schemas
from orchestrator.db import transaction
from orchestrator.domain.access import Permission
from orchestrator.repositories import deliveries
from orchestrator.repositories import webhooks as rows
from orchestrator.services import webhooks
from orchestrator.services.webhooks import outside_of

MOST_TRIES = 100
_UNCACHED = {"Cache-Control": "no-store"}

blueprint = Blueprint(
    "webhooks", __name__, url_prefix="/api/v1/webhooks", description="Whom to tell what happens"
)


@blueprint.route("/", methods=["POST"])
@requires(Permission.OPERATE)
@blueprint.arguments(schemas.WebhookIn)
@blueprint.response(201, schemas.NewWebhook)
def create_webhook(body: dict[str, Any]) -> Response:
    """Tell somebody what happens from now on. The secret is shown this once.

    Who asks again with the same Idempotency-Key gets null for it.
    """
    actor, vault, wanted = current_actor(), services().vault, dict(body)
    more = {"applications_": wanted.pop("applications"), "outside": outside_of(services().settings)}
    made = create_secret_once(
        session(),
        lambda: webhooks.create(session(), **wanted, **more, actor=actor, vault=vault),
        field="secret",
        user_id=actor.id,
        body=body | {"settings": vault.fingerprint(body["settings"])},  # they may hold passwords
        show=_shown,
    )
    headers = {"Location": f"/api/v1/webhooks/{made.id}", **_UNCACHED, **made.headers}
    return json_response(made.shown, 201, headers=headers)


@blueprint.route("/", methods=["GET"])
@requires(Permission.OPERATE)
@blueprint.arguments(PageArgs, location="query")
@blueprint.response(200, schemas.WebhookPage)
def list_webhooks(query: dict[str, Any]) -> Response:
    """List those that were not removed, the newest first."""
    part = window("webhooks", query)
    found = rows.page(session(), before_id=part.after, skip=part.skip, limit=part.one_more)
    return json_response(part.answer(found, schemas.present, key=lambda row: row.id))


@blueprint.route("/<id:webhook_id>", methods=["GET"])
@requires(Permission.OPERATE)
@blueprint.response(200, schemas.Webhook)
def get_webhook(webhook_id: int) -> Response:
    """Read one."""
    return json_response(_shown(webhook_id))


@blueprint.route("/<id:webhook_id>", methods=["DELETE"])
@requires(Permission.OPERATE)
@blueprint.response(200, schemas.Webhook)
def remove_webhook(webhook_id: int) -> Response:
    """Tell it nothing more, also not what is under way; removing it twice is removing it once."""
    with transaction(session()):
        webhooks.remove(session(), webhook_id, actor=current_actor())
        shown = _shown(webhook_id)
    return json_response(shown)


@blueprint.route("/<id:webhook_id>/rotate", methods=["POST"])
@requires(Permission.OPERATE)
@blueprint.response(200, schemas.NewWebhook)
def rotate_webhook(webhook_id: int) -> Response:
    """Give it another secret, shown this once; for a day messages are signed with the one before as well."""
    with transaction(session()):
        secret = webhooks.rotate(session(), webhook_id, actor=current_actor(), vault=services().vault)
        shown = _shown(webhook_id) | {"secret": secret}
    return json_response(shown, headers=_UNCACHED)


@blueprint.route("/<id:webhook_id>/test", methods=["POST"])
@requires(Permission.OPERATE)
@blueprint.response(202, schemas.Delivery)
def test_webhook(webhook_id: int) -> Response:
    """Have it told a test; the answer is the delivery to look at."""
    actor = current_actor()
    made = create_once(
        session(),
        lambda: webhooks.try_out(session(), webhook_id, actor=actor),
        user_id=actor.id,
        body={},
        show=lambda delivery_id: schemas.present_delivery(deliveries.get(session(), webhook_id, delivery_id)),
    )
    return json_response(made.shown, 202, headers=_location(webhook_id, made.id) | made.headers)


@blueprint.route("/<id:webhook_id>/replay", methods=["POST"])
@requires(Permission.OPERATE)
@blueprint.response(202, schemas.Replayed)
def replay_dead(webhook_id: int) -> Response:
    """Have it told all that was given up, the oldest thousand at a time."""
    with transaction(session()):
        replayed = webhooks.replay_dead(session(), webhook_id, actor=current_actor())
    return json_response({"replayed": replayed}, 202)


@blueprint.route("/<id:webhook_id>/deliveries", methods=["GET"])
@requires(Permission.OPERATE)
@blueprint.arguments(schemas.DeliveryQuery, location="query")
@blueprint.response(200, schemas.DeliveryPage)
def list_deliveries(query: dict[str, Any], webhook_id: int) -> Response:
    """List what it was told or is to be told, the newest first."""
    rows.get(session(), webhook_id)
    part = window(f"deliveries:{webhook_id}", query)
    found = deliveries.page(
        session(),
        webhook_id,
        status=query["status"],
        before_id=part.after,
        skip=part.skip,
        limit=part.one_more,
    )
    return json_response(part.answer(found, schemas.present_delivery, key=lambda row: row.id))


@blueprint.route("/<id:webhook_id>/deliveries/<id:delivery_id>", methods=["GET"])
@requires(Permission.OPERATE)
@blueprint.response(200, schemas.DeliveryDetail)
def get_delivery(webhook_id: int, delivery_id: int) -> Response:
    """Read one, with what came of each try."""
    return json_response(_detail(webhook_id, delivery_id))


@blueprint.route("/<id:webhook_id>/deliveries/<id:delivery_id>/replay", methods=["POST"])
@requires(Permission.OPERATE)
@blueprint.response(202, schemas.DeliveryDetail)
def replay_delivery(webhook_id: int, delivery_id: int) -> Response:
    """Have it told once more, under the same id, from its first try on."""
    with transaction(session()):
        webhooks.replay(session(), webhook_id, delivery_id, actor=current_actor())
        shown = _detail(webhook_id, delivery_id)
    return json_response(shown, 202, headers=_location(webhook_id, delivery_id))


def _shown(webhook_id: int) -> dict[str, Any]:
    return schemas.present(rows.get(session(), webhook_id))


def _detail(webhook_id: int, delivery_id: int) -> dict[str, Any]:
    shown = schemas.present_delivery(deliveries.get(session(), webhook_id, delivery_id))
    tries = deliveries.tries(session(), delivery_id, limit=MOST_TRIES)
    return shown | {"log": [schemas.present_try(each) for each in tries]}


def _location(webhook_id: int, delivery_id: int) -> dict[str, str]:
    return {"Location": f"/api/v1/webhooks/{webhook_id}/deliveries/{delivery_id}"}
