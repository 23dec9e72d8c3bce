"""When windows and freezes hold. Expected instants are worked out by hand from the published changes of clocks."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta

import pytest

from orchestrator.domain.windows import (
    Cron,
    Dated,
    Rule,
    RuleKind,
    Schedule,
    Weekly,
    evaluate,
    jitter,
    lint,
)
from orchestrator.recurrence import occurrences

EVERY_DAY = tuple(range(7))
MON, TUE, WED, THU, FRI, SAT, SUN = EVERY_DAY
WORKDAYS = (MON, TUE, WED, THU, FRI)
WINDOW, FREEZE = RuleKind.WINDOW, RuleKind.FREEZE


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def wall(text: str) -> datetime:
    return datetime.fromisoformat(text)


def weekly(hours: str, days: Sequence[int] = EVERY_DAY) -> Weekly:
    start, end = (time.fromisoformat(each) for each in hours.split("-"))
    return Weekly(tuple(days), start, end)


def rule(kind: RuleKind, zone: str, schedule: Schedule, *, number: int = 1) -> Rule:
    return Rule(id=number, name="some", kind=kind, zone=zone, schedule=schedule)


def spans(one: Rule, start: str, end: str) -> list[str]:
    return [f"{each.start:%dT%H:%M}-{each.end:%dT%H:%M}" for each in occurrences(one, at(start), at(end))]


NIGHT = weekly("22:00-06:00")


@pytest.mark.parametrize(
    ("zone", "day", "expected"),
    [
        ("Europe/Paris", "2026-03-28", "28T21:00-29T04:00"),  # 7 h
        ("Europe/Paris", "2026-10-24", "24T20:00-25T05:00"),  # 9 h
        ("Australia/Lord_Howe", "2026-04-04", "04T11:00-04T19:30"),  # 8.5 h
        ("Australia/Lord_Howe", "2026-10-03", "03T11:30-03T19:00"),  # 7.5 h
        ("America/New_York", "2026-03-08", "08T03:00-08T10:00"),
        ("America/New_York", "2026-11-01", "01T02:00-01T11:00"),
        ("Asia/Kolkata", "2026-03-28", "28T16:30-29T00:30"),
        ("America/Sao_Paulo", "2018-11-04", "04T01:00-04T08:00"),  # 00:00 to 01:00 is leapt over
        ("Africa/Casablanca", "2026-02-14", "14T21:00-15T06:00"),  # Ramadan: back an hour at 03:00
    ],
)
def test_a_night_lasts_as_long_as_it_does(zone: str, day: str, expected: str) -> None:
    assert expected in spans(rule(WINDOW, zone, NIGHT), f"{day}T00:00", f"{day}T23:00")


@pytest.mark.parametrize(
    ("kind", "zone", "hours", "day", "expected"),
    [
        # New York leaps from 02:00 to 03:00 at 07:00Z on 2026-03-08
        (WINDOW, "America/New_York", "02:30-04:00", "2026-03-08", "08T07:00-08T08:00"),
        (WINDOW, "America/New_York", "01:00-02:30", "2026-03-08", "08T06:00-08T07:00"),
        (WINDOW, "America/New_York", "02:00-03:00", "2026-03-08", None),
        (WINDOW, "America/New_York", "02:15-02:45", "2026-03-08", None),
        (FREEZE, "America/New_York", "02:15-02:45", "2026-03-08", None),
        # and shows 01:00 to 02:00 twice on 2026-11-01, from 05:00Z and from 06:00Z
        (WINDOW, "America/New_York", "01:00-02:00", "2026-11-01", "01T05:00-01T07:00"),
        (WINDOW, "America/New_York", "01:15-01:45", "2026-11-01", "01T05:15-01T05:45"),
        (FREEZE, "America/New_York", "01:15-01:45", "2026-11-01", "01T05:15-01T06:45"),
        (WINDOW, "America/New_York", "00:00-01:30", "2026-11-01", "01T04:00-01T05:30"),
        (FREEZE, "America/New_York", "00:00-01:30", "2026-11-01", "01T04:00-01T06:30"),
        (WINDOW, "America/New_York", "01:30-03:00", "2026-11-01", "01T05:30-01T08:00"),
        # Lord Howe shows 01:30 to 02:00 twice on 2026-04-05, from 14:30Z and from 15:00Z on the 4th
        (WINDOW, "Australia/Lord_Howe", "01:45-01:50", "2026-04-04", "04T14:45-04T14:50"),
        (FREEZE, "Australia/Lord_Howe", "01:45-01:50", "2026-04-04", "04T14:45-04T15:20"),
        # Sao Paulo leaps from 00:00 to 01:00 at 03:00Z on 2018-11-04
        (WINDOW, "America/Sao_Paulo", "00:00-02:00", "2018-11-04", "04T03:00-04T04:00"),
        (WINDOW, "America/Sao_Paulo", "00:15-00:45", "2018-11-04", None),
        # Apia leaps over all of Friday, 2011-12-30, at 10:00Z
        (WINDOW, "Pacific/Apia", "09:00-17:00", "2011-12-30", "30T19:00-31T03:00"),  # Saturday's
    ],
)
def test_the_boundaries_around_a_change_of_clocks(
    kind: RuleKind, zone: str, hours: str, day: str, expected: str | None
) -> None:
    found = spans(rule(kind, zone, weekly(hours)), f"{day}T03:00", f"{day}T21:00")
    assert found == ([expected] if expected else [])


def test_a_friday_that_never_was() -> None:
    friday = rule(WINDOW, "Pacific/Apia", weekly("09:00-17:00", [FRI]))
    assert spans(friday, "2011-12-28T00:00", "2012-01-02T00:00") == []
    night = rule(WINDOW, "Pacific/Apia", weekly("22:00-06:00", [FRI]))
    assert spans(night, "2011-12-28T00:00", "2012-01-02T00:00") == ["30T10:00-30T16:00"]


def judge(now: str, *rules: Rule) -> tuple[bool, datetime | None, datetime | None]:
    opening = evaluate(rules, at(now), occurrences=occurrences)
    return opening.is_open, opening.closes_at, opening.next_opening


OFFICE = rule(WINDOW, "UTC", weekly("09:00-17:00", WORKDAYS))
CHRISTMAS = rule(FREEZE, "UTC", Dated(wall("2026-12-20T00:00"), wall("2027-01-04T08:00")), number=2)


def test_it_is_closed_at_the_very_second() -> None:
    wednesday, thursday = at("2026-06-10T17:00"), at("2026-06-11T09:00")
    assert judge("2026-06-10T08:59:59", OFFICE) == (False, None, at("2026-06-10T09:00"))
    assert judge("2026-06-10T09:00", OFFICE) == (True, wednesday, at("2026-06-10T09:00"))
    assert judge("2026-06-10T16:59:59.999999", OFFICE)[:2] == (True, wednesday)
    assert judge("2026-06-10T17:00", OFFICE) == (False, None, thursday)


def test_a_night_belongs_to_the_day_on_which_it_begins() -> None:
    friday = rule(WINDOW, "UTC", weekly("22:00-02:00", [FRI]))
    assert judge("2026-06-13T00:30", friday)[:2] == (True, at("2026-06-13T02:00"))  # a Saturday
    assert judge("2026-06-12T00:30", friday) == (False, None, at("2026-06-12T22:00"))  # a Friday


def test_the_next_opening_is_of_the_right_day() -> None:
    """Spinnaker's own test has Thursday here."""
    wednesdays = rule(WINDOW, "UTC", weekly("06:00-10:00", [WED]))
    assert judge("2026-06-10T21:45", wednesdays)[2] == at("2026-06-17T06:00")


def test_without_rules_it_is_open_for_ever() -> None:
    now = at("2026-06-10T12:00")
    assert judge("2026-06-10T12:00") == (True, None, now)


def test_freezes_alone_leave_the_rest_open() -> None:
    assert judge("2026-12-19T12:00", CHRISTMAS)[:2] == (True, at("2026-12-20T00:00"))
    assert judge("2026-12-25T12:00", CHRISTMAS) == (False, None, at("2027-01-04T08:00"))


def test_a_freeze_beats_an_open_window() -> None:
    # 2026-12-23 is a Wednesday, and 2027-01-04 a Monday whose freeze ends before its window opens.
    assert judge("2026-12-23T12:00", OFFICE, CHRISTMAS) == (False, None, at("2027-01-04T09:00"))
    assert judge("2026-12-18T16:00", OFFICE, CHRISTMAS)[:2] == (True, at("2026-12-18T17:00"))
    opening = evaluate([OFFICE, CHRISTMAS], at("2026-12-23T12:00"), occurrences=occurrences)
    assert [(each.rule.id, each.until) for each in opening.freezes] == [(2, at("2027-01-04T08:00"))]
    assert [(each.rule.id, each.until) for each in opening.windows] == [(1, at("2026-12-23T17:00"))]


def test_any_of_several_windows_will_do_and_what_touches_is_one() -> None:
    early, late = rule(WINDOW, "UTC", weekly("08:00-12:00")), rule(WINDOW, "UTC", weekly("12:00-14:00"))
    assert judge("2026-06-10T09:00", late, early)[1] == at("2026-06-10T14:00")
    opening = evaluate([early, late], at("2026-06-10T09:00"), occurrences=occurrences)
    assert [each.until for each in opening.windows] == [at("2026-06-10T12:00")]


def test_freezes_that_follow_each_other_are_skipped_together() -> None:
    first = rule(FREEZE, "UTC", Dated(wall("2026-06-10T10:00"), wall("2026-06-10T12:00")))
    second = rule(FREEZE, "UTC", Dated(wall("2026-06-10T12:00"), wall("2026-06-10T16:30")))
    assert judge("2026-06-10T10:00", second, OFFICE, first)[2] == at("2026-06-10T16:30")


def test_what_is_not_within_the_horizon_is_unknown() -> None:
    for_years = rule(FREEZE, "UTC", Dated(wall("2026-01-01T00:00"), wall("2029-01-01T00:00")))
    assert judge("2026-06-10T12:00", for_years) == (False, None, None)
    always = rule(WINDOW, "UTC", weekly("00:00-00:00"))
    assert judge("2026-06-10T12:00", always)[:2] == (True, None)


def test_a_window_all_day_is_open_on_days_of_any_length() -> None:
    always = rule(WINDOW, "America/New_York", weekly("00:00-00:00"))
    assert judge("2026-01-01T00:00", always)[:2] == (True, None)


def test_each_rule_has_the_clocks_of_its_own_zone() -> None:
    here = rule(WINDOW, "Europe/Berlin", weekly("09:00-17:00"))
    there = rule(FREEZE, "America/New_York", weekly("09:00-10:00"), number=2)
    # In summer 09:00 in Berlin is 07:00Z, 09:00 in New York 13:00Z.
    assert judge("2026-07-01T07:00", here, there)[:2] == (True, at("2026-07-01T13:00"))
    assert judge("2026-07-01T13:30", here, there)[2] == at("2026-07-01T14:00")


def test_jitter_is_the_same_each_time_and_spreads() -> None:
    opening, most = at("2026-06-10T09:00"), timedelta(minutes=10)
    found = [jitter(f"shop-{number}/production", opening, None, most=most) for number in range(1000)]
    assert found == [jitter(f"shop-{number}/production", opening, None, most=most) for number in range(1000)]
    tenths = {each // timedelta(minutes=1) for each in found}
    assert tenths == set(range(10))


def test_jitter_stays_inside_the_first_half_of_the_window() -> None:
    opening = at("2026-06-10T09:00")
    closing = opening + timedelta(minutes=4)
    late = max(
        jitter(f"shop-{n}/production", opening, closing, most=timedelta(minutes=10)) for n in range(1000)
    )
    assert timedelta(minutes=1) < late < timedelta(minutes=2)
    assert jitter("shop/production", opening, None, most=timedelta(0)) == timedelta(0)


def complaints(one: Rule, now: str = "2026-01-01T00:00") -> list[str]:
    return lint(one, at(now), occurrences=occurrences)


def test_lint_has_nothing_to_say_of_what_is_fine() -> None:
    assert complaints(OFFICE) == []
    assert complaints(CHRISTMAS) == []
    assert complaints(rule(WINDOW, "Europe/Berlin", NIGHT)) == []


def test_lint_names_what_clocks_leap_over() -> None:
    lost = complaints(rule(WINDOW, "America/New_York", weekly("02:15-02:45", [SUN])))
    assert lost == [
        "On 2026-03-08 there is no window: clocks in America/New_York leap over 02:15 to 02:45.",
        "On 2027-03-14 there is no window: clocks in America/New_York leap over 02:15 to 02:45.",
    ]
    once = Dated(wall("2026-03-08T02:15"), wall("2026-03-08T02:45"))
    assert len(complaints(rule(FREEZE, "America/New_York", once))) == 2  # and it is never in force


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (rule(WINDOW, "EST", weekly("09:00-17:00")), "`EST` is an abbreviation"),
        (rule(WINDOW, "UTC", weekly("00:00-00:00")), "It is always open"),
        (rule(FREEZE, "UTC", weekly("00:00-00:00")), "It is always in force"),
        (
            rule(FREEZE, "UTC", Dated(wall("2025-01-01T00:00"), wall("2025-02-01T00:00"))),
            "ended on 2025-02-01",
        ),
        (rule(WINDOW, "UTC", Dated(wall("2028-01-01T00:00"), wall("2028-02-01T00:00"))), "It is never open"),
        (rule(WINDOW, "UTC", Cron("0 9 * * *", timedelta(hours=25))), "It overlaps itself"),
    ],
)
def test_lint_says_what_is_odd(one: Rule, said: str) -> None:
    assert any(said in each for each in complaints(one))


def test_lint_does_not_call_a_change_of_clocks_an_overlap() -> None:
    half_past = rule(WINDOW, "America/New_York", Cron("30 1,2 * * *", timedelta(hours=1)))
    assert not any("overlaps" in each for each in complaints(half_past))
