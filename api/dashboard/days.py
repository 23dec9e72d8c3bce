"""A calendar by days, in somebody's zone: what is open, frozen and expected on each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from orchestrator.domain.intervals import Interval
from orchestrator.domain.windows import RuleKind
from orchestrator.services.calendars import Calendar

WEEK, MONTH = "week", "month"


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a day; times of the day as they are said."""

    start: str
    end: str
    name: str = ""

    @property
    def is_whole_day(self) -> bool:
        return (self.start, self.end) == ("00:00", "24:00")


@dataclass(frozen=True, slots=True)
class Expected:
    """A deployment at a time of the day; without an id one that a schedule will request."""

    at: str
    what: str
    id: int | None
    is_certain: bool
    """It is scheduled for then; else it is only foretold."""


@dataclass(slots=True)
class Day:
    """One day."""

    date: date
    is_outside: bool
    """Not of the month that is shown."""
    is_today: bool
    openings: list[Span] = field(default_factory=list)
    freezes: list[Span] = field(default_factory=list)
    expected: list[Expected] = field(default_factory=list)


def dates(view: str, at: date) -> list[date]:
    """The days that are shown: whole weeks, from Monday on."""
    first = at.replace(day=1) if view == MONTH else at
    first -= timedelta(days=first.weekday())
    count = 7
    if view == MONTH:
        following = (at.replace(day=28) + timedelta(days=4)).replace(day=1)
        count = -(-(following - first).days // 7) * 7
    return [first + timedelta(days=number) for number in range(count)]


def neighbours(view: str, at: date) -> tuple[date, date]:
    """A day of the week or month before, and of the one after."""
    if view == WEEK:
        return at - timedelta(days=7), at + timedelta(days=7)
    return at.replace(day=1) - timedelta(days=1), (at.replace(day=28) + timedelta(days=4)).replace(day=1)


def bounds(shown: Sequence[date], zone: ZoneInfo) -> tuple[datetime, datetime]:
    """From the first moment of the first day to the first one after the last."""
    return _midnight(shown[0], zone), _midnight(shown[-1] + timedelta(days=1), zone)


def by_day(found: Calendar, shown: Sequence[date], *, zone: ZoneInfo, month: int | None) -> list[Day]:
    """What the calendar says, day by day."""
    today = found.at.astimezone(zone).date()
    days = [
        Day(each, is_outside=month is not None and each.month != month, is_today=each == today)
        for each in shown
    ]
    expected = list(_expected(found, zone))
    for day in days:
        part = _Part(*bounds([day.date], zone), zone)
        day.openings = [part.span(each) for each in found.openings if part.touches(each)]
        day.freezes = [
            part.span(each, rule.name)
            for rule, each in found.occurrences
            if rule.kind is RuleKind.FREEZE and part.touches(each)
        ]
        day.expected = [what for at, what in expected if part.start <= at < part.end]
    return days


def _expected(found: Calendar, zone: ZoneInfo) -> Iterator[tuple[datetime, Expected]]:
    ways = []
    for row, forecast in found.deployments:
        at = forecast.starts_at or row.scheduled_for
        ways.append((at, f"{row.application} {row.version}", row.id, row.scheduled_for == at))
    ways += [(at, row.application, None, True) for row, at in found.recurring]
    for at, what, id, is_certain in sorted(ways, key=lambda each: each[0]):
        yield at, Expected(f"{at.astimezone(zone):%H:%M}", what, id, is_certain)


@dataclass(frozen=True, slots=True)
class _Part:
    """A day as a part of time."""

    start: datetime
    end: datetime
    zone: ZoneInfo

    def touches(self, each: Interval) -> bool:
        """Whether some of it is on this day."""
        return each.start < self.end and each.end > self.start

    def span(self, each: Interval, name: str = "") -> Span:
        """What of it is on this day."""
        begun = "00:00" if each.start <= self.start else f"{each.start.astimezone(self.zone):%H:%M}"
        over = "24:00" if each.end >= self.end else f"{each.end.astimezone(self.zone):%H:%M}"
        return Span(begun, over, name)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)
