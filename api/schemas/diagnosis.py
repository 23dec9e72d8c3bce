"""What an unhealthy thing looks like."""

import marshmallow as ma
from marshmallow import fields


class Finding(ma.Schema):
    """One unhealthy thing."""

    code = fields.String(required=True)
    says = fields.String(required=True)
    do = fields.String(required=True)


class Diagnosis(ma.Schema):
    """Everything that is unhealthy; nothing: all is well."""

    findings = fields.List(fields.Nested(Finding), required=True)
