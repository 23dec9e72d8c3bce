"""What an unhealthy thing looks like."""

import marshmallow as ma
from marshmallow import fields


class Finding(ma.Schema):
    """One unhealthy thing."""

    severity = fields.String(required=True, validate=ma.validate.OneOf(["error", "warning"]))
    code = fields.String(required=True)
    says = fields.String(required=True)
    do = fields.String(required=True, metadata={"description": "What to do about it, with what to type."})
    evidence = fields.Dict(
        keys=fields.String(), required=True, metadata={"description": "What shows it; depends on the code."}
    )


class Diagnosis(ma.Schema):
    """Everything that is unhealthy; nothing: all is well."""

    findings = fields.List(fields.Nested(Finding), required=True)
