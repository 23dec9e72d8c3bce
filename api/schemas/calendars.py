"""What calendars of environments look like."""

from typing import Any

import marshmallow as ma
from marshmallow import fields

from api.parsing import Text
from api.schemas.common import APPLICATION, instant
from orchestrator.domain.windows import Active, Opening
from orchestrator.services.calendars import LONGEST, Calendar


class OpeningQuery(ma.Schema):
    """An instant, and for which application."""

    at = instant(load_default=None, metadata={"description": "When; now if it is not given."})
    application = Text(load_default=None, longest=63, pattern=APPLICATION)


class CalendarQuery(ma.Schema):
    """Which part of a calendar, and for which application."""

    start = instant(data_key="from", load_default=None, metadata={"description": "Now if it is not given."})
    end = instant(
        data_key="to",
        load_default=None,
        metadata={"description": f"Four weeks later if it is not given; at most {LONGEST.days} days."},
    )
    application = Text(load_default=None, longest=63, pattern=APPLICATION)


class ImportQuery(ma.Schema):
    """What the freezes of a calendar are for."""

    environment = Text(required=True, longest=63, pattern=APPLICATION)
    zone = Text(
        load_default="UTC",
        longest=100,
        metadata={"description": "Of events that name none: an IANA name, such as Europe/Berlin."},
    )


class Imported(ma.Schema):
    """The freezes that were made; what was there already was left alone."""

    created = fields.List(fields.Integer(), required=True)


class ActiveOut(ma.Schema):
    """A window or a freeze that holds."""

    id = fields.Integer(required=True)
    name = fields.String(required=True)
    until = instant(required=True)


class OpeningOut(ma.Schema):
    """What windows and freezes say of an instant."""

    environment = fields.String(required=True)
    at = instant(required=True)
    open = fields.Boolean(required=True, metadata={"description": "A deployment may start."})
    closes_at = instant(required=True, allow_none=True)
    next_opening = instant(required=True, allow_none=True)
    windows = fields.List(fields.Nested(ActiveOut), required=True)
    freezes = fields.List(fields.Nested(ActiveOut), required=True)


Stretch = ma.Schema.from_dict(
    {"from": instant(required=True), "to": instant(required=True)}, name="CalendarStretch"
)
Occurrence = ma.Schema.from_dict(
    {
        "id": fields.Integer(required=True),
        "kind": fields.String(required=True),
        "name": fields.String(required=True),
        "from": instant(required=True),
        "to": instant(required=True),
    },
    name="CalendarOccurrence",
)


class Expected(ma.Schema):
    """A deployment that is scheduled or foretold for this time."""

    id = fields.Integer(required=True)
    application = fields.String(required=True)
    version = fields.String(required=True)
    scheduled_for = instant(required=True, allow_none=True)
    starts_at = instant(required=True, allow_none=True)
    because = fields.String(required=True)


class Recurring(ma.Schema):
    """A time at which a schedule will request a deployment."""

    schedule_id = fields.Integer(required=True)
    application = fields.String(required=True)
    at = instant(required=True)


CalendarOut = ma.Schema.from_dict(
    {
        "environment": fields.String(required=True),
        "from": instant(required=True),
        "to": instant(required=True),
        "openings": fields.List(fields.Nested(Stretch), required=True),
        "occurrences": fields.List(fields.Nested(Occurrence), required=True),
        "deployments": fields.List(fields.Nested(Expected), required=True),
        "recurring": fields.List(fields.Nested(Recurring), required=True),
        "warnings": fields.List(fields.String(), required=True),
    },
    name="Calendar",
)
"""When deploying is allowed (`openings`), by which windows and freezes, and what will start."""


def present(found: Calendar) -> dict[str, Any]:
    """A calendar as it is sent."""
    return {
        "environment": found.environment,
        "from": found.start,
        "to": found.end,
        "openings": [{"from": each.start, "to": each.end} for each in found.openings],
        "occurrences": [
            {"id": rule.id, "kind": rule.kind, "name": rule.name, "from": each.start, "to": each.end}
            for rule, each in found.occurrences
        ],
        "deployments": [
            {
                "id": row.id,
                "application": row.application,
                "version": row.version,
                "scheduled_for": row.scheduled_for,
                "starts_at": forecast.starts_at,
                "because": forecast.because,
            }
            for row, forecast in found.deployments
        ],
        "recurring": [
            {"schedule_id": row.id, "application": row.application, "at": at} for row, at in found.recurring
        ],
        "warnings": list(found.warnings),
    }


def present_opening(environment: str, at: Any, found: Opening) -> dict[str, Any]:
    """An opening as it is sent."""
    return {
        "environment": environment,
        "at": at,
        "open": found.is_open,
        "closes_at": found.closes_at,
        "next_opening": found.next_opening,
        "windows": [_active(each) for each in found.windows],
        "freezes": [_active(each) for each in found.freezes],
    }


def _active(found: Active) -> dict[str, Any]:
    return {"id": found.rule.id, "name": found.rule.name, "until": found.until}
