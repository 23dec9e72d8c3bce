"""Windows and freezes: whether a deployment may start, until when, and when next."""

import hashlib
import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from orchestrator.domain.intervals import Interval, Runs
from orchestrator.domain.schedules import (
    HORIZON,
    Cron,
    Dated,
    Occurrences,
    RRule,
    Rule,
    RuleKind,
    Schedule,
    Weekly,
)
from orchestrator.domain.window_lint import lint

__all__ = [
    "HORIZON",
    "Active",
    "Cron",
    "Dated",
    "Occurrences",
    "Opening",
    "RRule",
    "Rule",
    "RuleKind",
    "Schedule",
    "Weekly",
    "WhenClosed",
    "evaluate",
    "jitter",
    "lint",
    "openings",
]


class WhenClosed(StrEnum):
    """What becomes of a deployment that runs when its window closes."""

    FINISH = "finish"
    PAUSE = "pause_between_waves"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Active:
    """A rule that holds now; `until` it does not, occurrences that touch taken together."""

    rule: Rule
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """Whether a deployment may start, and why. An instant that is not within the horizon is None."""

    is_open: bool
    freezes: tuple[Active, ...]
    windows: tuple[Active, ...]
    closes_at: datetime | None
    """When open: the next instant at which it is not."""
    next_opening: datetime | None
    """The first instant, from now on, at which a deployment may start."""


def evaluate(
    rules: Sequence[Rule], now: datetime, *, occurrences: Occurrences, horizon: timedelta = HORIZON
) -> Opening:
    """Judge `now`: open unless a freeze holds, or there are windows and none of them is open."""
    end = now + horizon
    windows = [rule for rule in rules if rule.kind is RuleKind.WINDOW]
    freezes = [rule for rule in rules if rule.kind is RuleKind.FREEZE]
    opens = next(openings(rules, now, end, occurrences=occurrences), None)
    is_open = opens is not None and opens.start == now
    return Opening(
        is_open=is_open,
        freezes=_active(freezes, now, end, occurrences),
        windows=_active(windows, now, end, occurrences),
        closes_at=opens.end if opens is not None and is_open and opens.end < end else None,
        next_opening=opens.start if opens is not None else None,
    )


def openings(
    rules: Sequence[Rule], start: datetime, end: datetime, *, occurrences: Occurrences
) -> Iterator[Interval]:
    """Give every stretch of [start, end) in which a deployment may start, in order; none touches the next."""
    windows = [rule for rule in rules if rule.kind is RuleKind.WINDOW]
    freezes = [rule for rule in rules if rule.kind is RuleKind.FREEZE]
    frozen = _runs(freezes, start, end, occurrences)
    allowed = _runs(windows, start, end, occurrences) if windows else None
    at = start
    while (found := _first_opening(at, end, frozen=frozen, allowed=allowed)) is not None:
        yield Interval(found.start, min(found.end, end))
        at = found.end


def jitter(deployment_id: int, opening: datetime, closing: datetime | None, *, most: timedelta) -> timedelta:
    """Spread what waits for `opening` over `most`, the same for a deployment each time, and before half of it is over."""
    room = most if closing is None else min(most, (closing - opening) / 2)
    microseconds = room // timedelta(microseconds=1)
    if microseconds <= 0:
        return timedelta(0)
    number = int.from_bytes(hashlib.sha256(str(deployment_id).encode()).digest()[:8], "big")
    return timedelta(microseconds=number % microseconds)


def _runs(rules: Sequence[Rule], now: datetime, end: datetime, occurrences: Occurrences) -> Runs:
    return Runs(heapq.merge(*(occurrences(rule, now, end) for rule in rules)))


def _active(
    rules: Sequence[Rule], now: datetime, end: datetime, occurrences: Occurrences
) -> tuple[Active, ...]:
    runs = ((rule, _runs([rule], now, end, occurrences).ending_after(now)) for rule in rules)
    return tuple(Active(rule, run.end) for rule, run in runs if run is not None and run.covers(now))


def _first_opening(now: datetime, end: datetime, *, frozen: Runs, allowed: Runs | None) -> Interval | None:
    """Find where a deployment may start first, and up to when; `allowed` None: no window is asked for."""
    at = now
    while at < end:
        freeze = frozen.ending_after(at)
        if freeze is not None and freeze.covers(at):
            at = freeze.end
            continue
        window = Interval(at, end) if allowed is None else allowed.ending_after(at)
        if window is None:
            return None
        if window.covers(at):
            return Interval(at, window.end if freeze is None else min(window.end, freeze.start))
        at = window.start
    return None
