"""Freezes from calendars, and the feed."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

import pytest
from icalendar import Calendar

from orchestrator.domain.errors import InvalidInputError
from orchestrator.domain.schedules import Dated, RRule, Rule, RuleKind, Schedule, Weekly
from orchestrator.icalendar import MAX_BYTES, MAX_EVENTS, read_freezes, write_feed
from orchestrator.recurrence import occurrences


def calendar(*events: str) -> bytes:
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test//EN"]
    for event in events:
        lines += ["BEGIN:VEVENT", "UID:1", "DTSTAMP:20260101T000000Z", *event.split(), "END:VEVENT"]
    return "\r\n".join([*lines, "END:VCALENDAR", ""]).encode()


def wall(text: str) -> datetime:
    return datetime.fromisoformat(text)


def dated(start: str, end: str) -> Dated:
    return Dated(wall(start), wall(end))


@pytest.mark.parametrize(
    ("event", "zone", "schedule"),
    [
        (
            "DTSTART;VALUE=DATE:20261224 DTEND;VALUE=DATE:20261227",
            "Asia/Tokyo",
            dated("2026-12-24T00:00", "2026-12-27T00:00"),
        ),
        ("DTSTART;VALUE=DATE:20261224", "Asia/Tokyo", dated("2026-12-24T00:00", "2026-12-25T00:00")),
        (
            "DTSTART:20261224T080000 DURATION:PT90M",
            "Asia/Tokyo",
            dated("2026-12-24T08:00", "2026-12-24T09:30"),
        ),
        ("DTSTART:20261224T080000Z DURATION:P1D", "UTC", dated("2026-12-24T08:00", "2026-12-25T08:00")),
        (
            "DTSTART;TZID=Europe/Berlin:20261224T080000 DTEND;TZID=America/New_York:20261224T080000",
            "Europe/Berlin",
            dated("2026-12-24T08:00", "2026-12-24T14:00"),  # New York is six hours behind
        ),
        # A day over the change of clocks is a day of the calendar; 24 hours are 24 hours that pass.
        (
            "DTSTART;TZID=Europe/Berlin:20260328T120000 DURATION:PT24H",
            "Europe/Berlin",
            dated("2026-03-28T12:00", "2026-03-29T13:00"),
        ),
        (
            "DTSTART;TZID=Europe/Berlin:20261024T120000 DURATION:+PT24H",
            "Europe/Berlin",
            dated("2026-10-24T12:00", "2026-10-25T11:00"),
        ),
        (
            "DTSTART;TZID=Europe/Berlin:20260328T120000 DURATION:P1D",
            "Europe/Berlin",
            dated("2026-03-28T12:00", "2026-03-29T12:00"),
        ),
        (
            "DTSTART;TZID=Europe/Berlin:20260328T220000 DTEND;TZID=Europe/Berlin:20260329T060000 RRULE:FREQ=WEEKLY",
            "Europe/Berlin",
            RRule("FREQ=WEEKLY", wall("2026-03-28T22:00"), timedelta(hours=7)),
        ),
        (
            "DTSTART;VALUE=DATE:20261224 RRULE:FREQ=YEARLY;COUNT=3",
            "Asia/Tokyo",
            RRule("FREQ=YEARLY;COUNT=3", wall("2026-12-24T00:00"), timedelta(days=1)),
        ),
    ],
)
def test_an_event_becomes_a_freeze(event: str, zone: str, schedule: Schedule) -> None:
    [draft] = read_freezes(calendar(f"SUMMARY:Quiet {event}"), zone="Asia/Tokyo")
    assert (draft.kind, draft.name, draft.zone) == (RuleKind.FREEZE, "Quiet", zone)
    assert draft.schedule == schedule


def test_windows_names_of_zones_are_known() -> None:
    [draft] = read_freezes(
        b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;TZID=W. Europe Standard Time:20261224T080000\r\n"
        b"DURATION:PT1H\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
        zone="UTC",
    )
    assert draft.zone == "Europe/Berlin"


def test_cancelled_events_are_left_out() -> None:
    gone = "DTSTART:20261224T080000 DURATION:PT1H STATUS:CANCELLED"
    assert read_freezes(calendar(gone), zone="UTC") == []


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ("DTSTART:20261224T080000 DURATION:PT1H EXDATE:20261225T080000", "has EXDATE; write what it means"),
        ("DTSTART:20261224T080000 DURATION:PT1H RECURRENCE-ID:20261225T080000", "has RECURRENCE-ID"),
        ("DTSTART:20261224T080000", "has no DTEND, so it does not last"),
        ("DTSTART;TZID=Mars:20261224T080000 DURATION:PT1H", "is in the zone `Mars`; write an IANA name"),
        ("DTSTART:20261224T080000 DTEND:20261224T070000", "must be after `from`"),
        ("DTSTART:20261224T080000 DURATION:PT1H RRULE:FREQ=SECONDLY", "use `cron`"),
        ("DTSTART:20261224T080000 DURATION:PT1H RRULE:FREQ=DAILY RRULE:FREQ=WEEKLY", "more than one RRULE"),
        ("DTSTART:20261399T080000 DURATION:PT1H", "DTSTART that cannot be read"),
        ("DURATION:PT1H", "has no DTSTART"),
    ],
)
def test_what_cannot_be_taken_is_refused_with_the_event(event: str, said: str) -> None:
    fine = "DTSTART:20261224T080000 DURATION:PT1H"
    with pytest.raises(InvalidInputError) as caught:
        read_freezes(calendar(fine, event), zone="UTC")
    [problem] = caught.value.problems
    assert problem.pointer == "/events/1"
    assert said in problem.detail


NEVER = "DTSTART:20261224T080000 DURATION:PT1H RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "begins with BEGIN:VCALENDAR"),
        (b"hello", "not a calendar"),
        (b"\xff\xfe\x00", "not a calendar"),
        (b"BEGIN:X\r\n" * 1000, "too deep"),
        (b" " * (MAX_BYTES + 1), "at most 1,000,000 bytes"),
        (calendar(*["DURATION:PT1H"] * (MAX_EVENTS + 1)), "at most 1000 events, not 1001"),
        (calendar(*[NEVER] * 201), "at most 200 events that recur"),
    ],
)
def test_what_is_no_calendar_or_too_much_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        read_freezes(data, zone="UTC")


def test_after_ten_events_that_cannot_be_taken_no_more_are_read() -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_freezes(calendar(*[NEVER] * 50), zone="UTC")
    assert len(caught.value.problems) == 10


OFFICE = Rule(
    id=7,
    name="office, hours",
    kind=RuleKind.WINDOW,
    zone="Europe/Berlin",
    schedule=Weekly((0, 1, 2, 3, 4), time(9), time(17)),
)
CHRISTMAS = Rule(
    id=8,
    name="Christmas",
    kind=RuleKind.FREEZE,
    zone="Europe/Berlin",
    schedule=dated("2026-12-24T00:00", "2026-12-27T00:00"),
)


def feed(rules: Sequence[Rule], start: str, end: str) -> bytes:
    first, last = (datetime.fromisoformat(each).replace(tzinfo=UTC) for each in (start, end))
    return write_feed(rules, start=first, end=last, occurrences=occurrences)


def test_the_feed_has_each_occurrence_in_utc() -> None:
    read = Calendar.from_ical(feed([OFFICE, CHRISTMAS], "2026-12-24", "2026-12-26"))
    events = [
        (str(event["SUMMARY"]), event["DTSTART"].dt, event["DTEND"].dt) for event in read.walk("VEVENT")
    ]

    def at(day: int, hour: int) -> datetime:
        return datetime.combine(date(2026, 12, day), time(hour), UTC)

    assert events == [  # Berlin is an hour ahead in the winter
        ("Window: office, hours", at(24, 8), at(24, 16)),
        ("Window: office, hours", at(25, 8), at(25, 16)),
        ("Freeze: Christmas", at(23, 23), at(26, 23)),
    ]


def test_an_event_keeps_its_name_whatever_part_is_asked_for() -> None:
    def uids(start: str, end: str) -> list[str]:
        return [
            str(event["UID"]) for event in Calendar.from_ical(feed([CHRISTMAS], start, end)).walk("VEVENT")
        ]

    assert uids("2026-12-01", "2027-01-01") == uids("2026-12-25", "2026-12-26")
    assert uids("2026-12-01", "2027-01-01") == ["freeze-8-20261223T230000Z@devops-release-manager"]


def test_the_feed_is_as_rfc_5545_wants_it() -> None:
    written = feed([OFFICE], "2026-12-24", "2026-12-25")
    assert written.startswith(b"BEGIN:VCALENDAR\r\n")
    assert written.endswith(b"END:VCALENDAR\r\n")
    assert b"\n" not in written.replace(b"\r\n", b"")
    assert max(len(line) for line in written.split(b"\r\n")) <= 75
    for line in (
        b"VERSION:2.0",
        b"DTSTAMP:20261224T000000Z",
        b"DTSTART:20261224T080000Z",
        b"SUMMARY:Window: office\\, hours",
    ):
        assert line in written.split(b"\r\n")


def test_a_feed_is_read_back() -> None:
    [draft] = read_freezes(feed([CHRISTMAS], "2026-12-24", "2026-12-25"), zone="Asia/Tokyo")
    assert (draft.zone, draft.schedule) == ("UTC", dated("2026-12-23T23:00", "2026-12-26T23:00"))
