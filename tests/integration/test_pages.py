"""The pages beside the dashboard: each does what the API does, and whatever people write stays text."""

import itertools
import re
from datetime import UTC, date, datetime, timedelta
from urllib.parse import quote
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from tests.integration.api_world import PASSWORD, ApiWorld, pipeline_of, world
from tests.integration.test_overview import succeed

__all__ = ["world"]

OURS = {"Origin": "http://localhost"}
NASTY = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
NUMBERS = itertools.count(1)


def send(client: FlaskClient, token: str, path: str, **form: object) -> int:
    return client.post(path, data={"form_token": token, **form}, headers=OURS).status_code


def is_text(page: str) -> None:
    assert "<script>alert" not in page
    assert "<img src=x" not in page


def test_a_lock_is_made_and_released_by_form(world: ApiWorld) -> None:
    client, token = world.browser("deployer")
    name = world.application("1.0")
    assert send(client, token, "/locks", application=name, reason=f"why {NASTY}", hours="4") == 303
    held = world.admin.get("/locks/").get_json()["items"][0]
    assert (held["application"], held["environment"], held["warning_only"]) == (name, None, False)
    assert held["expires_at"] is not None
    page = client.get("/locks").text
    assert f"/locks/{held['id']}/release" in page
    is_text(page)
    other, others = world.browser("deployer")
    assert f"/locks/{held['id']}/release" not in other.get("/locks").text
    assert send(other, others, f"/locks/{held['id']}/release") == 403
    assert send(client, token, f"/locks/{held['id']}/release") == 303
    assert world.admin.get(f"/locks/{held['id']}").get_json()["released_at"] is not None
    assert NASTY not in client.get("/locks?all=true").text
    assert send(client, token, "/locks", application="*", reason="x") == 403, "that is for operators"
    assert send(client, token, "/locks", application=name, reason="") == 422


def test_releases_and_applications_show_what_there_is(world: ApiWorld) -> None:
    client, _ = world.browser("viewer")
    name = f"pictured-{next(NUMBERS)}"
    source = pipeline_of(name).replace("./install", f"'echo {NASTY.replace(chr(39), chr(39) * 2)}'")
    assert world.apply(name, source).status_code == 201
    body = {"name": name, "version": "1.0", "changes": NASTY, "artifact": NASTY}
    release = world.admin.post("/releases/", json=body).get_json()["id"]
    made = world.deploy(name, "1.0")["id"]
    for path in (
        "/releases",
        f"/releases?name={name}",
        f"/releases/{release}",
        "/applications",
        f"/applications/{name}",
    ):
        page = client.get(path)
        assert page.status_code == 200
        assert name in page.text, path
        is_text(page.text)
    assert f'href="/deployments/{made}"' in client.get(f"/releases/{release}").text
    picture = client.get(f"/applications/{name}").text
    assert 'aria-label="staging; production after staging"' in picture
    assert "rolling, 2 targets" in picture
    assert "./install" not in picture
    assert client.get("/applications/nothing").status_code == 404
    assert client.get("/releases/999999").status_code == 404
    targets = client.get(f"/targets?application={name}&environment=production").text
    assert targets.count("nothing yet") == 2


def rule(**form: object) -> dict[str, object]:
    weekly = {"schedule": "weekly", "days": ["mon", "tue"], "from": "09:00", "to": "17:00"}
    return {"environment": "staging", "kind": "window", "zone": "UTC", **weekly, **form}


def rules_of(world: ApiWorld, kind: str, name: str) -> list[dict[str, object]]:
    found = world.admin.get(f"/{kind}/?limit=200").get_json()["items"]
    return [each for each in found if each["name"] == name]


def test_a_window_is_made_replaced_and_removed_by_form(world: ApiWorld) -> None:
    client, token = world.browser("operator")
    world.application("1.0")
    name = f"office {next(NUMBERS)}"
    labels = "team=nobody tier=edge tier=core"
    assert send(client, token, "/calendar/rules", **rule(name=name, labels=labels)) == 303
    made = rules_of(world, "windows", name)[0]
    assert made["weekly"] == {"days": ["mon", "tue"], "from": "09:00", "to": "17:00"}
    assert made["labels"] == {"team": ["nobody"], "tier": ["edge", "core"]}
    form = client.get(f"/calendar/rules/new?kind=window&replaces={made['id']}").text
    assert f'name="replaces" value="{made["id"]}"' in form
    assert "tier=core" in form
    cron = {"schedule": "cron", "cron": "0 2 * * *", "cron_duration": "2h"}
    changed = rule(
        name=name, labels="team=nobody", replaces=made["id"], replaced_kind="window", kind="freeze", **cron
    )
    assert send(client, token, "/calendar/rules", **changed) == 303
    assert rules_of(world, "windows", name) == []
    replaced = rules_of(world, "freezes", name)[0]
    assert replaced["cron"] == {"expression": "0 2 * * *", "duration": "2h"}
    assert send(client, token, f"/calendar/rules/{replaced['id']}/remove", kind="freeze") == 303
    assert rules_of(world, "freezes", name) == []


def test_the_form_says_at_once_what_is_wrong_or_not_meant(world: ApiWorld) -> None:
    client, token = world.browser("operator")
    world.application("1.0")

    def says(**form: object) -> str:
        sent = {"form_token": token, **rule(**{"name": "x", **form})}
        return client.post("/calendar/rules/check", data=sent, headers=OURS).text

    assert "It would hold from" in says()
    assert "there is no zone" in says(zone="Mars/Olympus") or "zone" in says(zone="Mars/Olympus")
    assert "It cannot be made like that" in says(zone="Mars/Olympus")
    assert "It cannot be made like that" in says(schedule="cron", cron="nonsense", cron_duration="2h")
    past = {"schedule": "dated", "dated_from": "2020-01-01T00:00", "dated_to": "2020-01-02T00:00"}
    assert "It would not hold within a year" in says(**past)
    assert "tone-warn" in says(**past), "the linter has something to say of a rule that is over"
    is_text(says(name=NASTY, zone=NASTY))
    before = world.count("window_rules")
    says()
    assert world.count("window_rules") == before


def section_of(page: str, day: date) -> str:
    """What the calendar shows for a day."""
    found = re.search(rf'aria-label="{day:%A} {day.day} {day:%B}">(.*?)</section>', page, re.S)
    assert found is not None, day
    return found[1]


def test_the_calendar_shows_rules_and_deployments_by_day(world: ApiWorld) -> None:
    client, token = world.browser("operator")
    name = world.application("1.0")
    title = f"the fair {next(NUMBERS)} {NASTY}"
    day = datetime.now(UTC).date() + timedelta(days=20)
    after = day + timedelta(days=1)
    frozen = {"schedule": "dated", "dated_from": f"{day}T12:00", "dated_to": f"{after}T18:00"}
    sent = rule(name=title, kind="freeze", zone="Europe/Berlin", **frozen)
    assert send(client, token, "/calendar/rules", **sent) == 303
    body = {
        "application": name,
        "version": "1.0",
        "environment": "staging",
        "scheduled_for": f"{day}T08:30:00Z",
    }
    made = world.admin.post("/deployments/", json=body).get_json()["id"]
    in_berlin = datetime(day.year, day.month, day.day, 8, 30, tzinfo=UTC).astimezone(
        ZoneInfo("Europe/Berlin")
    )
    for view in ("month", "week"):
        query = f"environment=staging&view={view}&at={day}&zone={quote('Europe/Berlin')}"
        page = client.get(f"/calendar?{query}").text
        is_text(page)
        assert "12:00\N{EN DASH}24:00" in section_of(page, day)
        assert f'{in_berlin:%H:%M} <a href="/deployments/{made}"' in section_of(page, day)
        if after.weekday() or (view == "month" and after.month == day.month):  # whole weeks are shown
            assert "00:00\N{EN DASH}18:00" in section_of(page, after)
    in_utc = client.get(f"/calendar?environment=staging&at={day}&zone=UTC").text
    assert f'08:30 <a href="/deployments/{made}"' in section_of(in_utc, day)
    days = re.findall(r'<section role="listitem"[^>]* aria-label="(\w+) \d+ \w+"', in_utc)
    assert len(days) % 7 == 0
    assert (days[0], days[-1]) == ("Monday", "Sunday")
    feed = client.get("/calendar/staging/feed.ics")
    assert feed.text.startswith("BEGIN:VCALENDAR")
    for wrong in ("view=year", "at=x", "environment=a%00b", "at=0001-01-01"):
        assert client.get(f"/calendar?{wrong}").status_code in {400, 422}, wrong


def test_the_audit_log_is_shown_and_verified(world: ApiWorld) -> None:
    client, _ = world.browser("operator")
    name = world.application("1.0")
    lock = world.admin.post("/locks/", json={"application": name, "reason": NASTY}).get_json()["id"]
    page = client.get(f"/audit?subject=lock:{lock}").text
    assert "lock.created" in page
    is_text(page)
    assert "lock.created" in client.get("/audit").text
    whole = client.get(f"/audit/verification?subject=lock:{lock}").text
    assert "The record is whole" in whole
    assert "1 entry was read" in whole
    assert "The record is whole" in client.get("/audit/verification").text
    with world.database.transaction() as session:  # as somebody would who owns the database
        session.execute(text("SET LOCAL session_replication_role = replica"))
        session.execute(
            text("UPDATE events SET data = '{}' WHERE subject = :subject"), {"subject": f"lock:{lock}"}
        )
    broken = client.get(f"/audit/verification?subject=lock:{lock}").text
    assert "The record is not whole" in broken
    assert f"entry 1 of lock:{lock} was changed" in broken


def test_webhooks_are_made_tried_and_removed_and_show_their_secret_once(world: ApiWorld) -> None:
    client, token = world.browser("operator")
    form = {"name": NASTY, "url": "https://hooks.example/x", "events": "deployment.* lock.created"}
    answer = client.post("/webhooks", data={"form_token": token, **form}, headers=OURS)
    secret = re.search(r"whsec_[A-Za-z0-9+/=]+", answer.text)
    assert secret is not None
    is_text(answer.text)
    made = world.admin.get("/webhooks/").get_json()["items"][0]
    assert made["events"] == ["deployment.*", "lock.created"]
    page = client.get(f"/webhooks/{made['id']}").text
    assert secret[0] not in page
    tried = client.post(f"/webhooks/{made['id']}/test", data={"form_token": token}, headers=OURS)
    delivery = tried.headers["Location"]
    assert "webhook.test" in client.get(delivery).text
    assert send(client, token, f"{delivery}/replay") == 303
    assert "webhook.test" in client.get(f"/webhooks/{made['id']}?status=pending").text
    assert send(client, token, f"/webhooks/{made['id']}/replay") == 303
    assert send(client, token, f"/webhooks/{made['id']}/remove") == 303
    assert world.admin.get(f"/webhooks/{made['id']}").get_json()["removed_at"] is not None
    is_text(client.get("/webhooks").text)
    assert send(client, token, "/webhooks", name="x", url="not one", events="*") == 422


def test_admins_add_and_change_users(world: ApiWorld) -> None:
    client, token = world.browser("admin")
    name = f"new-{next(NUMBERS)}"
    form = {"form_token": token, "username": name, "email": f"{name}@example.com", "role": "deployer"}
    page = client.post("/users", data=form, headers=OURS).text
    password = re.search(r'<pre class="secret"[^>]*>([^<]+)</pre>', page)
    assert password is not None
    person = world.login(name, password[1])
    me = person.get("/auth/me").get_json()
    assert me["role"] == "deployer"
    assert send(client, token, f"/users/{me['id']}", role="operator") == 303
    assert person.get("/auth/me").get_json()["role"] == "operator"
    assert send(client, token, f"/users/{me['id']}", active="no") == 303
    assert person.get("/auth/me").status_code == 401
    listed, _ = world.browser("viewer")
    assert "Deactivate" not in listed.get("/users").text
    assert send(client, token, "/users", username=NASTY, email="x", role="viewer") == 422


def test_everyone_changes_their_own_password(world: ApiWorld) -> None:
    client, token = world.browser("viewer")
    name = re.search(r"Account of ([^\"]+)", client.get("/password").text)
    assert name is not None
    other = world.login(name[1])
    new = {"password": "another battery staple", "again": "another battery staple"}
    for status, wrong, says in (
        (403, {**new, "current_password": "not the password"}, "That is not your password."),
        (422, {**new, "current_password": PASSWORD, "again": "another battery stable"}, "the same way twice"),
        (422, {"current_password": PASSWORD, "password": "short", "again": "short"}, 'role="alert"'),
        (422, {"current_password": PASSWORD}, 'role="alert"'),
    ):
        answer = client.post("/password", data={"form_token": token, **wrong}, headers=OURS)
        assert (answer.status_code, says in answer.text) == (status, True), wrong
        assert "staple" not in answer.text
    assert other.get("/auth/me").status_code == 200
    form = {"form_token": token, **new, "current_password": PASSWORD}
    assert "It was changed" in client.post("/password", data=form, headers=OURS).text
    assert client.get("/tokens").status_code == 200, "this login goes on"
    assert other.get("/auth/me").status_code == 401
    assert world.login(name[1], new["password"]).get("/auth/me").status_code == 200


def test_a_page_that_is_not_there_keeps_the_head_of_who_is_logged_in(world: ApiWorld) -> None:
    client, _ = world.browser("viewer")
    stranger = world.client()
    for who, has_head in ((client, True), (stranger, False)):
        answer = who.get("/nothing", headers={"Accept": "text/html"})
        assert (answer.status_code, 'aria-label="Main"' in answer.text) == (404, has_head)


def test_a_token_is_made_shown_once_and_revoked(world: ApiWorld) -> None:
    client, token = world.browser("deployer")
    form = {"form_token": token, "name": NASTY, "scopes": ["read", "deploy"]}
    page = client.post("/tokens", data=form, headers=OURS).text
    found = re.search(r"drm_[A-Za-z0-9]{46}", page)
    assert found is not None
    is_text(page)
    program = world.client()
    asks = {"Authorization": f"Bearer {found[0]}"}
    assert program.get("/api/v1/auth/me", headers=asks).status_code == 200
    page = client.get("/tokens").text
    assert found[0] not in page
    id = re.search(r"/tokens/(\d+)/revoke", page)
    assert id is not None
    assert send(client, token, f"/tokens/{id[1]}/revoke") == 303
    assert program.get("/api/v1/auth/me", headers=asks).status_code == 401
    wide = {"name": "x", "scopes": ["operate"]}
    assert send(client, token, "/tokens", **wide) == 403, "nobody gives more than they have"


def test_the_system_page_says_what_is_unhealthy(world: ApiWorld) -> None:
    client, _ = world.browser("operator")
    page = client.get("/system").text
    findings = world.admin.get("/diagnosis").get_json()["findings"]
    assert findings, "nothing works for this installation, so something must be said"
    for each in findings:
        assert each["code"] in page


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_the_head_leads_only_where_one_may_go(world: ApiWorld, role: str) -> None:
    client, _ = world.browser(role)
    page = client.get("/").text
    for path in ("/calendar", "/applications", "/releases", "/targets", "/locks", "/users", "/tokens"):
        assert f'href="{path}"' in page
        assert client.get(path).status_code == 200
    for path in ("/webhooks", "/audit", "/system"):
        assert (f'href="{path}"' in page) == (role == "operator")


def test_a_deployment_is_scheduled_and_overrides_windows_by_form(world: ApiWorld) -> None:
    client, token = world.browser("operator")
    name = world.application("1.0")
    at = f"{datetime.now(UTC).date() + timedelta(days=30)}T06:30"
    query = f"application={name}&version=1.0&environment=staging&scheduled_for={at}&override_windows=yes"
    assert "Say why it is to start outside the windows" in client.get(f"/deploy?{query}").text
    page = client.get(f"/deploy?{query}&reason=because").text
    assert "Schedule " in page
    assert f'name="scheduled_for" value="{at}"' in page
    form = {"application": name, "version": "1.0", "environment": "staging", "scheduled_for": at}
    assert send(client, token, "/deploy", **form, override_windows="yes", reason="because") == 303
    made = world.admin.get(f"/deployments/?application={name}").get_json()["items"][0]
    assert made["scheduled_for"] == f"{at}:00Z"
    assert made["reason"] == "because"
    there = {**form, "zone": "Asia/Kathmandu"}  # a quarter to six hours ahead of UTC
    assert send(client, token, "/deploy", **there) == 303
    made = world.admin.get(f"/deployments/?application={name}").get_json()["items"][0]
    assert made["scheduled_for"] == f"{at[:11]}00:45:00Z"
    deployer, _ = world.browser("deployer")
    assert "override_windows" not in deployer.get(f"/deploy?application={name}&environment=staging").text
    assert send(client, token, "/deploy", **{**form, "scheduled_for": "soon"}) == 422


def test_the_dashboard_promotes_once_however_often_it_is_pressed(world: ApiWorld) -> None:
    client, token = world.browser("deployer")
    name = world.application("1.0")
    made = world.deploy(name, "1.0")["id"]
    succeed(world, made)
    page = client.get(f"/?q={name}").text
    form = re.search(r'<form method="post" action="/deploy">(.*?)</form>', page, re.S)
    assert form is not None
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form[1]))
    assert fields["form_token"] == token
    assert (fields["environment"], fields["version"]) == ("production", "1.0")
    answers = [client.post("/deploy", data=fields, headers=OURS) for _ in range(2)]
    assert answers[0].status_code == 303
    assert answers[0].headers["Location"] == answers[1].headers["Location"]
    viewer, _ = world.browser("viewer")
    assert 'action="/deploy"' not in viewer.get(f"/?q={name}").text


def test_what_has_to_succeed_elsewhere_first_is_not_offered(world: ApiWorld) -> None:
    client, _ = world.browser("deployer")
    name = world.application("1.0")
    page = client.get(f"/?q={name}").text
    assert re.findall(rf'href="/deploy\?application={name}&amp;environment=(\w+)', page) == ["staging"]
