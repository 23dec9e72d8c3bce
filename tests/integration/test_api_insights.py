"""Insights over HTTP: the shape of the answers, what is refused, and the way from each number to its deployments."""

from typing import Any

import pytest
from sqlalchemy import text

from api.schemas import insights as schemas
from tests.integration.api_world import ApiWorld, world

__all__ = ["world"]

MARCH = "environment=staging&from=2025-03-01&to=2025-04-01"
# `version` tells how each ended; the second is rolled back by the third.
ENDED = """
    UPDATE deployments SET status = CASE WHEN r.version = '2' THEN 'failed' ELSE 'succeeded' END,
        created_at = t, started_at = t, ended_at = t + interval '10 minutes', wake_at = NULL,
        deployed_at = CASE WHEN r.version = '2' THEN NULL ELSE t + interval '10 minutes' END
    FROM releases r, LATERAL (SELECT timestamptz '2025-03-03 08:00Z' + CAST(r.version AS int) * interval '1 hour' AS t) x
    WHERE r.id = release_id AND r.name = :name
"""


@pytest.fixture(scope="module")
def shop(world: ApiWorld) -> str:
    """It has 1 (succeeded, committed two hours before), 2 (failed) and 3 (succeeded, and puts 2 right)."""
    name = world.application("2", "3")
    first = {"name": name, "version": "1", "committed_at": "2025-03-03T07:10:00Z"}
    assert world.admin.post("/releases/", json=first).status_code == 201
    for version in ("2", "3"):
        world.deploy(name, version)
    world.admin.post(
        "/deployments/",
        json={"application": name, "version": "1", "environment": "staging", "allow_downgrade": True},
    )
    with world.database.transaction() as session:
        session.execute(text("SET LOCAL session_replication_role = replica"))
        session.execute(text(ENDED), {"name": name})
        session.execute(text("UPDATE targets SET created_at = '2025-01-01'"))
    return name


def listed(world: ApiWorld, query: str) -> list[dict[str, Any]]:
    answer = world.admin.get(f"/insights/deployments?{MARCH}&{query}")
    assert answer.status_code == 200, answer.text
    page = answer.get_json()
    schemas.CountedPage().load(page)
    found: list[dict[str, Any]] = page["items"]
    return found


def test_a_month_is_measured(world: ApiWorld, shop: str) -> None:
    answer = world.person("viewer").get(f"/insights?application={shop}&{MARCH}&zone=Europe/Berlin")
    assert answer.status_code == 200, answer.text
    found = answer.get_json()
    schemas.InsightsOut().load(found)
    assert (found["from"], found["to"], found["by"]) == ("2025-03-01", "2025-04-01", "day")
    assert (found["starts_at"], found["ends_at"]) == ("2025-02-28T23:00:00Z", "2025-03-31T22:00:00Z")
    assert found["measures"] == {
        # 3 came for the first time as well, and nobody said when it was committed.
        "change_lead_time": {"count": 1, "p50_seconds": 7200.0, "p90_seconds": None, "without_commit": 1},
        "deployment_frequency": {"count": 2, "days": 31.0, "per_day": 2 / 31},
        "failed_deployment_recovery_time": {
            "count": 1,
            "p50_seconds": 3600.0,
            "p90_seconds": None,
            "open": 0,
        },
        "change_fail_rate": {"count": 1, "of": 3, "rate": 1 / 3},
        "deployment_rework_rate": {"count": 1, "of": 3, "rate": 1 / 3},
    }
    assert len(found["parts"]) == 31
    assert found["parts"][2]["measures"]["deployment_frequency"]["count"] == 2
    assert found["slots"] == [
        {"application": shop, "environment": "staging", "count": 3, "busy_seconds": 1800.0}
    ]


def test_behind_a_number_are_its_deployments_with_what_they_add_to_it(world: ApiWorld, shop: str) -> None:
    of_shop = f"application={shop}"
    (late,) = listed(world, f"{of_shop}&group=lead_known")
    assert (late["version"], late["lead_seconds"], late["committed_at"]) == (
        "1",
        7200.0,
        "2025-03-03T07:10:00Z",
    )
    (failed,) = listed(world, f"{of_shop}&group=failed")
    (fix,) = listed(world, f"{of_shop}&group=rework")
    assert (fix["version"], fix["rework"]) == ("3", "fix")
    assert (failed["recovery_seconds"], failed["recovered_by_id"]) == (3600.0, fix["id"])
    assert listed(world, f"{of_shop}&group=unrecovered") == []


def test_a_list_goes_on_where_its_cursor_says(world: ApiWorld, shop: str) -> None:
    query = f"/insights/deployments?application={shop}&{MARCH}&limit=2"
    first = world.admin.get(query).get_json()
    rest = world.admin.get(f"{query}&cursor={first['next_cursor']}").get_json()
    ids = [each["id"] for each in first["items"] + rest["items"]]
    assert (len(ids), ids, rest["next_cursor"]) == (3, sorted(ids, reverse=True), None)


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("from=2025-03-02&to=2025-03-02", "/query/to"),
        ("from=2025-03-02&to=2026-03-04", "/query/to"),
        ("from=yesterday", "/query/from"),
        ("from=0001-01-01", "/query/from"),
        ("to=9999-12-31", "/query/to"),
        ("zone=Mars/Phobos", "/query/zone"),
        ("by=hour", "/query/by"),
        ("application=No", "/query/application"),
    ],
)
def test_what_cannot_be_asked_is_refused(world: ApiWorld, shop: str, query: str, pointer: str) -> None:
    answer = world.admin.get(f"/insights?environment=staging&{query}")
    assert answer.status_code == 422, answer.text
    assert [each["pointer"] for each in answer.get_json()["errors"]] == [pointer]


def test_what_there_is_not_is_not_found(world: ApiWorld, shop: str) -> None:
    assert world.admin.get("/insights?environment=nowhere").status_code == 404
    assert world.admin.get("/insights?environment=staging&application=nobody").status_code == 404
    assert world.admin.get("/insights/deployments?environment=nowhere").status_code == 404
