"""What hooks look like, and what they answer."""

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate
from sqlalchemy import Row

from api.parsing import Text
from api.schemas.common import APPLICATION, instant, page_of
from orchestrator.domain.inbound import Sender

SENDERS = [str(sender) for sender in Sender]


class HookIn(ma.Schema):
    """A way to be told of releases of an application, in the name of who makes it."""

    sender = fields.String(required=True, validate=validate.OneOf(SENDERS))
    application = Text(required=True, longest=63, pattern=APPLICATION)
    tag_prefix = Text(
        load_default="v",
        longest=50,
        metadata={"description": "What stands before the version in a tag, if it stands there."},
    )


class Hook(ma.Schema):
    """A way to be told of releases."""

    id = fields.Integer(required=True)
    sender = fields.String(required=True)
    application = fields.String(required=True)
    tag_prefix = fields.String(required=True)
    path = fields.String(required=True, metadata={"description": "Where messages go."})
    created_by = fields.String(required=True)
    created_at = instant(required=True)
    removed_at = instant(required=True, allow_none=True)
    removed_by = fields.String(required=True, allow_none=True)


class NewHook(Hook):
    """A hook with its secret, which is shown this once. Null: it was made by an earlier request with this Idempotency-Key."""

    secret = fields.String(required=True, allow_none=True)


class Received(ma.Schema):
    """What a message came to."""

    outcome = fields.String(required=True, validate=validate.OneOf(["recorded", "known", "ignored"]))
    detail = fields.String(required=True)
    release_id = fields.Integer()
    deployments = fields.List(fields.Integer(), metadata={"description": "That it requested."})


HookPage = page_of(Hook)


def present(row: Row[Any]) -> dict[str, Any]:
    """A hook as it is sent."""
    named = {
        "path": f"/api/v1/hooks/{row.sender}/{row.id}",
        "created_by": row.created_by_name,
        "removed_by": row.removed_by_name,
    }
    return {name: named[name] if name in named else getattr(row, name) for name in Hook().fields}
