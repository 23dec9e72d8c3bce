"""Environments."""

from typing import Any

import marshmallow as ma
from marshmallow import fields
from sqlalchemy import Row

from api.parsing import JsonBoolean
from api.schemas.common import page_of


class Environment(ma.Schema):
    """A place releases go to."""

    id = fields.Integer(required=True)
    name = fields.String(required=True)
    position = fields.Integer(required=True, metadata={"description": "Order of promotion, from 0."})
    restricted = fields.Boolean(
        required=True, metadata={"description": "A deployer needs a grant that names it."}
    )


class EnvironmentChanges(ma.Schema):
    """What to change."""

    restricted = JsonBoolean(
        required=True,
    )


EnvironmentPage = page_of(Environment)


def present(row: Row[Any]) -> dict[str, Any]:
    """An environment as it is sent."""
    return {"id": row.id, "name": row.name, "position": row.position, "restricted": row.restricted}
