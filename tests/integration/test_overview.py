"""The grid and the inbox: what they say of slots, and to whom."""

from typing import Any

import pytest

from orchestrator.services import acting, overview
from orchestrator.services.actors import Actor, of_user
from tests.integration.api_world import ApiWorld, pipeline_of, world

__all__ = ["world"]


def grid(world: ApiWorld, part: str) -> overview.Overview:
    with world.database.reading() as session:
        return overview.overview(session, part=part)


def actor(world: ApiWorld, person_id: int) -> Actor:
    with world.database.reading() as session:
        return of_user(session, person_id)[0]


def succeed(world: ApiWorld, deployment_id: int) -> None:
    """As if the workers had carried it out: the database's own rules are kept."""
    from sqlalchemy import text

    with world.database.transaction() as session:
        for change in (
            "status = 'running', started_at = now()",
            "status = 'succeeded', deployed_at = now(), ended_at = now(), deployed_by = requested_by, wake_at = NULL",
        ):
            session.execute(text(f"UPDATE deployments SET {change} WHERE id = :id"), {"id": deployment_id})  # noqa: S608


def test_a_cell_says_what_is_there_what_goes_on_and_how_far_behind_it_is(world: ApiWorld) -> None:
    name = world.application("1.0", "1.1", "1.2")
    empty = grid(world, name).lines[name]
    assert set(empty) == {"staging", "production"}
    assert (empty["staging"].row.here_id, empty["staging"].news) == (None, None)
    first = world.deploy(name, "1.0")["id"]
    going = grid(world, name).lines[name]["staging"]
    assert (going.news, going.is_going_on, going.row.here_id) == ("pending", True, None)
    succeed(world, first)
    done = grid(world, name).lines[name]["staging"]
    assert (done.row.here_version, done.row.behind, done.news) == ("1.0", 2, None)
    assert done.row.newest_version == "1.2"
    second = world.deploy(name, "1.2")["id"]
    both = grid(world, name).lines[name]["staging"]
    assert (both.row.here_version, both.row.last_version, both.news) == ("1.0", "1.2", "pending")
    world.admin.post(f"/deployments/{second}/cancel", json={})


def test_an_environment_is_shut_by_its_locks_and_freezes_and_a_line_by_its_own(world: ApiWorld) -> None:
    name = world.application("1.0")
    own = world.admin.post("/locks/", json={"application": name, "reason": "mine"}).get_json()["id"]
    shut = world.admin.post("/locks/", json={"environment": "production", "reason": "fair"}).get_json()["id"]
    dated = {"from": "2020-01-01T00:00", "to": "2090-01-01T00:00"}
    past = {"from": "2020-01-01T00:00", "to": "2020-01-02T00:00"}
    rules = [
        world.admin.post(
            "/freezes/", json={"environment": "production", "name": each, "zone": "UTC", "dated": when}
        ).get_json()["id"]
        for each, when in (("now", dated), ("over", past))
    ]
    found = grid(world, name)
    by_name = {column.name: column for column in found.columns}
    assert [lock.reason for lock in by_name["production"].locks] == ["fair"]
    assert by_name["staging"].locks == []
    assert [freeze for freeze, _ in by_name["production"].freezes] == ["now"]
    assert [lock.reason for lock in found.locks[name]] == ["mine"]
    for lock in (own, shut):
        world.admin.call("DELETE", f"/locks/{lock}")
    for rule in rules:
        world.admin.call("DELETE", f"/freezes/{rule}")
    assert {column.name: column.freezes for column in grid(world, name).columns}["production"] == []


def test_the_search_finds_parts_of_names_and_takes_them_as_they_are(world: ApiWorld) -> None:
    name = world.application("1.0")
    assert list(grid(world, name[1:]).lines) == [name]
    assert grid(world, "%").lines == {}
    assert grid(world, "_").lines == {}


def verbs(world: ApiWorld, deployment_id: int, person_id: int) -> list[str]:
    from orchestrator.services import explaining

    who = actor(world, person_id)
    with world.database.reading() as session:
        return acting.verbs(explaining.explain(session, deployment_id, actor=who), who)


@pytest.fixture
def guarded(world: ApiWorld) -> dict[str, Any]:
    """A deployment that an operator has to approve, and who requested it."""
    name = world.application("1.0")
    source = pipeline_of(name).replace("    after: staging\n", "    approvals: [{role: operator}]\n")
    assert world.apply(name, source).status_code == 200
    deployer = world.person("deployer")
    body = {"application": name, "version": "1.0", "environment": "production"}
    made = deployer.post("/deployments/", json=body).get_json()
    return {"id": made["id"], "by": deployer.id}


def test_what_is_offered_is_what_the_services_let_them_do(world: ApiWorld, guarded: dict[str, Any]) -> None:
    people = {role: world.person(role) for role in ("viewer", "deployer", "operator", "admin")}
    offered = {role: verbs(world, guarded["id"], person.id) for role, person in people.items()}
    assert offered == {
        "viewer": [],
        "deployer": ["cancel"],
        "operator": ["approve", "reject", "cancel"],
        "admin": ["approve", "reject", "cancel"],
    }
    assert verbs(world, guarded["id"], guarded["by"]) == ["cancel"]
    refused = people["deployer"].post(f"/deployments/{guarded['id']}/approve", json={})
    assert refused.status_code == 403
    assert people["deployer"].post(f"/deployments/{guarded['id']}/cancel", json={}).status_code == 202
    assert verbs(world, guarded["id"], people["deployer"].id) == ["retry"]


def test_the_inbox_holds_what_still_asks_for_people(world: ApiWorld, guarded: dict[str, Any]) -> None:
    operator = actor(world, world.person("operator").id)

    def ids() -> set[int]:
        with world.database.reading() as session:
            return {each.row.id for each in overview.inbox(session, actor=operator)}

    assert guarded["id"] in ids()
    plain = world.deploy(world.application("1.0"), "1.0")["id"]
    assert plain not in ids()
    approved = world.admin.post(f"/deployments/{guarded['id']}/approve", json={})
    assert approved.status_code == 202, approved.text
    assert guarded["id"] not in ids()


def test_what_runs_in_the_environment_before_may_be_promoted_while_it_is_newer(world: ApiWorld) -> None:
    name = world.application("1.0", "1.1")
    assert grid(world, name).lines[name]["production"].promotes is None
    succeed(world, world.deploy(name, "1.1")["id"])
    cells = grid(world, name).lines[name]
    assert (cells["staging"].promotes, cells["production"].promotes) == (None, "1.1")
    succeed(world, world.deploy(name, "1.1", "production")["id"])
    assert grid(world, name).lines[name]["production"].promotes is None


def test_nothing_is_promoted_to_where_two_environments_lead(world: ApiWorld) -> None:
    name = world.application("1.0")
    two = pipeline_of(name).replace("    after: staging\n", "    after: [staging, lab]\n")
    lab = "environments:\n  lab:\n    targets: [{name: web-a, kind: noop}]\n"
    assert world.apply(name, two.replace("environments:\n", lab)).status_code == 200
    succeed(world, world.deploy(name, "1.0")["id"])
    cell = grid(world, name).lines[name]["production"]
    assert (cell.row.after, cell.promotes) == (None, None)
