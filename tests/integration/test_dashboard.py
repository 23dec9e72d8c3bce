"""The pages: sessions that end when they should, forms that only our pages can send, and text that stays text."""

import base64
import itertools
import re
import time

import pytest
from cryptography.fernet import Fernet
from flask.testing import FlaskClient
from sqlalchemy import text

from orchestrator.security import derive_key
from tests.integration.api_world import PASSWORD, ApiWorld, pipeline_of, world

__all__ = ["world"]

OURS = {"Origin": "http://localhost"}
NASTY = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
NOWHERE = "127.0.0.1:1"
NUMBERS = itertools.count(1)


def is_login(client: FlaskClient, path: str = "/") -> bool:
    answer = client.get(path)
    return answer.status_code == 303 and answer.headers["Location"].startswith("/login?next=")


def test_a_login_gives_a_cookie_that_scripts_and_other_sites_cannot_use(world: ApiWorld) -> None:
    name = world.register(f"cookie-{next(NUMBERS)}", "viewer", by=world.admin)["username"]
    answer = world.client().post("/login", data={"username": name, "password": PASSWORD}, headers=OURS)
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("session=")
    assert {"HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=86400"} <= set(cookie.split("; "))
    kept = [key for key in world.redis.keys("session:*") if 0 < world.redis.ttl(key) <= 86400]
    assert kept
    secret = cookie.partition("=")[2].partition(";")[0]
    assert not any(secret.encode() in key for key in kept), "Redis must not hold what lets one in"


def test_behind_tls_the_cookie_is_for_this_host_over_tls_only(world: ApiWorld) -> None:
    client = world.another(cookie_secure=True).test_client()
    form = {"username": "admin", "password": PASSWORD}
    cookie = client.post("/login", data=form, headers=OURS, base_url="https://localhost").headers[
        "Set-Cookie"
    ]
    assert cookie.startswith("__Host-session=")
    assert "Secure" in cookie.split("; ")


@pytest.mark.parametrize(
    ("asked", "leads_to"),
    [
        ("/deployments?status=failed", "/deployments?status=failed"),
        ("//evil.example/x", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("/\r\nSet-Cookie: a=b", "/"),
    ],
)
def test_after_the_login_comes_a_page_of_ours(world: ApiWorld, asked: str, leads_to: str) -> None:
    form = {"username": "admin", "password": PASSWORD, "next": asked}
    answer = world.client().post("/login", data=form, headers=OURS)
    assert (answer.status_code, answer.headers["Location"]) == (303, leads_to)


def test_a_wrong_password_is_said_and_the_name_stays(world: ApiWorld) -> None:
    answer = world.client().post("/login", data={"username": NASTY, "password": "wrong"}, headers=OURS)
    assert answer.status_code == 401
    assert "The user name or the password is wrong." in answer.text
    assert NASTY not in answer.text
    assert "Set-Cookie" not in answer.headers
    assert world.client().post("/login", data={}, headers=OURS).status_code == 422


def test_logins_are_limited_as_the_apis(world: ApiWorld) -> None:
    client = world.another(login_limit=2).test_client()
    form = {"username": f"limited-{next(NUMBERS)}", "password": "wrong"}
    statuses = [client.post("/login", data=form, headers=OURS).status_code for _ in range(3)]
    assert statuses == [401, 401, 429]


def test_log_out_ends_this_session_and_everywhere_all_of_them(world: ApiWorld) -> None:
    one, token = world.browser("viewer")
    name = one.get("/").text.partition("Account of ")[2].partition('"')[0]
    other = world.client()
    other.post("/login", data={"username": name, "password": PASSWORD}, headers=OURS)
    program = world.login(name)
    assert one.post("/logout", data={"form_token": token}, headers=OURS).status_code == 303
    assert is_login(one)
    assert not is_login(other)
    again = other.get("/").text.partition('name="form_token" value="')[2].partition('"')[0]
    other.post("/logout", data={"form_token": again, "everywhere": "yes"}, headers=OURS)
    assert is_login(other)
    assert program.get("/auth/me").status_code == 401


def test_a_cookie_that_was_copied_is_worth_nothing_after_the_log_out(world: ApiWorld) -> None:
    client, token = world.browser("viewer")
    cookie = client.get_cookie("session")
    assert cookie is not None
    client.post("/logout", data={"form_token": token}, headers=OURS)
    thief = world.client()
    thief.set_cookie("session", cookie.value)
    assert is_login(thief)


def test_who_is_deactivated_is_out_at_once(world: ApiWorld) -> None:
    client, _ = world.browser("viewer")
    name = client.get("/").text.partition("Account of ")[2].partition('"')[0]
    with world.database.transaction() as session:
        session.execute(text("UPDATE users SET active = false WHERE username = :name"), {"name": name})
    assert is_login(client)


def test_redis_emptied_or_away_ends_no_session_and_revives_none(world: ApiWorld) -> None:
    client, token = world.browser("viewer")
    cookie = client.get_cookie("session")
    assert cookie is not None
    world.redis.flushdb()
    assert not is_login(client, "/deployments?status=failed")
    elsewhere = world.another(redis_url=f"redis://{NOWHERE}/0")
    away, other = elsewhere.test_client(), elsewhere.test_client()
    away.set_cookie("session", cookie.value)
    assert away.get("/").status_code == 200
    other.post("/login", data={"username": "admin", "password": PASSWORD}, headers=OURS)
    assert other.get("/").status_code == 200
    assert away.post("/logout", data={"form_token": token}, headers=OURS).status_code == 303
    assert is_login(client)


def test_another_secret_key_ends_every_session_whatever_redis_still_knows(world: ApiWorld) -> None:
    client, _ = world.browser("viewer")
    cookie = client.get_cookie("session")
    assert cookie is not None
    elsewhere = world.another(secret_key="another secret key of at least 32 bytes").test_client()
    elsewhere.set_cookie("session", cookie.value)
    assert is_login(elsewhere)
    assert not is_login(client)


def test_only_a_cookie_that_we_made_within_a_day_lets_anybody_in(world: ApiWorld) -> None:
    client, _ = world.browser("viewer")
    cookie = client.get_cookie("session")
    assert cookie is not None
    ours, others = (
        Fernet(base64.urlsafe_b64encode(derive_key(key, "session")[:32]))
        for key in (world.settings.secret_key, "another secret key of at least 32 bytes")
    )
    kept, now = ours.decrypt(cookie.value), int(time.time())
    world.redis.flushdb()
    made = {
        "ours, of today": ours.encrypt_at_time(kept, now - 86_000).decode(),
        "ours, of yesterday": ours.encrypt_at_time(kept, now - 86_401).decode(),
        "another's": others.encrypt(kept).decode(),
        "changed": f"{cookie.value[:40]}{'A' if cookie.value[40] != 'A' else 'B'}{cookie.value[41:]}",
        "no text of ours": "é" * 43,
        "endless": "A" * 4000,
    }
    let_in = []
    for what, value in made.items():
        client.set_cookie("session", value)
        if not is_login(client):
            let_in.append(what)
    assert let_in == ["ours, of today"]


def test_without_postgres_there_is_a_page_that_says_so(world: ApiWorld) -> None:
    client, _ = world.browser("viewer")
    cookie = client.get_cookie("session")
    assert cookie is not None
    url = f"postgresql://user:password@{NOWHERE}/none"
    away = world.another(database_url=url).test_client()
    away.set_cookie("session", cookie.value)
    answer = away.get("/")
    assert (answer.status_code, answer.mimetype) == (503, "text/html")
    assert "database cannot be reached now" in answer.text
    assert NOWHERE not in answer.text
    assert "password" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:99"},
        {"Origin": "http://["},
    ],
    ids=str,
)
def test_only_a_page_of_this_server_can_send_a_form(world: ApiWorld, headers: dict[str, str]) -> None:
    client, token = world.browser("admin")
    name = world.application("1.0")
    form = {"form_token": token, "application": name, "version": "1.0", "environment": "staging"}
    before = world.count("deployments")
    assert client.post("/deploy", data=form, headers=headers).status_code == 403
    login = {"username": "admin", "password": PASSWORD}
    assert world.client().post("/login", data=login, headers=headers).status_code == 403
    assert world.count("deployments") == before


@pytest.mark.parametrize("token", ["", "x" * 43, "\udcff"])
def test_a_form_without_the_sessions_token_does_nothing(world: ApiWorld, token: str) -> None:
    client, _ = world.browser("admin")
    _, of_another = world.browser("admin")
    name = world.application("1.0")
    form = {"application": name, "version": "1.0", "environment": "staging"}
    before = world.count("deployments")
    for wrong in (token.encode("utf-8", "surrogateescape"), of_another):
        answer = client.post("/deploy", data={**form, "form_token": wrong}, headers=OURS)
        assert answer.status_code == 403
    assert world.count("deployments") == before


def test_a_form_sent_twice_deploys_once(world: ApiWorld) -> None:
    client, token = world.browser("deployer")
    name = world.application("1.0")
    form = {"application": name, "version": "1.0", "environment": "staging", "once": f"key-{name}"}
    before = world.count("deployments")
    answers = [client.post("/deploy", data={**form, "form_token": token}, headers=OURS) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 303]
    assert answers[0].headers["Location"] == answers[1].headers["Location"]
    assert world.count("deployments") == before + 1


def test_the_plan_is_shown_and_nothing_of_it_is_kept(world: ApiWorld) -> None:
    client, _ = world.browser("deployer")
    name = world.application("1.0")
    before = world.count("deployments"), world.count("events")
    page = client.get(f"/deploy?application={name}&version=1.0&environment=staging").text
    assert "What would happen" in page
    assert "1 step in 1 wave" in page
    refused = client.get(f"/deploy?application={name}&version=9.9&environment=staging").text
    assert "It would be refused." in refused
    assert (world.count("deployments"), world.count("events")) == before


def test_pages_say_what_may_run_on_them_and_the_api_keeps_its_own_rule(world: ApiWorld) -> None:
    client, _ = world.browser("viewer")
    for path in ("/", "/login", "/deployments/999999"):
        policy = client.get(path).headers["Content-Security-Policy"]
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
    assert "script-src" not in client.get("/health/live").headers["Content-Security-Policy"]


def test_what_is_not_there_is_a_page_for_people_and_a_problem_for_programs(world: ApiWorld) -> None:
    client, _ = world.browser("viewer")
    asks = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    assert client.get("/nothing", headers=asks).mimetype == "text/html"
    assert client.get("/nothing").mimetype == "application/problem+json"
    assert client.get("/api/v1/nothing", headers=asks).mimetype == "application/problem+json"
    assert client.get("/deployments/999999", headers=asks).status_code == 404


@pytest.mark.parametrize(
    ("came_from", "back"),
    [
        ("http://localhost/users?cursor=x", "/users?cursor=x"),
        ("http://localhost/audit", None),
        ("http://localhost//elsewhere.example/", None),
        ("http://elsewhere.example/users", None),
        ("", None),
    ],
)
def test_who_is_refused_is_led_back_to_the_page_of_ours_they_came_from(
    world: ApiWorld, came_from: str, back: str | None
) -> None:
    client, _ = world.browser("viewer")
    answer = client.get("/audit", headers={"Referer": came_from} if came_from else {})
    assert answer.status_code == 403
    found = re.search(r'href="([^"]*)">Back</a>', answer.text)
    assert (found[1] if found else None) == back


@pytest.mark.parametrize("name", ["../frame.py", "..%2fframe.py", "vendor/../../frame.py"])
def test_only_static_files_are_served(world: ApiWorld, name: str) -> None:
    assert world.client().get(f"/static/x/{name}").status_code == 404


def test_parts_that_did_not_change_are_not_sent_again(world: ApiWorld) -> None:
    client, _ = world.browser("viewer")
    name = world.application("1.0")
    made = world.deploy(name, "1.0")
    for path in (f"/dashboard/grid?q={name}", "/inbox/items"):
        first = client.get(path)
        again = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")
    first = client.get(f"/dashboard/grid?q={name}")
    assert world.admin.post(f"/deployments/{made['id']}/cancel", json={}).status_code == 202
    changed = client.get(f"/dashboard/grid?q={name}", headers={"If-None-Match": first.headers["ETag"]})
    assert changed.status_code == 200
    assert "cancelled" in changed.text


def test_a_part_of_an_ended_session_leads_the_open_page_to_the_login(world: ApiWorld) -> None:
    asks = {"HX-Request": "true", "HX-Current-URL": "http://localhost/deployments/7?x=1"}
    answer = world.client().get("/deployments/7/live", headers=asks)
    assert answer.status_code == 401
    assert answer.headers["HX-Redirect"] == "/login?next=%2Fdeployments%2F7%3Fx%3D1"


@pytest.mark.parametrize(
    ("sent_from", "back"),
    [
        ("http://localhost/deploy?application=shop", "%2Fdeploy%3Fapplication%3Dshop"),
        ("http://elsewhere.example/deploy", "%2F"),
        ("http://[/deploy", "%2F"),
        ("", "%2F"),
    ],
)
def test_a_form_that_comes_too_late_leads_to_the_login_and_back_to_its_page(
    world: ApiWorld, sent_from: str, back: str
) -> None:
    answer = world.client().post(
        "/deploy", data={}, headers=OURS | ({"Referer": sent_from} if sent_from else {})
    )
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/login?next={back}")


def test_whatever_people_write_stays_text(world: ApiWorld) -> None:
    client, token = world.browser("operator")
    name = f"nasty-{next(NUMBERS)}"
    source = pipeline_of(name).replace("./install", f"'echo {NASTY.replace(chr(39), chr(39) * 2)}'")
    assert world.apply(name, source).status_code == 201
    release = {"name": name, "version": "1.0", "changes": NASTY, "artifact": NASTY}
    assert world.admin.post("/releases/", json=release).status_code == 201
    body = {"application": name, "version": "1.0", "environment": "staging", "reason": NASTY}
    made = world.admin.post("/deployments/", json=body).get_json()["id"]
    made_locks = []
    for place in ({"application": name}, {"environment": "staging"}):
        lock = world.admin.post("/locks/", json={**place, "reason": NASTY})
        assert lock.status_code == 201
        made_locks.append(lock.get_json()["id"])
    dated = {"from": "2020-01-01T00:00", "to": "2090-01-01T00:00"}
    freeze = {"environment": "staging", "name": NASTY, "zone": "UTC", "dated": dated}
    frozen = world.admin.post("/freezes/", json=freeze)
    assert frozen.status_code == 201, frozen.text
    client.post(f"/deployments/{made}/cancel", data={"form_token": token, "reason": NASTY}, headers=OURS)
    paths = [
        f"/?q={name}",
        f"/deployments/{made}",
        f"/deployments?application={name}",
        f"/deploy?application={name}&version=1.0&environment=staging",
    ]
    for path in paths:
        page = client.get(path).text
        assert name in page
        assert "<script>alert" not in page
        assert "<img src=x" not in page
    assert world.admin.call("DELETE", f"/freezes/{frozen.get_json()['id']}").status_code in {200, 204}
    for each in made_locks:  # of whole environments, where others of this file deploy
        assert world.admin.call("DELETE", f"/locks/{each}").status_code == 200
    for query in ("/?q=", "/deployments?application=", "/deploy?application=", "/login?next="):
        page = client.get(query + NASTY.replace(" ", "%20")).text
        assert "<script>alert" not in page
        assert "<img src=x" not in page


def test_where_it_is_protected_the_environment_has_to_be_typed(world: ApiWorld) -> None:
    client, token = world.browser("operator")
    name = f"guarded-{next(NUMBERS)}"
    source = pipeline_of(name).replace(
        "  production:\n", "  production:\n    approvals: [{role: operator}]\n"
    )
    assert world.apply(name, source.replace("    after: staging\n", "")).status_code == 201
    assert world.admin.post("/releases/", json={"name": name, "version": "1.0"}).status_code == 201
    made = world.deploy(name, "1.0", "production")["id"]

    def cancel(**typed: str) -> int:
        form = {"form_token": token, **typed}
        return client.post(f"/deployments/{made}/cancel", data=form, headers=OURS).status_code

    assert cancel() == 422
    assert cancel(confirm="staging") == 422
    assert world.admin.get(f"/deployments/{made}").get_json()["status"] == "pending"
    assert cancel(confirm="production") == 303
    assert world.admin.get(f"/deployments/{made}").get_json()["cancel_requested_at"] is not None


def test_forms_are_held_to_what_the_api_holds_them_to(world: ApiWorld) -> None:
    client, token = world.browser("operator")
    made = world.deploy(world.application("1.0"), "1.0")["id"]
    long = {"form_token": token, "reason": "x" * 1001}
    assert client.post(f"/deployments/{made}/cancel", data=long, headers=OURS).status_code == 422
    nul = {"form_token": token, "reason": "a\0b"}
    assert client.post(f"/deployments/{made}/cancel", data=nul, headers=OURS).status_code == 422
    for query in ("status=nothing", "before=0", "before=x", f"before={2**70}", "application=a%00b"):
        assert client.get(f"/deployments?{query}").status_code in {400, 422}, query
