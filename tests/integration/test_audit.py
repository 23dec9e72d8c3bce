"""What happened, out of a real installation: whole, for operators, and for ever."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from orchestrator.domain.audit import Seal, verify
from tests.integration.api_world import ApiWorld, world

__all__ = ["world"]


def everything(world: ApiWorld) -> Iterator[dict[str, Any]]:
    cursor = ""
    while True:
        page = world.admin.get(f"/audit/?limit=7{cursor}").get_json()
        yield from page["items"]
        if not page["next_cursor"]:
            return
        cursor = f"&cursor={page['next_cursor']}"


def test_an_export_of_all_that_people_and_engine_did_is_good(world: ApiWorld) -> None:
    name = world.application("1.0", "1.1")
    world.person("operator")
    deployment = world.deploy(name, "1.0")["id"]
    world.admin.post(f"/deployments/{deployment}/cancel", json={"reason": "Überraschung \u2028 \U0001f680"})
    lock = world.admin.post("/locks/", json={"application": name, "reason": "x"}).get_json()["id"]
    world.admin.call("DELETE", f"/locks/{lock}")
    seal, lines = Seal(), []
    for entry in everything(world):
        seal.add(entry)
        lines.append(json.dumps(entry).encode())
    assert list(verify([*lines, json.dumps(seal.document()).encode()])) == []
    assert seal.entries == world.count("events")
    one = world.admin.get(f"/audit/?subject=deployment:{deployment}").get_json()["items"]
    assert [each["kind"] for each in one] == [
        "deployment.requested",
        "deployment.cancel_requested",
        "deployment.cancelled",
    ]


def test_it_is_for_operators(world: ApiWorld) -> None:
    assert world.person("operator").get("/audit/").status_code == 200
    assert world.person("deployer").get("/audit/").status_code == 403


@pytest.mark.parametrize(
    "statement", ["UPDATE events SET kind = 'x'", "DELETE FROM events", "TRUNCATE events CASCADE"]
)
def test_postgres_refuses_to_change_what_happened(world: ApiWorld, statement: str) -> None:
    before = world.count("events")
    with pytest.raises(DBAPIError, match="append-only"), world.database.transaction() as session:
        session.execute(text(statement))
    assert world.count("events") == before > 0
