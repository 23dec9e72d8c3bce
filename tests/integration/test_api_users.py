"""Who may register whom, and what they may change."""

from collections.abc import Iterator
from threading import Barrier, Thread

import pytest
from flask import Flask

from api.app import close, create_app
from orchestrator.bootstrap import first_admin
from orchestrator.config import Settings
from tests.integration.api_world import PASSWORD, V1, ApiWorld, world

__all__ = ["world"]


def body_of(username: str, /, **changes: object) -> dict[str, object]:
    return {"email": f"{username}@example.com", "username": username, "password": PASSWORD, **changes}


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    """One in whose database there is nobody."""
    made = create_app(settings)
    yield made
    close(made)


def test_of_two_first_users_at_once_one_becomes_admin(app: Flask) -> None:
    together, statuses = Barrier(2), []

    def register(name: str) -> None:
        client = app.test_client()
        together.wait()
        answer = client.post(f"{V1}/users/", json=body_of(name))
        statuses.append((answer.status_code, (answer.get_json() or {}).get("role")))

    threads = [Thread(target=register, args=(name,)) for name in ("ada", "bob")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses, key=str) == [(201, "admin"), (401, None)]


def test_the_first_admin_is_made_once(app: Flask, settings: Settings) -> None:
    made = first_admin(settings)
    assert made["username"] == "admin"
    assert first_admin(settings) == {}
    answer = app.test_client().post(f"{V1}/auth/login", json=made)
    assert answer.status_code == 200


def test_only_admins_register_others(world: ApiWorld) -> None:
    assert world.client().post(f"{V1}/users/", json=body_of("stranger")).status_code == 401
    assert world.person("operator").post("/users/", json=body_of("stranger")).status_code == 403
    answer = world.admin.post("/users/", json=body_of("guest"))
    assert (answer.status_code, answer.get_json()["role"]) == (201, "viewer")
    assert answer.headers["Location"] == f"/api/v1/users/{answer.get_json()['id']}"
    assert "password" not in answer.text


def test_a_name_or_an_address_is_taken_once_whatever_the_case(world: ApiWorld) -> None:
    world.register("carol", by=world.admin)
    for taken in (body_of("CAROL", email="c@example.com"), body_of("c2", email="Carol@example.com")):
        assert world.admin.post("/users/", json=taken).status_code == 409


@pytest.mark.parametrize(
    "changes",
    [
        {"password": "short12"},
        {"password": "é" * 37},
        {"password": "x" * 73},
        {"password": "nul\0nul\0nul"},
        {"username": "a b"},
        {"username": "a@b"},
        {"username": ""},
        {"username": "x" * 64},
        {"email": "nobody"},
        {"email": "a@" + "b" * 300},
        {"role": "god"},
        {"role": 7},
        {"active": True},
    ],
)
def test_unfit_users_are_refused(world: ApiWorld, changes: dict[str, object]) -> None:
    before = world.count("users")
    answer = world.admin.post("/users/", json=body_of("fit", **changes))
    assert answer.status_code == 422
    assert answer.get_json()["errors"][0]["pointer"] == f"/{next(iter(changes))}"
    assert world.count("users") == before


def test_the_last_active_admin_stays_one(world: ApiWorld) -> None:
    own = world.admin.get("/auth/me").get_json()["id"]
    for changes in ({"role": "viewer"}, {"active": False}):
        answer = world.admin.call("PATCH", f"/users/{own}", json=changes)
        assert (answer.status_code, answer.get_json()["code"]) == (400, "rule_violation")


def test_people_change_their_own_address_and_nothing_else(world: ApiWorld) -> None:
    person, other = world.person("viewer"), world.person("viewer")
    assert person.call("PATCH", f"/users/{person.id}", json={"email": "new@example.com"}).status_code == 200
    assert person.call("PATCH", f"/users/{person.id}", json={"role": "admin"}).status_code == 403
    assert person.call("PATCH", f"/users/{other.id}", json={"email": "x@example.com"}).status_code == 403
    assert other.call("PATCH", f"/users/{other.id}", json={"email": "NEW@example.com"}).status_code == 409


def test_a_change_is_seen_by_the_next_read(world: ApiWorld) -> None:
    person = world.person("viewer")
    page = world.admin.get("/users/?limit=200").get_json()["items"]
    assert person.id in [each["id"] for each in page]
    for email in ("one@example.com", "two@example.com"):
        world.admin.call("PATCH", f"/users/{person.id}", json={"email": email})
        assert world.admin.get(f"/users/{person.id}").get_json()["email"] == email
        page = world.admin.get("/users/?limit=200").get_json()["items"]
        assert email in [each["email"] for each in page]


def test_users_are_kept_in_redis_as_they_are_sent(world: ApiWorld) -> None:
    person = world.person("viewer")
    answer = world.admin.get(f"/users/{person.id}")
    assert world.redis.get(f"api:users:{person.id}") == answer.data
    page = world.admin.get("/users/?skip=1&limit=3")
    assert world.redis.get("api:users:list:1:3") == page.data
    assert 500 < int(world.redis.ttl("api:users:list:1:3")) <= 600  # type: ignore[arg-type]  # not asynchronous


def test_pages_follow_each_other_without_gaps(world: ApiWorld) -> None:
    for _ in range(3):
        world.person("viewer")
    seen, cursor = [], ""
    while True:
        page = world.admin.get(f"/users/?limit=2{cursor}").get_json()
        seen += [each["id"] for each in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == sorted(set(seen))
    assert len(seen) == world.count("users")
