"""When windows and freezes hold: what cron expressions and RFC 5545 recurrences mean, without ever looping for ever."""

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from dateutil.rrule import rrulestr

from orchestrator.domain.errors import SettingsRefusedError
from orchestrator.domain.intervals import Interval
from orchestrator.domain.rrule_text import Recurrence, parse_recurrence
from orchestrator.domain.schedules import (
    DAY,
    Cron,
    Dated,
    RRule,
    Rule,
    Schedule,
    Weekly,
    plain_occurrences,
)
from orchestrator.domain.wall_time import instants, shown

MAX_STARTS_A_DAY = 48
MAX_CRON_CHARACTERS = 200
MAX_YEARS_BEFORE = 50
"""To the first occurrence. A Monday that is a 29 February comes after 40 at most, around 2100."""

_ALL_CYCLES = 7600
"""Years. The calendar repeats itself after 400, weekdays included, so a recurrence may be followed that much later;
the library ends at the year 9999 and not before, so what never happens costs it a fifth of a second and not eight."""
_EPOCH = datetime(2000, 1, 1)  # noqa: DTZ001  # a wall time
_SECOND = timedelta(seconds=1)
_STEPS = {"DAILY": DAY, "WEEKLY": 7 * DAY}


def occurrences(rule: Rule, start: datetime, end: datetime) -> Iterator[Interval]:
    """Give what of a rule has to do with [start, end), uncut, in the order of the starts, one after the other.

    Raises SettingsRefusedError when the expression is not one that `check` accepts.
    """
    schedule = rule.schedule
    if isinstance(schedule, Weekly | Dated):
        yield from plain_occurrences(rule, schedule, start=start, end=end)
        return
    since = shown(start - schedule.duration - DAY, rule.zone)
    until = shown(end + DAY, rule.zone)
    walls: Iterator[datetime]
    if isinstance(schedule, Cron):
        twice = _follows_the_clock(schedule.expression)
        walls = takewhile(lambda each: each < until, _parsed_cron(schedule.expression, since - _SECOND))
    else:
        twice = False
        walls = _rrule(schedule, rule.zone, since=since, until=until)
    for at in _starts(walls, rule.zone, follows_the_clock=twice):
        if at >= end:
            return
        if at + schedule.duration > start:
            yield Interval(at, at + schedule.duration)


def check(schedule: Schedule) -> None:
    """Raise SettingsRefusedError, which says what to write instead, for an expression that cannot be used."""
    if isinstance(schedule, Cron):
        _check_cron(schedule.expression)
    elif isinstance(schedule, RRule):
        _check_rrule(schedule)


def _starts(walls: Iterable[datetime], zone: str, *, follows_the_clock: bool) -> Iterator[datetime]:
    """Give the instants of wall times, in order: in a gap the transition, in a fold the first.

    What follows the clock, such as each half hour, is not run in the gap and is run twice in the fold.
    """
    there = ZoneInfo(zone)
    later: deque[datetime] = deque()
    for wall in walls:
        first, second = instants(wall, there)
        while later and later[0] <= first:
            yield later.popleft()
        if not follows_the_clock:
            yield first
        elif first.astimezone(there).replace(tzinfo=None) == wall:
            yield first
            if second != first:
                later.append(second)
    yield from later


def _parsed_cron(expression: str, after: datetime) -> CronSim:
    if len(expression) > MAX_CRON_CHARACTERS:
        raise SettingsRefusedError("expression", f"must be at most {MAX_CRON_CHARACTERS} characters long")
    if len(expression.split()) != 5:  # the library takes a sixth, for seconds
        raise SettingsRefusedError(
            "expression",
            "must have five fields: minute, hour, day of the month, month, day of the week; for example 0 22 * * 1-5",
        )
    try:
        return CronSim(expression, after)
    except CronSimError as error:
        raise SettingsRefusedError("expression", f"cannot be used: {str(error).lower()}") from error


def _follows_the_clock(expression: str) -> bool:
    """Whether Debian's cron runs this by the clock, and not at a time that it takes care not to miss or to double."""
    minute, hour = expression.split()[:2]
    return minute.startswith("*") or hour.startswith("*")


def _check_cron(expression: str) -> None:
    cron = _parsed_cron(expression, _EPOCH)
    starts = len(cron.minutes) * len(cron.hours)
    if starts > MAX_STARTS_A_DAY:
        raise SettingsRefusedError("expression", _too_often(starts))
    if next(cron, None) is None:
        raise SettingsRefusedError("expression", "never happens; is there such a day in such a month?")


def _too_often(starts: int) -> str:
    return f"starts {starts} times a day; at most {MAX_STARTS_A_DAY} are possible, with a longer duration"


def _check_rrule(schedule: RRule) -> None:
    recurrence = parse_recurrence(schedule.text)
    if recurrence.starts_a_day > MAX_STARTS_A_DAY:
        raise SettingsRefusedError("rule", _too_often(recurrence.starts_a_day))
    first = next(_endless(recurrence, schedule.start), None)
    if first is None or first.year > schedule.start.year + MAX_YEARS_BEFORE:
        raise SettingsRefusedError("rule", "never happens; is there such a day in such a month?")


def _endless(recurrence: Recurrence, start: datetime) -> Iterator[datetime]:
    """Give the wall times of a recurrence from `start` on, as if it had neither COUNT nor UNTIL."""
    try:
        found = rrulestr(recurrence.endless, dtstart=start.replace(year=start.year + _ALL_CYCLES))
    except ValueError as error:
        raise SettingsRefusedError("rule", f"cannot be used: {error}") from error
    return (each.replace(year=each.year - _ALL_CYCLES) for each in found)


def _rrule(schedule: RRule, zone: str, *, since: datetime, until: datetime) -> Iterator[datetime]:
    recurrence = parse_recurrence(schedule.text)
    last = recurrence.last_wall(zone)
    start = schedule.start
    step = _STEPS.get(recurrence.frequency)
    if step is not None and recurrence.count is None and since > start:
        step *= recurrence.interval
        start += (since - start) // step * step  # what is long past need not be walked through
    walls = takewhile(
        lambda each: each < until and (last is None or each <= last), _endless(recurrence, start)
    )
    return (each for each in islice(walls, recurrence.count) if each >= since)
