"""Being told of releases over HTTP, as GitHub, GitLab and others do it."""

import hashlib
import hmac
import json
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook
from werkzeug.test import TestResponse

from api.schemas import hooks as schemas
from tests.integration.api_world import ApiWorld, Person, world
from tests.unit.test_inbound import GITHUB_RELEASE, GITLAB_RELEASE

__all__ = ["world"]


def apply(world: ApiWorld, extra: str = "") -> str:
    name = world.application()
    source = f"""
application: {name}
environments:
  lab: {{{extra}targets: [{{name: a, kind: noop}}]}}
  production: {{after: lab, targets: [{{name: a, kind: noop}}]}}
deploy: [{{run: ./install}}]
"""
    answer = world.apply(name, source)
    assert answer.status_code in {200, 201}, answer.text
    return name


def make(world: ApiWorld, sender: str, name: str, by: Person | None = None, **more: Any) -> dict[str, Any]:
    answer = (by or world.admin).post("/hooks/", json={"sender": sender, "application": name, **more})
    assert answer.status_code == 201, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    found: dict[str, Any] = answer.get_json()
    schemas.NewHook().load(found)
    return found


def github(
    world: ApiWorld, hook: dict[str, Any], document: Any = GITHUB_RELEASE, **headers: str
) -> TestResponse:
    body = json.dumps(document).encode()
    digest = hmac.new(hook["secret"].encode(), body, hashlib.sha256).hexdigest()
    sent = {"X-GitHub-Event": "release", "X-Hub-Signature-256": f"sha256={digest}", **headers}
    return world.client().post(hook["path"], data=body, headers=sent, content_type="application/json")


def signed(world: ApiWorld, hook: dict[str, Any], document: Any, message_id: str = "msg_1") -> TestResponse:
    body, now = json.dumps(document), datetime.now(UTC)
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(hook["secret"]).sign(message_id, now, body),
    }
    return world.client().post(hook["path"], data=body, headers=headers, content_type="application/json")


def release(world: ApiWorld, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.admin.get(f"/releases/?name={name}").get_json()["items"]
    return found


def test_github_s_release_is_recorded_once(world: ApiWorld) -> None:
    name = apply(world)
    hook = make(world, "github", name)
    assert world.admin.get("/releases/").status_code == 200
    first = github(world, hook)
    assert first.status_code == 200, first.text
    answer = first.get_json()
    schemas.Received().load(answer)
    assert (answer["outcome"], answer["deployments"]) == ("recorded", [])
    (made,) = release(world, name)
    assert (made["version"], made["changes"], made["created_by"]) == ("1.2.0", "First line", "admin")
    assert made["artifact"] == "https://github.com/octocat/shop/releases/tag/v1.2.0"
    assert made["id"] in [each["id"] for each in world.admin.get("/releases/").get_json()["items"]]
    again = github(world, hook, **{"X-GitHub-Delivery": "another"})
    assert again.get_json() == answer
    assert len(release(world, name)) == 1


@pytest.mark.parametrize(
    ("said", "kept"), [("2026-11-20T09:30:00Z", "2026-11-20T09:30:00Z"), ("9999-01-01T00:00:00Z", None)]
)
def test_the_commit_s_time_is_kept_where_it_can_be(world: ApiWorld, said: str, kept: str | None) -> None:
    name = apply(world)
    document = GITHUB_RELEASE | {"release": GITHUB_RELEASE["release"] | {"created_at": said}}  # type: ignore[operator]
    answer = github(world, make(world, "github", name, tag_prefix="v"), document).get_json()
    found = world.admin.get(f"/releases/{answer['release_id']}").get_json()
    assert found["committed_at"] == kept


def test_it_is_deployed_where_the_pipeline_says_so(world: ApiWorld) -> None:
    name = apply(world, "on_release: true, ")
    hook = make(world, "github", name)
    answer = github(world, hook).get_json()
    (deployment,) = answer["deployments"]
    shown = world.admin.get(f"/deployments/{deployment}").get_json()
    assert (shown["environment"], shown["version"], shown["requested_by"]) == ("lab", "1.2.0", "admin")
    assert github(world, hook).get_json() == answer
    assert len(world.admin.get(f"/deployments/?application={name}").get_json()["items"]) == 1


def test_the_same_message_twice_at_once_does_it_once(world: ApiWorld) -> None:
    name = apply(world, "on_release: true, ")
    hook = make(world, "github", name)
    answers: list[Any] = []

    def send() -> None:
        answers.append(github(world, hook).get_json())

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [answers[0]] * 4
    assert answers[0]["outcome"] == "recorded"
    assert len(world.admin.get(f"/deployments/?application={name}").get_json()["items"]) == 1


def test_gitlab_and_others_sign_as_standard_webhooks_says(world: ApiWorld) -> None:
    name = apply(world)
    gitlab, generic = make(world, "gitlab", name), make(world, "generic", name, tag_prefix="")
    assert signed(world, gitlab, GITLAB_RELEASE).get_json()["outcome"] == "recorded"
    token = {"X-Gitlab-Token": gitlab["secret"], "X-Gitlab-Event": "Release Hook"}
    sent = world.client().post(gitlab["path"], json=GITLAB_RELEASE | {"tag": "v1.3.0"}, headers=token)
    assert sent.get_json()["outcome"] == "recorded"
    message = {"type": "release.published", "data": {"version": "1.4.0", "artifact": "a", "changes": "c"}}
    assert signed(world, generic, message).get_json()["outcome"] == "recorded"
    # The same signed id is the same message, also with another body.
    other = {"type": "release.published", "data": {"version": "1.5.0"}}
    assert "1.4.0" in signed(world, generic, other).get_json()["detail"]
    assert signed(world, generic, message, "msg_2").get_json()["outcome"] == "known"
    assert {each["version"] for each in release(world, name)} == {"1.2.0", "1.3.0", "1.4.0"}


def test_what_is_not_signed_is_not_believed(world: ApiWorld) -> None:
    name = apply(world)
    hook, other = make(world, "github", name), make(world, "github", name)
    for answer in (
        world.client().post(hook["path"], json=GITHUB_RELEASE),
        github(world, hook | {"secret": other["secret"]}),
        github(world, hook, **{"X-Hub-Signature-256": "sha256=0"}),
        world.client().post(hook["path"], data=b"\xff\x00", content_type="application/json"),
    ):
        assert (answer.status_code, answer.get_json()["code"]) == (401, "bad_signature")
    assert github(world, hook | {"path": hook["path"].replace("github", "gitlab")}).status_code == 404
    assert release(world, name) == []


def test_what_announces_no_release_is_ignored_and_nothing_is_kept_of_it(world: ApiWorld) -> None:
    hook = make(world, "github", apply(world))
    before = world.count("hook_receipts"), world.count("events")
    for document, event in (({"zen": "x"}, "ping"), (GITHUB_RELEASE | {"action": "edited"}, "release")):
        answer = github(world, hook, document, **{"X-GitHub-Event": event})
        assert (answer.status_code, answer.get_json()["outcome"]) == (200, "ignored")
    assert (world.count("hook_receipts"), world.count("events")) == before


def test_a_tag_that_is_no_version_is_said(world: ApiWorld) -> None:
    hook = make(world, "github", apply(world))
    bad = GITHUB_RELEASE | {"release": {"tag_name": "release/1.2"}}
    answer = github(world, hook, bad)
    assert (answer.status_code, "names no version" in answer.get_json()["detail"]) == (400, True)


def test_it_acts_with_the_rights_that_who_made_it_has_now(world: ApiWorld) -> None:
    name, operator = apply(world), world.person("operator")
    hook = make(world, "github", name, by=operator)
    world.admin.call("PATCH", f"/users/{operator.id}", json={"role": "viewer"})
    assert github(world, hook).status_code == 403
    world.admin.call("PATCH", f"/users/{operator.id}", json={"role": "deployer", "active": False})
    assert github(world, hook).status_code == 400
    assert release(world, name) == []
    world.admin.call("PATCH", f"/users/{operator.id}", json={"active": True})
    assert github(world, hook).get_json()["outcome"] == "recorded"


def test_a_deployment_that_is_refused_leaves_the_release(world: ApiWorld) -> None:
    name = apply(world, "on_release: true, queue: reject, ")
    hook = make(world, "github", name)
    assert github(world, hook).get_json()["deployments"] != []
    later = GITHUB_RELEASE | {"release": {"tag_name": "v2.0.0"}}
    answer = github(world, hook, later).get_json()
    assert (answer["outcome"], answer["deployments"]) == ("recorded", [])
    assert "not deployed to lab" in answer["detail"]


def test_a_hook_is_an_operator_s_shown_without_its_secret_and_removed(world: ApiWorld) -> None:
    name = apply(world)
    body = {"sender": "github", "application": name}
    assert world.person("deployer").post("/hooks/", json=body).status_code == 403
    operator = world.person("operator")
    token = operator.post("/tokens/", json={"name": "ci", "scopes": ["operate"]}).get_json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert operator.post("/hooks/", json=body, headers=headers).status_code == 403
    hook = make(world, "github", name, by=operator)
    repeated = [operator.post("/hooks/", json=body, headers={"Idempotency-Key": "hook"}) for _ in range(2)]
    assert repeated[0].get_json()["secret"]
    assert repeated[1].get_json() == {**repeated[0].get_json(), "secret": None}
    shown = world.admin.get(f"/hooks/{hook['id']}").get_json()
    assert shown == {key: value for key, value in hook.items() if key != "secret"}
    assert hook["id"] in [each["id"] for each in world.admin.get("/hooks/").get_json()["items"]]
    for answer in (world.admin.get("/audit/?limit=200"), world.admin.get("/hooks/")):
        assert hook["secret"] not in answer.text
    for _ in range(2):
        removed = world.admin.call("DELETE", f"/hooks/{hook['id']}").get_json()
        assert removed["removed_by"] == "admin"
    assert github(world, hook).status_code == 404


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"sender": "bitbucket"}, 422),
        ({"application": "nobody-knows"}, 404),
        ({"tag_prefix": "x" * 51}, 422),
        ({"surprise": 1}, 422),
    ],
)
def test_a_hook_that_cannot_be_is_refused(world: ApiWorld, wrong: dict[str, Any], status: int) -> None:
    body = {"sender": "github", "application": apply(world), **wrong}
    assert world.admin.post("/hooks/", json=body).status_code == status
