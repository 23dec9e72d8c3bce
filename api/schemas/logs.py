"""What a part of the log looks like. (How bytes become text: `orchestrator/presenting/logs.py`.)"""

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from api.pagination import LONGEST_CURSOR, PageArgs
from api.parsing import Id
from api.schemas.common import instant

MOST_TAIL_LINES = 10_000


class LogQuery(PageArgs):
    """Which part of the log."""

    class Meta:
        exclude = ("skip",)

    step = Id(load_default=None)
    tail = fields.Integer(
        load_default=None,
        validate=validate.Range(1, MOST_TAIL_LINES),
        metadata={
            "description": "Only so many lines at the end (as far as 1 MiB holds them); not with a cursor."
        },
    )

    @ma.validates_schema
    def check(self, data: dict[str, Any], **_kw: Any) -> None:
        """Refuse a tail from the middle."""
        if data.get("tail") is not None and data.get("cursor") is not None:
            raise ma.ValidationError("a tail has no cursor: leave out one of them", "tail")


class StreamQuery(ma.Schema):
    """From where on, and of which step, to follow."""

    step = Id()
    last_event_id = fields.String(
        validate=validate.Length(max=LONGEST_CURSOR),
        metadata={"description": "The last event's id, where the header Last-Event-ID cannot be sent."},
    )


class LogItem(ma.Schema):
    """What one attempt wrote from byte `offset` on."""

    step_id = fields.Integer(required=True)
    target = fields.String(required=True)
    wave = fields.Integer(required=True)
    attempt = fields.Integer(required=True)
    offset = fields.Integer(required=True)
    at = instant(required=True)
    text = fields.String(required=True)


class LogPage(ma.Schema):
    """A part of the log; ask again with the cursor until `complete`."""

    items = fields.List(fields.Nested(LogItem), required=True)
    next_cursor = fields.String(required=True, validate=validate.Length(min=1))
    complete = fields.Boolean(
        required=True, metadata={"description": "It has ended and nothing more will come."}
    )
    pruned = fields.Boolean(
        required=True,
        metadata={"description": "Its beginning was removed: it is older than LOG_RETENTION_DAYS."},
    )
