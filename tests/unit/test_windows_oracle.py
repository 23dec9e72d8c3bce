"""Windows and freezes against the brute-force oracle; `python -m tests.windows` draws a million."""

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.domain.windows import Rule, RuleKind, Weekly, evaluate
from orchestrator.recurrence import occurrences
from tests.windows.comparison import ZONES, changes, compare
from tests.windows.oracle import DAY, MINUTE, Judgement, Wall

# Published changes of clocks (UTC) that the oracle's walls have to show.
KNOWN = [
    ("Europe/Berlin", "2026-03-29T01:00", "02:00", "03:00"),
    ("America/New_York", "2026-11-01T06:00", "02:00", "01:00"),
    ("Australia/Lord_Howe", "2026-04-04T15:00", "02:00", "01:30"),
]


@pytest.mark.parametrize(("zone", "change", "before", "after"), KNOWN)
def test_the_wall_shows_the_published_changes(zone: str, change: str, before: str, after: str) -> None:
    at = datetime.fromisoformat(change).replace(tzinfo=UTC)
    wall = Wall.of(zone, at - MINUTE, 2)
    assert f"{wall.shown[0] + MINUTE:%H:%M}" == before
    assert f"{wall.shown[1]:%H:%M}" == after
    assert any(abs(each - at) < timedelta(hours=1) for each in changes(zone))


@pytest.mark.parametrize("seed", range(10))  # ten, so that no process has them all
def test_twenty_thousand_cases_agree_with_the_oracle(seed: int) -> None:
    outcome = compare(2_000, seed)
    assert (outcome.cases, outcome.zones) == (2_000, len(ZONES))
    assert not outcome.differences, outcome.differences[0]


@cache
def walls(zone: str, change: datetime) -> dict[str, Wall]:
    return {zone: Wall.of(zone, change - 3 * DAY, 6 * DAY // MINUTE)}


hours = st.times().map(lambda each: each.replace(second=0, microsecond=0))
weeklies = st.builds(
    Weekly, st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days))), hours, hours
)
places = st.sampled_from(
    [(zone, change) for zone in ("Europe/Berlin", "Australia/Lord_Howe") for change in changes(zone)[:2]]
)


@settings(max_examples=200)
@given(
    places,
    st.lists(st.tuples(st.sampled_from(RuleKind), weeklies), min_size=1, max_size=4),
    st.integers(-1440, 1440),
)
def test_any_week_agrees_with_the_oracle(
    place: tuple[str, datetime], drawn: list[tuple[RuleKind, Weekly]], minute: int
) -> None:
    zone, change = place
    rules = [
        Rule(id=i, name="any", kind=kind, zone=zone, schedule=each) for i, (kind, each) in enumerate(drawn)
    ]
    judgement = Judgement.of(rules, walls(zone, change))
    index, horizon = minute + 3 * 1440, 1440
    ours = evaluate(rules, change + minute * MINUTE, occurrences=occurrences, horizon=horizon * MINUTE)
    assert ours.is_open == judgement.is_open(index)
    assert ours.next_opening == judgement.next_opening(index, horizon)
    assert ours.closes_at == (judgement.closes_at(index, horizon) if ours.is_open else None)
    assert bool(ours.freezes) <= (not ours.is_open)


@given(
    st.sampled_from(ZONES),
    st.datetimes(datetime.fromisoformat("2024-01-01"), datetime.fromisoformat("2030-01-01")),
    weeklies,
    st.sampled_from(RuleKind),
)
def test_occurrences_come_in_order_and_are_never_empty(
    zone: str, start: datetime, week: Weekly, kind: RuleKind
) -> None:
    begin = start.replace(tzinfo=UTC)
    one = Rule(id=1, name="any", kind=kind, zone=zone, schedule=week)
    found = list(occurrences(one, begin, begin + 30 * DAY))
    assert found == sorted(found)
    for each in found:
        assert each.start < each.end
        assert each.end > begin
        assert each.start < begin + 30 * DAY
        assert each.start.astimezone(ZoneInfo(zone)).second == 0
