"""API tokens over HTTP: what they may, what they may not, and when they stop."""

from typing import Any

import pytest
from werkzeug.test import TestResponse

from api.schemas import tokens as schemas
from tests.integration.api_world import ApiWorld, Person, world

__all__ = ["world"]


def make(by: Person, *scopes: str, **more: Any) -> dict[str, Any]:
    answer = by.post("/tokens/", json={"name": "ci", "scopes": list(scopes), **more})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def machine(world: ApiWorld, made: dict[str, Any]) -> Person:
    return Person(world.client(), {"access_token": made["token"]})


def detail(answer: TestResponse) -> tuple[int, str]:
    return answer.status_code, answer.get_json()["detail"]


def test_a_token_is_shown_once_and_kept_as_a_hash(world: ApiWorld) -> None:
    person = world.person("deployer")
    made = make(person, "deploy")
    schemas.NewToken().load(made)
    assert made["token"].startswith(made["hint"])
    (listed,) = person.get("/tokens/").get_json()["items"]
    assert listed == {name: value for name, value in made.items() if name != "token"}
    with world.database.engine.connect() as connection:
        kept = connection.exec_driver_sql("SELECT t::text FROM api_tokens t").scalars().all()
        told = connection.exec_driver_sql("SELECT e::text FROM events e").scalars().all()
    assert all(made["token"] not in text and made["token"][4:20] not in text for text in [*kept, *told])


def test_who_asks_again_with_the_same_key_has_made_one_token_and_is_not_shown_it(world: ApiWorld) -> None:
    person, headers = world.person("deployer"), {"Idempotency-Key": "ci"}
    body = {"name": "ci", "scopes": ["deploy"]}
    first, again = (person.post("/tokens/", json=body, headers=headers) for _ in range(2))
    assert first.get_json()["token"].startswith("drm_")
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert again.get_json() == {**first.get_json(), "token": None}
    schemas.NewToken().load(again.get_json())
    assert len(person.get("/tokens/").get_json()["items"]) == 1
    other = person.post("/tokens/", json={**body, "name": "another"}, headers=headers)
    assert (other.status_code, other.get_json()["code"]) == (422, "idempotency_key_reused")


def test_a_machine_does_what_its_token_is_for(world: ApiWorld) -> None:
    name = world.application("1.0")
    made = make(world.person("deployer"), "deploy", "create_release", applications=[name])
    ci = machine(world, made)
    assert ci.post("/releases/", json={"name": name, "version": "1.1"}).status_code == 201
    body = {"application": name, "version": "1.1", "environment": "staging"}
    answer = ci.post("/deployments/", json=body)
    assert answer.status_code == 202, answer.text
    assert answer.get_json()["requested_by"] == made["username"]
    assert ci.get("/auth/me").get_json()["username"] == made["username"]
    assert ci.get("/tokens/").status_code == 403
    used = world.admin.get("/tokens/?all=true").get_json()["items"]
    assert next(each for each in used if each["id"] == made["id"])["last_used_at"] is not None


def test_a_token_changes_nothing_elsewhere(world: ApiWorld) -> None:
    mine, other = world.application("1.0"), world.application("1.0")
    there = world.deploy(other, "1.0")["id"]
    here = world.deploy(mine, "1.0", "production")["id"]
    scopes = ("deploy", "create_release", "configure", "operate")
    ci = machine(world, make(world.admin, *scopes, applications=[mine], environments=["staging"]))
    refused = [
        ci.post("/deployments/", json={"application": other, "version": "1.0", "environment": "staging"}),
        ci.post("/deployments/", json={"application": mine, "version": "1.0", "environment": "production"}),
        ci.post("/releases/", json={"name": other, "version": "9"}),
        *(
            ci.post(f"/deployments/{there}/{verb}", json={})
            for verb in ("cancel", "retry", "rollback", "replan")
        ),
        *(
            ci.post(f"/deployments/{here}/{verb}", json={})
            for verb in ("cancel", "retry", "rollback", "replan")
        ),
        ci.post(f"/deployments/{there}/resume", json={"answer": "fail"}),
        ci.post("/locks/", json={"application": other, "environment": "staging", "reason": "x"}),
        ci.post("/locks/", json={"application": mine, "reason": "x"}),
        ci.post("/locks/", json={"reason": "x"}),
        ci.post(
            "/windows/",
            json={
                "environment": "staging",
                "name": "x",
                "zone": "UTC",
                "cron": {"expression": "0 9 * * *", "duration": "1h"},
            },
        ),
        ci.call(
            "PUT",
            f"/applications/{mine}/pipeline",
            data=f"application: {mine}\nenvironments: {{staging: {{targets: [{{name: a, kind: noop}}]}}}}\n"
            "deploy: [{run: ./x}]\n",
            content_type="application/yaml",
        ),
    ]
    for answer in refused:
        status, says = detail(answer)
        assert (status, says[:25]) == (403, "this API token is for the"), answer.text
    mild = {"application": mine, "environment": "staging", "reason": "x", "warning_only": True}
    assert ci.post("/locks/", json=mild).status_code == 201


def test_people_do_what_is_for_people(world: ApiWorld) -> None:
    name = world.application("1.0")
    source = f"""
application: {name}
environments:
  staging: {{approvals: [{{role: viewer-or-more}}], targets: [{{name: a, kind: noop}}]}}
deploy: [{{run: ./x}}]
""".replace("{role: viewer-or-more}", "{role: operator}")
    assert world.apply(name, source).status_code == 200
    waiting = world.deploy(name, "1.0")["id"]
    boss = world.person("admin")
    ci = machine(world, make(boss, "read", "deploy", "operate"))
    for verb in ("approve", "reject"):
        status, says = detail(ci.post(f"/deployments/{waiting}/{verb}", json={"reason": "x"}))
        assert (status, says) == (403, "an approval is a person's, and this is an API token: log in")
    user = {"email": "eve@example.com", "username": "eve", "password": "correct horse", "role": "admin"}
    for answer in (
        ci.post("/users/", json=user),
        ci.call("PATCH", f"/users/{boss.id}", json={"active": True}),
        ci.post("/tokens/", json={"name": "more", "scopes": ["deploy"]}),
        ci.post(
            "/schedules/",
            json={"application": name, "environment": "staging", "cron": "0 9 * * *", "zone": "UTC"},
        ),
        ci.call("DELETE", "/tokens/1"),
        ci.post("/auth/logout", json={}),
    ):
        assert answer.status_code == 403, answer.text


def test_a_token_stops_at_once(world: ApiWorld) -> None:
    person = world.person("deployer")
    first, second, third = (make(person, "read") for _ in range(3))
    machines = [machine(world, each) for each in (first, second, third)]
    assert [each.get("/auth/me").status_code for each in machines] == [200, 200, 200]
    path = f"/tokens/{first['id']}"
    assert world.person("operator").call("DELETE", path).status_code == 403
    assert person.call("DELETE", path).status_code == 200
    assert person.call("DELETE", path).status_code == 200
    with world.database.transaction() as session:
        session.connection().exec_driver_sql(
            f"UPDATE api_tokens SET expires_at = clock_timestamp() WHERE id = {second['id']}"  # noqa: S608
        )
    assert [each.get("/auth/me").status_code for each in machines] == [401, 401, 200]
    assert world.admin.call("PATCH", f"/users/{person.id}", json={"active": False}).status_code == 200
    assert machines[2].get("/auth/me").status_code == 401


@pytest.mark.parametrize(
    "token",
    ["drm_", "drm_" + "a" * 46, "drm_" + "\u00e9" * 46, "drm_" + "x" * 5000, "drm_\x00"],
)
def test_what_is_no_token_is_refused(world: ApiWorld, token: str) -> None:
    answer = world.client().get(
        "/api/v1/auth/me", headers={"Authorization": f"Bearer {token}".replace("\x00", "%00")}
    )
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"scopes": []}, 422),
        ({"scopes": ["administer"]}, 422),
        ({"scopes": ["self"]}, 422),
        ({"scopes": ["operate"]}, 403),
        ({"applications": ["nobody-knows"]}, 404),
        ({"environments": ["nowhere"]}, 404),
        ({"expires_at": "2020-01-01T00:00:00Z"}, 400),
        ({"expires_at": "2199-01-01T00:00:00Z"}, 400),
        ({"name": ""}, 422),
    ],
)
def test_a_token_that_cannot_be_is_refused(world: ApiWorld, wrong: dict[str, Any], status: int) -> None:
    body = {"name": "ci", "scopes": ["deploy"]} | wrong
    before = world.count("api_tokens")
    answer = world.person("deployer").post("/tokens/", json=body)
    assert (answer.status_code, world.count("api_tokens")) == (status, before), answer.text
