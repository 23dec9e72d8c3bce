"""The stretches in which windows and freezes together let deployments start."""

import heapq
from collections.abc import Iterator, Sequence
from datetime import datetime

from orchestrator.domain.intervals import Interval, Runs
from orchestrator.domain.schedules import Occurrences, Rule, RuleKind


def openings(
    rules: Sequence[Rule], start: datetime, end: datetime, *, occurrences: Occurrences
) -> Iterator[Interval]:
    """Give every stretch of [start, end) in which a deployment may start, in order; none touches the next."""
    windows = [rule for rule in rules if rule.kind is RuleKind.WINDOW]
    freezes = [rule for rule in rules if rule.kind is RuleKind.FREEZE]
    frozen = merged(freezes, start, end, occurrences)
    allowed = merged(windows, start, end, occurrences) if windows else None
    at = start
    while (found := _first_opening(at, end, frozen=frozen, allowed=allowed)) is not None:
        yield Interval(found.start, min(found.end, end))
        at = found.end


def merged(rules: Sequence[Rule], now: datetime, end: datetime, occurrences: Occurrences) -> Runs:
    """Give when any of the rules holds."""
    return Runs(heapq.merge(*(occurrences(rule, now, end) for rule in rules)))


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
