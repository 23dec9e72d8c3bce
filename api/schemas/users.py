"""Users."""

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate
from sqlalchemy import Row

from api.parsing import JsonBoolean, Text
from api.schemas.common import instant, page_of
from orchestrator.domain.access import Role

USERNAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
_EMAIL_CHARACTER = r"[^@\s\x00-\x1f\x7f-\x9f\ufeff]"  # no controls, nor what only ECMA-262 calls white space
EMAIL = _EMAIL_CHARACTER + "{1,64}@" + _EMAIL_CHARACTER + "{1,189}"
ROLES = [str(role) for role in Role]
TEAM = r"[a-z0-9][a-z0-9._-]{0,62}"
MOST_TEAMS = 50


class UserIn(ma.Schema):
    """Somebody to register."""

    email = Text(required=True, shortest=3, longest=254, pattern=EMAIL)
    username = Text(required=True, shortest=1, longest=63, pattern=USERNAME)
    password = Text(required=True, shortest=8, longest=72, load_only=True)
    role = fields.Enum(Role, by_value=fields.String, load_default=None, allow_none=True)


class UserChanges(ma.Schema):
    """What to change; what is not named stays."""

    role = fields.Enum(Role, by_value=fields.String, load_default=None)
    active = JsonBoolean(
        load_default=None,
    )
    email = Text(load_default=None, shortest=3, longest=254, pattern=EMAIL)
    teams = fields.List(
        Text(shortest=1, longest=63, pattern=TEAM),
        load_default=None,
        validate=validate.Length(max=MOST_TEAMS),
    )


class User(ma.Schema):
    """Somebody who may act."""

    id = fields.Integer(required=True)
    email = fields.String(required=True)
    username = fields.String(required=True)
    role = fields.String(required=True, validate=validate.OneOf(ROLES))
    teams = fields.List(fields.String(), required=True)
    active = fields.Boolean(required=True)
    created_at = instant(required=True)


UserPage = page_of(User)


def present(row: Row[Any]) -> dict[str, Any]:
    """A user as it is sent: never anything of the password."""
    return {
        "id": row.id,
        "email": row.email,
        "username": row.username,
        "role": row.role,
        "teams": row.teams,
        "active": row.active,
        "created_at": row.created_at,
    }
