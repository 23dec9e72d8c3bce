"""Calendars of environments over HTTP: what is open when, what will start, and calendars of other people."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from icalendar import Calendar as Ics

from api.schemas import calendars as schemas
from tests.integration.api_world import ApiWorld, pipeline_of, world

__all__ = ["world"]

ZONE = "Asia/Dubai"


def tuesday_to_come() -> date:
    """The first one after some days: what begins then is still to come when it is asked for."""
    soon = datetime.now(UTC).date() + timedelta(days=3)
    return soon + timedelta(days=(1 - soon.weekday()) % 7)


TUESDAY = tuesday_to_come()
Time = tuple[int, str]
"""Days after the Tuesday, and the time of the day."""


def at(after: int, time: str) -> str:
    """That time of the day so many days after the Tuesday."""
    return f"{TUESDAY + timedelta(days=after)}T{time}"


FORTNIGHT = f"from={at(0, '00:00:00Z')}&to={at(14, '00:00:00Z')}"
OFFICE = {
    "environment": "staging",
    "name": "office",
    "zone": ZONE,
    "weekly": {"days": ["tue", "thu"], "from": "09:00", "to": "17:00"},
}
HOLIDAY = {
    "environment": "staging",
    "name": "holiday",
    "zone": ZONE,
    "dated": {"from": at(2, "12:00"), "to": at(7, "10:00")},
}
# By hand: Dubai is four hours ahead of UTC all year.
OPEN = [
    (at(0, "05:00:00"), at(0, "13:00:00")),
    (at(2, "05:00:00"), at(2, "08:00:00")),
    (at(7, "06:00:00"), at(7, "13:00:00")),
    (at(9, "05:00:00"), at(9, "13:00:00")),
]
FREEZES = f"""BEGIN:VCALENDAR\r
VERSION:2.0\r
PRODID:-//x//EN\r
BEGIN:VEVENT\r
UID:1\r
DTSTAMP:20260101T000000Z\r
SUMMARY:Inventory\r
DTSTART:{at(9, "080000").replace("-", "")}\r
DTEND:{at(9, "120000").replace("-", "")}\r
END:VEVENT\r
END:VCALENDAR\r
""".encode()


@pytest.fixture
def staging(world: ApiWorld) -> Iterator[str]:
    """An application, with the window and the freeze; they are taken away afterwards."""
    name = world.application("1.0")
    for path, body in (("windows", OFFICE), ("freezes", HOLIDAY)):
        assert world.admin.post(f"/{path}/", json=body).status_code == 201
    yield name
    for path in ("windows", "freezes"):
        for each in world.admin.get(f"/{path}/?environment=staging").get_json()["items"]:
            world.admin.call("DELETE", f"/{path}/{each['id']}")


def read(world: ApiWorld, query: str = FORTNIGHT) -> dict[str, Any]:
    answer = world.person("viewer").get(f"/environments/staging/calendar?{query}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.get_json()
    schemas.CalendarOut().load(found)
    return found


def spans(found: list[dict[str, str]]) -> list[tuple[str, str]]:
    return [(each["from"][:19], each["to"][:19]) for each in found]


def test_openings_are_windows_without_freezes(world: ApiWorld, staging: str) -> None:
    found = read(world)
    assert spans(found["openings"]) == OPEN
    assert [each["kind"] for each in found["occurrences"]] == [
        "window",
        "window",
        "freeze",
        "window",
        "window",
    ]


def test_what_waits_is_in_it_with_its_forecast(world: ApiWorld, staging: str) -> None:
    body = {"application": staging, "version": "1.0", "environment": "staging"}
    late = {**body, "scheduled_for": at(4, "00:00:00Z")}
    deployment = world.admin.post("/deployments/", json=late).get_json()
    found = {each["id"]: each for each in read(world)["deployments"]}[deployment["id"]]
    assert found["scheduled_for"][:19] == at(4, "00:00:00")
    assert found["starts_at"][:19] == at(7, "06:00:00")
    later = f"from={at(8, '00:00:00Z')}&to={at(9, '00:00:00Z')}"
    assert deployment["id"] not in {each["id"] for each in read(world, later)["deployments"]}


@pytest.mark.parametrize(
    ("asked", "is_open", "closes", "following"),
    [
        ((0, "05:00:00"), True, (0, "13:00:00"), (0, "05:00:00")),
        ((0, "13:00:00"), False, None, (2, "05:00:00")),
        ((2, "08:00:00"), False, None, (7, "06:00:00")),
        ((2, "07:59:59"), True, (2, "08:00:00"), (2, "07:59:59")),
    ],
)
def test_an_instant_is_open_or_not(
    world: ApiWorld, staging: str, asked: Time, is_open: bool, closes: Time | None, following: Time
) -> None:
    found = world.person("viewer").get(f"/environments/staging/opening?at={at(*asked)}Z").get_json()
    schemas.OpeningOut().load(found)
    closes_at = found["closes_at"] and found["closes_at"][:19]
    assert (found["open"], closes_at) == (is_open, closes and at(*closes))
    assert found["next_opening"][:19] == at(*following)


def test_labels_narrow_it(world: ApiWorld, staging: str) -> None:
    body = {**HOLIDAY, "name": "other team", "labels": {"team": ["payments"]}}
    body["dated"] = {"from": at(0, "00:00"), "to": at(1, "00:00")}
    assert world.admin.post("/freezes/", json=body).status_code == 201
    labelled = pipeline_of(staging).replace("environments:", "labels: {team: payments}\nenvironments:")
    assert world.apply(staging, labelled).status_code == 200
    assert spans(read(world, f"{FORTNIGHT}&application={staging}")["openings"]) == OPEN[1:]
    assert spans(read(world)["openings"]) == OPEN


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/environments/nowhere/calendar", 404),
        ("/environments/nowhere/opening", 404),
        ("/environments/staging/calendar?application=nobody", 404),
        ("/environments/staging/calendar?from=2026-12-01", 422),
        ("/environments/staging/calendar?from=2026-12-01T00:00:00Z&to=2026-12-01T00:00:00Z", 400),
        ("/environments/staging/calendar?from=2026-12-01T00:00:00Z&to=2027-12-01T00:00:00Z", 400),
        ("/environments/staging/calendar.ics?from=2026-12-01T00:00:00Z&to=2027-12-01T00:00:00Z", 400),
    ],
)
def test_a_calendar_that_cannot_be_is_refused(world: ApiWorld, staging: str, path: str, status: int) -> None:
    assert world.admin.get(path).status_code == status


def test_the_feed_is_a_calendar(world: ApiWorld, staging: str) -> None:
    answer = world.person("viewer").get(f"/environments/staging/calendar.ics?{FORTNIGHT}")
    assert (answer.status_code, answer.mimetype) == (200, "text/calendar")
    events = Ics.from_ical(answer.data).walk("VEVENT")
    assert sorted(str(event["SUMMARY"]) for event in events) == ["Freeze: holiday", *["Window: office"] * 4]


def imported(world: ApiWorld, data: bytes, **options: Any) -> Any:
    given = {"content_type": "text/calendar", **options}
    query = f"environment=staging&zone={ZONE}"
    return world.person("operator").post(f"/freezes/import?{query}", data=data, **given)


def test_an_import_makes_freezes_once(world: ApiWorld, staging: str) -> None:
    answer = imported(world, FREEZES)
    assert answer.status_code == 201, answer.text
    (made,) = answer.get_json()["created"]
    shown = world.admin.get(f"/freezes/{made}").get_json()
    assert (shown["name"], shown["zone"], shown["dated"]) == (
        "Inventory",
        ZONE,
        {"from": at(9, "08:00"), "to": at(9, "12:00")},
    )
    assert imported(world, FREEZES).get_json() == {"created": []}
    assert spans(read(world)["openings"])[-1] == (at(9, "08:00:00"), at(9, "13:00:00"))


def test_an_import_takes_all_or_none(world: ApiWorld, staging: str) -> None:
    before = world.count("window_rules")
    broken = FREEZES.replace(
        b"END:VCALENDAR", b"BEGIN:VEVENT\r\nUID:2\r\nSUMMARY:No time\r\nEND:VEVENT\r\nEND:VCALENDAR"
    )
    refused = imported(world, broken)
    assert refused.status_code == 422
    assert "No time" in refused.get_json()["errors"][0]["detail"]
    assert imported(world, b"no calendar").status_code == 422
    assert imported(world, FREEZES, content_type="text/plain").status_code == 415
    assert (
        world.person("deployer")
        .post("/freezes/import?environment=staging", data=FREEZES, content_type="text/calendar")
        .status_code
        == 403
    )
    assert world.count("window_rules") == before
