"""What insights look like."""

from collections.abc import Iterable
from datetime import date
from typing import Any

import marshmallow as ma
from marshmallow import fields, validate
from sqlalchemy import Row

from api.pagination import PageArgs
from api.parsing import Text
from api.schemas.common import APPLICATION, instant, page_of
from orchestrator.domain.insights import DEFAULT_DAYS, MOST_DAYS, PRODUCTION, By, Group, Spread
from orchestrator.services.insights import Insights, Measures

_FIRST, _LAST = date(1970, 1, 1), date(2999, 12, 31)
REASONS = ("approval", "lock", "freeze", "window", "schedule", "promotion", "soak", "slot")


def _day(key: str, says: str) -> fields.Field[Any]:
    return fields.Date(
        data_key=key,
        load_default=None,
        validate=validate.Range(min=_FIRST, max=_LAST),
        metadata={"description": says},
    )


class InsightsQuery(ma.Schema):
    """Of what, and of which days."""

    application = Text(
        load_default=None, longest=63, pattern=APPLICATION, metadata={"description": "All, if not given."}
    )
    environment = Text(
        load_default=PRODUCTION,
        longest=63,
        pattern=APPLICATION,
        metadata={"description": "Which one is production for this."},
    )
    first = _day("from", f"The first day; {DEFAULT_DAYS} days before `to` if not given.")
    until = _day(
        "to",
        f"The day after the last one, at most {MOST_DAYS} later; "
        f"{DEFAULT_DAYS} days after `from`, and tomorrow at the latest, if not given.",
    )
    zone = Text(
        load_default="UTC",
        longest=100,
        metadata={"description": "Whose days: an IANA name, such as Europe/Berlin."},
    )
    by = fields.Enum(By, by_value=True, load_default=None, metadata={"description": "What it is cut into."})


class BehindQuery(InsightsQuery, PageArgs):
    """Which deployments of which days."""

    group = fields.Enum(
        Group, by_value=True, load_default=Group.FINISHED, metadata={"description": "Behind which number."}
    )
    reason = fields.String(
        load_default=None,
        validate=validate.OneOf(REASONS),
        metadata={"description": "With `group=waited`: for what."},
    )


class SpreadOut(ma.Schema):
    """How a length of time is spread over `count` deployments; null: not enough data."""

    count = fields.Integer(required=True)
    p50_seconds = fields.Float(required=True, allow_none=True)
    p90_seconds = fields.Float(required=True, allow_none=True)


class Frequency(ma.Schema):
    """Deployment frequency."""

    count = fields.Integer(required=True)
    days = fields.Float(required=True)
    per_day = fields.Float(required=True, allow_none=True)


class LeadTime(SpreadOut):
    """Change lead time."""

    without_commit = fields.Integer(
        required=True, metadata={"description": "Of which nobody said when they were committed."}
    )


class Recovery(SpreadOut):
    """Failed deployment recovery time."""

    open = fields.Integer(required=True, metadata={"description": "From which nothing has recovered yet."})


class Rate(ma.Schema):
    """So many of so many; null: of none."""

    count = fields.Integer(required=True)
    of = fields.Integer(required=True)
    rate = fields.Float(required=True, allow_none=True)


class MeasuresOut(ma.Schema):
    """The five measures of DORA."""

    change_lead_time = fields.Nested(LeadTime, required=True)
    deployment_frequency = fields.Nested(Frequency, required=True)
    failed_deployment_recovery_time = fields.Nested(Recovery, required=True)
    change_fail_rate = fields.Nested(Rate, required=True)
    deployment_rework_rate = fields.Nested(Rate, required=True)


class WaitOut(SpreadOut):
    """What deployments waited for before they started."""

    reason = fields.String(required=True, validate=validate.OneOf(REASONS))
    total_seconds = fields.Float(required=True)


class BusySlot(ma.Schema):
    """An application in an environment, and how long deployments ran there."""

    application = fields.String(required=True)
    environment = fields.String(required=True)
    count = fields.Integer(required=True)
    busy_seconds = fields.Float(required=True)


InsightsPart = ma.Schema.from_dict(
    {
        "from": fields.Date(required=True),
        "to": fields.Date(required=True),
        "is_over": fields.Boolean(required=True),
        "measures": fields.Nested(MeasuresOut, required=True),
    },
    name="InsightsPart",
)
InsightsOut = ma.Schema.from_dict(
    {
        "application": fields.String(required=True, allow_none=True),
        "environment": fields.String(required=True),
        "from": fields.Date(required=True),
        "to": fields.Date(required=True),
        "zone": fields.String(required=True),
        "by": fields.Enum(By, by_value=True, required=True),
        "starts_at": instant(required=True),
        "ends_at": instant(required=True),
        "measures": fields.Nested(MeasuresOut, required=True),
        "durations": fields.Nested(SpreadOut, required=True),
        "waits": fields.List(fields.Nested(WaitOut), required=True),
        "slots": fields.List(fields.Nested(BusySlot), required=True),
        "parts": fields.List(fields.Nested(InsightsPart), required=True),
    },
    name="Insights",
)
"""A period from `from` up to `to`, as a whole and in parts."""


class CountedDeployment(ma.Schema):
    """A deployment behind a number, and why it is."""

    id = fields.Integer(required=True)
    application = fields.String(required=True)
    version = fields.String(required=True)
    environment = fields.String(required=True)
    status = fields.String(required=True)
    requested_by = fields.String(required=True, allow_none=True)
    requested_at = instant(required=True)
    started_at = instant(required=True)
    ended_at = instant(required=True)
    committed_at = instant(required=True, allow_none=True)
    rolls_back_id = fields.Integer(required=True, allow_none=True)
    retry_of_id = fields.Integer(required=True, allow_none=True)
    rolled_back_by_id = fields.Integer(required=True, allow_none=True)
    recovered_by_id = fields.Integer(required=True, allow_none=True)
    rework = fields.String(
        required=True, allow_none=True, validate=validate.OneOf(["rollback", "retry", "fix"])
    )
    lead_seconds = fields.Float(required=True, allow_none=True)
    recovery_seconds = fields.Float(required=True, allow_none=True)
    waited_seconds = fields.Float(required=True, allow_none=True)


CountedPage = page_of(CountedDeployment)


def present(found: Insights) -> dict[str, Any]:
    """Insights as they are sent."""
    whole = found.period.whole
    return {
        "application": found.application,
        "environment": found.environment,
        "from": whole.first,
        "to": whole.until,
        "zone": found.period.zone,
        "by": found.period.by,
        "starts_at": whole.start,
        "ends_at": whole.end,
        "measures": _measures(found.measures),
        "durations": _spread(found.measures.duration),
        "waits": [
            {"reason": each.reason, "total_seconds": each.total_seconds, **_spread(each.spread)}
            for each in found.waits
        ],
        "slots": list(_slots(found.slots)),
        "parts": [
            {
                "from": each.stretch.first,
                "to": each.stretch.until,
                "is_over": each.is_over,
                "measures": _measures(each.measures),
            }
            for each in found.parts
        ],
    }


def present_counted(row: Row[Any]) -> dict[str, Any]:
    """A deployment behind a number as it is sent."""
    same = {name: getattr(row, name) for name in CountedDeployment._declared_fields if hasattr(row, name)}
    return same | {"requested_by": row.requested_by_name, "requested_at": row.created_at}


def _measures(found: Measures) -> dict[str, Any]:
    return {
        "change_lead_time": _spread(found.lead) | {"without_commit": found.lead_unknown},
        "deployment_frequency": {"count": found.deployed, "days": found.days, "per_day": found.per_day},
        "failed_deployment_recovery_time": _spread(found.recovery) | {"open": found.unrecovered},
        "change_fail_rate": {"count": found.failed, "of": found.changes, "rate": found.fail_rate},
        "deployment_rework_rate": {"count": found.rework, "of": found.finished, "rate": found.rework_rate},
    }


def _spread(found: Spread) -> dict[str, Any]:
    return {"count": found.count, "p50_seconds": found.p50_seconds, "p90_seconds": found.p90_seconds}


def _slots(rows: Iterable[Row[Any]]) -> Iterable[dict[str, Any]]:
    for row in rows:
        yield {
            "application": row.application,
            "environment": row.environment,
            "count": row.n,
            "busy_seconds": row.busy_seconds,
        }
