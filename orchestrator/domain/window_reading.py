"""Reading a window or a freeze as people write it, and writing it back."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any

from orchestrator.domain.durations import format_duration
from orchestrator.domain.errors import SettingsRefusedError
from orchestrator.domain.reading import Problems, Section, check_name, child, described, shortened, suggest
from orchestrator.domain.schedules import Cron, Dated, RRule, Rule, RuleKind, Schedule, Weekly
from orchestrator.domain.wall_time import zone_names

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
SCHEDULES = ("weekly", "cron", "rrule", "dated")
LONGEST = timedelta(days=31)
FIRST_YEAR, LAST_YEAR = 2000, 2199
MAX_NAME = 100
MAX_LABELS = 20
MAX_LABEL_VALUES = 100
MAX_EXPRESSION = 500

_TIME = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])(?::([0-5][0-9]))?")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2})?")
_DEFAULT_TIME, _DEFAULT_MOMENT = time(0), datetime(FIRST_YEAR, 1, 1)  # noqa: DTZ001  # wall times

ScheduleCheck = Callable[[Schedule], None]
"""Raises SettingsRefusedError, with the key as its field, for an expression that cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleDraft:
    """A rule that has no id yet. `labels` narrow it to applications that have one of the values of each."""

    kind: RuleKind
    name: str
    zone: str
    schedule: Schedule
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def as_rule(self, id_: int) -> Rule:
        return Rule(id=id_, name=self.name, kind=self.kind, zone=self.zone, schedule=self.schedule)


def read_rule(document: object, *, check: ScheduleCheck) -> RuleDraft:
    """Read {"kind": "window", "name": ..., "zone": ..., "weekly": {...}}. Raises InvalidInputError with every problem."""
    problems = Problems()
    problems.check_plain(document)
    problems.raise_if_any("This is not a window or a freeze.")
    section = Section.of(problems, "", document, known=("kind", "name", "zone", "labels", *SCHEDULES))
    if not section.valid:
        problems.raise_if_any("This is not a window or a freeze.")
    draft = RuleDraft(
        kind=_kind(section),
        name=_name(section),
        zone=_zone(section),
        schedule=_schedule(section, check),
        labels=_labels(section),
    )
    problems.raise_if_any(f"The {draft.kind} cannot be used.")
    return draft


def to_document(rule: Rule | RuleDraft) -> dict[str, Any]:
    """Write what `read_rule` reads."""
    document: dict[str, Any] = {"kind": str(rule.kind), "name": rule.name, "zone": rule.zone}
    match rule.schedule:
        case Weekly(days, start, end):
            names = [WEEKDAYS[day] for day in days]
            document["weekly"] = {"days": names, "from": _written(start), "to": _written(end)}
        case Cron(expression, duration):
            document["cron"] = {"expression": expression, "duration": _length(duration)}
        case RRule(text, first, duration):
            document["rrule"] = {"rule": text, "start": _written(first), "duration": _length(duration)}
        case Dated(first, last):
            document["dated"] = {"from": _written(first), "to": _written(last)}
    if isinstance(rule, RuleDraft) and rule.labels:
        document["labels"] = {key: list(values) for key, values in rule.labels.items()}
    return document


def _length(duration: timedelta) -> str:
    return format_duration(duration.total_seconds())


def _written(moment: datetime | time) -> str:
    return moment.isoformat(timespec="seconds" if moment.second else "minutes")


def _count(problems: Problems) -> int:
    return len(problems.found) + problems.more


def _kind(section: Section) -> RuleKind:
    kinds = [kind.value for kind in RuleKind]
    if not section.has("kind"):
        section.problems.add(section.pointer, "`kind` is missing; write window or freeze")
        return RuleKind.WINDOW
    value = section.values["kind"]
    return RuleKind(value if isinstance(value, str) and value in kinds else section.choice("kind", kinds))


def _name(section: Section) -> str:
    name = section.text("name", default=None, most=MAX_NAME)
    if (
        isinstance(section.values.get("name"), str)
        and name
        and not (name.isprintable() and name.strip() == name)
    ):
        section.problems.add(section.at("name"), "must be one line, without blanks at its ends")
    return name


def _zone(section: Section) -> str:
    zone = section.text("zone", default=None, most=100)
    if zone and zone not in zone_names():
        places = [name for name in zone_names() if "/" in name and not name.startswith("Etc/")]
        hint = suggest(zone, places) if "/" in zone else ""
        if "did you mean" not in hint:
            hint = "; write a place, such as Europe/Berlin, or UTC"
        section.problems.add(section.at("zone"), f"there is no time zone {described(zone)}{hint}")
    return zone


def _schedule(section: Section, check: ScheduleCheck) -> Schedule:
    written = [key for key in SCHEDULES if section.has(key)]
    choices = ", ".join(f"`{key}`" for key in SCHEDULES)
    if not written:
        section.problems.add(section.pointer, f"says not when; write one of {choices}")
        return Dated(_DEFAULT_MOMENT, _DEFAULT_MOMENT)
    for key in written[1:]:
        section.problems.add(section.at(key), f"there is `{written[0]}` too; write only one of {choices}")
    key = written[0]
    reader, known = _READERS[key]
    part = Section.of(section.problems, section.at(key), section.values[key], known=known)
    before = _count(section.problems)
    schedule = reader(part) if part.valid else Dated(_DEFAULT_MOMENT, _DEFAULT_MOMENT)
    if part.valid and _count(section.problems) == before:
        try:
            check(schedule)
        except SettingsRefusedError as error:
            section.problems.add(part.at(error.field) if error.field else part.pointer, error.message)
    return schedule


def _weekly(section: Section) -> Schedule:
    return Weekly(_days(section), _time(section, "from"), _time(section, "to", latest=True))


def _days(section: Section) -> tuple[int, ...]:
    days, at = section.values.get("days"), section.at("days")
    if not isinstance(days, list | tuple) or not days:
        section.problems.add(
            at if section.has("days") else section.pointer, "`days` must be a list, such as [mon, tue, wed]"
        )
        return ()
    found = set()
    for index, day in enumerate(days):
        if not isinstance(day, str) or day not in WEEKDAYS:
            hint = suggest(day, WEEKDAYS) if isinstance(day, str) else f"; there are {', '.join(WEEKDAYS)}"
            section.problems.add(child(at, index), f"there is no day {described(day)}{hint}")
        elif WEEKDAYS.index(day) in found:
            section.problems.add(child(at, index), f"{day} stands here twice; remove one")
        else:
            found.add(WEEKDAYS.index(day))
    return tuple(sorted(found))


def _time(section: Section, key: str, *, latest: bool = False) -> time:
    """Read a time of the day; 24:00 may be the latest one, and is the 00:00 that follows."""
    text = section.text(key, default=None, most=MAX_EXPRESSION)
    if not isinstance(section.values.get(key), str) or not text:
        return _DEFAULT_TIME
    match = _TIME.fullmatch(text)
    if match is not None and match[1] != "24":
        hour, minute, second = (int(part or 0) for part in match.groups())
        return time(hour, minute, second)
    if not (latest and text in {"24:00", "24:00:00"}):
        section.problems.add(
            section.at(key),
            f"must be a time from 00:00 to {'24:00' if latest else '23:59:59'}, not {described(text)}",
        )
    return _DEFAULT_TIME


def _cron(section: Section) -> Schedule:
    return Cron(section.text("expression", default=None, most=MAX_EXPRESSION), _duration(section))


def _rrule(section: Section) -> Schedule:
    text = section.text("rule", default=None, most=MAX_EXPRESSION)
    return RRule(text, _moment(section, "start"), _duration(section))


def _dated(section: Section) -> Schedule:
    before = _count(section.problems)
    dated = Dated(_moment(section, "from"), _moment(section, "to"))
    if dated.end <= dated.start and _count(section.problems) == before:
        section.problems.add(section.at("to"), "must be after `from`")
    return dated


def _duration(section: Section) -> timedelta:
    if not section.has("duration"):
        section.problems.add(section.pointer, "`duration` is missing; write how long it lasts, such as 2h")
    seconds = section.seconds("duration", default=1, least=1, most=LONGEST.total_seconds())
    return timedelta(seconds=seconds)


def _moment(section: Section, key: str) -> datetime:
    text = section.text(key, default=None, most=MAX_EXPRESSION)
    if not isinstance(section.values.get(key), str) or not text:
        return _DEFAULT_MOMENT
    try:
        moment = datetime.fromisoformat(text) if _MOMENT.fullmatch(text) else None
    except ValueError:
        moment = None
    if moment is None:
        section.problems.add(
            section.at(key),
            f"must be a date and time such as 2026-12-20T08:00 on the clocks of `zone`, not `{shortened(text)}`",
        )
    elif not FIRST_YEAR <= moment.year <= LAST_YEAR:
        section.problems.add(section.at(key), f"must be in a year from {FIRST_YEAR} to {LAST_YEAR}")
    else:
        return moment
    return _DEFAULT_MOMENT


def _labels(section: Section) -> dict[str, tuple[str, ...]]:
    if not section.has("labels"):
        return {}
    part = Section.of(section.problems, section.at("labels"), section.values["labels"])
    if len(part.values) > MAX_LABELS:
        section.problems.add(part.pointer, f"there may be at most {MAX_LABELS} labels here")
        return {}
    return {key: _label_values(part, key) for key in part.values}


def _label_values(section: Section, key: str) -> tuple[str, ...]:
    check_name(section.problems, section.at(key), key)
    values = section.values[key]
    if not isinstance(values, list | tuple) or not 1 <= len(values) <= MAX_LABEL_VALUES:
        section.problems.add(
            section.at(key), f"must be a list of 1 to {MAX_LABEL_VALUES} values, such as [payments]"
        )
        return ()
    for index, value in enumerate(values):
        if not isinstance(value, str) or not value or len(value) > MAX_NAME:
            section.problems.add(
                child(section.at(key), index),
                f"must be a text of 1 to {MAX_NAME} characters, not {described(value)}",
            )
    return tuple(value for value in values if isinstance(value, str))


_READERS: Mapping[str, tuple[Callable[[Section], Schedule], tuple[str, ...]]] = {
    "weekly": (_weekly, ("days", "from", "to")),
    "cron": (_cron, ("expression", "duration")),
    "rrule": (_rrule, ("rule", "start", "duration")),
    "dated": (_dated, ("from", "to")),
}
