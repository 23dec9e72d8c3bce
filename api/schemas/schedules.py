"""What recurring deployments look like."""

from typing import Any

import marshmallow as ma
from marshmallow import fields
from sqlalchemy import Row

from api.parsing import Text
from api.schemas.common import APPLICATION, instant, page_of


class ScheduleIn(ma.Schema):
    """A deployment to request again and again, in the name of who makes this."""

    application = Text(required=True, longest=63, pattern=APPLICATION)
    environment = Text(required=True, longest=63, pattern=APPLICATION)
    from_environment = Text(
        load_default=None,
        allow_none=True,
        longest=63,
        pattern=APPLICATION,
        metadata={"description": "It takes what succeeded there last; without: the newest release."},
    )
    cron = Text(required=True, shortest=1, longest=200)
    zone = Text(
        required=True, shortest=1, longest=100, metadata={"description": "Whose clocks: an IANA name."}
    )
    reason = Text(load_default="", longest=1000)


class Schedule(ma.Schema):
    """A deployment that is requested again and again."""

    id = fields.Integer(required=True)
    application = fields.String(required=True)
    environment = fields.String(required=True)
    from_environment = fields.String(required=True, allow_none=True)
    cron = fields.String(required=True)
    zone = fields.String(required=True)
    reason = fields.String(required=True)
    next_at = instant(required=True, allow_none=True)
    last_deployment_id = fields.Integer(required=True, allow_none=True)
    last_outcome = fields.String(
        required=True, metadata={"description": "What came of the last time; empty: there was none."}
    )
    created_by = fields.String(required=True)
    created_at = instant(required=True)
    removed_at = instant(required=True, allow_none=True)
    removed_by = fields.String(required=True, allow_none=True)


SchedulePage = page_of(Schedule)


def present(row: Row[Any]) -> dict[str, Any]:
    """A schedule as it is sent."""
    named = {"created_by": row.created_by_name, "removed_by": row.removed_by_name}
    return {name: named.get(name, getattr(row, name)) for name in Schedule().fields}
