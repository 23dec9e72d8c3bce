"""If-Match: of two who have seen the same thing, one changes it and the other is told."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.integration.api_world import ApiWorld, Person, pipeline_of, world

__all__ = ["world"]

Change = Callable[[Person, str, int, dict[str, str]], TestResponse]
DAILY = {"zone": "UTC", "cron": {"expression": "0 9 * * *", "duration": "1h"}}


def user(world: ApiWorld) -> str:
    return f"/users/{world.person('viewer').id}"


def application(world: ApiWorld) -> str:
    return f"/applications/{world.application()}"


def made(world: ApiWorld, path: str, **body: Any) -> str:
    answer = world.admin.post(path, json=body)
    assert answer.status_code == 201, answer.text
    return f"{path}{answer.get_json()['id']}"


def environment(world: ApiWorld) -> str:
    world.application()
    assert world.admin.call("PATCH", "/environments/staging", json={"restricted": True}).status_code == 200
    return "/environments/staging"


def patch(body: Callable[[int], dict[str, Any]]) -> Change:
    return lambda person, path, number, headers: person.call(
        "PATCH", path, json=body(number), headers=headers
    )


def put(person: Person, path: str, number: int, headers: dict[str, str]) -> TestResponse:
    source = f"# writer {number}\n{pipeline_of(path.split('/')[2])}"
    return person.call("PUT", path, data=source, content_type="application/yaml", headers=headers)


def delete(person: Person, path: str, _number: int, headers: dict[str, str]) -> TestResponse:
    return person.call("DELETE", path, headers=headers)


THINGS: dict[str, tuple[Callable[[ApiWorld], str], Change]] = {
    "user": (user, patch(lambda n: {"teams": [f"team-{n}"]})),
    "environment": (environment, patch(lambda n: {"restricted": False})),
    "pipeline": (lambda world: f"{application(world)}/pipeline", put),
    "lock": (lambda world: made(world, "/locks/", reason="x", warning_only=True), delete),
    "window": (
        lambda world: made(world, "/windows/", environment="staging", name="x", **DAILY),
        delete,
    ),
    "freeze": (
        lambda world: made(world, "/freezes/", environment="staging", name="x", **DAILY),
        delete,
    ),
    "schedule": (
        lambda world: made(
            world,
            "/schedules/",
            application=world.application(),
            environment="staging",
            cron="0 9 * * *",
            zone="UTC",
        ),
        delete,
    ),
    "grant": (
        lambda world: made(world, "/grants/", application=world.application(), team="web", role="deployer"),
        delete,
    ),
}


@pytest.fixture(params=THINGS)
def thing(world: ApiWorld, request: pytest.FixtureRequest) -> tuple[str, Change]:
    """Something that can be changed, and how."""
    if request.param in {"window", "freeze", "schedule"}:
        world.application()  # so that there is an environment
    path, change = THINGS[request.param]
    return path(world), change


def tag_of(world: ApiWorld, path: str) -> str:
    answer = world.admin.get(path)
    assert answer.status_code == 200, answer.text
    return answer.headers["ETag"]


def test_who_has_seen_what_is_there_changes_it(world: ApiWorld, thing: tuple[str, Change]) -> None:
    path, change = thing
    seen = tag_of(world, path)
    assert world.admin.get(path, headers={"If-None-Match": seen}).status_code == 304
    done = change(world.admin, path, 1, {"If-Match": f'"another", {seen}'})
    assert done.status_code == 200, done.text
    now = tag_of(world, path)
    assert now != seen
    assert done.headers.get("ETag", now) == now


def test_who_has_seen_something_else_changes_nothing(world: ApiWorld, thing: tuple[str, Change]) -> None:
    path, change = thing
    seen = tag_of(world, path)
    for wrong in ('"another"', f"W/{seen}", "nonsense"):
        refused = change(world.admin, path, 1, {"If-Match": wrong})
        assert (refused.status_code, refused.get_json()["code"]) == (412, "precondition_failed")
        assert tag_of(world, path) == seen
    assert change(world.admin, path, 1, {"If-Match": "*"}).status_code == 200


def test_of_two_at_once_one_is_told(world: ApiWorld, thing: tuple[str, Change]) -> None:
    path, change = thing
    headers, together = {"If-Match": tag_of(world, path)}, threading.Barrier(2)
    answers: list[TestResponse] = []

    def write(number: int) -> None:
        person = Person(world.client(), world.admin.tokens)
        together.wait()
        answers.append(change(person, path, number, headers))

    writers = [threading.Thread(target=write, args=(number,)) for number in (1, 2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted(answer.status_code for answer in answers) == [200, 412], [each.text for each in answers]


def test_an_application_is_handed_over_by_who_knows_whose_it_is(world: ApiWorld) -> None:
    path, heirs = application(world), [world.person("deployer") for _ in range(2)]
    names = [heir.get("/auth/me").get_json()["username"] for heir in heirs]
    seen = {"If-Match": tag_of(world, path)}
    first = world.admin.call("PATCH", path, json={"owner": names[0]}, headers=seen)
    second = world.admin.call("PATCH", path, json={"owner": names[1]}, headers=seen)
    assert (first.status_code, second.status_code) == (200, 412)
    assert world.admin.get(path).get_json()["owner"] == names[0]


def test_a_pipeline_and_an_owner_may_change_at_once(world: ApiWorld) -> None:
    """Who waits for an application's row sees all of what it has become, and not that there is none."""
    name, heir = world.application(), world.person("deployer").get("/auth/me").get_json()["username"]
    together, answers = threading.Barrier(2), []

    def write(call: Callable[[Person], TestResponse]) -> None:
        person = Person(world.client(), world.admin.tokens)
        for _ in range(10):
            together.wait()
            answers.append(call(person))

    numbers = iter(range(100))
    owners = iter(["admin", heir] * 10)
    calls: list[Callable[[Person], TestResponse]] = [
        lambda person: put(person, f"/applications/{name}/pipeline", next(numbers), {}),
        lambda person: person.call("PATCH", f"/applications/{name}", json={"owner": next(owners)}),
    ]
    writers = [threading.Thread(target=write, args=(call,)) for call in calls]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert {answer.status_code for answer in answers} == {200}, [each.text for each in answers]


def test_only_who_has_seen_nothing_makes_something(world: ApiWorld) -> None:
    path = "/applications/not-there-yet/pipeline"
    for seen in ("*", '"anything"'):
        assert put(world.admin, path, 1, {"If-Match": seen}).status_code == 412
    assert world.admin.get(path).status_code == 404
    assert put(world.admin, path, 1, {}).status_code == 201


def test_who_may_not_is_told_that_first(world: ApiWorld) -> None:
    viewer = world.person("viewer")
    path = f"/users/{world.person('viewer').id}"
    refused = viewer.call("PATCH", path, json={"teams": []}, headers={"If-Match": '"another"'})
    assert refused.status_code == 403
