"""Webhooks: whom to tell what happens, how that went, and telling again."""

from flask import Response, request

from api.auth import current_actor
from api.dashboard import frame, renewal
from api.dashboard.frame import blueprint
from api.extensions import services, session
from api.pagination import PageArgs, window
from api.schemas import webhooks as schemas
from orchestrator.db import transaction
from orchestrator.domain.access import Permission
from orchestrator.domain.news import DELIVERY_TRIED
from orchestrator.repositories import deliveries
from orchestrator.repositories import webhooks as rows
from orchestrator.services import webhooks
from orchestrator.services.webhooks import outside_of

MOST_TRIES = 20


@blueprint.route("/webhooks", methods=["GET"])
@frame.page_for(Permission.OPERATE)
@renewal.told("webhook.*")
def webhook_list() -> Response:
    """Those that were not removed."""
    query = frame.read_query(PageArgs)
    part = window("webhooks", query)
    found = rows.page(session(), before_id=part.after, skip=part.skip, limit=part.one_more)
    shown = part.answer(found, schemas.present, key=lambda row: row.id)
    return frame.renewing("webhooks.html", found=shown["items"], next_cursor=shown["next_cursor"])


@blueprint.route("/webhooks", methods=["POST"])
@frame.page_for(Permission.OPERATE)
def make_webhook() -> Response:
    """Tell an address what happens from now on; the page that comes shows the secret, this once."""
    sent = {
        "name": request.form.get("name", ""),
        "settings": {"url": request.form.get("url", "")},
        "events": request.form.get("events", "").replace(",", " ").split(),
    }
    body = frame.load(schemas.WebhookIn, sent)
    wanted = {"applications_": body.pop("applications"), **body}
    session().rollback()
    with transaction(session()):
        webhook_id, secret = webhooks.create(
            session(),
            **wanted,
            actor=current_actor(),
            vault=services().vault,
            outside=outside_of(services().settings),
        )
    return _page(webhook_id, secret=secret)


@blueprint.route("/webhooks/<id:webhook_id>", methods=["GET"])
@frame.page_for(Permission.OPERATE)
@renewal.told("webhook.*", DELIVERY_TRIED)
def webhook_page(webhook_id: int) -> Response:
    """One of them, with what it was told."""
    return _page(webhook_id)


def _page(webhook_id: int, *, secret: str | None = None) -> Response:
    row = rows.get(session(), webhook_id)
    query = frame.read_query(schemas.DeliveryQuery)
    part = window(f"deliveries:{webhook_id}", query)
    found = deliveries.page(
        session(),
        webhook_id,
        status=query["status"],
        before_id=part.after,
        skip=part.skip,
        limit=part.one_more,
    )
    shown = part.answer(found, lambda each: each, key=lambda each: each.id)
    return frame.renewing(
        "webhook.html",
        hook=schemas.present(row),
        found=shown["items"],
        next_cursor=shown["next_cursor"],
        chosen=query["status"],
        statuses=schemas.STATUSES,
        secret=secret,
    )


@blueprint.route("/webhooks/<id:webhook_id>/deliveries/<id:delivery_id>", methods=["GET"])
@frame.page_for(Permission.OPERATE)
@renewal.told("webhook.*", DELIVERY_TRIED)
def delivery_page(webhook_id: int, delivery_id: int) -> Response:
    """One delivery, with what came of each try."""
    return frame.renewing(
        "delivery.html",
        hook=schemas.present(rows.get(session(), webhook_id)),
        row=deliveries.get(session(), webhook_id, delivery_id),
        tries=deliveries.tries(session(), delivery_id, limit=MOST_TRIES),
    )


@blueprint.route("/webhooks/<id:webhook_id>/deliveries/<id:delivery_id>/replay", methods=["POST"])
@frame.page_for(Permission.OPERATE)
def replay(webhook_id: int, delivery_id: int) -> Response:
    """Have it told once more."""
    session().rollback()
    with transaction(session()):
        webhooks.replay(session(), webhook_id, delivery_id, actor=current_actor())
    return frame.see(f"/webhooks/{webhook_id}/deliveries/{delivery_id}")


@blueprint.route("/webhooks/<id:webhook_id>/replay", methods=["POST"])
@frame.page_for(Permission.OPERATE)
def replay_dead(webhook_id: int) -> Response:
    """Have it told all that was given up."""
    session().rollback()
    with transaction(session()):
        webhooks.replay_dead(session(), webhook_id, actor=current_actor())
    return frame.see(f"/webhooks/{webhook_id}")


@blueprint.route("/webhooks/<id:webhook_id>/test", methods=["POST"])
@frame.page_for(Permission.OPERATE)
def try_out(webhook_id: int) -> Response:
    """Have it told a test."""
    session().rollback()
    with transaction(session()):
        delivery_id = webhooks.try_out(session(), webhook_id, actor=current_actor())
    return frame.see(f"/webhooks/{webhook_id}/deliveries/{delivery_id}")


@blueprint.route("/webhooks/<id:webhook_id>/remove", methods=["POST"])
@frame.page_for(Permission.OPERATE)
def remove_webhook(webhook_id: int) -> Response:
    """Tell it nothing more."""
    session().rollback()
    with transaction(session()):
        webhooks.remove(session(), webhook_id, actor=current_actor())
    return frame.see("/webhooks")
