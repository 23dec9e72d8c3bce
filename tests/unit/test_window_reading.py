"""What people write of windows and freezes: read, refused with every problem at once, and written back."""

from datetime import datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.errors import InvalidInputError
from orchestrator.domain.schedules import Cron, Dated, RRule, RuleKind, Schedule, Weekly
from orchestrator.domain.window_reading import RuleDraft, read_rule, to_document
from orchestrator.recurrence import check

BASE = {"kind": "window", "name": "office hours", "zone": "Europe/Berlin"}
WEEKLY = {"days": ["fri", "mon"], "from": "09:00", "to": "17:00"}


def read(**parts: Any) -> RuleDraft:
    return read_rule(BASE | parts, check=check)


def problems(document: object) -> dict[str, str]:
    with pytest.raises(InvalidInputError) as caught:
        read_rule(document, check=check)
    return {each.pointer: each.detail for each in caught.value.problems}


def wall(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("key", "written", "schedule"),
    [
        ("weekly", WEEKLY, Weekly((0, 4), time(9), time(17))),
        (
            "weekly",
            {"days": ["sun"], "from": "22:30:15", "to": "24:00"},
            Weekly((6,), time(22, 30, 15), time(0)),
        ),
        ("cron", {"expression": "0 22 * * 1-5", "duration": "4h"}, Cron("0 22 * * 1-5", timedelta(hours=4))),
        (
            "rrule",
            {"rule": "FREQ=WEEKLY;BYDAY=TU", "start": "2026-01-06T09:00", "duration": "2h"},
            RRule("FREQ=WEEKLY;BYDAY=TU", wall("2026-01-06T09:00"), timedelta(hours=2)),
        ),
        (
            "dated",
            {"from": "2026-12-20T00:00", "to": "2027-01-04T08:00"},
            Dated(wall("2026-12-20T00:00"), wall("2027-01-04T08:00")),
        ),
    ],
)
def test_each_way_to_say_when(key: str, written: dict[str, Any], schedule: Schedule) -> None:
    assert read(**{key: written}).schedule == schedule


def test_a_rule_has_what_was_written() -> None:
    draft = read(kind="freeze", weekly=WEEKLY, labels={"team": ["payments", "shop"]})
    assert (draft.kind, draft.name, draft.zone) == (RuleKind.FREEZE, "office hours", "Europe/Berlin")
    assert draft.labels == {"team": ("payments", "shop")}
    assert draft.as_rule(7).id == 7


def test_every_problem_is_said_at_once_with_its_place() -> None:
    found = problems(
        {
            "kind": "windw",
            "zone": "Europe/Berln",
            "weekly": {"days": ["mon", "mon", "friday"], "from": "9:00", "to": "25:00", "until": 1},
            "labels": {"Team": "payments"},
            "colour": "red",
        }
    )
    assert found == {
        "/colour": "there is no key `colour` here; there are `kind`, `name`, `zone`, `labels`, `weekly`, `cron`,"
        " `rrule`, `dated`",
        "/kind": "must be window or freeze, not `windw`",
        "": "`name` is missing; write it",
        "/zone": "there is no time zone `Europe/Berln`; did you mean `Europe/Berlin`?",
        "/weekly/until": "there is no key `until` here; there are `days`, `from`, `to`",
        "/weekly/days/1": "mon stands here twice; remove one",
        "/weekly/days/2": "there is no day `friday`; did you mean `fri`?",
        "/weekly/from": "must be a time from 00:00 to 23:59:59, not `9:00`",
        "/weekly/to": "must be a time from 00:00 to 24:00, not `25:00`",
        "/labels/Team": "must be a list of 1 to 100 values, such as [payments]",
    }


@pytest.mark.parametrize(
    ("parts", "pointer", "said"),
    [
        ({}, "", "says not when"),
        (
            {"weekly": WEEKLY, "cron": {"expression": "0 22 * * *", "duration": "1h"}},
            "/cron",
            "write only one",
        ),
        ({"weekly": WEEKLY, "zone": "PST"}, "/zone", "write a place, such as Europe/Berlin, or UTC"),
        ({"weekly": WEEKLY, "zone": "Mars/Olympus"}, "/zone", "there is no time zone"),
        ({"weekly": WEEKLY, "zone": ""}, "/zone", "`zone` is missing"),
        ({"weekly": WEEKLY, "name": "two\nlines"}, "/name", "must be one line"),
        ({"weekly": WEEKLY | {"days": []}}, "/weekly/days", "must be a list"),
        ({"weekly": WEEKLY | {"from": "24:00"}}, "/weekly/from", "00:00 to 23:59:59"),
        ({"weekly": WEEKLY | {"from": 540}}, "/weekly/from", "in quotes"),
        ({"cron": {"expression": "0 22 * * *"}}, "/cron", "`duration` is missing"),
        ({"cron": {"expression": "* * * * *", "duration": "1h"}}, "/cron/expression", "1440 times a day"),
        ({"cron": {"expression": "0 22 * * *", "duration": "800h"}}, "/cron/duration", "from 1s to 744h"),
        (
            {"rrule": {"rule": "FREQ=X", "start": "2026-01-06T09:00", "duration": "1h"}},
            "/rrule/rule",
            "needs FREQ",
        ),
        (
            {"dated": {"from": "2026-12-20", "to": "2027-01-04T08:00"}},
            "/dated/from",
            "such as 2026-12-20T08:00",
        ),
        (
            {"dated": {"from": "2026-12-20T00:00Z", "to": "2027-01-04T08:00"}},
            "/dated/from",
            "on the clocks of",
        ),
        ({"dated": {"from": "2026-02-30T00:00", "to": "2027-01-04T08:00"}}, "/dated/from", "must be a date"),
        (
            {"dated": {"from": "2026-01-04T08:00", "to": "2026-01-04T08:00"}},
            "/dated/to",
            "must be after `from`",
        ),
        (
            {"dated": {"from": "1999-01-04T08:00", "to": "2026-01-04T08:00"}},
            "/dated/from",
            "from 2000 to 2199",
        ),
    ],
)
def test_what_is_wrong_says_what_to_do(parts: dict[str, Any], pointer: str, said: str) -> None:
    assert said in problems(BASE | parts)[pointer]


@pytest.mark.parametrize("document", [None, [], "weekly", 7, {"weekly": 1.5}, {1: 2}])
def test_nonsense_is_refused(document: object) -> None:
    assert problems(document)


times = st.times().map(lambda each: each.replace(microsecond=0))
walls = st.datetimes(wall("2000-01-01"), wall("2199-12-30")).map(lambda each: each.replace(microsecond=0))
durations = st.integers(1, 31 * 86_400).map(lambda seconds: timedelta(seconds=seconds))
weekdays = st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days)))
schedules = (
    st.builds(Weekly, weekdays, times, times)
    | st.builds(Cron, st.just("30 4 * * *"), durations)
    | st.builds(RRule, st.just("FREQ=MONTHLY;BYDAY=1MO"), walls, durations)
    | st.builds(lambda start, length: Dated(start, start + length), walls, st.just(timedelta(hours=30)))
)
drafts = st.builds(
    RuleDraft,
    kind=st.sampled_from(RuleKind),
    name=st.from_regex(r"[a-z]([a-z ]{0,20}[a-z])?", fullmatch=True),
    zone=st.sampled_from(["UTC", "Asia/Kolkata", "America/Argentina/Ushuaia"]),
    schedule=schedules,
    labels=st.dictionaries(st.just("team"), st.lists(st.just("payments"), min_size=1).map(tuple)),
)


@given(drafts)
def test_a_rule_is_read_as_it_is_written(draft: RuleDraft) -> None:
    assert read_rule(to_document(draft), check=check) == draft
