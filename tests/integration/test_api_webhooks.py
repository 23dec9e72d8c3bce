"""Webhooks over HTTP: who may make them, what is shown of them, and what came of each delivery."""

from collections.abc import Iterator
from typing import Any

import pytest
from standardwebhooks import Webhook

from api.schemas import webhooks as schemas
from tests.integration.api_world import ApiWorld, world

__all__ = ["world"]

URL = "https://example.com/told"


def body_of(**more: Any) -> dict[str, Any]:
    return {"name": "chat", "settings": {"url": URL}, "events": ["deployment.*"], **more}


@pytest.fixture
def made(world: ApiWorld) -> Iterator[dict[str, Any]]:
    answer = world.admin.post("/webhooks/", json=body_of())
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == f"/api/v1/webhooks/{answer.get_json()['id']}"
    assert answer.headers["Cache-Control"] == "no-store"
    found: dict[str, Any] = answer.get_json()
    schemas.NewWebhook().load(found)
    yield found
    world.admin.call("DELETE", f"/webhooks/{found['id']}")


def test_the_secret_is_shown_once(world: ApiWorld, made: dict[str, Any]) -> None:
    Webhook(made["secret"])
    path = f"/webhooks/{made['id']}"
    shown = world.admin.get(path).get_json()
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    assert shown["settings"] == {"url": URL}
    rotated = world.admin.post(f"{path}/rotate").get_json()
    assert rotated["secret"] != made["secret"]
    for answer in (
        world.admin.get("/webhooks/"),
        world.admin.get(path),
        world.admin.get("/audit/?limit=200"),
    ):
        for secret in (made["secret"], rotated["secret"]):
            assert secret not in answer.text


def test_a_test_is_waiting_and_can_be_looked_at(world: ApiWorld, made: dict[str, Any]) -> None:
    path = f"/webhooks/{made['id']}"
    answer = world.admin.post(f"{path}/test")
    assert answer.status_code == 202
    delivery = answer.get_json()
    assert (delivery["event"], delivery["status"], delivery["tries"]) == ("webhook.test", "pending", 0)
    one = world.admin.get(answer.headers["Location"].removeprefix("/api/v1")).get_json()
    schemas.DeliveryDetail().load(one)
    assert one["log"] == []
    assert world.admin.get(f"{path}/deliveries").get_json()["items"] == [delivery]
    assert world.admin.get(f"{path}/deliveries?status=dead").get_json()["items"] == []
    assert world.admin.get(f"{path}/deliveries?status=nothing").status_code == 422
    again = world.admin.post(f"{path}/deliveries/{delivery['id']}/replay")
    assert (again.status_code, again.get_json()["status"]) == (202, "pending")
    assert world.admin.post(f"{path}/replay").get_json() == {"replayed": 0}


def test_who_asks_again_with_the_same_key_has_made_one_and_is_not_shown_its_secret(world: ApiWorld) -> None:
    headers = {"Idempotency-Key": "chat"}
    first, again = (world.admin.post("/webhooks/", json=body_of(), headers=headers) for _ in range(2))
    Webhook(first.get_json()["secret"])
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert again.get_json() == {**first.get_json(), "secret": None}
    elsewhere = body_of(settings={"url": f"{URL}/elsewhere"})
    assert world.admin.post("/webhooks/", json=elsewhere, headers=headers).status_code == 422
    path = f"/webhooks/{first.get_json()['id']}"
    tests = [world.admin.post(f"{path}/test", headers={"Idempotency-Key": "try"}) for _ in range(2)]
    assert tests[0].get_json() == tests[1].get_json()
    assert len(world.admin.get(f"{path}/deliveries").get_json()["items"]) == 1
    world.admin.call("DELETE", path)


def test_a_delivery_belongs_to_its_webhook(world: ApiWorld, made: dict[str, Any]) -> None:
    other = world.admin.post("/webhooks/", json=body_of()).get_json()
    delivery = world.admin.post(f"/webhooks/{made['id']}/test").get_json()
    path = f"/webhooks/{other['id']}/deliveries/{delivery['id']}"
    assert world.admin.get(path).status_code == 404
    assert world.admin.post(f"{path}/replay").status_code == 404


def test_a_removed_one_is_not_listed_and_takes_nothing(world: ApiWorld, made: dict[str, Any]) -> None:
    path = f"/webhooks/{made['id']}"
    for _ in range(2):
        removed = world.admin.call("DELETE", path).get_json()
        assert removed["removed_by"] == "admin"
    listed = [each["id"] for each in world.admin.get("/webhooks/").get_json()["items"]]
    assert made["id"] not in listed
    for verb in ("test", "rotate", "replay"):
        assert world.admin.post(f"{path}/{verb}").status_code == 409


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"settings": {"url": "http://127.0.0.1:9/"}}, 422),
        ({"settings": {"url": "http://169.254.169.254/latest"}}, 422),
        ({"settings": {"url": URL, "signing": "mine"}}, 422),
        ({"settings": {"url": URL, "surprise": 1}}, 422),
        ({"settings": {"url": URL, "x": "\x00"}}, 422),
        ({"settings": {"url": "https://example.com/" + "x" * 20_000}}, 422),
        ({"settings": {}}, 422),
        ({"settings": None}, 422),
        ({"events": []}, 422),
        ({"events": ["deployment.finished"]}, 422),
        ({"events": ["x" * 200]}, 422),
        ({"events": ["*"] * 101}, 422),
        ({"kind": "pigeon"}, 404),
        ({"applications": ["nobody-knows"]}, 404),
        ({"environments": ["nowhere"]}, 404),
        ({"name": ""}, 422),
        ({"surprise": 1}, 422),
    ],
)
def test_one_that_cannot_be_is_refused(world: ApiWorld, wrong: dict[str, Any], status: int) -> None:
    before = world.count("webhooks")
    answer = world.admin.post("/webhooks/", json=body_of(**wrong))
    assert (answer.status_code, world.count("webhooks")) == (status, before), answer.text


def test_they_are_for_operators_and_people(world: ApiWorld, made: dict[str, Any]) -> None:
    deployer, operator = world.person("deployer"), world.person("operator")
    assert deployer.post("/webhooks/", json=body_of()).status_code == 403
    assert deployer.get("/webhooks/").status_code == 403
    mine = operator.post("/webhooks/", json=body_of())
    assert mine.status_code == 201
    token = operator.post("/tokens/", json={"name": "ci", "scopes": ["operate"]}).get_json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert operator.post("/webhooks/", json=body_of(), headers=headers).status_code == 403
    assert operator.post(f"/webhooks/{made['id']}/rotate", headers=headers).status_code == 403
    assert operator.post(f"/webhooks/{made['id']}/test", headers=headers).status_code == 202
