"""The text of an RFC 5545 recurrence: what it may hold, so that whoever follows it never runs into trouble."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import NoReturn

from orchestrator.domain.errors import SettingsRefusedError
from orchestrator.domain.reading import suggest
from orchestrator.domain.wall_time import shown

MAX_COUNT = 10_000
MAX_INTERVAL = 1_000
MAX_CHARACTERS = 500
FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
TIMES_OF_DAY = ("BYHOUR", "BYMINUTE", "BYSECOND")

_RANGES = {
    "INTERVAL": range(1, MAX_INTERVAL + 1),
    "COUNT": range(1, MAX_COUNT + 1),
    "BYMONTH": range(1, 13),
    "BYHOUR": range(24),
    "BYMINUTE": range(60),
    "BYSECOND": range(60),
    "BYMONTHDAY": range(1, 32),
    "BYYEARDAY": range(1, 367),
    "BYWEEKNO": range(1, 54),
    "BYSETPOS": range(1, 367),
}
_ONE = {"INTERVAL", "COUNT"}
_FROM_THE_END = {"BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYSETPOS"}
_KNOWN = ("FREQ", "UNTIL", "WKST", "BYDAY", *_RANGES)
_NOT_WITH = {
    "BYWEEKNO": {"DAILY", "WEEKLY", "MONTHLY"},
    "BYYEARDAY": {"DAILY", "WEEKLY", "MONTHLY"},
    "BYMONTHDAY": {"WEEKLY"},
}
_NUMBER = re.compile(r"[+-]?[0-9]{1,5}")
_DAY = re.compile(r"(?P<nth>[+-]?[0-9]{1,2})?(?:MO|TU|WE|TH|FR|SA|SU)")


@dataclass(frozen=True, slots=True)
class Recurrence:
    """`endless` is the text without COUNT and UNTIL, which those who follow it count and compare themselves."""

    endless: str
    frequency: str
    interval: int
    count: int | None
    until: datetime | None
    """The last moment: a wall time, or an instant when it is aware."""
    starts_a_day: int

    def last_wall(self, zone: str) -> datetime | None:
        """Give the last moment as clocks in `zone` show it."""
        return shown(self.until, zone) if self.until is not None and self.until.tzinfo else self.until


def parse_recurrence(text: str) -> Recurrence:
    """Read `FREQ=WEEKLY;BYDAY=TU`. Raises SettingsRefusedError, which says what to write instead."""
    parts = _parts(text)
    frequency = parts.get("FREQ", "")
    if frequency not in FREQUENCIES:
        _refuse(f"needs FREQ={' or '.join(FREQUENCIES)}; for what happens more often use `cron`")
    if "COUNT" in parts and "UNTIL" in parts:
        _refuse("has COUNT and UNTIL; write one of them")
    numbers = {key: _numbers(key, parts[key]) for key in _RANGES if key in parts}
    _check_days(parts)
    for key, others in _NOT_WITH.items():
        if key in parts and frequency in others:
            _refuse(f"has {key}, which has no meaning with FREQ={frequency}")
    starts = 1
    for key in TIMES_OF_DAY:
        starts *= len(set(numbers.get(key, [0])))
    return Recurrence(
        endless=";".join(f"{key}={value}" for key, value in parts.items() if key not in {"COUNT", "UNTIL"}),
        frequency=frequency,
        interval=numbers.get("INTERVAL", [1])[0],
        count=numbers["COUNT"][0] if "COUNT" in numbers else None,
        until=_moment(parts["UNTIL"]) if "UNTIL" in parts else None,
        starts_a_day=starts,
    )


def _refuse(why: str) -> NoReturn:
    raise SettingsRefusedError("rule", why)


def _parts(text: str) -> dict[str, str]:
    if len(text) > MAX_CHARACTERS:
        _refuse(f"must be at most {MAX_CHARACTERS} characters long")
    parts: dict[str, str] = {}
    for part in text.strip().upper().removeprefix("RRULE:").split(";"):
        key, _, value = (each.strip() for each in part.partition("="))
        if not key or not value:
            _refuse(f"has `{part[:40]}`; write parts such as FREQ=WEEKLY;BYDAY=TU")
        if key not in _KNOWN:
            _refuse(f"has {key[:20]}{suggest(key, _KNOWN)}")
        if key in parts:
            _refuse(f"has {key} twice; write it once")
        parts[key] = value
    return parts


def _numbers(key: str, text: str) -> list[int]:
    found = text.split(",")
    allowed = _RANGES[key]
    values = [int(each) if _NUMBER.fullmatch(each) else None for each in found]
    signed = key in _FROM_THE_END
    fine = [value is not None and (abs(value) if signed else value) in allowed for value in values]
    if not all(fine) or (key in _ONE and len(found) > 1):
        bounds = f"from {allowed[0]} to {allowed[-1]}{', or the same with a minus' if signed else ''}"
        _refuse(f"has {key}={text[:20]}; write {'a number' if key in _ONE else 'numbers'} {bounds}")
    return [value for value in values if value is not None]


def _check_days(parts: Mapping[str, str]) -> None:
    if not _DAY.fullmatch(parts.get("WKST", "MO")) or len(parts.get("WKST", "MO")) != 2:
        _refuse(f"has WKST={parts['WKST'][:20]}; write a day such as MO")
    counted = {"MONTHLY": 5, "YEARLY": 5 if "BYMONTH" in parts else 53}.get(parts["FREQ"], 0)
    if "BYWEEKNO" in parts:
        counted = 0
    for each in parts.get("BYDAY", "MO").split(","):
        day = _DAY.fullmatch(each)
        if day is None:
            _refuse(f"has BYDAY={each[:20]}; write days such as MO,TU or, in a month, 1MO or -1FR")
        if day["nth"] is not None and not 1 <= abs(int(day["nth"])) <= counted:
            most = f"at most {counted} can be counted here" if counted else "days cannot be counted here"
            _refuse(f"has BYDAY={each}; {most}")


def _moment(text: str) -> datetime:
    """Read UNTIL: a day, which counts whole, a wall time, or an instant in UTC."""
    try:
        if len(text) == 8:
            return datetime.combine(datetime.strptime(text, "%Y%m%d"), time.max)  # noqa: DTZ007  # a wall time
        wall = datetime.strptime(text.removesuffix("Z"), "%Y%m%dT%H%M%S")  # noqa: DTZ007
    except ValueError:
        raise SettingsRefusedError(
            "rule", f"has UNTIL={text[:20]}; write it as 20261231 or 20261231T235959Z"
        ) from None
    if not 1971 <= wall.year <= 9998:
        _refuse(f"has UNTIL={text}; write a year from 1971 to 9998")
    return wall.replace(tzinfo=UTC) if text.endswith("Z") else wall
