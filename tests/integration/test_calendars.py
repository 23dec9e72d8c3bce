"""Calendars of environments over HTTP: what is open when, what will start, and calendars of other people."""

from collections.abc import Iterator
from typing import Any

import pytest
from icalendar import Calendar as Ics

from api.schemas import calendars as schemas
from tests.integration.api_world import ApiWorld, pipeline_of, world

__all__ = ["world"]

DECEMBER = "from=2026-12-01T00:00:00Z&to=2026-12-15T00:00:00Z"
OFFICE = {
    "environment": "staging",
    "name": "office",
    "zone": "Europe/Berlin",
    "weekly": {"days": ["tue", "thu"], "from": "09:00", "to": "17:00"},
}
HOLIDAY = {
    "environment": "staging",
    "name": "holiday",
    "zone": "Europe/Berlin",
    "dated": {"from": "2026-12-03T12:00", "to": "2026-12-08T10:00"},
}
# By hand: Berlin is one hour ahead of UTC in December; the 1st is a Tuesday.
OPEN = [
    ("2026-12-01T08:00:00", "2026-12-01T16:00:00"),
    ("2026-12-03T08:00:00", "2026-12-03T11:00:00"),
    ("2026-12-08T09:00:00", "2026-12-08T16:00:00"),
    ("2026-12-10T08:00:00", "2026-12-10T16:00:00"),
]
FREEZES = b"""BEGIN:VCALENDAR\r
VERSION:2.0\r
PRODID:-//x//EN\r
BEGIN:VEVENT\r
UID:1\r
DTSTAMP:20260101T000000Z\r
SUMMARY:Inventory\r
DTSTART:20261210T080000\r
DTEND:20261210T120000\r
END:VEVENT\r
END:VCALENDAR\r
"""


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


def read(world: ApiWorld, query: str = DECEMBER) -> dict[str, Any]:
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
    late = {**body, "scheduled_for": "2026-12-05T00:00:00Z"}
    deployment = world.admin.post("/deployments/", json=late).get_json()
    found = {each["id"]: each for each in read(world)["deployments"]}[deployment["id"]]
    assert found["scheduled_for"][:19] == "2026-12-05T00:00:00"
    assert found["starts_at"][:19] == "2026-12-08T09:00:00"
    assert deployment["id"] not in {
        each["id"] for each in read(world, "from=2026-12-09T00:00:00Z&to=2026-12-10T00:00:00Z")["deployments"]
    }


@pytest.mark.parametrize(
    ("at", "is_open", "closes", "following"),
    [
        ("2026-12-01T08:00:00Z", True, "2026-12-01T16:00:00", "2026-12-01T08:00:00"),
        ("2026-12-01T16:00:00Z", False, None, "2026-12-03T08:00:00"),
        ("2026-12-03T11:00:00Z", False, None, "2026-12-08T09:00:00"),
        ("2026-12-03T10:59:59Z", True, "2026-12-03T11:00:00", "2026-12-03T10:59:59"),
    ],
)
def test_an_instant_is_open_or_not(
    world: ApiWorld, staging: str, at: str, is_open: bool, closes: str | None, following: str
) -> None:
    found = world.person("viewer").get(f"/environments/staging/opening?at={at}").get_json()
    schemas.OpeningOut().load(found)
    assert (found["open"], found["closes_at"] and found["closes_at"][:19]) == (is_open, closes)
    assert found["next_opening"][:19] == following


def test_labels_narrow_it(world: ApiWorld, staging: str) -> None:
    body = {**HOLIDAY, "name": "other team", "labels": {"team": ["payments"]}}
    body["dated"] = {"from": "2026-12-01T00:00", "to": "2026-12-02T00:00"}
    assert world.admin.post("/freezes/", json=body).status_code == 201
    labelled = pipeline_of(staging).replace("environments:", "labels: {team: payments}\nenvironments:")
    assert world.apply(staging, labelled).status_code == 200
    assert spans(read(world, f"{DECEMBER}&application={staging}")["openings"]) == OPEN[1:]
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
    answer = world.person("viewer").get(f"/environments/staging/calendar.ics?{DECEMBER}")
    assert (answer.status_code, answer.mimetype) == (200, "text/calendar")
    events = Ics.from_ical(answer.data).walk("VEVENT")
    assert sorted(str(event["SUMMARY"]) for event in events) == ["Freeze: holiday", *["Window: office"] * 4]


def imported(world: ApiWorld, data: bytes, **options: Any) -> Any:
    given = {"content_type": "text/calendar", **options}
    query = "environment=staging&zone=Europe/Berlin"
    return world.person("operator").post(f"/freezes/import?{query}", data=data, **given)


def test_an_import_makes_freezes_once(world: ApiWorld, staging: str) -> None:
    answer = imported(world, FREEZES)
    assert answer.status_code == 201, answer.text
    (made,) = answer.get_json()["created"]
    shown = world.admin.get(f"/freezes/{made}").get_json()
    assert (shown["name"], shown["zone"], shown["dated"]) == (
        "Inventory",
        "Europe/Berlin",
        {"from": "2026-12-10T08:00", "to": "2026-12-10T12:00"},
    )
    assert imported(world, FREEZES).get_json() == {"created": []}
    assert spans(read(world)["openings"])[-1] == ("2026-12-10T11:00:00", "2026-12-10T16:00:00")


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
