"""Locks and approvals over HTTP: who may, what it looks like, what is refused."""

import pytest

from api.schemas import locks as schemas
from tests.integration.api_world import ApiWorld, world

__all__ = ["world"]


def test_a_lock_is_set_shown_and_released(world: ApiWorld) -> None:
    name, operator = world.application("1.0"), world.person("operator")
    answer = operator.post(
        "/locks/", json={"application": name, "environment": "staging", "reason": "moving"}
    )
    made = answer.get_json()
    schemas.Lock().load(made)
    assert (answer.status_code, answer.headers["Location"]) == (201, f"/api/v1/locks/{made['id']}")
    waiting = world.deploy(name, "1.0")["waiting_for"]
    assert [(each["kind"], each["until"]) for each in waiting] == [("lock", None)]
    listed = world.admin.get("/locks/").get_json()["items"]
    assert made in listed
    released = operator.call("DELETE", f"/locks/{made['id']}").get_json()
    assert released["released_by"] == made["created_by"]
    assert operator.call("DELETE", f"/locks/{made['id']}").get_json() == released
    assert made["id"] not in [each["id"] for each in world.admin.get("/locks/").get_json()["items"]]
    assert made["id"] in [each["id"] for each in world.admin.get("/locks/?all=true").get_json()["items"]]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"application": "nobody-knows", "reason": "x"}, 404),
        ({"environment": "nowhere", "reason": "x"}, 404),
        ({"reason": ""}, 422),
        ({}, 422),
        ({"reason": "x", "expires_at": "2020-01-01T00:00:00Z"}, 400),
        ({"reason": "x", "expires_at": "2020-01-01T00:00:00"}, 422),
        ({"reason": "x", "warning_only": "yes"}, 422),
    ],
)
def test_a_lock_that_cannot_be_is_refused(world: ApiWorld, body: dict[str, str], status: int) -> None:
    before = world.count("locks")
    assert world.admin.post("/locks/", json=body).status_code == status
    assert world.count("locks") == before


def test_only_operators_lock_everything(world: ApiWorld) -> None:
    assert world.person("deployer").post("/locks/", json={"reason": "mine"}).status_code == 403
    assert world.person("viewer").post("/locks/", json={"reason": "mine"}).status_code == 403
    assert world.admin.get("/locks/999999").status_code == 404
    assert world.admin.call("DELETE", "/locks/999999").status_code == 404


def test_approvals_over_http(world: ApiWorld) -> None:
    name = world.application("1.0")
    source = f"""
application: {name}
environments:
  staging:
    approvals: [{{role: operator}}]
    targets: [{{name: web-a, kind: noop}}]
deploy:
  - run: ./install
"""
    assert world.apply(name, source).status_code == 200
    deployment = world.deploy(name, "1.0")
    assert [each["kind"] for each in deployment["waiting_for"]] == ["approval"]
    path = f"/deployments/{deployment['id']}"
    assert world.admin.post(f"{path}/approve", json={}).status_code == 403
    assert world.person("deployer").post(f"{path}/approve", json={}).status_code == 403
    assert world.person("operator").post(f"{path}/reject", json={}).status_code == 422
    answer = world.person("operator").post(f"{path}/approve", json={"reason": "fine"})
    assert (answer.status_code, answer.get_json()["status"]) == (202, "running")
    assert world.person("operator").post(f"{path}/approve", json={}).status_code == 400


WEEKLY = {"days": ["mon", "fri"], "from": "09:00", "to": "17:00"}


def test_a_window_is_made_shown_and_removed(world: ApiWorld) -> None:
    world.application("1.0")
    body = {"environment": "staging", "name": "office hours", "zone": "Europe/Berlin", "weekly": WEEKLY}
    operator = world.person("operator")
    answer = operator.post("/windows/", json=body)
    made = answer.get_json()
    assert (answer.status_code, answer.headers["Location"]) == (201, f"/api/v1/windows/{made['id']}")
    assert {key: made[key] for key in ("environment", "name", "zone", "weekly", "kind", "warnings")} == {
        **body,
        "kind": "window",
        "warnings": [],
    }
    assert world.admin.get(f"/windows/{made['id']}").get_json() == made
    assert world.admin.get(f"/freezes/{made['id']}").status_code == 404
    assert made in world.admin.get("/windows/?environment=staging").get_json()["items"]
    assert operator.call("DELETE", f"/windows/{made['id']}").get_json()["removed_at"] is not None
    assert made["id"] not in [each["id"] for each in world.admin.get("/windows/").get_json()["items"]]


@pytest.mark.parametrize(
    ("change", "pointers"),
    [
        ({"zone": "Europe/Berlinn"}, ["/zone"]),
        ({"weekly": None}, [""]),
        ({"dated": {"from": "2026-01-01T00:00", "to": "2026-01-02T00:00"}}, ["/dated"]),
        ({"weekly": {**WEEKLY, "days": ["monday"]}}, ["/weekly/days/0"]),
        ({"name": 5}, ["/name"]),
        ({"nonsense": 1}, ["/nonsense"]),
    ],
)
def test_a_freeze_with_a_mistake_is_refused_with_its_place(
    world: ApiWorld, change: dict[str, object], pointers: list[str]
) -> None:
    world.application("1.0")
    body = {"environment": "staging", "name": "x", "zone": "UTC", "weekly": WEEKLY} | change
    before = world.count("window_rules")
    answer = world.admin.post(
        "/freezes/", json={key: value for key, value in body.items() if value is not None}
    )
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.get_json()["errors"]] == pointers
    assert world.count("window_rules") == before


def test_only_operators_make_windows(world: ApiWorld) -> None:
    world.application("1.0")
    body = {"environment": "staging", "name": "x", "zone": "UTC", "weekly": WEEKLY}
    assert world.person("deployer").post("/windows/", json=body).status_code == 403
    assert world.admin.post("/windows/", json={**body, "environment": "nowhere"}).status_code == 404


@pytest.mark.parametrize("path", ["/locks/", "/windows/", "/freezes/"])
def test_a_key_makes_it_once(world: ApiWorld, path: str) -> None:
    name = world.application("1.0")
    dated = {"from": "2026-12-20T00:00", "to": "2027-01-04T08:00"}
    body = {"environment": "staging", "name": "x", "zone": "UTC", "dated": dated}
    if path == "/locks/":
        body = {"application": name, "reason": "x", "warning_only": True}
    key = {"Idempotency-Key": f"once-{path}"}
    first = world.admin.post(path, json=body, headers=key)
    assert first.status_code == 201, first.text
    again = world.admin.post(path, json=body, headers=key)
    assert (again.status_code, again.get_json()["id"]) == (201, first.get_json()["id"])
    assert again.headers["Idempotent-Replayed"] == "true"
    other = world.admin.post(path, json=body | {"environment": "production"}, headers=key)
    assert other.get_json()["code"] == "idempotency_key_reused"
    assert world.admin.call("DELETE", f"{path}{first.get_json()['id']}").status_code == 200
