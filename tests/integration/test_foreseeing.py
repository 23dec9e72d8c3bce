"""A dry run says what would happen, and nothing of it is ever there."""

from typing import Any

import pytest
from sqlalchemy import text

from api.schemas.foreseen import Foreseen
from tests.integration.api_world import ApiWorld, pipeline_of, world

__all__ = ["world"]

TABLES = ("deployments", "plans", "waves", "steps", "events", "idempotency_keys")


def foresee(world: ApiWorld, name: str, version: str, environment: str, **more: Any) -> Any:
    body = {"application": name, "version": version, "environment": environment, **more}
    return world.admin.post(
        "/deployments/?dry_run=true", json=body, headers={"Idempotency-Key": f"{name}{version}"}
    )


def counts(world: ApiWorld) -> dict[str, int]:
    return {table: world.count(table) for table in TABLES}


def test_a_dry_run_says_what_the_request_then_does(world: ApiWorld) -> None:
    name = world.application("1.0")
    before = counts(world)
    answer = foresee(world, name, "1.0", "production")
    assert answer.status_code == 200, answer.text
    found = answer.get_json()
    Foreseen().load(found)
    assert counts(world) == before
    assert [(wave["action"], wave["targets"]) for wave in found["waves"]] == [
        ("./install", ["web-a"]),
        ("./install", ["web-b"]),
    ]
    assert [gate["kind"] for gate in found["gates"] if gate["verdict"] == "waits"] == ["promotion"]
    assert (found["replaces"], found["changed_variables"]) == (None, [])
    assert [each["version"] for each in found["brings"]] == ["1.0"]
    assert found["scripts"] == [{"action": "./install", "script": "./install"}]
    assert found["duration_seconds"] == {"deployments": 0, "p50": None, "p90": None}
    made = world.deploy(name, "1.0", "production")
    assert (made["plan_hash"], made["strategy"]) == (found["plan_hash"], found["strategy"])
    assert made["progress"]["steps"] == found["steps"]


def test_what_changes_is_named(world: ApiWorld) -> None:
    name = world.application("1.0", "1.0.1", "1.1")
    with_variables = pipeline_of(name).replace(
        "environments:", "variables: {COLOUR: red, SIZE: big}\nenvironments:"
    )
    assert world.apply(name, with_variables).status_code == 200
    first = world.deploy(name, "1.0")["id"]
    with world.database.transaction() as session:
        session.execute(
            text(
                "UPDATE deployments SET status = 'succeeded', started_at = clock_timestamp() - interval '90 s', "
                "ended_at = clock_timestamp(), deployed_at = clock_timestamp(), wake_at = NULL WHERE id = :id"
            ),
            {"id": first},
        )
    changed = with_variables.replace("SIZE: big", "SHAPE: round").replace("red", "blue")
    assert world.apply(name, changed).status_code == 200
    found = foresee(world, name, "1.1", "staging").get_json()
    assert (found["replaces"]["deployment_id"], found["replaces"]["version"]) == (first, "1.0")
    assert [each["version"] for each in found["brings"]] == ["1.1", "1.0.1"]
    assert foresee(world, name, "1.0", "staging").get_json()["brings"] == []
    assert found["changed_variables"] == [
        {"name": "COLOUR", "before": "red", "after": "blue"},
        {"name": "SHAPE", "before": None, "after": "round"},
        {"name": "SIZE", "before": "big", "after": None},
    ]
    assert (found["duration_seconds"]["deployments"], round(found["duration_seconds"]["p50"])) == (1, 90)


def test_a_dry_run_supersedes_nothing(world: ApiWorld) -> None:
    name = world.application("1.0", "1.1")
    latest = pipeline_of(name).replace("  staging:\n", "  staging:\n    queue: latest_wins\n")
    assert world.apply(name, latest).status_code == 200
    waiting = world.deploy(name, "1.0")["id"]
    assert foresee(world, name, "1.1", "staging").status_code == 200
    assert world.admin.get(f"/deployments/{waiting}").get_json()["status"] == "pending"


@pytest.mark.parametrize(("changes", "status"), [({"version": "9"}, 404), ({"environment": "moon"}, 400)])
def test_what_would_be_refused_is_refused(world: ApiWorld, changes: dict[str, str], status: int) -> None:
    name = world.application("1.0")
    asked = {"version": "1.0", "environment": "staging", **changes}
    assert foresee(world, name, **asked).status_code == status
    body = {"application": name, "version": "1.0", "environment": "staging"}
    assert world.person("viewer").post("/deployments/?dry_run=true", json=body).status_code == 403
    assert world.admin.post("/deployments/?dry_run=maybe", json=body).status_code == 422
