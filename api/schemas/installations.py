"""What runs where."""

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate
from sqlalchemy import Row

from api.pagination import PageArgs
from api.parsing import Text
from api.schemas.common import APPLICATION, instant, page_of
from orchestrator.domain.drift import Drift


class InstallationQuery(PageArgs):
    """Which targets."""

    application = Text(load_default=None, longest=63)
    environment = Text(load_default=None, longest=63)


class TargetHealth(ma.Schema):
    """What the last health check of a target said."""

    healthy = fields.Boolean(required=True)
    detail = fields.String(required=True)
    checked_at = instant(required=True)


class TargetDrift(ma.Schema):
    """What a target said when it was asked what runs there."""

    state = fields.String(
        required=True,
        validate=validate.OneOf([str(each) for each in Drift]),
        metadata={"description": "`unknown`: it did not say."},
    )
    detail = fields.String(required=True)
    since = instant(required=True)
    checked_at = instant(required=True)


class Installation(ma.Schema):
    """A target with what it has; nulls where it has nothing yet."""

    application = fields.String(required=True)
    environment = fields.String(required=True)
    target = fields.String(required=True)
    version = fields.String(required=True, allow_none=True)
    release_id = fields.Integer(required=True, allow_none=True)
    deployment_id = fields.Integer(required=True, allow_none=True)
    since = instant(required=True, allow_none=True)
    kind = fields.String(required=True)
    health = fields.Nested(TargetHealth, required=True, allow_none=True)
    drift = fields.Nested(TargetDrift, required=True, allow_none=True)


InstallationPage = page_of(Installation)


class CheckIn(ma.Schema):
    """Which targets to ask."""

    application = Text(required=True, longest=63, pattern=APPLICATION)
    environment = Text(required=True, longest=63, pattern=APPLICATION)


class CheckOut(ma.Schema):
    """How many targets are asked from now on."""

    targets = fields.Integer(required=True)
    asked_at = instant(required=True)


class PastQuery(PageArgs):
    """Which targets, and when."""

    at = instant(load_default=None, metadata={"description": "When; now if it is not given."})
    application = Text(load_default=None, longest=63)


class PastInstallation(ma.Schema):
    """A target with what it had."""

    application = fields.String(required=True)
    environment = fields.String(required=True)
    target = fields.String(required=True)
    version = fields.String(required=True)
    release_id = fields.Integer(required=True)
    deployment_id = fields.Integer(required=True)
    since = instant(required=True)


PastInstallationPage = page_of(PastInstallation)


def present(row: Row[Any]) -> dict[str, Any]:
    """A target as it is sent."""
    return {
        **present_past(row),
        "kind": row.kind,
        "health": None
        if row.healthy is None
        else {"healthy": row.healthy, "detail": row.detail, "checked_at": row.checked_at},
        "drift": None
        if row.drift is None
        else {
            "state": row.drift,
            "detail": row.drift_detail,
            "since": row.drift_since,
            "checked_at": row.drift_checked_at,
        },
    }


def present_past(row: Row[Any]) -> dict[str, Any]:
    """What a target had, as it is sent."""
    return {
        "application": row.application,
        "environment": row.environment,
        "target": row.target,
        "version": row.version,
        "release_id": row.release_id,
        "deployment_id": row.deployment_id,
        "since": row.since,
    }
