"""What webhooks and their deliveries look like. (What is sent to them: docs/webhooks.md.)"""

from typing import Any

import marshmallow as ma
import orjson
from marshmallow import ValidationError, fields, validate
from sqlalchemy import Row

from api.pagination import PageArgs
from api.parsing import Text
from api.schemas.common import APPLICATION, instant, page_of

KIND = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
EVENT = r"(\*|[a-z_]+\.([a-z_]+|\*))"
MOST_NAMES = 100
MOST_SETTINGS_BYTES = 16_384
STATUSES = ["pending", "delivered", "dead"]


def _bounded(settings: Any) -> None:
    if len(orjson.dumps(settings)) > MOST_SETTINGS_BYTES:
        raise ValidationError(f"must have at most {MOST_SETTINGS_BYTES} bytes")
    if b"\\u0000" in orjson.dumps(settings):
        raise ValidationError("must not hold NUL characters")


def _names(pattern: str, meaning: str, **options: Any) -> fields.Field[Any]:
    return fields.List(
        Text(longest=100, pattern=pattern),
        validate=validate.Length(min=int("required" in options), max=MOST_NAMES),
        metadata={"description": meaning},
        **options,
    )


class WebhookIn(ma.Schema):
    """Somebody to tell what happens."""

    name = Text(required=True, shortest=1, longest=100)
    kind = Text(load_default="webhook", longest=63, pattern=KIND, metadata={"description": "Of channel."})
    settings = fields.Dict(
        keys=fields.String(),
        required=True,
        validate=_bounded,
        metadata={"description": "Those of the kind; for `webhook` the `url`. Secret ones are never shown."},
    )
    events = _names(EVENT, "Kinds of events, `deployment.*` for a group of them, `*` for all.", required=True)
    applications = _names(APPLICATION, "Of these only; none: of all.", load_default=list)
    environments = _names(APPLICATION, "In these only; none: in all.", load_default=list)


class Webhook(ma.Schema):
    """Somebody who is told what happens."""

    id = fields.Integer(required=True)
    name = fields.String(required=True)
    kind = fields.String(required=True)
    settings = fields.Dict(required=True)
    events = fields.List(fields.String(), required=True)
    applications = fields.List(fields.String(), required=True)
    environments = fields.List(fields.String(), required=True)
    created_by = fields.String(required=True)
    created_at = instant(required=True)
    disabled_at = instant(required=True, allow_none=True)
    disabled_because = fields.String(required=True, allow_none=True)
    removed_at = instant(required=True, allow_none=True)
    removed_by = fields.String(required=True, allow_none=True)


class NewWebhook(Webhook):
    """A webhook with the secret of its signatures, which is shown this once.

    Null: its kind signs nothing, or it was made by an earlier request with this Idempotency-Key.
    """

    secret = fields.String(required=True, allow_none=True)


class DeliveryQuery(PageArgs):
    """Which deliveries."""

    status = fields.String(load_default=None, validate=validate.OneOf(STATUSES))


class Delivery(ma.Schema):
    """One event that was told, or is to be told, to one webhook."""

    id = fields.Integer(required=True)
    webhook_id = fields.Integer(required=True)
    event_id = fields.Integer(required=True, allow_none=True, metadata={"description": "Null: a test."})
    event = fields.String(required=True, metadata={"description": "Its kind."})
    subject = fields.String(required=True, allow_none=True)
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))
    tries = fields.Integer(required=True)
    next_at = instant(required=True, allow_none=True)
    delivered_at = instant(required=True, allow_none=True)
    created_at = instant(required=True)
    last_at = instant(required=True, allow_none=True)
    last_code = fields.Integer(
        required=True, allow_none=True, metadata={"description": "The status of the last answer; null: none."}
    )
    last_detail = fields.String(required=True, allow_none=True)


class DeliveryTry(ma.Schema):
    """What came of one try."""

    at = instant(required=True)
    milliseconds = fields.Integer(required=True)
    code = fields.Integer(required=True, allow_none=True)
    detail = fields.String(required=True)


class DeliveryDetail(Delivery):
    """A delivery with its last tries, the newest first."""

    log = fields.List(fields.Nested(DeliveryTry), required=True)


class Replayed(ma.Schema):
    """What is told again."""

    replayed = fields.Integer(required=True)


WebhookPage = page_of(Webhook)
DeliveryPage = page_of(Delivery)


def present(row: Row[Any]) -> dict[str, Any]:
    """A webhook as it is sent."""
    named = {"created_by": row.created_by_name, "removed_by": row.removed_by_name}
    return {name: named.get(name, getattr(row, name)) for name in Webhook().fields}


def present_delivery(row: Row[Any]) -> dict[str, Any]:
    """A delivery as it is sent."""
    return {name: getattr(row, name) for name in Delivery().fields}


def present_try(row: Row[Any]) -> dict[str, Any]:
    """A try as it is sent."""
    return {name: getattr(row, name) for name in DeliveryTry().fields}
