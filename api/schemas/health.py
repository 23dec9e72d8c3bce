"""Whether everything is there."""

import marshmallow as ma
from marshmallow import fields, validate


class Check(ma.Schema):
    """One dependency."""

    status = fields.String(required=True, validate=validate.OneOf(["ok", "down", "unknown"]))
    latency_ms = fields.Float(required=True, allow_none=True)


class Checks(ma.Schema):
    """Every dependency."""

    postgres = fields.Nested(Check, required=True)
    redis = fields.Nested(Check, required=True)
    workers = fields.Nested(Check, required=True)
    beat = fields.Nested(Check, required=True)


class Health(ma.Schema):
    """All of it: `degraded` works but slower or later, `unavailable` does not."""

    status = fields.String(required=True, validate=validate.OneOf(["ok", "degraded", "unavailable"]))
    version = fields.String(required=True)
    checks = fields.Nested(Checks, required=True)


class Alive(ma.Schema):
    """One word."""

    status = fields.String(required=True)
