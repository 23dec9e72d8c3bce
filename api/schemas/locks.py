"""What locks look like."""

from typing import Any

import marshmallow as ma
from marshmallow import fields
from sqlalchemy import Row

from api.pagination import PageArgs
from api.parsing import JsonBoolean, Text
from api.schemas.common import APPLICATION, instant, page_of


class LockIn(ma.Schema):
    """A lock to set; without an application it is for all of them, and so without an environment."""

    application = Text(load_default=None, allow_none=True, longest=63, pattern=APPLICATION)
    environment = Text(load_default=None, allow_none=True, longest=63, pattern=APPLICATION)
    reason = Text(required=True, longest=1000, shortest=1)
    expires_at = instant(load_default=None, allow_none=True)
    warning_only = JsonBoolean(
        load_default=False,
    )


class LockQuery(PageArgs):
    """Which locks."""

    all = fields.Boolean(
        load_default=False, metadata={"description": "Also those that were released or expired."}
    )


class Lock(ma.Schema):
    """A person's no."""

    id = fields.Integer(required=True)
    application = fields.String(required=True, allow_none=True)
    environment = fields.String(required=True, allow_none=True)
    reason = fields.String(required=True)
    warning_only = fields.Boolean(required=True)
    created_by = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Null: the orchestrator, after a rollback that failed."},
    )
    created_at = instant(required=True)
    expires_at = instant(required=True, allow_none=True)
    released_at = instant(required=True, allow_none=True)
    released_by = fields.String(required=True, allow_none=True)


LockPage = page_of(Lock)


def present(row: Row[Any]) -> dict[str, Any]:
    """A lock as it is sent."""
    return {
        "id": row.id,
        "application": row.application,
        "environment": row.environment,
        "reason": row.reason,
        "warning_only": row.warning_only,
        "created_by": row.created_by_name,
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "released_at": row.released_at,
        "released_by": row.released_by_name,
    }
