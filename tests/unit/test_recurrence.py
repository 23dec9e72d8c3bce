"""Cron expressions and recurrences: their instants, and that none can keep anybody waiting."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.domain.errors import SettingsRefusedError
from orchestrator.domain.schedules import Cron, RRule, Rule, RuleKind, Schedule
from orchestrator.recurrence import check, occurrences

HOUR = timedelta(hours=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def starts(schedule: Schedule, start: str, end: str, zone: str = "UTC") -> list[str]:
    rule = Rule(id=1, name="some", kind=RuleKind.FREEZE, zone=zone, schedule=schedule)
    return [f"{each.start:%m-%dT%H:%M}" for each in occurrences(rule, at(start), at(end))]


def recurrence(text: str, start: str = "2026-01-06T09:00", duration: timedelta = HOUR) -> RRule:
    return RRule(text, datetime.fromisoformat(start), duration)


NEW_YORK = "America/New_York"


@pytest.mark.parametrize(
    ("expression", "day", "expected"),
    [
        # Debian's cron: what is at a fixed time is neither missed in the gap nor doubled in the fold.
        ("30 2 * * *", "2026-03-08", ["03-08T07:00"]),
        ("30 1 * * *", "2026-11-01", ["11-01T05:30"]),
        # What follows the clock is run when the clock shows it: not at all, or twice.
        ("30 * * * *", "2026-03-08", ["03-08T05:30", "03-08T06:30", "03-08T07:30", "03-08T08:30"]),
        ("*/30 1 * * *", "2026-11-01", ["11-01T05:00", "11-01T05:30", "11-01T06:00", "11-01T06:30"]),
    ],
)
def test_cron_where_clocks_leap(expression: str, day: str, expected: list[str]) -> None:
    cron = Cron(expression, timedelta(minutes=1))
    assert starts(cron, f"{day}T05:00", f"{day}T09:00", NEW_YORK) == expected


def test_cron_by_the_clock_where_it_leaps_by_half_an_hour() -> None:
    """02:00 comes after 01:59, 01:30 and 01:59 on 2026-04-05 on Lord Howe, at 15:30Z; cronsim by itself misses it."""
    every_other = Cron("0 */2 * * *", timedelta(minutes=1))
    found = starts(every_other, "2026-04-04T12:00", "2026-04-04T18:00", "Australia/Lord_Howe")
    assert found == ["04-04T13:00", "04-04T15:30", "04-04T17:30"]


EXPRESSIONS = [
    "*/15 * * * *",
    "0 * * * *",
    "*/20 1 * * *",
    "5 */3 * * *",
    "30 1 * * *",
    "15,45 2,3 * * 0",
    "0 0 1,15 * 5",
    "0 4 L * *",
]


@settings(max_examples=60)
@given(
    st.sampled_from(EXPRESSIONS),
    st.sampled_from(["Europe/Berlin", "America/New_York", "America/Santiago", "Asia/Kolkata"]),
    st.datetimes(datetime.fromisoformat("2024-01-01"), datetime.fromisoformat("2029-12-01")),
)
def test_cron_starts_as_cronsim_does_where_clocks_leap_by_hours(
    expression: str, zone: str, start: datetime
) -> None:
    begin = start.replace(second=0, microsecond=0, tzinfo=UTC)
    theirs = CronSim(expression, (begin - timedelta(seconds=1)).astimezone(ZoneInfo(zone)))
    expected = sorted({next(theirs).astimezone(UTC) for _ in range(30)})
    rule = Rule(
        id=1, name="some", kind=RuleKind.WINDOW, zone=zone, schedule=Cron(expression, timedelta(seconds=1))
    )
    ours = sorted({each.start for each in occurrences(rule, begin, expected[-1] + timedelta(seconds=1))})
    assert ours == [each for each in expected if each >= begin]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # The first three are of the examples in RFC 5545, 3.8.5.3, moved to 2026.
        ("FREQ=DAILY;COUNT=3", ["01-06T09:00", "01-07T09:00", "01-08T09:00"]),
        (
            "FREQ=WEEKLY;INTERVAL=2;WKST=SU;BYDAY=TU,TH;COUNT=4",
            ["01-06T09:00", "01-08T09:00", "01-20T09:00", "01-22T09:00"],
        ),
        ("FREQ=MONTHLY;BYDAY=-2MO;COUNT=3", ["01-19T09:00", "02-16T09:00", "03-23T09:00"]),
        ("FREQ=MONTHLY;BYDAY=TU,WE,TH;BYSETPOS=3;COUNT=2", ["01-07T09:00", "02-05T09:00"]),
        ("RRULE:FREQ=WEEKLY;UNTIL=20260120", ["01-06T09:00", "01-13T09:00", "01-20T09:00"]),
        ("freq=weekly;until=20260120T085959Z", ["01-06T09:00", "01-13T09:00"]),
        ("FREQ=YEARLY;BYMONTH=1;BYMONTHDAY=31", ["01-31T09:00"]),
        ("FREQ=DAILY;BYHOUR=6,18;COUNT=2", ["01-06T18:00", "01-07T06:00"]),
    ],
)
def test_recurrences(text: str, expected: list[str]) -> None:
    assert starts(recurrence(text), "2026-01-01T00:00", "2026-04-01T00:00")[:4] == expected


def test_the_end_of_a_recurrence_in_utc_is_an_instant() -> None:
    # 09:00 in New York is 14:00Z in January.
    weekly = recurrence("FREQ=WEEKLY;UNTIL=20260113T140000Z")
    assert len(starts(weekly, "2026-01-01T00:00", "2026-02-01T00:00", NEW_YORK)) == 2
    before = recurrence("FREQ=WEEKLY;UNTIL=20260113T135959Z")
    assert len(starts(before, "2026-01-01T00:00", "2026-02-01T00:00", NEW_YORK)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "FREQ=DAILY;INTERVAL=3",
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,MO",
        "FREQ=WEEKLY;INTERVAL=3;WKST=SU;BYDAY=SU,WE",
    ],
)
def test_what_is_long_past_is_skipped_without_getting_out_of_step(text: str) -> None:
    counted = recurrence(f"{text};COUNT=9000", "2010-03-04T09:00")
    endless = recurrence(text, "2010-03-04T09:00")
    assert starts(endless, "2026-01-01T00:00", "2026-06-01T00:00") == starts(
        counted, "2026-01-01T00:00", "2026-06-01T00:00"
    )


def test_what_began_before_and_still_lasts_counts() -> None:
    long = recurrence("FREQ=MONTHLY", "2026-01-01T00:00", timedelta(days=10))
    assert starts(long, "2026-02-10T23:59", "2026-02-12T00:00") == ["02-01T00:00"]
    assert starts(long, "2026-02-11T00:00", "2026-02-12T00:00") == []


def test_a_count_in_the_past_ends() -> None:
    assert (
        starts(recurrence("FREQ=DAILY;COUNT=3", "2001-01-01T09:00"), "2026-01-01T00:00", "2027-01-01T00:00")
        == []
    )


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        (Cron("* * * * *", HOUR), "expression: starts 1440 times a day"),
        (Cron("* * * * * *", HOUR), "five fields"),
        (Cron("@daily", HOUR), "five fields"),
        (Cron("61 * * * *", HOUR), "bad minute"),
        (Cron("0 0 30 2 *", HOUR), "bad day-of-month"),
        (Cron("0 0 * * " + "1," * 300 + "1", HOUR), "at most 200 characters"),
        (recurrence("FREQ=SECONDLY"), "FREQ=DAILY or WEEKLY or MONTHLY or YEARLY"),
        (recurrence("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"), "never happens"),
        (recurrence("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30;COUNT=5"), "never happens"),
        (recurrence("FREQ=DAILY;INTERVAL=0"), "INTERVAL=0; write a number from 1 to 1000"),
        (recurrence("FREQ=DAILY;COUNT=1000000"), "from 1 to 10000"),
        (
            recurrence("FREQ=DAILY;BYHOUR=0,1;BYMINUTE=" + ",".join(map(str, range(60)))),
            "starts 120 times a day",
        ),
        (recurrence("FREQ=DAILY;BYDAYS=MO"), "has BYDAYS; did you mean `BYDAY`?"),
        (recurrence("FREQ=WEEKLY;BYDAY=1MO"), "days cannot be counted here"),
        (recurrence("FREQ=WEEKLY;FREQ=DAILY"), "FREQ twice"),
        (recurrence("FREQ=WEEKLY;COUNT=2;UNTIL=20270101"), "COUNT and UNTIL"),
        (recurrence("FREQ=WEEKLY;UNTIL=tomorrow"), "write it as 20261231"),
        (recurrence("FREQ=MONTHLY;BYWEEKNO=3"), "no meaning with FREQ=MONTHLY"),
        (recurrence(""), "write parts such as"),
    ],
)
def test_what_cannot_be_used_says_what_to_write(schedule: Schedule, said: str) -> None:
    with pytest.raises(SettingsRefusedError) as caught:
        check(schedule)
    assert said in str(caught.value)


numbers = st.lists(st.integers(-400, 400), min_size=1, max_size=3).map(lambda some: ",".join(map(str, some)))
days = st.lists(
    st.from_regex(r"([+-]?[0-9]{1,2})?(MO|TU|SU|XX)", fullmatch=True), min_size=1, max_size=3
).map(",".join)
parts = st.fixed_dictionaries(
    {"FREQ": st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY", "HOURLY"])},
    optional={
        **dict.fromkeys(
            [
                "BYMONTH",
                "BYMONTHDAY",
                "BYYEARDAY",
                "BYWEEKNO",
                "BYSETPOS",
                "BYHOUR",
                "BYMINUTE",
                "INTERVAL",
                "COUNT",
            ],
            numbers,
        ),
        "BYDAY": days,
        "WKST": days,
        "UNTIL": st.text(max_size=16),
    },
)


@settings(max_examples=150)
@given(parts)
def test_whatever_is_written_is_refused_or_followed(written: dict[str, str]) -> None:
    schedule = recurrence(";".join(f"{key}={value}" for key, value in written.items()))
    try:
        check(schedule)
    except SettingsRefusedError:
        return
    assert len(starts(schedule, "2026-01-01T00:00", "2027-01-01T00:00")) <= 48 * 366
