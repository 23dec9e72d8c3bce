"""Days, weeks and months of a zone as instants, and how few are too few."""

from datetime import UTC, date, datetime

import pytest

from orchestrator.domain.durations import rough_duration
from orchestrator.domain.errors import InvalidInputError
from orchestrator.domain.insights import By, Spread, per_day, period, ratio, spread


def utc(written: str) -> datetime:
    return datetime.fromisoformat(written).replace(tzinfo=UTC)


def test_a_day_begins_where_its_zone_says() -> None:
    found = period(date(2026, 3, 28), date(2026, 3, 31), zone="Europe/Berlin", by=By.DAY)
    # At two o'clock on the 29th clocks leap ahead by an hour.
    assert [(each.start, each.end) for each in found.buckets] == [
        (utc("2026-03-27 23:00"), utc("2026-03-28 23:00")),
        (utc("2026-03-28 23:00"), utc("2026-03-29 22:00")),
        (utc("2026-03-29 22:00"), utc("2026-03-30 22:00")),
    ]


def test_a_day_without_midnight_begins_when_the_clocks_leap() -> None:
    # On 2019-09-08 clocks in Santiago leapt from 00:00 to 01:00, which was 04:00 UTC.
    found = period(date(2019, 9, 8), date(2019, 9, 9), zone="America/Santiago", by=By.DAY)
    assert (found.whole.start, found.whole.end) == (utc("2019-09-08 04:00"), utc("2019-09-09 03:00"))


def test_weeks_begin_on_monday_and_months_on_the_first_and_the_edges_are_cut() -> None:
    weeks = period(date(2026, 11, 25), date(2026, 12, 9), zone="UTC", by=By.WEEK)  # a Wednesday
    assert [(str(each.first), str(each.until)) for each in weeks.buckets] == [
        ("2026-11-25", "2026-11-30"),
        ("2026-11-30", "2026-12-07"),
        ("2026-12-07", "2026-12-09"),
    ]
    months = period(date(2025, 12, 31), date(2026, 3, 1), zone="UTC", by=By.MONTH)
    assert [(str(each.first), str(each.until)) for each in months.buckets] == [
        ("2025-12-31", "2026-01-01"),
        ("2026-01-01", "2026-02-01"),
        ("2026-02-01", "2026-03-01"),
    ]


@pytest.mark.parametrize(
    ("days", "by"),
    [(1, By.DAY), (62, By.DAY), (63, By.WEEK), (217, By.WEEK), (218, By.MONTH), (366, By.MONTH)],
)
def test_what_is_long_is_cut_more_coarsely(days: int, by: By) -> None:
    first = date(2026, 1, 1)
    assert period(first, date.fromordinal(first.toordinal() + days), zone="UTC", by=None).by is by


@pytest.mark.parametrize(
    ("first", "until", "zone", "pointer"),
    [
        (date(2026, 1, 1), date(2026, 1, 1), "UTC", "/query/to"),
        (date(2026, 1, 2), date(2026, 1, 1), "UTC", "/query/to"),
        (date(2025, 1, 1), date(2026, 1, 3), "UTC", "/query/to"),
        (date(2026, 1, 1), date(2026, 1, 2), "Europe/Atlantis", "/query/zone"),
        (date(2026, 1, 1), date(2026, 1, 2), "../etc/passwd", "/query/zone"),
    ],
)
def test_a_period_that_cannot_be_is_refused(first: date, until: date, zone: str, pointer: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        period(first, until, zone=zone, by=None)
    assert [each.pointer for each in refused.value.problems] == [pointer]


def test_of_nothing_nothing_is_said_and_of_little_little() -> None:
    assert ratio(0, 0) is None
    assert ratio(0, 4) == 0.0
    assert per_day(3, 0.99) is None
    assert per_day(3, 2.0) == 1.5
    assert spread(0, None) == Spread(0, None, None)
    assert spread(9, [1.0, 2.0]) == Spread(9, 1.0, None)
    assert spread(10, [1.0, 2.0]) == Spread(10, 1.0, 2.0)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.2, "under 1s"),
        (42, "42s"),
        (60, "1m"),
        (95, "1m 35s"),
        (7260, "2h 1m"),
        (7205, "2h"),
        (207_000, "2d 9h"),
    ],
)
def test_lengths_are_said_in_two_units(seconds: float, said: str) -> None:
    assert rough_duration(seconds) == said
