"""Fields and shapes that several resources share."""

from typing import Any

import marshmallow as ma
from marshmallow import fields

from api.parsing import Text

APPLICATION = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
VERSION = r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,127}"


def instant(**kwargs: Any) -> fields.Field[Any]:
    """An instant, RFC 3339, UTC."""
    return fields.AwareDateTime(format="iso", **kwargs)


class Reason(ma.Schema):
    """Why."""

    reason = Text(longest=1000, load_default="")


class RequiredReason(ma.Schema):
    """Why; it has to be said."""

    reason = Text(longest=1000, shortest=1, required=True)


class FieldProblemOut(ma.Schema):
    """One thing wrong with an input."""

    pointer = fields.String(required=True, metadata={"description": "Where: a JSON pointer."})
    detail = fields.String(required=True)
    line = fields.Integer(metadata={"description": "The line, where the input is a file."})


class Problem(ma.Schema):
    """An error, as RFC 9457 says it."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    instance = fields.String(required=True)
    code = fields.String(required=True, metadata={"description": "Stable; for programs."})
    request_id = fields.String(required=True, allow_none=True)
    errors = fields.List(fields.Nested(FieldProblemOut), required=True)


def page_of(item: type[ma.Schema]) -> type[ma.Schema]:
    """The schema of one page of a list."""
    return ma.Schema.from_dict(
        {
            "items": fields.List(fields.Nested(item), required=True),
            "next_cursor": fields.String(required=True, allow_none=True),
            "total": fields.Integer(required=True, allow_none=True),
        },
        name=f"{item.__name__}Page",
    )
