"""What a deployment touched, and for how long."""

from typing import Any

import marshmallow as ma
from marshmallow import fields
from sqlalchemy import Row

from api.schemas.common import instant


class Touched(ma.Schema):
    """On how many targets it began to change something, and from when to when."""

    targets = fields.Integer(required=True)
    of = fields.Integer(required=True, metadata={"description": "How many targets its plan has."})
    since = instant(required=True, allow_none=True)
    until = instant(
        required=True,
        allow_none=True,
        metadata={"description": "When it ended, or its rollback succeeded; null until then."},
    )
    seconds = fields.Float(required=True, metadata={"description": "How long that is, or is so far."})


def present(row: Row[Any]) -> dict[str, Any]:
    """As it is sent."""
    ends = row.until or row.now
    return {
        "targets": row.targets,
        "of": row.of_targets,
        "since": row.since,
        "until": row.until if row.since else None,
        "seconds": max(0.0, (ends - row.since).total_seconds()) if row.since else 0.0,
    }
