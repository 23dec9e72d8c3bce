"""Half-open stretches of time, and runs of them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """From `start` up to, but without, `end`: both aware and in UTC, and never empty."""

    start: datetime
    end: datetime

    def covers(self, at: datetime) -> bool:
        return self.start <= at < self.end


def merged(intervals: Iterable[Interval]) -> Iterator[Interval]:
    """Join what overlaps or touches; `intervals` come in the order of their starts, and no more are taken than needed."""
    run: Interval | None = None
    for each in intervals:
        if run is None:
            run = each
        elif each.start <= run.end:
            run = Interval(run.start, max(run.end, each.end))
        else:
            yield run
            run = each
    if run is not None:
        yield run


class Runs:
    """Looks up merged runs from an earlier instant to a later one, never back."""

    def __init__(self, intervals: Iterable[Interval]) -> None:
        self._rest = merged(intervals)
        self._current = next(self._rest, None)

    def ending_after(self, at: datetime) -> Interval | None:
        """Give the run that covers `at`, or else the next one."""
        while self._current is not None and self._current.end <= at:
            self._current = next(self._rest, None)
        return self._current
