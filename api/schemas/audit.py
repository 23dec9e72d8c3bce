"""What happened, to whatever it happened."""

import marshmallow as ma
from marshmallow import fields
from sqlalchemy import Row

from api.pagination import PageArgs
from api.parsing import Text
from api.schemas.common import instant, page_of
from orchestrator.domain.audit import FIELDS


class AuditQuery(PageArgs):
    """About what."""

    subject = Text(
        load_default=None,
        shortest=1,
        longest=100,
        metadata={"description": "Such as `deployment:42`, `user:3`, `lock:7`, `window:1`, `application:2`."},
    )


class Entry(ma.Schema):
    """Something that happened; `hash` covers it and the entry before it of the same subject."""

    id = fields.Integer(required=True)
    subject = fields.String(required=True)
    seq = fields.Integer(required=True)
    kind = fields.String(required=True)
    at = instant(required=True)
    actor_id = fields.Integer(required=True, allow_none=True)
    actor = fields.String(
        required=True, allow_none=True, metadata={"description": "Null: the orchestrator itself."}
    )
    data = fields.Dict(required=True)
    hash = fields.String(required=True)


EntryPage = page_of(Entry)


def present(row: "Row[tuple[object, ...]]") -> dict[str, object]:
    """An entry as it is sent."""
    return {name: getattr(row, name) for name in FIELDS}
