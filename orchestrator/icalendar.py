"""Freezes out of other people's calendars, and windows and freezes into them (RFC 5545)."""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from icalendar import Calendar, Component, Event
from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from orchestrator.domain.durations import format_duration
from orchestrator.domain.errors import FieldProblem, InvalidInputError
from orchestrator.domain.intervals import Interval
from orchestrator.domain.printing import printable
from orchestrator.domain.schedules import Occurrences, Rule, RuleKind
from orchestrator.domain.wall_time import instants, shown, zone_names
from orchestrator.domain.window_reading import MAX_NAME, RuleDraft, read_rule
from orchestrator.recurrence import check

MAX_BYTES = 1_000_000
MAX_EVENTS = 1_000
MAX_RECURRING = 200
MAX_REFUSED = 10
"""After so many events that cannot be taken no more are read: to find out that one never happens takes long."""
MAX_NESTING = 5
_ONLY_TIME = re.compile(rb"^(DURATION[^:\r\n]*:\+?PT[^\r\n]*)(\r?\n)", re.IGNORECASE | re.MULTILINE)
_EXACT = "X-EXACT-DURATION"
"""Marks a DURATION without days: 24 hours that pass (PT24H) are no day (P1D), and the library forgets which it was."""
_UNSUPPORTED = ("EXDATE", "RDATE", "EXRULE", "RECURRENCE-ID")


def _refusal(why: str) -> InvalidInputError:
    return InvalidInputError(problems=[FieldProblem("", why)])


def read_freezes(data: bytes, *, zone: str) -> list[RuleDraft]:
    """Read each event of a calendar as a freeze; those without a zone of their own are in `zone`.

    Cancelled events are left out. Raises InvalidInputError with every event that cannot be taken, and takes none then.
    """
    drafts: list[RuleDraft] = []
    problems: list[FieldProblem] = []
    refused = 0
    for index, event in enumerate(_events(data)):
        try:
            if str(event.get("STATUS", "")).upper() != "CANCELLED":
                drafts.append(read_rule(_document(event, zone), check=check))
        except InvalidInputError as error:
            refused += 1
            details = [f"{each.pointer} {each.detail}".strip() for each in error.problems]
            problems += [FieldProblem(f"/events/{index}", f"{_name(event)}: {each}") for each in details]
        if refused == MAX_REFUSED:
            break
    if problems:
        raise InvalidInputError("The calendar cannot be used.", problems=problems)
    return drafts


def write_feed(rules: Iterable[Rule], *, start: datetime, end: datetime, occurrences: Occurrences) -> bytes:
    """Write what happens in [start, end) as single events in UTC; an event has the same UID each time."""
    calendar = Calendar()
    calendar.add("prodid", "-//devops-release-manager//windows and freezes//EN")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", "Windows and freezes")
    for rule in rules:
        for interval in occurrences(rule, start, end):
            calendar.add_component(_event(rule, interval, start))
    return bytes(calendar.to_ical())


def _event(rule: Rule, interval: Interval, stamp: datetime) -> Event:
    event = Event()
    event.add("uid", f"{rule.kind}-{rule.id}-{interval.start:%Y%m%dT%H%M%SZ}@devops-release-manager")
    event.add("dtstamp", stamp.astimezone(UTC))
    event.add("dtstart", interval.start)
    event.add("dtend", interval.end)
    event.add("summary", f"{rule.kind.capitalize()}: {rule.name}")
    event.add("categories", [str(rule.kind)])
    event.add("transp", "OPAQUE" if rule.kind is RuleKind.FREEZE else "TRANSPARENT")
    return event


def _events(data: bytes) -> list[Component]:
    if len(data) > MAX_BYTES:
        raise InvalidInputError(f"A calendar may have at most {MAX_BYTES:,} bytes; leave out what is past.")
    _check_nesting(data)
    try:
        marked = _ONLY_TIME.sub(rb"\1\2" + _EXACT.encode() + rb":1\2", data)
        calendars = Calendar.from_ical(marked, multiple=True)
        events = [event for calendar in calendars for event in calendar.walk("VEVENT")]
    except (ValueError, KeyError, IndexError) as error:
        raise InvalidInputError(f"This is not a calendar as RFC 5545 has them: {error}.") from error
    if not calendars:
        raise InvalidInputError("This is not a calendar; it begins with BEGIN:VCALENDAR.")
    if sum("RRULE" in event for event in events) > MAX_RECURRING:
        raise InvalidInputError(f"A calendar may have at most {MAX_RECURRING} events that recur.")
    return events


def _check_nesting(data: bytes) -> None:
    depth = events = 0
    for line in data.upper().splitlines():
        word = line.strip()
        depth += word.startswith(b"BEGIN:") - word.startswith(b"END:")
        events += word == b"BEGIN:VEVENT"
        if depth > MAX_NESTING:
            raise InvalidInputError("This is not a calendar: its components are too deep in each other.")
    if events > MAX_EVENTS:
        raise InvalidInputError(f"A calendar may have at most {MAX_EVENTS} events, not {events}.")


def _document(event: Component, default_zone: str) -> dict[str, Any]:
    for key in _UNSUPPORTED:
        if key in event:
            raise _refusal(f"has {key}; write what it means as events of their own")
    if event.errors:
        raise _refusal(f"has {event.errors[0][0] or 'a line'} that cannot be read")
    start = _moment(event, "DTSTART")
    zone = _zone(event, "DTSTART", start, default_zone)
    first, last = _wall(start), _end(event, start, zone, default_zone)
    document: dict[str, Any] = {"kind": str(RuleKind.FREEZE), "name": _name(event), "zone": zone}
    if "RRULE" not in event:
        return document | {"dated": {"from": _written(first), "to": _written(last)}}
    if isinstance(event["RRULE"], list):
        raise _refusal("has more than one RRULE; write one event for each")
    there = ZoneInfo(zone)
    exact = instants(last, there)[0] - instants(first, there)[0]
    if not isinstance(start, datetime):
        exact = last - first  # days, however long the first of them is
    return document | {
        "rrule": {
            "rule": event["RRULE"].to_ical().decode(),  # type: ignore[union-attr]  # its types say more than it does
            "start": _written(first),
            "duration": format_duration(max(exact.total_seconds(), 0)),
        }
    }


def _name(event: Component) -> str:
    words = printable(str(event.get("SUMMARY", ""))).split()
    return " ".join(words)[:MAX_NAME].strip() or "freeze"


def _written(wall: datetime) -> str:
    return wall.isoformat(timespec="seconds")


def _wall(moment: date) -> datetime:
    """Give what the clock shows, for a day its midnight."""
    if isinstance(moment, datetime):
        return moment.replace(tzinfo=None, microsecond=0)
    return datetime.combine(moment, time.min)


def _moment(event: Component, key: str) -> date:
    """Give a day or a moment; a datetime is a date, too."""
    value = event.get(key)
    moment = getattr(value, "dt", None)
    if not isinstance(moment, date):
        raise _refusal(f"has {'more than one' if isinstance(value, list) else 'no'} {key} that can be read")
    return moment


def _zone(event: Component, key: str, moment: date, default: str) -> str:
    name = event[key].params.get("TZID")
    if name is None:
        return "UTC" if isinstance(moment, datetime) and moment.tzinfo is not None else default
    name = str(name).strip("/")
    zone = str(WINDOWS_TO_OLSON.get(name, name))
    if zone not in zone_names():
        raise _refusal(f"is in the zone `{name[:60]}`; write an IANA name, such as Europe/Berlin")
    return zone


def _end(event: Component, start: date, zone: str, default_zone: str) -> datetime:
    """Give the wall time in `zone` at which an event ends; a day without an end lasts that day."""
    first = _wall(start)
    if "DTEND" in event:
        end = _moment(event, "DTEND")
        there = _zone(event, "DTEND", end, default_zone)
        wall = _wall(end)
        return wall if there == zone else shown(instants(wall, ZoneInfo(there))[1], zone)
    if "DURATION" in event:
        duration = getattr(event["DURATION"], "dt", None)
        if not isinstance(duration, timedelta):
            raise _refusal("has no DURATION that can be read")
        # Days are days of the calendar, hours are hours that pass.
        days = timedelta(days=0 if _EXACT in event else duration.days)
        begun = instants(first + days, ZoneInfo(zone))[0]
        return shown(begun + (duration - days), zone) if duration != days else first + days
    if isinstance(start, datetime):
        raise _refusal("has no DTEND, so it does not last")
    return first + timedelta(days=1)
