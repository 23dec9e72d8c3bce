"""Releases."""

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate
from sqlalchemy import Row

from api.pagination import PageArgs
from api.parsing import Text
from api.schemas.common import APPLICATION, VERSION, instant, page_of

STATUSES = ["available", "withdrawn"]


class ReleaseIn(ma.Schema):
    """A release to record."""

    name = Text(
        required=True, longest=63, pattern=APPLICATION, metadata={"description": "The application's."}
    )
    version = Text(required=True, longest=128, pattern=VERSION)
    artifact = Text(load_default="", longest=2048)
    artifact_sha256 = Text(
        load_default="",
        longest=64,
        pattern=r"([0-9a-f]{64})?",
        metadata={"description": "Of the file that `artifact` is the URL of."},
    )
    changes = Text(load_default="", longest=65_536)
    committed_at = instant(
        load_default=None,
        allow_none=True,
        metadata={"description": "When its change was committed to version control."},
    )


class ReleaseQuery(PageArgs):
    """Which releases."""

    name = Text(longest=63)
    version = Text(longest=128)
    status = fields.String(validate=validate.OneOf(STATUSES))


class Release(ma.Schema):
    """An immutable version of an application."""

    id = fields.Integer(required=True)
    name = fields.String(required=True)
    version = fields.String(required=True)
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))
    artifact = fields.String(required=True)
    artifact_sha256 = fields.String(required=True)
    changes = fields.String(required=True)
    created_by = fields.String(required=True)
    created_at = instant(required=True)
    committed_at = instant(required=True, allow_none=True)


ReleasePage = page_of(Release)


def present(row: Row[Any]) -> dict[str, Any]:
    """A release as it is sent."""
    return {
        "id": row.id,
        "name": row.name,
        "version": row.version,
        "status": row.status,
        "artifact": row.artifact,
        "artifact_sha256": row.artifact_sha256,
        "changes": row.changes,
        "created_by": row.created_by_name,
        "created_at": row.created_at,
        "committed_at": row.committed_at,
    }
