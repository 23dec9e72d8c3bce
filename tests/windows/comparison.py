"""Draws rules and instants around changes of clocks, and compares what is said of them."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from orchestrator.domain.windows import Cron, Dated, RRule, Rule, RuleKind, Schedule, Weekly, evaluate
from orchestrator.recurrence import occurrences
from tests.windows.oracle import DAY, MINUTE, Judgement, Wall

ZONES = (
    "Europe/Berlin",
    "Europe/Lisbon",
    "Europe/Dublin",
    "America/New_York",
    "America/Havana",
    "America/Santiago",
    "America/Scoresbysund",
    "America/Nuuk",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Asia/Beirut",
    "Asia/Kolkata",
    "Asia/Gaza",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Antarctica/Troll",
    "UTC",
)
"""Leaps of half an hour, of two hours, at midnight, into negative summer time; and two that never change."""
YEARS = range(2024, 2031)
HOUR = timedelta(hours=1)
BEFORE, AFTER = 6 * DAY, 8 * DAY
HORIZON = timedelta(days=5)
INSTANTS_A_SET = 50
SETS_A_CHANGE = 8
"""At least; walking the walls of a change costs as much, so a small run goes to some changes only, drawn by its seed."""


@dataclass(frozen=True)
class Outcome:
    cases: int
    changes: int
    zones: int
    seed: int
    differences: list[str]

    @property
    def summary(self) -> str:
        return (
            f"{self.cases} cases (seed {self.seed}) around {self.changes} changes of clocks in {self.zones} zones:"
            f" {len(self.differences)} differences"
        )


@cache
def changes(zone: str) -> tuple[datetime, ...]:
    """The first whole hours after the changes of clocks: of each day that ends otherwise than it began."""
    there, found = ZoneInfo(zone), []

    def offset(at: datetime) -> timedelta | None:
        return at.astimezone(there).utcoffset()

    day = datetime(YEARS[0], 1, 1, tzinfo=UTC)
    while day.year in YEARS:
        if offset(day) != offset(day + DAY):
            hours = [day + n * HOUR for n in range(1, 25)]
            found += [each for each in hours if offset(each) != offset(each - HOUR)]
        day += DAY
    return tuple(found) or tuple(datetime(year, 7, 1, tzinfo=UTC) for year in YEARS)


def compare(cases: int, seed: int) -> Outcome:
    """Draw `cases` instants, some of them for the same rules."""
    draw = random.Random(seed)
    around = [(zone, at) for zone in ZONES for at in changes(zone)]
    draw.shuffle(around)
    sets = max(SETS_A_CHANGE, -(-cases // (len(around) * INSTANTS_A_SET)))
    differences: list[str] = []
    done = turn = 0
    while done < cases:
        zone, change = around[turn % len(around)]
        turn += 1
        for difference in _around(draw, zone, change, sets=sets):
            if done == cases:
                break
            done += 1
            if difference:
                differences.append(difference)
    return Outcome(done, min(turn, len(around)), len(ZONES), seed, differences)


def _around(draw: random.Random, zone: str, change: datetime, *, sets: int) -> Iterator[str]:
    other = draw.choice(ZONES) if draw.random() < 0.3 else zone
    start, minutes = change - BEFORE, (BEFORE + AFTER) // MINUTE
    walls = {each: Wall.of(each, start, minutes) for each in {zone, other}}
    for _ in range(sets):
        zones = [zone, zone, zone, other]
        rules = [_rule(draw, i, draw.choice(zones), change) for i in range(draw.randint(1, 4))]
        judgement = Judgement.of(rules, walls)
        for _ in range(INSTANTS_A_SET):
            yield _difference(rules, judgement, change + draw.randint(-3 * 1440, 2 * 1440) * MINUTE)


def _difference(rules: list[Rule], judgement: Judgement, now: datetime) -> str:
    ours = evaluate(rules, now, occurrences=occurrences, horizon=HORIZON)
    minute, horizon = (now - judgement.wall_start) // MINUTE, HORIZON // MINUTE
    is_open = judgement.is_open(minute)
    theirs = (
        is_open,
        judgement.next_opening(minute, horizon),
        judgement.closes_at(minute, horizon) if is_open else None,
    )
    said = (ours.is_open, ours.next_opening, ours.closes_at)
    return "" if said == theirs else f"{now}: {said} is not {theirs} for {rules}"


def _rule(draw: random.Random, number: int, zone: str, change: datetime) -> Rule:
    kind = RuleKind.FREEZE if draw.random() < 0.4 else RuleKind.WINDOW
    schedule = draw.choice([_weekly, _weekly, _weekly, _cron, _rrule, _dated])(draw, zone, change)
    return Rule(id=number, name=f"rule-{number}", kind=kind, zone=zone, schedule=schedule)


def _near(draw: random.Random, zone: str, change: datetime, spread: int = 180) -> datetime:
    """A wall time that is probably near to what the wall shows at the change."""
    minutes = draw.choice([draw.randint(-spread, spread), 15 * draw.randint(-spread // 15, spread // 15)])
    return change.astimezone(ZoneInfo(zone)).replace(tzinfo=None) + minutes * MINUTE


def _time(draw: random.Random, zone: str, change: datetime) -> time:
    if draw.random() < 0.3:
        return time(draw.randrange(24), draw.choice([0, 15, 30, 59]))
    return _near(draw, zone, change).time()


def _duration(draw: random.Random) -> timedelta:
    return draw.choice([1, 15, 30, 59, 60, 61, 90, 120, 240, 1440, 2000]) * MINUTE


def _weekly(draw: random.Random, zone: str, change: datetime) -> Schedule:
    days = tuple(sorted(draw.sample(range(7), draw.randint(1, 7))))
    return Weekly(days, _time(draw, zone, change), _time(draw, zone, change))


def _cron(draw: random.Random, zone: str, change: datetime) -> Schedule:
    at = _time(draw, zone, change)
    minute = draw.choice([f"{at.minute}", f"{at.minute},30"])
    hour = draw.choice(["*", f"{at.hour}", f"{at.hour},{(at.hour + 1) % 24}"])
    days = draw.choice(["*", "1,2,3,4,5", "0,6", "7"])
    return Cron(f"{minute} {hour} * * {days}", _duration(draw))


def _rrule(draw: random.Random, zone: str, change: datetime) -> Schedule:
    text = draw.choice(
        ["FREQ=DAILY;INTERVAL=1", "FREQ=DAILY;INTERVAL=3", "FREQ=WEEKLY;BYDAY=SA,SU", "FREQ=WEEKLY;BYDAY=FR"]
    )
    first = _near(draw, zone, change) - draw.choice([0, 3, 30, 400]) * DAY
    return RRule(text, first, _duration(draw))


def _dated(draw: random.Random, zone: str, change: datetime) -> Schedule:
    start = _near(draw, zone, change, spread=1440)
    return Dated(start, start + draw.choice([1, 30, 60, 600, 1440, 3000]) * MINUTE)
