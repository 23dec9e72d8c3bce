"""What a window or a freeze is, and when it holds where that needs no library: times of the week, and dates."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from orchestrator.domain.intervals import Interval
from orchestrator.domain.wall_time import instants, shown

DAY = timedelta(days=1)
HORIZON = timedelta(days=400)
"""How far ahead is looked: a year and a month, so that what happens once a year is found."""


class RuleKind(StrEnum):
    """A window says when deploying is allowed, a freeze when it is not."""

    WINDOW = "window"
    FREEZE = "freeze"


@dataclass(frozen=True, slots=True)
class Weekly:
    """On some days of the week (Monday is 0), between two times; an `end` not after `start` is on the next day."""

    days: tuple[int, ...]
    start: time
    end: time


@dataclass(frozen=True, slots=True)
class Cron:
    """Whenever cron would start something, for a while."""

    expression: str
    duration: timedelta


@dataclass(frozen=True, slots=True)
class RRule:
    """As an RFC 5545 recurrence from `start` (a wall time) on says, each for a while."""

    text: str
    start: datetime
    duration: timedelta


@dataclass(frozen=True, slots=True)
class Dated:
    """Once, between two wall times."""

    start: datetime
    end: datetime


Schedule = Weekly | Cron | RRule | Dated


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A window or a freeze; its wall times are those of `zone` (an IANA name)."""

    id: int
    name: str
    kind: RuleKind
    zone: str
    schedule: Schedule


Occurrences = Callable[[Rule, datetime, datetime], Iterable[Interval]]
"""Gives what of a rule has to do with [start, end), uncut, in the order of the starts; best as an iterator."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """One occurrence in wall time, before it is known whether anything is left of it."""

    start: datetime
    end: datetime

    def resolved(self, kind: RuleKind, zone: str) -> Interval | None:
        """Give its instants; None when clocks leap over all of it. What ends twice ends late for a freeze, else early."""
        there = ZoneInfo(zone)
        start, _ = instants(self.start, there)
        closes, closes_again = instants(self.end, there)
        end = closes_again if kind is RuleKind.FREEZE else closes
        return Interval(start, end) if start < end else None


def stretches(schedule: Weekly | Dated, since: date, until: date) -> Iterator[Stretch]:
    """Give the occurrences that may have to do with the days `since` to `until`, in order."""
    if isinstance(schedule, Dated):
        yield Stretch(schedule.start, schedule.end)
        return
    length = 0 if schedule.end > schedule.start else 1
    for ordinal in range(since.toordinal() - length, until.toordinal() + 1):
        day = date.fromordinal(ordinal)
        if day.weekday() in schedule.days:
            last = date.fromordinal(ordinal + length)
            yield Stretch(datetime.combine(day, schedule.start), datetime.combine(last, schedule.end))


def plain_occurrences(
    rule: Rule, schedule: Weekly | Dated, *, start: datetime, end: datetime
) -> Iterator[Interval]:
    """Give what of a rule with this schedule has to do with [start, end), in the order of the starts."""
    since, until = shown(start - DAY, rule.zone).date(), shown(end + DAY, rule.zone).date()
    for stretch in stretches(schedule, since, until):
        interval = stretch.resolved(rule.kind, rule.zone)
        if interval is not None and interval.end > start:
            if interval.start >= end:
                return
            yield interval


def vanishing(rule: Rule, start: datetime, end: datetime) -> Iterator[Stretch]:
    """Give the occurrences within [start, end) of which nothing is left, because clocks leap over them."""
    if not isinstance(rule.schedule, Weekly | Dated):
        return  # a duration is added in UTC, so nothing of these is ever lost
    since, until = shown(start, rule.zone), shown(end, rule.zone)
    for stretch in stretches(rule.schedule, since.date(), until.date()):
        if since <= stretch.start < until and stretch.resolved(rule.kind, rule.zone) is None:
            yield stretch
