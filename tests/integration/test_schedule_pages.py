"""Recurring deployments by form: made, replaced and removed as by the API, and what they would do is said before."""

import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.integration.api_world import ApiWorld, world

__all__ = ["world"]

OURS = {"Origin": "http://localhost"}
NASTY = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


def filled(name: str, **more: str) -> dict[str, str]:
    form = {"application": name, "environment": "production", "from_environment": "staging"}
    return {**form, "cron": "0 9 * * tue", "zone": "Europe/Berlin", **more}


def send(client: FlaskClient, token: str, path: str, **form: str) -> Any:
    return client.post(path, data={"form_token": token, **form}, headers=OURS)


def of(world: ApiWorld, name: str) -> list[dict[str, Any]]:
    found = world.admin.get("/schedules/?limit=200").get_json()["items"]
    return [each for each in found if each["application"] == name]


def test_one_is_made_replaced_and_removed_by_form(world: ApiWorld) -> None:
    client, token = world.browser("deployer")
    name = world.application("1.0")
    made = send(client, token, "/calendar/schedules", **filled(name, reason=f"why {NASTY}"))
    assert (made.status_code, made.headers["Location"]) == (303, "/calendar?environment=production#recurring")
    first = of(world, name)[0]
    assert (first["cron"], first["zone"]) == ("0 9 * * tue", "Europe/Berlin")
    assert (first["from_environment"], first["reason"]) == ("staging", f"why {NASTY}")
    page = client.get("/calendar?environment=production").text
    assert f"/calendar/schedules/new?replaces={first['id']}" in page
    assert "<script>alert" not in page
    form = client.get(f"/calendar/schedules/new?replaces={first['id']}").text
    assert 'name="cron" value="0 9 * * tue"' in form
    assert '<option value="staging" selected>' in form
    assert "<script>alert" not in form
    replaced = filled(name, replaces=str(first["id"]), cron="30 6 * * *", from_environment="")
    assert send(client, token, "/calendar/schedules", **replaced).status_code == 303
    found = of(world, name)
    assert [(each["cron"], each["from_environment"]) for each in found] == [("30 6 * * *", None)]
    assert send(client, token, f"/calendar/schedules/{found[0]['id']}/remove").status_code == 303
    assert of(world, name) == []


def test_it_is_changed_by_who_made_it_and_by_operators(world: ApiWorld) -> None:
    client, token = world.browser("deployer")
    name = world.application("1.0")
    send(client, token, "/calendar/schedules", **filled(name))
    made = of(world, name)[0]["id"]
    remove = f"/calendar/schedules/{made}/remove"
    for role, status in (("viewer", 403), ("deployer", 403), ("operator", 303)):
        other, others = world.browser(role)
        shown = remove in other.get("/calendar?environment=production").text
        assert shown == (role == "operator"), role
        if role != "operator":
            stolen = send(other, others, "/calendar/schedules", **filled(name, replaces=str(made)))
            assert stolen.status_code == 403
            assert [each["id"] for each in of(world, name)] == [made], "neither made nor removed"
        assert send(other, others, remove).status_code == status, role
    assert of(world, name) == []


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({}, "It would request one on Tue"),
        ({"cron": "nonsense"}, "It cannot be made like that"),
        ({"cron": ""}, "It cannot be made like that"),
        ({"cron": "0 9 30 2 *"}, "It cannot be made like that"),
        ({"zone": "Mars/Olympus"}, "It cannot be made like that"),
        ({"zone": NASTY}, "It cannot be made like that"),
        ({"application": "nobody-knows"}, "no application"),
        ({"environment": "nowhere"}, "It cannot be made like that"),
        ({"from_environment": "production"}, "what is there already, so each time is left out"),
        ({"from_environment": ""}, "which has to succeed in staging first"),
        ({"zone": "CET"}, "is an abbreviation and not a place"),
    ],
)
def test_the_form_says_at_once_what_is_wrong_or_not_meant(
    world: ApiWorld, wrong: dict[str, str], says: str
) -> None:
    client, token = world.browser("deployer")
    name = world.application("1.0")
    page = send(client, token, "/calendar/schedules/check", **filled(name, **wrong))
    assert page.status_code == 200
    assert says in page.text
    assert "<script>alert" not in page.text
    assert of(world, name) == []


def test_the_form_says_when_deploying_will_not_be_allowed(world: ApiWorld) -> None:
    client, token = world.browser("deployer")
    name = world.application("1.0")
    weekly = {"days": ["tue"], "from": "10:30", "to": "11:00"}
    window = {"environment": "production", "name": "after ten", "zone": "Europe/Berlin", "weekly": weekly}
    made = world.admin.post("/windows/", json=window).get_json()["id"]

    def says(cron: str) -> str:
        return str(send(client, token, "/calendar/schedules/check", **filled(name, cron=cron)).text)

    assert re.search(
        r"at 09:00 deploying is not allowed: .* waits until [0-9-]+ at 10:30", says("0 9 * * tue")
    )
    assert "not allowed" not in says("45 10 * * tue")
    assert "not before the next time comes" in says("0 9 * * *")
    assert world.admin.call("DELETE", f"/windows/{made}").status_code == 200


def test_a_viewer_sees_them_and_makes_none(world: ApiWorld) -> None:
    client, token = world.browser("viewer")
    name = world.application("1.0")
    assert "New recurring deployment" not in client.get("/calendar?environment=production").text
    for path in ("/calendar/schedules", "/calendar/schedules/check"):
        assert send(client, token, path, **filled(name)).status_code == 403
    assert client.get("/calendar/schedules/new").status_code == 403
    assert of(world, name) == []
