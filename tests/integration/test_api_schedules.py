"""Recurring deployments, promotion by hand, new plans and teams over HTTP."""

from typing import Any

import pytest

from api.schemas import schedules as schemas
from tests.integration.api_world import ApiWorld, world

__all__ = ["world"]


def body_of(name: str, **more: Any) -> dict[str, Any]:
    body = {"application": name, "environment": "staging", "cron": "0 9 * * tue", "zone": "Europe/Berlin"}
    return body | more


def test_a_schedule_is_made_once_shown_and_removed(world: ApiWorld) -> None:
    name, deployer = world.application("1.0"), world.person("deployer")
    key = {"Idempotency-Key": "once"}
    answer = deployer.post("/schedules/", json=body_of(name), headers=key)
    made = answer.get_json()
    schemas.Schedule().load(made)
    assert (answer.status_code, answer.headers["Location"]) == (201, f"/api/v1/schedules/{made['id']}")
    assert deployer.post("/schedules/", json=body_of(name), headers=key).get_json() == made
    assert [
        each for each in world.admin.get("/schedules/").get_json()["items"] if each["application"] == name
    ] == [made]
    assert world.admin.get(f"/schedules/{made['id']}").get_json() == made
    path = f"/schedules/{made['id']}"
    assert world.person("deployer").call("DELETE", path).status_code == 403
    removed = deployer.call("DELETE", path).get_json()
    assert (removed["next_at"], removed["removed_by"]) == (None, made["created_by"])
    assert deployer.call("DELETE", path).get_json() == removed
    assert made["id"] not in [each["id"] for each in world.admin.get("/schedules/").get_json()["items"]]


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"application": "nobody-knows"}, 404),
        ({"environment": "nowhere"}, 404),
        ({"cron": "* * * * *"}, 422),
        ({"cron": ""}, 422),
        ({"zone": "CEST!"}, 422),
        ({"from_environment": "Not A Name"}, 422),
        ({"surprise": 1}, 422),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(world: ApiWorld, wrong: dict[str, Any], status: int) -> None:
    name = world.application("1.0")
    before = world.count("schedules")
    answer = world.admin.post("/schedules/", json=body_of(name, **wrong))
    assert (answer.status_code, world.count("schedules")) == (status, before), answer.text


def test_what_is_in_one_environment_goes_to_another(world: ApiWorld) -> None:
    name = world.application("1.0")
    body = {"application": name, "from_environment": "staging", "environment": "production"}
    refused = world.admin.post("/deployments/", json=body)
    assert (refused.status_code, refused.get_json()["detail"]) == (
        400,
        f"nothing of {name} has succeeded in staging yet",
    )
    for wrong in ({"version": "1.0"}, {"from_environment": None}):
        assert world.admin.post("/deployments/", json=body | wrong).status_code == 422


def test_a_new_plan_takes_the_place_of_one_that_waits(world: ApiWorld) -> None:
    name = world.application("1.0")
    waiting = world.deploy(name, "1.0", "production")
    assert world.person("viewer").post(f"/deployments/{waiting['id']}/replan", json={}).status_code == 403
    answer = world.admin.post(f"/deployments/{waiting['id']}/replan", json={})
    assert answer.status_code == 202
    made = answer.get_json()
    assert (made["version"], made["environment"], made["status"]) == ("1.0", "production", "pending")
    found = world.admin.get(f"/deployments/{waiting['id']}").get_json()
    assert (found["status"], found["replaced_by_id"]) == ("superseded", made["id"])
    page = world.browser("viewer")[0].get(f"/deployments/{waiting['id']}").text
    assert f'<dt>Replaced by</dt><dd><a href="/deployments/{made["id"]}">' in page
    again = world.admin.post(f"/deployments/{waiting['id']}/replan", json={})
    assert again.status_code == 409
    cancel = world.admin.post(f"/deployments/{waiting['id']}/cancel", json={})
    assert (cancel.status_code, cancel.get_json()["detail"]) == (
        409,
        f"deployment {waiting['id']} has ended already: it got another plan, and deployment {made['id']} has its place",
    )


def test_only_admins_say_who_is_in_a_team(world: ApiWorld) -> None:
    person = world.person("deployer")
    assert person.call("PATCH", f"/users/{person.id}", json={"teams": ["web"]}).status_code == 403
    changed = world.admin.call("PATCH", f"/users/{person.id}", json={"teams": ["web", "pay", "web"]})
    assert changed.get_json()["teams"] == ["pay", "web"]
    assert person.get(f"/users/{person.id}").get_json()["teams"] == ["pay", "web"]
    for wrong in (["No Team"], ["x"] * 51, "web"):
        assert world.admin.call("PATCH", f"/users/{person.id}", json={"teams": wrong}).status_code == 422


def test_a_calendar_warns_of_what_can_never_be(world: ApiWorld) -> None:
    name = "soaker"
    source = f"""
application: {name}
environments:
  before: {{targets: [{{name: a, kind: noop}}]}}
  narrow: {{after: before, soak: 3h, targets: [{{name: a, kind: noop}}]}}
deploy: [{{run: ./x}}]
"""
    assert world.apply(name, source).status_code == 201
    path = "/environments/narrow/calendar"
    assert world.admin.get(f"{path}?application={name}").get_json()["warnings"] == []
    weekly = {"days": ["mon"], "from": "09:00", "to": "11:00"}
    rule = {"environment": "narrow", "name": "short", "zone": "UTC", "weekly": weekly}
    assert world.admin.post("/windows/", json=rule).status_code == 201
    (warning,) = world.admin.get(f"{path}?application={name}").get_json()["warnings"]
    assert warning.startswith("No opening is longer than 2h, and a release soaks for 3h")
    assert world.admin.get(path).get_json()["warnings"] == []
    dated = {"from": "2000-01-01T00:00", "to": "2199-12-31T00:00"}
    frozen = {"environment": "narrow", "name": "never", "zone": "UTC", "dated": dated}
    made = world.admin.post("/freezes/", json=frozen)
    assert made.status_code == 201, made.text
    (warning,) = world.admin.get(path).get_json()["warnings"]
    assert warning.startswith("Each opening of the next")


def test_a_calendar_shows_what_recurs(world: ApiWorld) -> None:
    name = world.application("1.0")
    made = world.admin.post("/schedules/", json=body_of(name)).get_json()
    path = f"/environments/staging/calendar?application={name}&from=2099-06-01T00:00Z&to=2099-06-15T00:00Z"
    # Tuesdays at 09:00 in Berlin, in summer: 07:00 UTC.
    assert world.admin.get(path).get_json()["recurring"] == [
        {"schedule_id": made["id"], "application": name, "at": f"2099-06-{day:02}T07:00:00Z"}
        for day in (2, 9)
    ]
