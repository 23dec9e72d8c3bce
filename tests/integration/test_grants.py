"""Roles for one application over HTTP: when they count, who gives them, and what they never do."""

from typing import Any

import pytest
from sqlalchemy import Connection, event
from werkzeug.test import TestResponse

from api.extensions import services
from tests.integration.api_world import ApiWorld, Person, pipeline_of, world

__all__ = ["world"]


def name_of(person: Person) -> str:
    found: str = person.get("/auth/me").get_json()["username"]
    return found


def give(by: Person, application: str, to: Person, role: str = "deployer", **more: Any) -> TestResponse:
    body = {"application": application, "user": name_of(to), "role": role, **more}
    return by.post("/grants/", json=body)


def given(by: Person, application: str, to: Person, role: str = "deployer", **more: Any) -> int:
    answer = give(by, application, to, role, **more)
    assert answer.status_code == 201, answer.text
    made: int = answer.get_json()["id"]
    return made


def deploy(person: Person, application: str, environment: str = "staging") -> TestResponse:
    body = {"application": application, "version": "1.0", "environment": environment}
    return person.post("/deployments/", json=body)


def owned(by: Person, name: str) -> str:
    answer = by.call(
        "PUT", f"/applications/{name}/pipeline", data=pipeline_of(name), content_type="application/yaml"
    )
    assert answer.status_code == 201, answer.text
    return name


def test_it_counts_from_the_next_request_on_and_is_written_down(world: ApiWorld) -> None:
    shop, viewer = world.application("1.0"), world.person("viewer")
    refused = deploy(viewer, shop)
    assert refused.status_code == 403
    assert "this needs the role deployer" in refused.get_json()["detail"]
    grant = given(world.admin, shop, viewer)
    assert deploy(viewer, shop).status_code == 202
    for _ in range(2):
        taken = world.admin.call("DELETE", f"/grants/{grant}")
        assert (taken.status_code, taken.get_json()["removed_by"]) == (200, "admin")
    assert deploy(viewer, shop).status_code == 403
    assert world.admin.get(f"/grants/?application={shop}").get_json()["items"] == []
    found = world.admin.get(f"/audit/?subject=grant:{grant}").get_json()["items"]
    assert [each["kind"] for each in found] == ["grant.created", "grant.removed"]
    assert found[0]["data"]["role"] == "deployer"
    assert found[0]["data"]["user"] == name_of(viewer)


def test_a_team_gains_and_loses_with_its_members(world: ApiWorld) -> None:
    shop, viewer = world.application("1.0"), world.person("viewer")
    body = {"application": shop, "team": "movers", "role": "deployer"}
    assert world.admin.post("/grants/", json=body).status_code == 201
    assert deploy(viewer, shop).status_code == 403
    world.admin.call("PATCH", f"/users/{viewer.id}", json={"teams": ["movers"]})
    assert deploy(viewer, shop).status_code == 202
    world.admin.call("PATCH", f"/users/{viewer.id}", json={"teams": []})
    assert deploy(viewer, shop).status_code == 403


def test_the_same_role_is_given_once(world: ApiWorld) -> None:
    shop, viewer = world.application(), world.person("viewer")
    first = given(world.admin, shop, viewer)
    again = give(world.admin, shop, viewer, environments=["staging"])
    assert again.status_code == 409
    assert "remove that grant first" in again.get_json()["detail"]
    world.admin.call("DELETE", f"/grants/{first}")
    given(world.admin, shop, viewer, environments=["staging"])


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"application": "nothing"}, 404),
        ({"user": "nobody-of-this-name"}, 404),
        ({"environments": ["nowhere"]}, 404),
        ({"role": "viewer"}, 422),
        ({"role": "owner"}, 422),
        ({"team": "both"}, 422),
        ({"user": None}, 422),
    ],
)
def test_what_names_nothing_is_refused(world: ApiWorld, wrong: dict[str, Any], status: int) -> None:
    body = {"application": world.application(), "user": "admin", "role": "deployer", **wrong}
    assert world.admin.post("/grants/", json=body).status_code == status


def test_nobody_gives_more_than_they_have(world: ApiWorld) -> None:
    owner, friend = world.person("deployer"), world.person("viewer")
    shop = owned(owner, f"owned-{owner.id}")
    given(owner, shop, friend)
    for role in ("operator", "admin"):
        answer = give(owner, shop, owner, role)
        assert answer.status_code == 403
        assert "nobody gives more than they have" in answer.get_json()["detail"]
    assert give(friend, shop, friend, "operator").status_code == 403
    higher = given(world.admin, shop, friend, "operator")
    assert owner.call("DELETE", f"/grants/{higher}").status_code == 403
    given(world.admin, shop, friend, "admin")
    given(friend, shop, owner, "operator")


def test_an_owner_does_not_open_a_restricted_environment(world: ApiWorld) -> None:
    owner = world.person("deployer")
    shop = owned(owner, f"closed-{owner.id}")
    assert owner.post("/releases/", json={"name": shop, "version": "1.0"}).status_code == 201
    assert world.admin.call("PATCH", "/environments/production", json={"restricted": True}).status_code == 200
    try:
        refused = deploy(owner, shop, "production")
        assert refused.status_code == 403
        assert "restricted" in refused.get_json()["detail"]
        assert give(owner, shop, owner, environments=["production"]).status_code == 403
        assert deploy(owner, shop, "staging").status_code == 202
        given(world.admin, shop, owner, environments=["production"])
        assert deploy(owner, shop, "production").status_code == 202
    finally:
        world.admin.call("PATCH", "/environments/production", json={"restricted": False})
    found = world.admin.get("/environments/production").get_json()
    kinds = world.admin.get(f"/audit/?subject=environment:{found['id']}").get_json()["items"]
    assert [each["data"]["restricted"] for each in kinds] == [True, False]


def test_an_application_is_handed_over(world: ApiWorld) -> None:
    owner, heir, viewer = world.person("deployer"), world.person("deployer"), world.person("viewer")
    shop = owned(owner, f"handed-{owner.id}")
    to_viewer = owner.call("PATCH", f"/applications/{shop}", json={"owner": name_of(viewer)})
    assert to_viewer.status_code == 400
    assert "give the role deployer first" in to_viewer.get_json()["detail"]
    handed = owner.call("PATCH", f"/applications/{shop}", json={"owner": name_of(heir)})
    assert (handed.status_code, handed.get_json()["owner"]) == (200, name_of(heir))
    assert owner.call("PATCH", f"/applications/{shop}", json={"owner": name_of(owner)}).status_code == 403
    assert give(owner, shop, viewer).status_code == 403
    given(heir, shop, viewer)
    back = heir.call("PATCH", f"/applications/{shop}", json={"owner": name_of(viewer)})
    assert back.status_code == 200


def test_a_token_has_its_users_grants_and_no_more(world: ApiWorld) -> None:
    shop, other, viewer = world.application("1.0"), world.application("1.0"), world.person("viewer")
    wanted = {"name": "ci", "scopes": ["deploy", "create_release"]}
    assert viewer.post("/tokens/", json=wanted).status_code == 403
    grant = given(world.admin, shop, viewer, environments=["staging"])
    made = viewer.post("/tokens/", json=wanted).get_json()
    ci = Person(world.client(), {"access_token": made["token"]})
    assert deploy(ci, shop).status_code == 202
    assert deploy(ci, shop, "production").status_code == 403
    assert deploy(ci, other).status_code == 403
    assert ci.post("/releases/", json={"name": other, "version": "9"}).status_code == 403
    assert give(ci, shop, viewer).status_code == 403
    reader = viewer.post("/tokens/", json={"name": "reader", "scopes": ["read"]}).get_json()
    assert deploy(Person(world.client(), {"access_token": reader["token"]}), shop).status_code == 403
    world.admin.call("DELETE", f"/grants/{grant}")
    assert deploy(ci, shop).status_code == 403


def test_an_approval_counts_the_role_for_that_application(world: ApiWorld) -> None:
    shop, viewer, other = world.application("1.0"), world.person("viewer"), world.person("viewer")
    source = pipeline_of(shop).replace("  staging:\n", "  staging:\n    approvals: [{role: operator}]\n")
    assert world.apply(shop, source).status_code == 200
    waiting = world.deploy(shop, "1.0")["id"]
    given(world.admin, world.application(), other, "operator")
    given(world.admin, shop, viewer, "operator")
    assert other.post(f"/deployments/{waiting}/approve", json={}).status_code == 403
    remedies = viewer.get(f"/deployments/{waiting}/explain").get_json()["remedies"]
    assert [each["action"] for each in remedies] == ["approve it"]
    approved = viewer.post(f"/deployments/{waiting}/approve", json={})
    assert approved.status_code == 202, approved.text
    assert approved.get_json()["waiting_for"] == []


def test_who_acts_and_what_they_may_is_one_statement(world: ApiWorld) -> None:
    shop, viewer = world.application("1.0"), world.person("viewer")
    given(world.admin, shop, viewer)
    seen: list[str] = []

    def note(_conn: Connection, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    with world.app.app_context():
        lookups = services().lookups.engine
    event.listen(lookups, "before_cursor_execute", note)
    try:
        assert deploy(viewer, shop).status_code == 202
    finally:
        event.remove(lookups, "before_cursor_execute", note)
    assert len(seen) == 1
