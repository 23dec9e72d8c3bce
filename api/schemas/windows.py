"""What windows and freezes look like. (What their schedules mean: docs/windows.md.)"""

from typing import Any

import marshmallow as ma
from marshmallow import fields
from sqlalchemy import Row

from api.pagination import PageArgs
from api.parsing import Text
from api.schemas.common import APPLICATION, instant, page_of
from orchestrator.services import windows


class RuleIn(ma.Schema):
    """A window or a freeze to make: exactly one of `weekly`, `cron`, `rrule`, `dated`."""

    environment = Text(required=True, longest=63, pattern=APPLICATION)
    name = fields.Raw(required=True)
    zone = fields.Raw(required=True, metadata={"description": "An IANA name, such as Europe/Berlin."})
    weekly = fields.Raw()
    cron = fields.Raw()
    rrule = fields.Raw()
    dated = fields.Raw()
    labels = fields.Raw(
        metadata={"description": "Only for applications with one of the values of each label."}
    )


class RuleQuery(PageArgs):
    """Of which environment."""

    environment = Text(load_default=None, longest=63)


class Rule(ma.Schema):
    """A window or a freeze; what is written of its schedule is what was sent."""

    class Meta:
        unknown = ma.INCLUDE

    id = fields.Integer(required=True)
    environment = fields.String(required=True)
    kind = fields.String(required=True)
    name = fields.String(required=True)
    zone = fields.String(required=True)
    created_by = fields.String(required=True)
    created_at = instant(required=True)
    removed_at = instant(required=True, allow_none=True)
    warnings = fields.List(fields.String(), required=True)


RulePage = page_of(Rule)


def present(row: Row[Any]) -> dict[str, Any]:
    """A window or a freeze as it is sent."""
    return {
        "id": row.id,
        "environment": row.environment,
        **row.document,
        "created_by": row.created_by_name,
        "created_at": row.created_at,
        "removed_at": row.removed_at,
        "warnings": windows.warnings(row),
    }
