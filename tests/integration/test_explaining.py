"""Why is it waiting, when will it go, who may help, and why did it end so: on real Postgres, through HTTP where people ask."""

from datetime import timedelta
from typing import Any

import pytest

from api.schemas.explanations import Explanation
from orchestrator import clock
from orchestrator.db import Database
from orchestrator.domain.gates import KINDS
from orchestrator.domain.statuses import Outcome
from orchestrator.presenting.explanations import present_explanation
from orchestrator.services import deployments, explaining
from tests.integration.api_world import ApiWorld, Person, pipeline_of, world
from tests.integration.engine_world import World, worker

__all__ = ["world"]


def guarded(name: str) -> str:
    """The usual pipeline, with somebody to ask before production."""
    return pipeline_of(name).replace(
        "    after: staging\n", "    after: staging\n    approvals: [{role: operator}]\n"
    )


def explained(person: Person, deployment_id: int) -> dict[str, Any]:
    answer = person.get(f"/deployments/{deployment_id}/explain")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.get_json()
    Explanation().load(found)
    return found


def waits(found: dict[str, Any]) -> list[str]:
    return [gate["kind"] for gate in found["gates"] if gate["verdict"] == "waits"]


def remedies(found: dict[str, Any]) -> list[tuple[str, bool]]:
    return [(each["action"], each["enough"]) for each in found["remedies"]]


def test_a_lock_is_explained_to_each_according_to_what_they_may_do(world: ApiWorld) -> None:
    name, operator = world.application("1.0"), world.person("operator")
    until = (clock.now() + timedelta(hours=1)).replace(microsecond=0).isoformat()
    body = {"application": name, "environment": "staging", "reason": "moving", "expires_at": until}
    lock = operator.post("/locks/", json=body).get_json()
    deployment = world.deploy(name, "1.0")["id"]
    found = explained(operator, deployment)
    assert waits(found) == ["lock"]
    assert [gate["kind"] for gate in found["gates"]] == list(KINDS)
    assert found["forecast"]["starts_at"] == lock["expires_at"]
    assert remedies(found) == [(f"release lock {lock['id']}", True)]
    assert remedies(explained(world.person("viewer"), deployment)) == []
    assert remedies(explained(world.person("deployer"), deployment)) == []
    operator.call("DELETE", f"/locks/{lock['id']}")
    found = explained(operator, deployment)
    assert (waits(found), found["because"]) == ([], "nothing speaks against it: it starts at once")
    assert found["forecast"]["starts_at"] == found["at"]


def test_what_two_remedies_do_together_is_said(world: ApiWorld) -> None:
    name, operator = world.application("1.0"), world.person("operator")
    assert world.apply(name, guarded(name)).status_code == 200
    lock = operator.post("/locks/", json={"application": name, "reason": "moving"}).get_json()
    deployment = world.deploy(name, "1.0", "production")["id"]
    found = explained(operator, deployment)
    assert waits(found) == ["approval", "lock", "promotion"]
    assert remedies(found) == [
        ("approve it", False),
        (f"release lock {lock['id']}", False),
        ("do all of these", False),
    ]
    assert remedies(explained(world.admin, deployment)) == [(f"release lock {lock['id']}", False)]
    forecast = found["forecast"]
    assert forecast["starts_at"] is None
    assert "1 person with the role operator or higher must approve" in forecast["because"]
    assert f"{name} 1.0 has to succeed in staging first" in forecast["because"]


def test_freezes_and_windows_are_judged_as_if_they_were_gone(world: ApiWorld) -> None:
    name, operator = world.application("1.0"), world.person("operator")
    day = (clock.now() + timedelta(days=2)).strftime("%Y-%m-%dT")
    window = {
        "environment": "staging",
        "name": "later",
        "zone": "UTC",
        "dated": {"from": day + "10:00", "to": day + "11:00"},
    }
    made = operator.post("/windows/", json=window).get_json()
    deployment = world.deploy(name, "1.0")["id"]
    found = explained(operator, deployment)
    assert waits(found) == ["window"]
    assert found["forecast"]["starts_at"].startswith(day + "10:00:00")
    assert remedies(found) == [("request it again with the windows overridden, and a reason", True)]
    frozen = {**window, "name": "no", "dated": {"from": "2020-01-01T00:00", "to": day + "10:30"}}
    freeze = operator.post("/freezes/", json=frozen).get_json()
    found = explained(operator, deployment)
    assert waits(found) == ["freeze"]
    assert found["forecast"]["starts_at"].startswith(day + "10:30:00")
    assert remedies(found) == [(f"remove freeze {freeze['id']}", False)]
    for path in (f"/windows/{made['id']}", f"/freezes/{freeze['id']}"):
        assert operator.call("DELETE", path).status_code == 200


def test_the_queue_is_told(world: ApiWorld) -> None:
    name = world.application("1.0", "1.1")
    first, second, third = (world.deploy(name, version)["id"] for version in ("1.0", "1.1", "1.1"))
    found = [explained(world.admin, each) for each in (first, second, third)]
    assert [each["queue"] for each in found] == [{"active_id": None, "ahead": n} for n in (0, 1, 2)]
    assert [waits(each) for each in found] == [[], ["slot"], ["slot"]]


def test_there_is_nothing_to_explain_about_what_there_is_not(world: ApiWorld) -> None:
    assert world.admin.get("/deployments/999999/explain").status_code == 404


@pytest.fixture
def shop(database: Database) -> World:
    made = World(database)
    made.release("1.0.0")
    return made


def of(shop: World, deployment: int) -> dict[str, Any]:
    with shop.database.reading() as session:
        return present_explanation(explaining.explain(session, deployment, actor=shop.actor))


def test_a_failure_names_its_steps(shop: World) -> None:
    deployment = shop.request("1.0.0")
    claim = shop.advance(deployment, worker())
    assert claim is not None
    shop.finish(claim, Outcome.FAILED)
    found = of(shop, deployment)
    assert found["status"] == "failed"
    assert found["because"] == shop.get(deployment).failure
    assert [step["target"] for step in found["failed_steps"]] == ["web-a"]


def test_an_end_that_somebody_asked_for_names_them(shop: World) -> None:
    deployment = shop.request("1.0.0")
    with shop.database.transaction() as session:
        deployments.cancel(session, deployment, actor=shop.actor, reason="wrong release")
    found = of(shop, deployment)
    assert (found["status"], found["because"]) == (
        "cancelled",
        "ada asked for its end: wrong release; cancelled before it started",
    )


def test_what_goes_on_and_what_succeeded_say_so(shop: World) -> None:
    deployment = shop.request("1.0.0")
    assert shop.advance(deployment, worker("another")) is not None
    assert of(shop, deployment)["because"] == "it is in wave 1 of 2"
    shop.release("1.1.0")
    deployment = shop.request("1.1.0", "lab")
    shop.run_to_end(deployment)
    assert of(shop, deployment)["because"] == "every step of its plan succeeded at its target"
