"""Windows and freezes: whether a deployment may start, until when, and when next."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from orchestrator.domain.openings import merged, openings
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
from orchestrator.domain.window_lint import lint, lint_together

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
    "lint_together",
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
    opened_at: datetime | None = None
    """When open: since when, where that is after the instant from which on it was looked at."""
    has_windows: bool = True
    """Where there are none, only freezes keep it shut."""


def evaluate(
    rules: Sequence[Rule],
    now: datetime,
    *,
    occurrences: Occurrences,
    horizon: timedelta = HORIZON,
    since: datetime | None = None,
) -> Opening:
    """Judge `now`: open unless a freeze holds, or there are windows and none of them is open.

    `since`, not after `now`: from when on to look for the opening that lasts.
    """
    end, begin = now + horizon, now if since is None else since
    windows = [rule for rule in rules if rule.kind is RuleKind.WINDOW]
    freezes = [rule for rule in rules if rule.kind is RuleKind.FREEZE]
    found = openings(rules, begin, end, occurrences=occurrences)
    opens = next((each for each in found if each.end > now), None)
    is_open = opens is not None and opens.start <= now
    return Opening(
        is_open=is_open,
        freezes=_active(freezes, now, end, occurrences),
        windows=_active(windows, now, end, occurrences),
        closes_at=opens.end if opens is not None and is_open and opens.end < end else None,
        next_opening=max(opens.start, now) if opens is not None else None,
        opened_at=opens.start if opens is not None and begin < opens.start <= now else None,
        has_windows=bool(windows),
    )


def jitter(slot: str, opening: datetime, closing: datetime | None, *, most: timedelta) -> timedelta:
    """Spread what waits for `opening` over `most`, the same for a slot each time, and before half of it is over.

    By the slot and not by the deployment: those of one queue keep their order.
    """
    room = most if closing is None else min(most, (closing - opening) / 2)
    microseconds = room // timedelta(microseconds=1)
    if microseconds <= 0:
        return timedelta(0)
    number = int.from_bytes(hashlib.sha256(slot.encode()).digest()[:8], "big")
    return timedelta(microseconds=number % microseconds)


def _active(
    rules: Sequence[Rule], now: datetime, end: datetime, occurrences: Occurrences
) -> tuple[Active, ...]:
    runs = ((rule, merged([rule], now, end, occurrences).ending_after(now)) for rule in rules)
    return tuple(Active(rule, run.end) for rule, run in runs if run is not None and run.covers(now))
