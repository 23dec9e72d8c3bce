"""What is sent wrongly is refused clearly, at once, and leaves nothing behind."""

import json

import pytest

from api.parsing import MAX_BODY_BYTES
from tests.integration.api_world import ApiWorld, pipeline_of, world

__all__ = ["world"]

TABLES = (
    "applications",
    "pipelines",
    "environments",
    "targets",
    "releases",
    "deployments",
    "events",
    "users",
)
DEPLOYMENT = {"application": "shop", "version": "1", "environment": "staging"}


def counts(world: ApiWorld) -> list[int]:
    return [world.count(table) for table in TABLES]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" * 100_000, 400),
        (b'{"a":' * 100_000, 400),
        (b"[" * 1000 + b"]" * 1000, 422),
        (b'{"application": ' + b"9" * 5000 + b"}", 400),
        (b'{"application": "\\ud800", "version": "1", "environment": "x"}', 400),
        (b'{"application": "\xff", "version": "1", "environment": "x"}', 400),
        (b'{"application": "a", "application": "b", "version": "1", "environment": "x"}', 400),
        (b'{"application": NaN}', 400),
        (b"", 422),
        (b"null", 422),
        (b"7", 422),
        (b'"text"', 422),
        (json.dumps({**DEPLOYMENT, "reason": "a\0b"}).encode(), 422),
        (json.dumps({**DEPLOYMENT, "reason": "x" * 1001}).encode(), 422),
        (json.dumps({**DEPLOYMENT, "reason": 7}).encode(), 422),
        (json.dumps({**DEPLOYMENT, "reason": None}).encode(), 422),
        (json.dumps({**DEPLOYMENT, "version": "1\n"}).encode(), 422),
        (json.dumps({**DEPLOYMENT, "shape": "round"}).encode(), 422),
        (b'{"a": "' + b"x" * (10 << 20) + b'"}', 413),
    ],
    ids=lambda value: str(value[:24]) if isinstance(value, bytes) else str(value),
)
def test_bad_bodies_are_refused_and_write_nothing(world: ApiWorld, body: bytes, status: int) -> None:
    before = counts(world)
    answer = world.admin.post("/deployments/", data=body, content_type="application/json")
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"
    problem = answer.get_json()
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["X-Request-ID"]
    assert problem["errors"] or status != 422
    assert counts(world) == before


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_that_is_not_called_json_is_refused(world: ApiWorld, content_type: str) -> None:
    answer = world.admin.post("/deployments/", data=json.dumps(DEPLOYMENT), content_type=content_type)
    assert answer.status_code == 415


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"application": "nobodys"}, 404, "not_found"),
        ({"version": "9.9"}, 404, "not_found"),
        ({"environment": "moon"}, 400, "rule_violation"),
    ],
)
def test_deployments_of_what_is_not_there_are_refused(
    world: ApiWorld, changes: dict[str, str], status: int, code: str
) -> None:
    name = world.application("1.0")
    before = counts(world)
    body = {"application": name, "version": "1.0", "environment": "staging"} | changes
    answer = world.admin.post("/deployments/", json=body)
    assert (answer.status_code, answer.get_json()["code"]) == (status, code)
    assert next(iter(changes.values())) in answer.get_json()["detail"]
    assert counts(world) == before


def test_a_version_that_is_there_is_a_conflict(world: ApiWorld) -> None:
    name = world.application("1.0")
    before = counts(world)
    answer = world.admin.post("/releases/", json={"name": name, "version": "1.0", "artifact": "other"})
    assert (answer.status_code, answer.get_json()["code"]) == (409, "conflict")
    assert counts(world) == before


@pytest.mark.parametrize(
    ("wrong", "right", "line"),
    [("kind: nop}", "kind: noop}", 4), ("targts:", "targets:", 4), ("after: stging", "after: staging", 6)],
)
def test_a_mistake_in_yaml_is_named_with_its_line(world: ApiWorld, wrong: str, right: str, line: int) -> None:
    before = counts(world)
    answer = world.apply("typo", pipeline_of("typo").replace(right, wrong, 1))
    assert answer.status_code == 422, answer.text
    assert line in [each.get("line") for each in answer.get_json()["errors"]]
    assert counts(world) == before


@pytest.mark.parametrize(
    ("source", "status"),
    [
        (b"application: a\0b", 422),
        (b"application: \xff\xfe", 422),
        (b"application: [", 422),
        (b"[" * 100_000, 422),
        (b"", 422),
        (b"a: &a [1]\nb: [*a, *a]", 422),
        (b"x" * (10 << 20), 413),
    ],
    ids=lambda value: str(value[:24]) if isinstance(value, bytes) else str(value),
)
def test_bad_yaml_is_refused_and_writes_nothing(world: ApiWorld, source: bytes, status: int) -> None:
    before = counts(world)
    answer = world.apply("typo", source)
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"
    assert counts(world) == before


def test_the_largest_body_that_is_read_is_a_mebibyte(world: ApiWorld) -> None:
    frame = b'{"a": ""}'
    fits = b'{"a": "' + b"x" * (MAX_BODY_BYTES - len(frame)) + b'"}'
    for body, status in ((fits, 422), (fits + b" ", 413)):
        answer = world.admin.post("/deployments/", data=body, content_type="application/json")
        assert answer.status_code == status


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "skip=-1",
        "limit=x",
        "skip=" + "9" * 5000,
        "name=%00",
        "nmae=shop",
        "status=gone",
    ],
)
def test_bad_queries_are_refused(world: ApiWorld, query: str) -> None:
    answer = world.admin.get(f"/releases/?{query}")
    assert answer.status_code == 422
    assert answer.get_json()["errors"]


@pytest.mark.parametrize("cursor", ["", "x", "%F0%9F%92%A5", "AAAA" * 20, "=" * 4])
def test_a_cursor_that_is_not_ours_is_refused(world: ApiWorld, cursor: str) -> None:
    answer = world.admin.get(f"/releases/?cursor={cursor}")
    assert (answer.status_code, answer.get_json()["code"]) == (400, "bad_cursor")


def test_a_cursor_of_another_list_is_refused(world: ApiWorld) -> None:
    world.application("1", "2")
    cursor = world.admin.get("/releases/?limit=1").get_json()["next_cursor"]
    assert world.admin.get(f"/releases/?cursor={cursor}").status_code == 200
    assert world.admin.get(f"/deployments/?cursor={cursor}").status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        "/releases/0",
        "/releases/" + "9" * 19,
        "/releases/" + "9" * 30,
        "/applications/%00",
        "/environments/NO",
        "/x",
    ],
)
def test_things_that_cannot_be_are_not_found(world: ApiWorld, path: str) -> None:
    answer = world.admin.get(path)
    assert answer.status_code == 404
    assert answer.content_type == "application/problem+json"


def test_a_wrong_method_says_which_are_right(world: ApiWorld) -> None:
    answer = world.admin.call("DELETE", "/releases/1")
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]


def test_a_request_id_comes_back_unless_it_is_unfit(world: ApiWorld) -> None:
    assert world.admin.get("/nope", headers={"X-Request-ID": "abc-1"}).get_json()["request_id"] == "abc-1"
    given = world.admin.get("/nope", headers={"X-Request-ID": "<b>"}).get_json()["request_id"]
    assert given != "<b>"
    assert len(given) == 32


@pytest.mark.parametrize("value", [0, 1, "true", None], ids=str)
def test_a_number_or_text_is_not_true_or_false(world: ApiWorld, value: object) -> None:
    answer = world.admin.post("/locks/", json={"reason": "no", "warning_only": value})
    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.get_json()["errors"]] == ["/warning_only"]


def test_patterns_are_described_as_ecma_262_writes_them(world: ApiWorld) -> None:
    described = world.client().get("/openapi.json").text
    assert r"\\Z" not in described
    email = json.loads(described)["components"]["schemas"]["UserIn"]["properties"]["email"]["pattern"]
    assert (email[0], email[-1]) == ("^", "$")


def test_a_body_of_which_nothing_is_needed_need_not_be_sent(world: ApiWorld) -> None:
    paths = world.client().get("/openapi.json").get_json()["paths"]
    needed = {
        path: paths[f"/api/v1/auth/{path}"]["post"]["requestBody"]["required"] for path in ("logout", "login")
    }
    assert needed == {"logout": False, "login": True}
