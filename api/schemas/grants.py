"""What grants look like."""

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate
from sqlalchemy import Row

from api.pagination import PageArgs
from api.parsing import Text
from api.schemas.common import APPLICATION, instant, page_of
from api.schemas.users import TEAM, USERNAME
from orchestrator.domain.access import GRANTED_ROLES, Role

MOST_ENVIRONMENTS = 100
_ROLES = f"must be one of: {', '.join(GRANTED_ROLES)}"


class GrantIn(ma.Schema):
    """A role to give to a user or to a team, for one application."""

    application = Text(required=True, longest=63, pattern=APPLICATION)
    user = Text(load_default=None, allow_none=True, longest=63, pattern=USERNAME)
    team = Text(load_default=None, allow_none=True, longest=63, pattern=TEAM)
    role = fields.Enum(
        Role, by_value=fields.String, required=True, validate=validate.OneOf(GRANTED_ROLES, error=_ROLES)
    )
    environments = fields.List(
        Text(longest=63, pattern=APPLICATION),
        load_default=list,
        validate=validate.Length(max=MOST_ENVIRONMENTS),
        metadata={"description": "Only in these; none: in all that are not restricted."},
    )

    @ma.validates_schema
    def _for_one(self, data: dict[str, Any], **_kwargs: Any) -> None:
        if (data.get("user") is None) == (data.get("team") is None):
            raise ma.ValidationError("a grant is for a `user` or for a `team`")


class GrantQuery(PageArgs):
    """Which grants."""

    application = Text(longest=63, pattern=APPLICATION)
    user = Text(longest=63, pattern=USERNAME)
    team = Text(longest=63, pattern=TEAM)


class Grant(ma.Schema):
    """A role for one application."""

    id = fields.Integer(required=True)
    application = fields.String(required=True)
    user = fields.String(required=True, allow_none=True)
    team = fields.String(required=True, allow_none=True)
    role = fields.String(required=True, validate=validate.OneOf([str(role) for role in GRANTED_ROLES]))
    environments = fields.List(fields.String(), required=True)
    created_at = instant(required=True)
    created_by = fields.String(required=True)
    removed_at = instant(required=True, allow_none=True)
    removed_by = fields.String(required=True, allow_none=True)


GrantPage = page_of(Grant)


def present(row: Row[Any]) -> dict[str, Any]:
    """A grant as it is sent."""
    return {name: getattr(row, name) for name in Grant().fields}
