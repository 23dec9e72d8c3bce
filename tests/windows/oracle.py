"""Windows and freezes by brute force: walk the instants minute by minute and look at the clock on the wall.

Nothing here knows of gaps, folds or transitions. `latest[i]` is the latest the wall has shown up to minute i, `least[i]` the
least it will show from then on. What starts at a wall time holds from when the wall has first reached it. A window ends when
the wall has first reached its end; a freeze when the wall shows its end for the last time, or, if it never shows it, will
not show anything before it any more.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import accumulate
from zoneinfo import ZoneInfo

from orchestrator.domain.windows import Cron, Dated, RRule, Rule, RuleKind, Weekly

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Wall:
    """What clocks in a zone show at `minutes` instants from `start` on, one a minute."""

    start: datetime
    shown: Sequence[datetime]
    latest: Sequence[datetime]
    least: Sequence[datetime]
    last: Mapping[datetime, int]

    @classmethod
    def of(cls, zone: str, start: datetime, minutes: int) -> "Wall":
        there = ZoneInfo(zone)
        shown = [(start + i * MINUTE).astimezone(there).replace(tzinfo=None) for i in range(minutes)]
        least = list(accumulate(reversed(shown), min))[::-1]
        last = {each: minute for minute, each in enumerate(shown)}
        return cls(start, shown, list(accumulate(shown, max)), least, last)

    def reached(self, wall: datetime) -> int:
        """The first minute at which the wall has shown `wall` or something later."""
        return bisect_left(self.latest, wall)

    def passed(self, wall: datetime) -> int:
        """The last minute at which the wall shows `wall`, or else the first from which on it shows nothing before it."""
        return self.last[wall] if wall in self.last else bisect_left(self.least, wall)

    def at(self, minute: int) -> datetime:
        return self.start + minute * MINUTE

    def days(self) -> list[date]:
        first, last = min(self.shown).date(), max(self.shown).date()
        return [first + i * DAY for i in range(-1, (last - first).days + 1)]


def holds(rule: Rule, wall: Wall) -> bytearray:
    """Whether the rule holds, for each minute of the wall."""
    held = bytearray(len(wall.shown))
    for first, last in _spans(rule, wall):
        if first < last:
            held[first:last] = b"\1" * (min(last, len(held)) - first)
    return held


def _spans(rule: Rule, wall: Wall) -> list[tuple[int, int]]:
    ends = wall.passed if rule.kind is RuleKind.FREEZE else wall.reached
    match rule.schedule:
        case Weekly(days, start, end):
            later = DAY if end <= start else timedelta(0)
            some = [day for day in wall.days() if day.weekday() in days]
            return [
                (wall.reached(datetime.combine(day, start)), ends(datetime.combine(day + later, end)))
                for day in some
            ]
        case Dated(first, last):
            return [(wall.reached(first), ends(last))]
        case Cron(expression, duration):
            return [(minute, minute + duration // MINUTE) for minute in _cron(expression, wall)]
        case RRule(text, first, duration):
            starts = [datetime.combine(day, first.time()) for day in wall.days() if _is_on(text, day, first)]
            return [(wall.reached(start), wall.reached(start) + duration // MINUTE) for start in starts]


def _cron(expression: str, wall: Wall) -> list[int]:
    """Of cron only `M H * * DAYS`, with numbers, `*` and lists: at fixed times, or by the clock when M or H is a star."""
    minutes, hours, _, _, days = expression.split()
    allowed = [_numbers(minutes, 60), _numbers(hours, 24), _numbers(days.replace("7", "0"), 7)]

    def fits(at: datetime) -> bool:
        return at.minute in allowed[0] and at.hour in allowed[1] and (at.weekday() + 1) % 7 in allowed[2]

    if "*" in (minutes[0], hours[0]):
        return [minute for minute, at in enumerate(wall.shown) if fits(at)]
    times = [time(hour, minute) for hour in sorted(allowed[1]) for minute in sorted(allowed[0])]
    walls = [datetime.combine(day, each) for day in wall.days() for each in times]
    return [wall.reached(each) for each in walls if fits(each)]


def _numbers(text: str, count: int) -> set[int]:
    return set(range(count)) if text == "*" else {int(each) for each in text.split(",")}


def _is_on(text: str, day: date, first: datetime) -> bool:
    """Of recurrences only `FREQ=DAILY;INTERVAL=n` and `FREQ=WEEKLY;BYDAY=...`."""
    parts = dict(part.split("=") for part in text.split(";"))
    if day < first.date():
        return False
    if parts["FREQ"] == "DAILY":
        return bool((day - first.date()).days % int(parts["INTERVAL"]) == 0)
    return ("MO", "TU", "WE", "TH", "FR", "SA", "SU")[day.weekday()] in parts["BYDAY"].split(",")


@dataclass(frozen=True)
class Judgement:
    """What the oracle says of some rules, for every minute."""

    wall_start: datetime
    allowed: bytes

    @classmethod
    def of(cls, rules: Sequence[Rule], walls: dict[str, Wall]) -> "Judgement":
        some = next(iter(walls.values()))
        windows, freezes = bytearray(len(some.shown)), bytearray(len(some.shown))
        for rule in rules:
            into = windows if rule.kind is RuleKind.WINDOW else freezes
            held = int.from_bytes(into, "big") | int.from_bytes(holds(rule, walls[rule.zone]), "big")
            into[:] = held.to_bytes(len(into), "big")
        if not any(rule.kind is RuleKind.WINDOW for rule in rules):
            windows = bytearray(b"\1" * len(windows))
        open_ = int.from_bytes(windows, "big") & ~int.from_bytes(freezes, "big")
        return cls(some.start, open_.to_bytes(len(windows), "big"))

    def _instant(self, minute: int) -> datetime | None:
        return None if minute < 0 else self.wall_start + minute * MINUTE

    def is_open(self, minute: int) -> bool:
        return bool(self.allowed[minute])

    def next_opening(self, minute: int, horizon: int) -> datetime | None:
        return self._instant(self.allowed.find(1, minute, minute + horizon))

    def closes_at(self, minute: int, horizon: int) -> datetime | None:
        return self._instant(self.allowed.find(0, minute, minute + horizon))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
