"""What API tokens look like. (What they may be for: docs/api.md.)"""

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate
from sqlalchemy import Row

from api.pagination import PageArgs
from api.parsing import Text
from api.schemas.common import APPLICATION, instant, page_of
from orchestrator.domain.limits import SCOPES
from orchestrator.services.api_tokens import DEFAULT

MOST_NAMES = 100


def _names(meaning: str) -> fields.Field[Any]:
    return fields.List(
        Text(longest=63, pattern=APPLICATION),
        load_default=list,
        validate=validate.Length(max=MOST_NAMES),
        metadata={"description": meaning},
    )


class TokenIn(ma.Schema):
    """A token to make, with some of your own rights."""

    name = Text(required=True, shortest=1, longest=100)
    scopes = fields.List(
        fields.String(validate=validate.OneOf([str(scope) for scope in SCOPES])),
        required=True,
        validate=validate.Length(min=1, max=len(SCOPES)),
    )
    applications = _names("It may change only these; none: all.")
    environments = _names("It may change only these; none: all.")
    expires_at = instant(
        load_default=None,
        allow_none=True,
        metadata={"description": f"Within a year; {DEFAULT.days} days from now if not given."},
    )


class TokenQuery(PageArgs):
    """Whose tokens."""

    all = fields.Boolean(load_default=False, metadata={"description": "Those of everybody; for admins."})


class Token(ma.Schema):
    """An API token, without what makes it one."""

    id = fields.Integer(required=True)
    name = fields.String(required=True)
    hint = fields.String(required=True, metadata={"description": "How it begins."})
    username = fields.String(required=True)
    scopes = fields.List(fields.String(), required=True)
    applications = fields.List(fields.String(), required=True)
    environments = fields.List(fields.String(), required=True)
    created_at = instant(required=True)
    expires_at = instant(required=True)
    last_used_at = instant(
        required=True, allow_none=True, metadata={"description": "Right to within a minute."}
    )
    revoked_at = instant(required=True, allow_none=True)


class NewToken(Token):
    """A token that was made now: it is shown this once. Null: it was made by an earlier request with this Idempotency-Key."""

    token = fields.String(required=True, allow_none=True)


TokenPage = page_of(Token)


def present(row: Row[Any]) -> dict[str, Any]:
    """A token as it is sent."""
    return {name: getattr(row, name) for name in Token().fields}
