"""What is odd about a window or a freeze, in plain sentences, for whoever saves it."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice, pairwise

from orchestrator.domain.durations import format_duration
from orchestrator.domain.intervals import Interval, Runs
from orchestrator.domain.openings import openings
from orchestrator.domain.schedules import HORIZON, Dated, Occurrences, Rule, RuleKind, vanishing
from orchestrator.domain.wall_time import is_abbreviation, shown

VANISHING_AHEAD = timedelta(days=731)
_MOST_NAMED = 3


def lint(rule: Rule, now: datetime, *, occurrences: Occurrences) -> list[str]:
    """Say what is probably not meant; the rule can be used all the same."""
    return [
        *_zone(rule),
        *_vanishing(rule, now),
        *_never_or_always(rule, now, Runs(occurrences(rule, now, now + HORIZON)).ending_after(now)),
        *_overlap(rule, now, occurrences),
    ]


def lint_together(
    rules: Sequence[Rule], now: datetime, *, occurrences: Occurrences, soak: timedelta = timedelta(0)
) -> list[str]:
    """Say what is probably not meant of all rules of an environment together, for what has to soak for so long before."""
    end = now + HORIZON
    found = list(openings(rules, now, end, occurrences=occurrences))
    windows = [rule for rule in rules if rule.kind is RuleKind.WINDOW]
    if not found:
        if next(openings(windows, now, end, occurrences=occurrences), None) is None:
            return [f"No window opens within the next {HORIZON.days} days, so nothing ever starts."]
        return [f"Each opening of the next {HORIZON.days} days is frozen, so nothing ever starts."]
    longest = max(each.end - each.start for each in found)
    if windows and longest <= soak:
        long, much = format_duration(longest.total_seconds()), format_duration(soak.total_seconds())
        return [
            f"No opening is longer than {long}, and a release soaks for {much}: what succeeds before in one opening"
            " starts in a later one at the earliest."
        ]
    return []


def _does(rule: Rule) -> str:
    return "open" if rule.kind is RuleKind.WINDOW else "in force"


def _zone(rule: Rule) -> Iterator[str]:
    if is_abbreviation(rule.zone):
        yield (
            f"`{rule.zone}` is an abbreviation and not a place, so it may not follow what clocks anywhere show;"
            " write a place, such as Europe/Berlin."
        )


def _vanishing(rule: Rule, now: datetime) -> Iterator[str]:
    if isinstance(rule.schedule, Dated) and rule.schedule.end <= shown(now, rule.zone):
        return
    lost = vanishing(rule, now, now + VANISHING_AHEAD)
    for stretch in islice(lost, _MOST_NAMED):
        yield (
            f"On {stretch.start:%Y-%m-%d} there is no {rule.kind}: clocks in {rule.zone} leap over"
            f" {stretch.start:%H:%M} to {stretch.end:%H:%M}."
        )
    if more := sum(1 for _ in lost):
        yield f"The same happens {more} more times within two years."


def _never_or_always(rule: Rule, now: datetime, run: Interval | None) -> Iterator[str]:
    if run is None:
        if isinstance(rule.schedule, Dated) and rule.schedule.end <= shown(now, rule.zone):
            yield f"It ended on {rule.schedule.end:%Y-%m-%d at %H:%M} and has no effect any more."
        else:
            yield f"It is never {_does(rule)} within the next {HORIZON.days} days."
    elif run.start <= now and run.end >= now + HORIZON:
        yield f"It is always {_does(rule)}, for the next {HORIZON.days} days at least."


def _overlap(rule: Rule, now: datetime, occurrences: Occurrences) -> Iterator[str]:
    for one, following in pairwise(occurrences(rule, now, now + HORIZON)):
        begins, next_begins = shown(one.start, rule.zone), shown(following.start, rule.zone)
        # In wall time: what runs into the next one only because clocks leap is as it was meant.
        if following.start < one.end and next_begins - begins < one.end - one.start:
            yield (
                f"It overlaps itself: what begins on {begins:%Y-%m-%d at %H:%M} ends after the next"
                f" begins, on {next_begins:%Y-%m-%d at %H:%M}."
            )
            return
