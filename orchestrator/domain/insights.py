"""Periods of a calendar as instants, and what is counted over them: the words, and how few are too few to say something."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from zoneinfo import ZoneInfo

from orchestrator.domain.errors import FieldProblem, InvalidInputError
from orchestrator.domain.wall_time import instants, shown, zone_names

MOST_DAYS = 366
DEFAULT_DAYS = 30
FEWEST_FOR_P90 = 10
"""Of fewer values a ninth decile is mostly the greatest of them."""
FEWEST_DAYS = 1.0
"""Of less time nobody can say how often something happens a day."""
PRODUCTION = "production"
_DAY = timedelta(days=1)
_MOST_BUCKETS = 62


class By(StrEnum):
    """What a period is cut into."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Group(StrEnum):
    """Deployments that a number is of: what to ask the list for."""

    FINISHED = "finished"
    SUCCEEDED = "succeeded"
    DEPLOYED = "deployed"
    CHANGES = "changes"
    FAILED = "failed"
    RECOVERED = "recovered"
    UNRECOVERED = "unrecovered"
    REWORK = "rework"
    LEAD_KNOWN = "lead_known"
    LEAD_UNKNOWN = "lead_unknown"
    WAITED = "waited"


DEFINITIONS: Mapping[Group, str] = MappingProxyType(
    {
        Group.FINISHED: "deployments that had started and ended as succeeded or failed, or were rolled back; rollbacks too",
        Group.SUCCEEDED: "deployments that succeeded; rollbacks too",
        Group.DEPLOYED: "changes that succeeded",
        Group.CHANGES: "finished deployments that are no rollbacks",
        Group.FAILED: "changes that failed, or were rolled back later",
        Group.RECOVERED: "failed changes after which a deployment succeeded that held",
        Group.UNRECOVERED: "failed changes after which no deployment has succeeded yet that held",
        Group.REWORK: "rollbacks, retries of what failed, and what was requested while the last deployment lay failed",
        Group.LEAD_KNOWN: "changes whose release came for the first time, and says when it was committed",
        Group.LEAD_UNKNOWN: "changes whose release came for the first time, and does not say when it was committed",
        Group.WAITED: "finished deployments that this held before they started",
    }
)


@dataclass(frozen=True, slots=True)
class Stretch:
    """From an instant up to another, which is not part of it; `first` and `until` as the calendar has them."""

    first: date
    until: date
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Period:
    """Days of a zone's calendar, and what they are cut into: in order, without gaps."""

    whole: Stretch
    zone: str
    by: By
    buckets: Sequence[Stretch]

    def days(self, start: datetime, end: datetime) -> float:
        """How many days of the calendar lie between two instants: a day is one, also where it has 23 hours."""
        return (shown(end, self.zone) - shown(start, self.zone)) / _DAY


def today(now: datetime, zone: str) -> date:
    """What day it is somewhere. Raises InvalidInputError for a zone that is none."""
    check_zone(zone)
    return shown(now, zone).date()


def check_zone(zone: str) -> None:
    """Raise InvalidInputError for what is no IANA name."""
    if zone not in zone_names():
        raise InvalidInputError(
            problems=[FieldProblem("/query/zone", "must be an IANA name, such as Europe/Berlin")]
        )


def period(first: date, until: date, *, zone: str, by: By | None) -> Period:
    """The days from `first` up to `until`, which is not part of it. Raises InvalidInputError."""
    check_zone(zone)
    if not 0 < (until - first).days <= MOST_DAYS:
        raise InvalidInputError(
            problems=[
                FieldProblem(
                    "/query/to", f"must be 1 to {MOST_DAYS} days after `from`, and is not part of it"
                )
            ]
        )
    cut = by or _usual(first, until)
    marks = [first]
    while (following := _next(marks[-1], cut)) < until:
        marks.append(following)
    buckets = [_stretch(one, other, zone) for one, other in zip(marks, [*marks[1:], until], strict=True)]
    return Period(_stretch(first, until, zone), zone, cut, buckets)


def _usual(first: date, until: date) -> By:
    days = (until - first).days
    if days <= _MOST_BUCKETS:
        return By.DAY
    return By.WEEK if days <= 7 * _MOST_BUCKETS / 2 else By.MONTH


def _next(day: date, by: By) -> date:
    """When the next day, week (on Monday) or month begins."""
    if by is By.DAY:
        return day + _DAY
    if by is By.WEEK:
        return day + (7 - day.weekday()) * _DAY
    return (day.replace(day=1) + 32 * _DAY).replace(day=1)


def _stretch(first: date, until: date, zone: str) -> Stretch:
    return Stretch(first, until, _midnight(first, zone), _midnight(until, zone))


def _midnight(day: date, zone: str) -> datetime:
    """When a day begins: not always at midnight, which some days lack."""
    return instants(datetime(day.year, day.month, day.day), ZoneInfo(zone))[0]  # noqa: DTZ001  # wall time


@dataclass(frozen=True, slots=True)
class Spread:
    """How a length of time is spread: half of `count` values are at most `p50_seconds`. None: not enough data."""

    count: int
    p50_seconds: float | None
    p90_seconds: float | None


NOTHING = Spread(0, None, None)


def spread(count: int, percentiles: Sequence[float] | None) -> Spread:
    """Say of a median and a ninth decile only what that many values can say."""
    if not count or percentiles is None:
        return Spread(count, None, None)
    p50, p90 = percentiles
    return Spread(count, p50, p90 if count >= FEWEST_FOR_P90 else None)


def ratio(part: int, whole: int) -> float | None:
    """None: of nothing there is no part."""
    return part / whole if whole else None


def per_day(count: int, days: float) -> float | None:
    """None where too little time has passed to say."""
    return count / days if days >= FEWEST_DAYS else None
