"""Deployments over HTTP: requesting them once, following them, and saying what became of them."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text
from werkzeug.test import TestResponse

from api.schemas import deployments as schemas
from api.schemas import installations as installation_schemas
from orchestrator.domain.statuses import Outcome
from orchestrator.services import attempts
from orchestrator.services.attempts import Claim, Ended, Output, Worker
from tests.integration.api_world import ApiWorld, world

__all__ = ["world"]

WORKER = Worker("one", "node-1", lease_seconds=30, node_lost_seconds=900, unreachable_seconds=30)


def run(
    world: ApiWorld,
    deployment_id: int,
    *,
    output: tuple[bytes, ...] = (),
    outcome: Outcome = Outcome.SUCCEEDED,
) -> None:
    """Play the worker until nothing is left to do."""
    claim = begin(world, deployment_id)
    while claim is not None:
        write(world, claim, *output)
        ended = Ended(outcome, 0 if outcome is Outcome.SUCCEEDED else 1)
        with world.database.transaction() as session:
            claim = attempts.finish(session, claim, ended, WORKER)


def begin(world: ApiWorld, deployment_id: int) -> Claim | None:
    with world.database.transaction() as session:
        return attempts.advance(session, deployment_id, WORKER)


def write(world: ApiWorld, claim: Claim, *output: bytes) -> None:
    at = 0
    for data in output:
        with world.database.transaction() as session:
            attempts.write_output(session, claim, Output(at, at + len(data), data))
        at += len(data)


def request(world: ApiWorld, body: dict[str, Any], key: str) -> TestResponse:
    return world.admin.post("/deployments/", json=body, headers={"Idempotency-Key": key})


def test_a_deployment_is_accepted_followed_and_finished(world: ApiWorld) -> None:
    name = world.application("1.0")
    body = {"application": name, "version": "1.0", "environment": "staging", "reason": "why not"}
    answer = world.admin.post("/deployments/", json=body)
    made = answer.get_json()
    schemas.Deployment().load(made)
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/api/v1/deployments/{made['id']}"
    assert (made["status"], made["requested_by"], made["waiting_for"]) == ("pending", "admin", [])
    run(world, made["id"], output=(b"hello\n",))
    ended = world.admin.get(f"/deployments/{made['id']}").get_json()
    schemas.Deployment().load(ended)
    assert (ended["status"], ended["progress"]["succeeded"]) == ("succeeded", 1)
    steps = world.admin.get(f"/deployments/{made['id']}/steps").get_json()
    schemas.StepPage().load(steps)
    assert [
        (each["target"], each["action"], each["status"], each["output_bytes"]) for each in steps["items"]
    ] == [("web-a", "run", "succeeded", 6)]
    logs = world.admin.get(f"/deployments/{made['id']}/logs").get_json()
    assert ([each["text"] for each in logs["items"]], logs["complete"]) == (["hello\n"], True)
    events = world.admin.get(f"/deployments/{made['id']}/events").get_json()
    schemas.EventPage().load(events)
    kinds = [each["kind"] for each in events["items"]]
    assert (kinds[0], kinds[-1]) == ("deployment.requested", "deployment.succeeded")
    assert [each["seq"] for each in events["items"]] == list(range(1, len(kinds) + 1))
    assert events["items"][0]["actor"] == "admin"
    installed = world.admin.get(f"/installations?application={name}&environment=staging").get_json()
    installation_schemas.InstallationPage().load(installed)
    assert (installed["items"][0]["version"], installed["items"][0]["deployment_id"]) == ("1.0", made["id"])
    for query, expected in (
        ("", ["1.0"]),
        ("&at=2020-01-01T00:00:00Z", []),
        ("&at=2999-01-01T00:00:00Z", ["1.0"]),
    ):
        past = world.admin.get(f"/environments/staging/installations?application={name}{query}").get_json()
        installation_schemas.PastInstallationPage().load(past)
        assert [each["version"] for each in past["items"]] == expected
    assert world.admin.get("/environments/nowhere/installations").status_code == 404


def test_a_deployment_says_all_that_it_waits_for(world: ApiWorld) -> None:
    name = world.application("1.0", "2.0")
    first, second = world.deploy(name, "1.0"), world.deploy(name, "2.0")
    assert [each["kind"] for each in second["waiting_for"]] == ["slot"]
    blocked = world.deploy(name, "1.0", "production")
    assert blocked["waiting_for"] == [
        {"kind": "promotion", "message": f"{name} 1.0 has to succeed in staging first", "until": None}
    ]
    for made in (first, second, blocked):
        assert world.admin.get(f"/deployments/{made['id']}").get_json() == made
    run(world, first["id"])
    assert world.admin.get(f"/deployments/{blocked['id']}").get_json()["waiting_for"] == []


def test_the_same_request_with_one_key_makes_one_deployment(world: ApiWorld) -> None:
    name = world.application("1.0")
    body = {"application": name, "version": "1.0", "environment": "staging"}
    before = world.count("deployments")
    first, again = request(world, body, f"one-{name}"), request(world, body, f"one-{name}")
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.headers["Location"] == again.headers["Location"]
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert world.count("deployments") == before + 1
    other = request(world, {**body, "reason": "another"}, f"one-{name}")
    assert (other.status_code, other.get_json()["code"]) == (422, "idempotency_key_reused")
    retry = world.admin.post(
        f"/deployments/{first.get_json()['id']}/cancel", json={}, headers={"Idempotency-Key": f"one-{name}"}
    )
    assert retry.status_code == 202, "cancelling makes nothing, so it takes no notice of keys"


def test_of_concurrent_requests_with_one_key_all_get_the_first_answer(world: ApiWorld) -> None:
    name = world.application("1.0")
    body = {"application": name, "version": "1.0", "environment": "staging"}
    before = world.count("deployments")
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: request(world, body, f"race-{name}"), range(6)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    assert world.count("deployments") == before + 1


def test_a_key_whose_request_failed_is_free_again(world: ApiWorld) -> None:
    name = world.application()
    body = {"application": name, "version": "1.0", "environment": "staging"}
    assert request(world, body, f"free-{name}").status_code == 404
    world.admin.post("/releases/", json={"name": name, "version": "1.0"})
    assert request(world, body, f"free-{name}").status_code == 202


def test_keys_of_two_people_do_not_meet(world: ApiWorld) -> None:
    name = world.application("1.0")
    body = {"application": name, "version": "1.0", "environment": "staging"}
    other = world.person("deployer").post(
        "/deployments/", json=body, headers={"Idempotency-Key": f"k-{name}"}
    )
    assert other.get_json()["id"] != request(world, body, f"k-{name}").get_json()["id"]


@pytest.mark.parametrize("key", ["x" * 256, "a b", "é"])
def test_an_unfit_key_is_refused(world: ApiWorld, key: str) -> None:
    answer = request(world, {"application": "a", "version": "1", "environment": "b"}, key)
    assert (answer.status_code, answer.get_json()["code"]) == (400, "bad_idempotency_key")


def test_a_viewer_reads_and_does_nothing(world: ApiWorld) -> None:
    made = world.deploy(world.application("1.0"), "1.0")
    viewer = world.person("viewer")
    assert viewer.get(f"/deployments/{made['id']}").status_code == 200
    body = {"application": made["application"], "version": "1.0", "environment": "staging"}
    assert viewer.post("/deployments/", json=body).status_code == 403
    for verb in ("cancel", "retry", "rollback", "resume"):
        assert viewer.post(f"/deployments/{made['id']}/{verb}", json={"answer": "skip"}).status_code == 403


def test_cancelling_twice_is_cancelling_once_and_a_retry_is_a_new_deployment(world: ApiWorld) -> None:
    made = world.deploy(world.application("1.0"), "1.0")
    assert world.admin.post(f"/deployments/{made['id']}/retry").status_code == 409
    for _ in range(2):
        answer = world.admin.post(f"/deployments/{made['id']}/cancel", json={"reason": "changed my mind"})
        assert (answer.status_code, answer.get_json()["status"]) == (202, "cancelled")
    again = world.admin.post(f"/deployments/{made['id']}/retry", json={})
    assert (again.status_code, again.get_json()["retry_of_id"]) == (202, made["id"])
    key = {"Idempotency-Key": f"retry-{made['id']}"}
    ids = {
        world.admin.post(f"/deployments/{made['id']}/retry", json={}, headers=key).get_json()["id"]
        for _ in range(2)
    }
    assert len(ids) == 1


def test_a_rollback_puts_the_last_good_release_back(world: ApiWorld) -> None:
    name = world.application("1.0", "2.0")
    first = world.deploy(name, "1.0")
    run(world, first["id"])
    none = world.admin.post(f"/deployments/{first['id']}/rollback", json={})
    assert (none.status_code, none.get_json()["code"]) == (400, "rule_violation")
    second = world.deploy(name, "2.0")
    run(world, second["id"])
    back = world.admin.post(f"/deployments/{second['id']}/rollback", json={"reason": "it was bad"}).get_json()
    assert (back["version"], back["rolls_back_id"], back["reason"]) == ("1.0", second["id"], "it was bad")
    assert world.admin.get(f"/deployments/{second['id']}").get_json()["rolled_back_by_id"] == back["id"]


def test_an_unknown_step_asks_and_takes_an_answer(world: ApiWorld) -> None:
    made = world.deploy(world.application("1.0"), "1.0")
    nothing = world.admin.post(f"/deployments/{made['id']}/resume", json={"answer": "skip"})
    assert nothing.status_code == 400
    run(world, made["id"], outcome=Outcome.LOST)
    asked = world.admin.get(f"/deployments/{made['id']}").get_json()
    assert (asked["status"], [each["kind"] for each in asked["waiting_for"]]) == ("paused", ["answer"])
    step = world.admin.get(f"/deployments/{made['id']}/steps?status=unknown").get_json()["items"][0]
    for wrong in (
        {"answer": "perhaps"},
        {},
        {"answer": "skip", "step_id": "1"},
        {"answer": "skip", "step_id": 0},
    ):
        assert world.admin.post(f"/deployments/{made['id']}/resume", json=wrong).status_code == 422
    answer = world.admin.post(
        f"/deployments/{made['id']}/resume", json={"answer": "fail", "step_id": step["id"]}
    )
    assert (answer.status_code, answer.get_json()["status"]) == (202, "failed")


def test_no_character_is_torn_between_pieces_or_pages(world: ApiWorld) -> None:
    said = "naïve 💥 日本\n".encode()
    made = world.deploy(world.application("1.0"), "1.0")
    run(world, made["id"], output=tuple(said[at : at + 1] for at in range(len(said))))
    for limit in (1, 2, 3, 200):
        items, cursor, complete = [], "", False
        while not complete:
            page = world.admin.get(f"/deployments/{made['id']}/logs?limit={limit}{cursor}").get_json()
            items += page["items"]
            complete, cursor = page["complete"], f"&cursor={page['next_cursor']}"
        assert "".join(each["text"] for each in items) == said.decode()
        offsets = [len("".join(each["text"] for each in items[:at]).encode()) for at in range(len(items))]
        assert [each["offset"] for each in items] == offsets
        after = world.admin.get(f"/deployments/{made['id']}/logs?{cursor[1:]}").get_json()
        assert (after["items"], after["complete"]) == ([], True)


def test_bytes_that_are_no_text_are_shown_as_such_once_nothing_more_can_come(world: ApiWorld) -> None:
    made = world.deploy(world.application("1.0"), "1.0")
    run(world, made["id"], output=(b"ok\xff!", b"half \xf0\x9f"))
    page = world.admin.get(f"/deployments/{made['id']}/logs").get_json()
    assert (
        "".join(each["text"] for each in page["items"])
        == "ok\N{REPLACEMENT CHARACTER}!half \N{REPLACEMENT CHARACTER}"
    )


def test_a_log_is_not_complete_while_it_is_written_or_held_back(world: ApiWorld) -> None:
    made = world.deploy(world.application("1.0"), "1.0")
    path = f"/deployments/{made['id']}/logs"
    claim = begin(world, made["id"])
    assert claim is not None
    assert world.admin.get(path).get_json()["complete"] is False
    with world.database.transaction() as older:
        older.execute(
            text("SELECT pg_current_xact_id()")
        )  # what is written after this is held back from readers
        write(world, claim, b"late\n")
        held_back = world.admin.get(path).get_json()
        assert (held_back["items"], held_back["complete"]) == ([], False)
        with world.database.transaction() as session:
            attempts.finish(session, claim, Ended(Outcome.SUCCEEDED, 0), WORKER)
        page = world.admin.get(f"{path}?cursor={held_back['next_cursor']}").get_json()
    assert ([each["text"] for each in page["items"]], page["complete"]) == (["late\n"], True)


def test_logs_of_one_step_are_those_of_that_step_only(world: ApiWorld) -> None:
    name = world.application("1.0")
    first = world.deploy(name, "1.0")
    run(world, first["id"], output=(b"staging\n",))
    second = world.deploy(name, "1.0", "production")
    run(world, second["id"], output=(b"production\n",))
    steps = world.admin.get(f"/deployments/{second['id']}/steps").get_json()["items"]
    page = world.admin.get(f"/deployments/{second['id']}/logs?step={steps[1]['id']}").get_json()
    assert [(each["target"], each["text"], each["wave"]) for each in page["items"]] == [
        ("web-b", "production\n", 1)
    ]
    assert world.admin.get(f"/deployments/{first['id']}/logs?step={steps[1]['id']}").status_code == 404


def test_waves_come_with_how_many_of_their_steps_are_where(world: ApiWorld) -> None:
    name = world.application("1.0")
    run(world, world.deploy(name, "1.0")["id"])
    made = world.deploy(name, "1.0", "production")["id"]
    assert begin(world, made) is not None
    found = world.admin.get(f"/deployments/{made}/waves").get_json()
    schemas.WavePage().load(found)
    told = [
        (each["wave"], each["batch"], each["title"], each["running"], each["waiting"])
        for each in found["items"]
    ]
    assert told == [(0, 0, "./install", 1, 0), (1, 1, "./install", 0, 1)]
    first = world.admin.get(f"/deployments/{made}/waves?limit=1").get_json()
    rest = world.admin.get(f"/deployments/{made}/waves?cursor={first['next_cursor']}").get_json()
    assert [each["wave"] for each in first["items"] + rest["items"]] == [0, 1]
    later = world.admin.get(f"/deployments/{made}/waves?first=1").get_json()["items"]
    assert [each["wave"] for each in later] == [1]
    assert world.admin.get("/deployments/999999999/waves").status_code == 404


def test_steps_and_deployments_come_in_pages(world: ApiWorld) -> None:
    name = world.application("1.0")
    run(world, world.deploy(name, "1.0")["id"])
    made = world.deploy(name, "1.0", "production")
    first = world.admin.get(f"/deployments/{made['id']}/steps?limit=1").get_json()
    second = world.admin.get(
        f"/deployments/{made['id']}/steps?limit=1&cursor={first['next_cursor']}"
    ).get_json()
    assert [page["items"][0]["target"] for page in (first, second)] == ["web-a", "web-b"]
    assert second["next_cursor"] is None
    wave = world.admin.get(f"/deployments/{made['id']}/steps?wave=1").get_json()["items"]
    assert [each["target"] for each in wave] == ["web-b"]
    listed = world.admin.get(f"/deployments?application={name}&limit=1").get_json()
    schemas.DeploymentPage().load(listed)
    assert listed["items"][0]["id"] == made["id"]
    for query, ids in (
        (f"application={name}&status=pending", [made["id"]]),
        (f"version=1.0&application={name}&environment=moon", []),
    ):
        assert [each["id"] for each in world.admin.get(f"/deployments?{query}").get_json()["items"]] == ids


def test_an_etag_changes_with_whatever_is_shown(world: ApiWorld) -> None:
    made = world.deploy(world.application("1.0"), "1.0")
    path = f"/deployments/{made['id']}"
    tag = world.admin.get(path).headers["ETag"]
    assert world.admin.get(path, headers={"If-None-Match": tag}).status_code == 304
    begin(world, made["id"])
    assert world.admin.get(path, headers={"If-None-Match": tag}).status_code == 200
