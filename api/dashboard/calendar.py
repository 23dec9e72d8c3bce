"""The calendar of an environment: windows, freezes, and what will start when; and making and removing rules."""

from collections.abc import Mapping
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import marshmallow as ma
from flask import Response, request
from marshmallow import fields, validate

from api.auth import current_actor
from api.dashboard import days, frame, renewal
from api.dashboard.frame import blueprint
from api.extensions import session
from api.parsing import Text
from api.schemas.common import APPLICATION
from api.schemas.windows import present
from orchestrator import clock
from orchestrator.db import transaction
from orchestrator.domain.access import Permission, allows
from orchestrator.domain.errors import InvalidInputError
from orchestrator.domain.wall_time import zone_names
from orchestrator.domain.window_reading import SCHEDULES, WEEKDAYS
from orchestrator.domain.windows import RuleKind
from orchestrator.repositories import applications
from orchestrator.repositories import schedules as recurring
from orchestrator.repositories import windows as rows
from orchestrator.services import calendars, schedules, windows

MOST_RULES = 100
MOST_RECURRING = 100
KINDS = [str(kind) for kind in RuleKind]


class CalendarPage(ma.Schema):
    """Which calendar, and what of it."""

    environment = Text(load_default=None, longest=63, pattern=APPLICATION)
    view = fields.String(load_default=days.MONTH, validate=validate.OneOf([days.WEEK, days.MONTH]))
    at = fields.Date(load_default=None, validate=validate.Range(min=date(2000, 2, 1), max=date(2199, 11, 30)))
    zone = Text(load_default=None, longest=100)


@blueprint.route("/calendar", methods=["GET"])
@frame.page_for(Permission.READ)
@renewal.told("window.*", "freeze.*", "schedule.*", "deployment.*", "lock.*", "health.*", "pipeline.*")
def calendar() -> Response:
    """A week or a month."""
    asked = frame.read_query(CalendarPage)
    names = [row.name for row in applications.environments(session())]
    environment = asked["environment"] or (names[-1] if names else None)
    if environment is None:
        return frame.renewing("calendar_empty.html")
    applications.get_environment(session(), environment)
    rules = [
        *rows.page(session(), "freeze", environment=environment, before_id=None, skip=0, limit=MOST_RULES),
        *rows.page(session(), "window", environment=environment, before_id=None, skip=0, limit=MOST_RULES),
    ]
    own_zone = next((row.document["zone"] for row in rules if row.document["kind"] == "window"), "UTC")
    zone = asked["zone"] if asked["zone"] in zone_names() else own_zone
    at = asked["at"] or clock.now().astimezone(ZoneInfo(zone)).date()
    shown = days.dates(asked["view"], at)
    start, end = days.bounds(shown, ZoneInfo(zone))
    found = calendars.calendar(session(), environment, application=None, start=start, end=end)
    before, after = days.neighbours(asked["view"], at)
    again = recurring.of_environment(session(), environment, application=None, limit=MOST_RECURRING)
    actor = current_actor()
    return frame.renewing(
        "calendar.html",
        environment=environment,
        environments=names,
        view=asked["view"],
        at=at,
        before=before,
        after=after,
        zone=zone,
        own_zone=own_zone,
        days=days.by_day(
            found, shown, zone=ZoneInfo(zone), month=at.month if asked["view"] == days.MONTH else None
        ),
        rules=[(row.document["kind"], present(row)) for row in rules],
        warnings=found.warnings,
        may_change=allows(actor.role, Permission.OPERATE),
        schedules=again,
        removable={row.id for row in again if schedules.may_remove(row, actor)},
    )


@blueprint.route("/calendar/<name:environment>/feed.ics", methods=["GET"])
@frame.page_for(Permission.READ)
@renewal.never("a file")
def calendar_file(environment: str) -> Response:
    """Windows and freezes of the weeks to come, for a calendar program."""
    start = clock.now()
    found = calendars.feed(
        session(), environment, application=None, start=start, end=start + calendars.LONGEST
    )
    return Response(
        found,
        mimetype="text/calendar",
        headers={"Content-Disposition": f'attachment; filename="{environment}.ics"'},
    )


@blueprint.route("/calendar/rules/new", methods=["GET"])
@frame.page_for(Permission.OPERATE)
@renewal.never("a form, which is judged when it is sent")
def new_rule() -> Response:
    """A form for a window or a freeze; filled in with one that it will replace."""
    asked = request.args
    replaced: Mapping[str, Any] = {}
    if asked.get("replaces", "").isdecimal() and asked.get("kind") in KINDS:
        row = rows.get(session(), asked["kind"], int(asked["replaces"]))
        replaced = {"environment": row.environment, "id": row.id, **row.document}
    return frame.render(
        "rule.html",
        environments=[row.name for row in applications.environments(session())],
        environment=replaced.get("environment") or asked.get("environment", ""),
        kind=replaced.get("kind") or ("freeze" if asked.get("kind") == "freeze" else "window"),
        rule=replaced,
        schedule=next((name for name in SCHEDULES if name in replaced), "weekly"),
        weekdays=WEEKDAYS,
        zones=sorted(zone_names()),
    )


@blueprint.route("/calendar/rules/check", methods=["POST"])
@frame.page_for(Permission.OPERATE)
def check_rule() -> Response:
    """What is wrong with it as it is filled in, what is perhaps not meant, and when it would hold first."""
    kind, _, document = _sent()
    try:
        found = windows.rehearse(kind, document)
    except InvalidInputError as error:
        return frame.render("rule_check.html", problems=error.problems, found=None)
    return frame.render("rule_check.html", problems=(), found=found, zone=document["zone"])


@blueprint.route("/calendar/rules", methods=["POST"])
@frame.page_for(Permission.OPERATE)
def make_rule() -> Response:
    """Make it; and remove the one that it replaces, in the same moment."""
    kind, environment, document = _sent()
    replaces = request.form.get("replaces", "")
    session().rollback()
    with transaction(session()):
        windows.create(session(), kind, environment=environment, document=document, actor=current_actor())
        if replaces.isdecimal():
            old = RuleKind(request.form.get("replaced_kind", kind))
            windows.remove(session(), old, int(replaces), actor=current_actor())
    return frame.see(f"/calendar?environment={environment}")


@blueprint.route("/calendar/rules/<id:rule_id>/remove", methods=["POST"])
@frame.page_for(Permission.OPERATE)
def remove_rule(rule_id: int) -> Response:
    """Let it hold no more."""
    kind = RuleKind.FREEZE if request.form.get("kind") == "freeze" else RuleKind.WINDOW
    session().rollback()
    with transaction(session()):
        windows.remove(session(), kind, rule_id, actor=current_actor())
        row = rows.get(session(), str(kind), rule_id)
    return frame.see(f"/calendar?environment={row.environment}")


def _sent() -> tuple[RuleKind, str, dict[str, Any]]:
    """The kind, the environment and the document of the form."""
    form = request.form
    kind = RuleKind.FREEZE if form.get("kind") == "freeze" else RuleKind.WINDOW
    schedule = form.get("schedule", "")
    ways: dict[str, dict[str, Any]] = {
        "weekly": {"days": form.getlist("days"), "from": form.get("from", ""), "to": form.get("to", "")},
        "dated": {"from": form.get("dated_from", ""), "to": form.get("dated_to", "")},
        "cron": {"expression": form.get("cron", ""), "duration": form.get("cron_duration", "")},
        "rrule": {
            "rule": form.get("rrule", ""),
            "start": form.get("rrule_start", ""),
            "duration": form.get("rrule_duration", ""),
        },
    }
    document: dict[str, Any] = {"name": form.get("name", "").strip(), "zone": form.get("zone", "")}
    if schedule in ways:
        document[schedule] = ways[schedule]
    if labels := _labels(form.get("labels", "")):
        document["labels"] = labels
    return kind, form.get("environment", ""), document


def _labels(text: str) -> dict[str, list[str]]:
    """From `team=payments team=web tier=edge`."""
    found: dict[str, list[str]] = {}
    for each in text.split():
        key, _, value = each.partition("=")
        found.setdefault(key, []).append(value)
    return found
