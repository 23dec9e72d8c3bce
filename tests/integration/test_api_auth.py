"""Logging in and out: what a token is good for, and when it stops."""

import base64
import itertools
import json
from typing import Any

import jwt
import pytest
from flask_jwt_extended import create_access_token
from sqlalchemy import text

from orchestrator.security import derive_key
from tests.conftest import SECRET_KEY
from tests.integration.api_world import PASSWORD, V1, ApiWorld, Person, world

__all__ = ["world"]

NUMBERS = itertools.count(1)
ME = f"{V1}/auth/me"


def me(world: ApiWorld, token: str) -> int:
    return world.client().get(ME, headers={"Authorization": f"Bearer {token}"}).status_code


def refresh(world: ApiWorld, token: str) -> Any:
    return world.client().post(f"{V1}/auth/refresh", json={"refresh_token": token})


def forged(claims: dict[str, Any], *, key: bytes | str = "", algorithm: str = "HS256") -> str:
    return jwt.encode(claims, key or derive_key(SECRET_KEY, "tokens").hex(), algorithm=algorithm)


def part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def test_login_works_by_name_and_by_address_in_any_case(world: ApiWorld) -> None:
    for login in ("admin", "ADMIN", "admin@example.com", "Admin@Example.com"):
        tokens = world.login(login).tokens
        assert tokens["token_type"] == "Bearer"
        assert tokens["expires_in"] == 1800
        assert me(world, tokens["access_token"]) == 200


def test_a_wrong_password_and_an_unknown_user_are_told_the_same(world: ApiWorld) -> None:
    answers = [
        world.client().post(f"{V1}/auth/login", json={"username": name, "password": password})
        for name, password in (
            ("admin", "wrong password"),
            ("nobody", PASSWORD),
            ("admin", "x" * 73),
            ("admin", ""),
        )
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.get_json()["detail"] for answer in answers}) == 1
    assert answers[0].headers["WWW-Authenticate"] == "Bearer"


def test_a_refresh_token_is_good_once_and_a_second_use_ends_the_login(world: ApiWorld) -> None:
    person = world.person("viewer")
    first = person.tokens
    second = refresh(world, first["refresh_token"])
    assert second.status_code == 200
    assert me(world, second.get_json()["access_token"]) == 200
    assert refresh(world, first["refresh_token"]).status_code == 401
    assert me(world, first["access_token"]) == 401
    assert me(world, second.get_json()["access_token"]) == 401
    assert refresh(world, second.get_json()["refresh_token"]).status_code == 401
    with world.database.reading() as session:
        row = session.execute(text("SELECT * FROM sign_ins WHERE user_id = :id"), {"id": person.id}).one()
    assert row.ended_because == "reuse"


def test_the_end_of_one_login_leaves_the_others(world: ApiWorld) -> None:
    one, other = world.login("admin"), world.login("admin")
    assert one.post("/auth/logout", json={}).status_code == 204
    assert me(world, one.tokens["access_token"]) == 401
    assert refresh(world, one.tokens["refresh_token"]).status_code == 401
    assert me(world, other.tokens["access_token"]) == 200


def test_logout_needs_no_body(world: ApiWorld) -> None:
    assert world.login("admin").post("/auth/logout").status_code == 204


def test_somebody_who_is_deactivated_is_out_at_once(world: ApiWorld) -> None:
    person = world.person("deployer")
    answer = world.admin.call("PATCH", f"/users/{person.id}", json={"active": False})
    assert (answer.status_code, answer.get_json()["active"]) == (200, False)
    assert person.get("/auth/me").status_code == 401
    assert refresh(world, person.tokens["refresh_token"]).status_code == 401
    body = {"username": f"deployer@{person.id}", "password": PASSWORD}
    assert world.client().post(f"{V1}/auth/login", json=body).status_code == 401


def test_a_role_counts_from_the_next_request_on(world: ApiWorld) -> None:
    person = world.person("viewer")
    body = {"name": "nobodys", "version": "1"}
    assert person.post("/releases/", json=body).status_code == 403
    world.admin.call("PATCH", f"/users/{person.id}", json={"role": "deployer"})
    assert person.post("/releases/", json=body).status_code == 404
    assert person.get("/auth/me").get_json()["role"] == "deployer"


def test_a_flushed_redis_logs_nobody_out_and_revives_nothing(world: ApiWorld) -> None:
    gone, here = world.login("admin"), world.login("admin")
    gone.post("/auth/logout", json={})
    assert world.redis.get(f"auth:refresh:{here.get('/auth/me').get_json()['id']}") is None
    world.redis.flushdb()
    assert here.get("/auth/me").status_code == 200
    assert refresh(world, here.tokens["refresh_token"]).status_code == 200
    assert refresh(world, gone.tokens["refresh_token"]).status_code == 401


def test_the_current_refresh_token_is_noted_in_redis_for_a_day(world: ApiWorld) -> None:
    person = world.person("viewer")
    claims = jwt.decode(person.tokens["refresh_token"], options={"verify_signature": False})
    key = f"auth:refresh:{person.id}"
    assert world.redis.get(key) == claims["jti"].encode()
    assert 86_300 < int(world.redis.ttl(key)) <= 86_400  # type: ignore[arg-type]  # this client is not asynchronous


def hostile_tokens(person: Person) -> list[str]:
    good = jwt.decode(person.tokens["access_token"], options={"verify_signature": False})
    header, payload, signature = person.tokens["access_token"].split(".")
    return [
        "",
        "x",
        "a.b.c",
        "é.é.é",
        person.tokens["refresh_token"],
        f"{header}.{payload}.",
        f"{header}.{part({**good, 'sub': '1'})}.{signature}",
        f"{part({'alg': 'none', 'typ': 'JWT'})}.{payload}.",
        f"{part(b'[' * 1400)}.{payload}.{signature}",
        f"{part(b'7')}.{payload}.{signature}",
        f"{part({'alg': ['HS256']})}.{payload}.{signature}",
        "x" * 7000,
        forged(good, key=SECRET_KEY),
        forged(good, key=derive_key(SECRET_KEY, "cursor").hex()),
        forged({**good, "exp": good["iat"] - 60}),
        forged({**good, "nbf": good["exp"] + 600}),
        forged({**good, "sub": "99999"}),
        forged({**good, "sub": None}),
        forged({**good, "sid": 7}),
        forged({**good, "sid": "unheard-of"}),
        forged({**good, "sid": "nul\0"}),
        forged({key: value for key, value in good.items() if key != "sid"}),
        forged({key: value for key, value in good.items() if key != "sub"}),
    ]


def test_only_our_own_living_access_tokens_open_anything(world: ApiWorld) -> None:
    person = world.person("viewer")
    for token in hostile_tokens(person):
        answer = world.client().get(ME, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401, token
        assert answer.content_type == "application/problem+json"
        assert answer.get_json()["code"] == "unauthenticated"
    assert me(world, person.tokens["access_token"]) == 200


def test_only_our_own_refresh_tokens_are_refreshed(world: ApiWorld) -> None:
    person = world.person("viewer")
    for token in [*hostile_tokens(person), person.tokens["access_token"]]:
        if token in {"", person.tokens["refresh_token"]} or len(token) > 2048:
            continue
        assert refresh(world, token).status_code == 401, token
    assert refresh(world, person.tokens["refresh_token"]).status_code == 200


def test_a_refresh_token_with_odd_claims_is_refused(world: ApiWorld) -> None:
    person = world.person("viewer")
    good = jwt.decode(person.tokens["refresh_token"], options={"verify_signature": False})
    for changes in (
        {"jti": None},
        {"jti": 7},
        {"jti": "nul\0"},
        {"sub": "x"},
        {"sub": "9" * 30},
        {"sid": "nul\0"},
    ):
        assert refresh(world, forged({**good, **changes})).status_code == 401, changes


@pytest.mark.parametrize("header", ["", "Bearer", "Basic YTpi", "bearer ", "Token x"])
def test_without_a_bearer_token_one_is_asked_for(world: ApiWorld, header: str) -> None:
    answer = world.client().get(ME, headers={"Authorization": header} if header else {})
    assert answer.status_code == 401


def test_a_token_for_another_secret_is_refused(world: ApiWorld) -> None:
    with world.app.app_context():
        token = create_access_token("1", additional_claims={"sid": "made-up"})
    assert me(world, token) == 401


NEW = "another correct horse"


def change(person: Person, current: str, new: str = NEW) -> int:
    body = {"current_password": current, "password": new}
    return person.post("/auth/password", json=body).status_code


def test_a_new_password_ends_the_other_logins_and_is_the_only_one(world: ApiWorld) -> None:
    person = world.person("viewer")
    name = person.get("/auth/me").get_json()["username"]
    elsewhere = world.login(name)
    assert change(person, "not the password") == 403
    assert [change(person, PASSWORD, new) for new in ("short", "x" * 73, "\u00e9" * 40)] == [422] * 3
    assert elsewhere.get("/auth/me").status_code == 200
    assert change(person, PASSWORD) == 204
    assert person.get("/auth/me").status_code == 200
    assert elsewhere.get("/auth/me").status_code == 401
    assert refresh(world, elsewhere.tokens["refresh_token"]).status_code == 401
    body = {"username": name, "password": PASSWORD}
    assert world.client().post(f"{V1}/auth/login", json=body).status_code == 401
    world.login(name, NEW)
    events = world.admin.get(f"/audit/?subject=user:{person.id}").get_json()["items"]
    assert [each["kind"] for each in events][-2:] == ["user.password_changed", "user.logged_in"]
    assert all(word not in str(events) for word in (PASSWORD, NEW))


def test_logging_out_everywhere_ends_all_logins(world: ApiWorld) -> None:
    person = world.person("viewer")
    name = person.get("/auth/me").get_json()["username"]
    other = world.login(name)
    assert person.post("/auth/logout", json={"everywhere": True}).status_code == 204
    assert [each.get("/auth/me").status_code for each in (person, other)] == [401, 401]
    assert world.admin.get("/auth/me").status_code == 200


def test_a_hash_of_a_lower_cost_is_renewed_at_the_next_login(world: ApiWorld) -> None:
    """$2b$ and the cost of two digits stand before the salt (OpenBSD's crypt(3))."""
    name = world.register(f"old-{next(NUMBERS)}", "viewer", by=world.admin)["username"]

    def cost() -> str:
        with world.database.reading() as session:
            kept = "SELECT password_hash FROM users WHERE username = :name"
            return str(session.execute(text(kept), {"name": name}).scalar_one())[:7]

    body = {"username": name, "password": PASSWORD}
    dearer = world.another(bcrypt_rounds=5).test_client()
    assert cost() == "$2b$04$"
    assert dearer.post(f"{V1}/auth/login", json={**body, "password": "wrong horse"}).status_code == 401
    assert cost() == "$2b$04$"
    assert dearer.post(f"{V1}/auth/login", json=body).status_code == 200
    assert cost() == "$2b$05$"
    world.login(name)
    assert cost() == "$2b$05$", "what costs more stays"
