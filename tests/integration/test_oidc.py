"""Logging in at an OpenID Connect provider: who comes in, as whom, and who does not, whatever the provider says."""

import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from flask.testing import FlaskClient

from api.oidc_provider import MOST_AT_ONCE
from tests.acceptance.fleet import eventually
from tests.integration.api_world import PASSWORD, V1, ApiWorld, world
from tests.integration.oidc_world import NUMBERS, application, leave, log_in, provider
from tests.oidc_server import CLIENT_ID, CLIENT_SECRET, Oidc, new_key

__all__ = ["provider", "world"]


def user_of(world: ApiWorld, client: FlaskClient) -> dict[str, Any]:
    """Who the browser's session belongs to."""
    page = client.get("/")
    assert page.status_code == 200, page.text
    (found,) = [
        each
        for each in world.admin.get("/users/?limit=200").get_json()["items"]
        if f">{each['username']}<" in page.text
    ]
    return dict(found)


def kinds(world: ApiWorld, user_id: int) -> list[str]:
    return [each["kind"] for each in events(world, user_id)]


def events(world: ApiWorld, user_id: int) -> list[dict[str, Any]]:
    found = world.admin.get(f"/audit/?subject=user:{user_id}").get_json()["items"]
    return sorted(found, key=lambda each: each["id"])


def test_without_a_provider_there_is_no_such_login(world: ApiWorld) -> None:
    client = world.client()
    assert "/login/oidc" not in client.get("/login").text
    assert [client.get(path).status_code for path in ("/login/oidc", "/login/oidc/back?code=x&state=y")] == [
        404,
        404,
    ]


def test_somebody_new_comes_in_and_may_what_their_groups_say(world: ApiWorld, provider: Oidc) -> None:
    client = application(
        world, provider, "ops=operator, devs=deployer, *=viewer", oidc_name="Staff ID"
    ).test_client()
    provider.person["groups"] = ["devs", "ops", "choir"]
    assert "Log in with Staff ID" in client.get("/login").text
    answer = log_in(client, provider, back="/deployments?status=failed")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/deployments?status=failed")
    user = user_of(world, client)
    assert (user["email"], user["role"]) == (provider.person["email"], "operator")
    assert kinds(world, user["id"]) == ["user.registered", "user.linked", "user.logged_in"]
    assert events(world, user["id"])[-1]["data"] == {"by": provider.issuer}


def test_the_subject_counts_and_not_the_address(world: ApiWorld, provider: Oidc) -> None:
    client = application(world, provider, "ops=operator, *=viewer").test_client()
    log_in(client, provider)
    first = user_of(world, client)
    provider.person |= {"email": "moved@id.example", "preferred_username": "other", "groups": ["ops"]}
    again = client.application.test_client()
    log_in(again, provider)
    found = user_of(world, again)
    assert (found["id"], found["email"], found["role"]) == (first["id"], first["email"], "operator")
    assert kinds(world, first["id"])[-2:] == ["user.changed", "user.logged_in"]


def test_a_user_whom_an_admin_added_is_known_by_the_address(world: ApiWorld, provider: Oidc) -> None:
    name = f"added-{next(NUMBERS)}"
    made = world.register(name, "deployer", by=world.admin)
    provider.person["email"] = made["email"].upper()
    client = application(world, provider, roles="").test_client()
    assert log_in(client, provider).status_code == 303
    user = user_of(world, client)
    assert (user["id"], user["role"]) == (made["id"], "deployer")
    world.login(name)


def test_an_address_that_somebody_typed_themselves_is_not_believed(world: ApiWorld, provider: Oidc) -> None:
    """Else they would be given what the groups of its owner give, and keep their password."""
    attacker = world.person("viewer")
    answer = attacker.call("PATCH", f"/users/{attacker.id}", json={"email": provider.person["email"]})
    assert answer.status_code == 200
    client = application(world, provider, "*=admin").test_client()
    answer = log_in(client, provider)
    assert answer.status_code == 403
    assert "no admin has confirmed" in answer.text
    assert attacker.get("/auth/me").get_json()["role"] == "viewer"
    body = {"email": provider.person["email"]}
    assert world.admin.call("PATCH", f"/users/{attacker.id}", json=body).status_code == 200
    assert log_in(client, provider).status_code == 303, "now an admin has"


def test_who_has_no_account_gets_none_where_no_group_gives_a_role(world: ApiWorld, provider: Oidc) -> None:
    before = world.count("users")
    for roles in ("", "ops=operator"):
        answer = log_in(application(world, provider, roles).test_client(), provider)
        assert answer.status_code == 403
        assert "ask an admin" in answer.text
    assert world.count("users") == before


def test_who_leaves_the_groups_does_not_come_in_again(world: ApiWorld, provider: Oidc) -> None:
    app = application(world, provider, "ops=operator")
    provider.person["groups"] = ["ops"]
    assert log_in(app.test_client(), provider).status_code == 303
    provider.person["groups"] = []
    assert log_in(app.test_client(), provider).status_code == 403


def test_an_address_that_the_provider_does_not_vouch_for_counts_for_nothing(
    world: ApiWorld, provider: Oidc
) -> None:
    made = world.register(f"victim-{next(NUMBERS)}", "admin", by=world.admin)
    for verified in (False, None, "true"):
        provider.person |= {"email": made["email"], "email_verified": verified}
        answer = log_in(application(world, provider).test_client(), provider)
        assert answer.status_code == 403, verified
        assert "does not vouch" in answer.text


def test_an_address_that_went_to_somebody_else_does_not_give_the_account_away(
    world: ApiWorld, provider: Oidc
) -> None:
    app = application(world, provider)
    log_in(app.test_client(), provider)
    provider.person["sub"] = "successor"
    answer = log_in(app.test_client(), provider)
    assert answer.status_code == 409
    assert "somebody else" in answer.text


def test_who_is_deactivated_does_not_come_in(world: ApiWorld, provider: Oidc) -> None:
    client = application(world, provider, "ops=operator, *=viewer").test_client()
    log_in(client, provider)
    user = user_of(world, client)
    assert world.admin.call("PATCH", f"/users/{user['id']}", json={"active": False}).status_code == 200
    assert client.get("/").status_code == 303, "the session has ended as well"
    provider.person["groups"] = ["ops"]
    answer = log_in(client.application.test_client(), provider)
    assert (answer.status_code, "not active" in answer.text) == (401, True)
    assert world.admin.get(f"/users/{user['id']}").get_json()["role"] == "viewer"


def test_one_admin_stays_whatever_the_groups_say(world: ApiWorld, provider: Oidc) -> None:
    me = world.admin.get("/auth/me").get_json()
    others = [
        each
        for each in world.admin.get("/users/?limit=200").get_json()["items"]
        if each["role"] == "admin" and each["id"] != me["id"]
    ]
    for each in others:
        world.admin.call("PATCH", f"/users/{each['id']}", json={"role": "viewer"})
    provider.person["email"] = me["email"]
    assert log_in(application(world, provider, "*=viewer").test_client(), provider).status_code == 303
    assert world.admin.get("/auth/me").get_json()["role"] == "admin"


def test_they_have_no_password_and_cannot_give_themselves_one(world: ApiWorld, provider: Oidc) -> None:
    client = application(world, provider).test_client()
    log_in(client, provider)
    name = user_of(world, client)["username"]
    for password in ("!", "", PASSWORD):
        body = {"username": name, "password": password}
        assert world.client().post(f"{V1}/auth/login", json=body).status_code in {401, 422}


def lie(provider: Oidc, **claims: Any) -> None:
    provider.lies = claims


LIES: dict[str, Callable[[Oidc], None]] = {
    "another issuer": lambda at: lie(at, iss="https://evil.example"),
    "no issuer": lambda at: lie(at, iss=None),
    "for another client": lambda at: lie(at, aud="another"),
    "for nobody": lambda at: lie(at, aud=None),
    "for us and others, given to another": lambda at: lie(at, aud=[CLIENT_ID, "b"], azp="b"),
    "another nonce": lambda at: lie(at, nonce="another"),
    "no nonce": lambda at: lie(at, nonce=None),
    "expired": lambda at: lie(at, exp=int(time.time()) - 120),
    "never expires": lambda at: lie(at, exp=None),
    "of the future": lambda at: lie(at, nbf=int(time.time()) + 600),
    "nobody": lambda at: lie(at, sub=None),
    "a subject that is no text": lambda at: lie(at, sub=7),
    "a subject Postgres cannot hold": lambda at: lie(at, sub="a\x00b"),
    "another access token's": lambda at: lie(at, at_hash="AAAAAAAAAAAAAAAAAAAAAA"),
    "signed with our secret": lambda at: setattr(at, "algorithm", "HS256"),
    "not signed": lambda at: setattr(at, "algorithm", "none"),
}


@pytest.mark.parametrize("told", LIES)
def test_what_the_provider_did_not_say_to_us_now_is_refused(
    world: ApiWorld, provider: Oidc, told: str
) -> None:
    LIES[told](provider)
    before = world.count("users"), world.count("sign_ins")
    client = application(world, provider).test_client()
    answer = log_in(client, provider)
    assert answer.status_code == 401, answer.text
    assert client.get_cookie("session") is None
    assert (world.count("users"), world.count("sign_ins")) == before


def test_another_key_than_the_published_one_is_refused_and_a_new_one_is_fetched(
    world: ApiWorld, provider: Oidc
) -> None:
    app = application(world, provider)
    assert log_in(app.test_client(), provider).status_code == 303
    published = provider.public_key()
    provider.key = new_key()
    assert log_in(app.test_client(), provider).status_code == 401, "under the name of the old one"
    provider.key_id = "second"
    assert log_in(app.test_client(), provider).status_code == 303
    assert provider.public_key() != published


def test_an_answer_belongs_to_the_browser_that_asked(world: ApiWorld, provider: Oidc) -> None:
    app = application(world, provider)
    mine, others = app.test_client(), app.test_client()
    leave(others)
    answer = others.get(provider.authorize(leave(mine)))
    assert answer.status_code == 401, "of another browser"
    assert app.test_client().get(provider.authorize(leave(mine))).status_code == 401, "of none"
    back = provider.authorize(leave(mine))
    assert mine.get(back.replace("state=", "state=x")).status_code == 401
    assert mine.get(back).status_code == 401, "a note is good once"
    assert mine.get_cookie("session") is None


def test_a_code_that_somebody_else_asked_for_is_refused(world: ApiWorld, provider: Oidc) -> None:
    """PKCE: whoever slips their own code under somebody's state does not log them in."""
    app = application(world, provider)
    mine, attacker = app.test_client(), app.test_client()
    code = parse_qs(urlsplit(provider.authorize(leave(attacker))).query)["code"][0]
    state = parse_qs(urlsplit(leave(mine)).query)["state"][0]
    answer = mine.get(f"/login/oidc/back?{urlencode({'code': code, 'state': state})}")
    assert answer.status_code == 401


def test_a_no_and_an_answer_of_another_provider_are_said(world: ApiWorld, provider: Oidc) -> None:
    client = application(world, provider).test_client()
    for more in ({"error": "access_denied"}, {"code": "x", "iss": "https://evil.example"}):
        state = parse_qs(urlsplit(leave(client)).query)["state"][0]
        answer = client.get(f"/login/oidc/back?{urlencode({'state': state, **more})}")
        assert (answer.status_code, "did not let you in" in answer.text) == (401, True)


def test_what_is_missing_in_the_token_is_asked_for_but_of_nobody_else(
    world: ApiWorld, provider: Oidc
) -> None:
    whole = dict(provider.person)
    provider.person = {"sub": whole["sub"]}
    provider.userinfo = {**whole, "sub": "somebody-else", "groups": ["ops"]}
    app = application(world, provider, "ops=operator")
    assert log_in(app.test_client(), provider).status_code == 403
    provider.userinfo |= {"sub": whole["sub"]}
    client = app.test_client()
    assert log_in(client, provider).status_code == 303
    assert user_of(world, client)["role"] == "operator"


def test_while_the_provider_is_away_passwords_go_on(world: ApiWorld, provider: Oidc) -> None:
    app = application(world, provider)
    provider.server.answers["GET", "/.well-known/openid-configuration"] = [(500, {})]
    client = app.test_client()
    answer = client.get("/login/oidc")
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
    form = {"username": "admin", "password": PASSWORD}
    assert client.post("/login", data=form, headers={"Origin": "http://localhost"}).status_code == 303


def test_a_provider_that_keeps_still_takes_few_threads(world: ApiWorld, provider: Oidc) -> None:
    app, go_on = application(world, provider), threading.Event()
    path = "/.well-known/openid-configuration"

    def keep_still(_request: object) -> tuple[int, Any]:
        go_on.wait(60)
        return 200, provider.metadata()

    provider.server.answers["GET", path] = [keep_still]
    found: list[int] = []
    asking = [
        threading.Thread(target=lambda: found.append(app.test_client().get("/login/oidc").status_code))
        for _ in range(MOST_AT_ONCE)
    ]
    for each in asking:
        each.start()
    eventually(lambda: len(provider.server.got("GET", path)) == MOST_AT_ONCE, "all of them ask")
    refused = app.test_client().get("/login/oidc")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "2")
    go_on.set()
    for each in asking:
        each.join()
    assert found == [303] * MOST_AT_ONCE


def test_a_provider_that_calls_itself_otherwise_is_not_asked(world: ApiWorld, provider: Oidc) -> None:
    said = provider.metadata() | {"issuer": "https://evil.example"}
    provider.server.answers["GET", "/.well-known/openid-configuration"] = [said]
    assert application(world, provider).test_client().get("/login/oidc").status_code == 503


def test_after_the_login_comes_a_page_of_ours(world: ApiWorld, provider: Oidc) -> None:
    client = application(world, provider).test_client()
    assert log_in(client, provider, back="//evil.example/").headers["Location"] == "/"


def test_nothing_secret_is_logged_or_shown(
    world: ApiWorld, provider: Oidc, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator import log

    with capfd.disabled():  # what lines go to outlives this test
        log.configure("DEBUG")
    try:
        app = application(world, provider)
        shown = [log_in(app.test_client(), provider).text]
        provider.lies = {"nonce": "another"}
        shown.append(log_in(app.test_client(), provider).text)
    finally:
        with capfd.disabled():
            log.configure("WARNING")
    said = capfd.readouterr().err + "".join(shown)
    assert "identity_refused" in said
    assert len(provider.given) == 6
    assert [each for each in [CLIENT_SECRET, *provider.given] if each in said] == []
