"""The shape of the API: every route says who may use it, every error has a status, the description lists it all."""

import importlib
import pkgutil
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response

import api
import orchestrator
import stream
from api.app import check_permissions, close, create_app
from api.auth import permission_of
from orchestrator.config import Settings
from orchestrator.domain.access import Permission
from orchestrator.domain.errors import MisconfiguredError, OrchestratorError
from orchestrator.presenting.problems import STATUSES, status_of
from tests.conftest import SECRET_KEY

ROOT = Path(__file__).resolve().parents[2]
INTERNAL = {"LeaseLostError", "PlanUnreadableError", "MisconfiguredError"}
"""Errors of the engine and of the start, which no request meets, and their descendants."""
PUBLIC = {
    "/openapi.json",
    "/docs",
    "/health",
    "/health/live",
    "/health/ready",
    "/api/v1/users/",
    "/api/v1/auth/login",
    "/api/v1/auth/oidc",
    "/api/v1/auth/refresh",
    "/api/v1/hooks/github/<id:hook_id>",
    "/api/v1/hooks/gitlab/<id:hook_id>",
    "/api/v1/hooks/generic/<id:hook_id>",
    "/api/v1/targets/callbacks/<run>",
    "/login",
    "/live",
    "/login/oidc",
    "/login/oidc/back",
    "/static/<digest>/<path:name>",
}
CLIENT_SIDE = ("orchestrator.client", "orchestrator.cli.")


@pytest.fixture(scope="module")
def app() -> Iterator[Flask]:
    """An application whose stores are nowhere: nothing here asks them."""
    nowhere = "127.0.0.1:1/none"
    env = {
        "DATABASE_URL": f"postgresql://u:p@{nowhere}",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "BCRYPT_ROUNDS": "4",
    }
    made = create_app(Settings.from_env({**env, "SECRET_KEY": SECRET_KEY}))
    yield made
    close(made)


@pytest.fixture(scope="module")
def spec(app: Flask) -> dict[str, Any]:
    found: dict[str, Any] = app.test_client().get("/openapi.json").get_json()
    return found


def test_every_route_declares_a_permission_and_few_are_public(app: Flask) -> None:
    found = {rule.rule: permission_of(app.view_functions[rule.endpoint]) for rule in app.url_map.iter_rules()}
    assert None not in found.values()
    public = {
        rule.rule
        for rule in app.url_map.iter_rules()
        if permission_of(app.view_functions[rule.endpoint]) is Permission.PUBLIC
    }
    assert public == PUBLIC


def test_a_route_without_a_permission_stops_the_start(app: Flask) -> None:
    other = Flask("other", static_folder=None)
    other.add_url_rule("/open", view_func=Response)
    with pytest.raises(MisconfiguredError, match="/open"):
        check_permissions(other)
    check_permissions(app)


def all_errors() -> Iterator[type[OrchestratorError]]:
    for package in (api, stream, orchestrator):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    left = [OrchestratorError]
    while left:
        kind = left.pop()
        yield kind
        left += kind.__subclasses__()


def test_every_error_belongs_to_one_family_that_has_a_status(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in (
        ("DATABASE_URL", "postgresql://127.0.0.1:1/none"),
        ("REDIS_URL", "redis://127.0.0.1:1/0"),
        ("SECRET_KEY", SECRET_KEY),
    ):
        monkeypatch.setenv(variable, value)
    orphans = []
    for kind in all_errors():
        ancestors = {each.__name__ for each in kind.__mro__}
        if kind is OrchestratorError or ancestors & INTERNAL or kind.__module__.startswith(CLIENT_SIDE):
            continue
        if sum(family in kind.__mro__ for family in STATUSES) != 1:
            orphans.append(f"{kind.__module__}.{kind.__name__}")
    assert orphans == []


def test_what_is_internal_is_told_to_nobody() -> None:
    assert status_of(MisconfiguredError()) == 500


def test_the_description_lists_every_route_and_nothing_else(app: Flask, spec: dict[str, Any]) -> None:
    routes = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
        if method not in {"HEAD", "OPTIONS"}
        and rule.rule not in {"/openapi.json", "/docs"}
        and not rule.endpoint.startswith("dashboard.")  # they are for people
    }
    assert {(path, method) for path, method, _ in operations(spec)} == routes


def operations(spec: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in spec["paths"].items():
        for method in item.keys() - {"parameters"}:
            yield path, method, item[method]


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for each in value.values():
            yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def test_every_reference_of_the_description_leads_somewhere(spec: dict[str, Any]) -> None:
    found = set(references(spec))
    assert found
    for reference in found:
        at: Any = spec
        for part in reference.removeprefix("#/").split("/"):
            at = at[part]
        assert isinstance(at, dict)


def test_the_description_is_complete_where_programs_rely_on_it(spec: dict[str, Any]) -> None:
    assert spec["openapi"] == "3.1.0"
    names = [operation["operationId"] for _, _, operation in operations(spec)]
    assert len(names) == len(set(names))
    for path, method, operation in operations(spec):
        at = f"{method} {path}"
        assert operation["summary"], at
        shared = spec["paths"][path].get("parameters", [])
        declared = {
            each["name"] for each in [*shared, *operation.get("parameters", [])] if each["in"] == "path"
        }
        assert declared == set(re.findall(r"{(\w+)}", path)), at
        assert any(status.startswith("2") for status in operation["responses"]), at
        assert [*references(operation["responses"]["422"])], at
        assert ("security" in operation) == ("401" in operation["responses"]) or operation[
            "x-permission"
        ] == "public", at


def test_schemathesis_expects_what_the_description_says_of_requests_that_fit(spec: dict[str, Any]) -> None:
    config = tomllib.loads((ROOT / "tests/fuzzing/schemathesis.toml").read_text())
    (refused,) = [each["include-operation-id"] for each in config["operations"] if "checks" in each]
    said = [
        operation["operationId"]
        for _, _, operation in operations(spec)
        if "description" in operation["responses"]["422"]
    ]
    assert sorted(said) == refused


def test_the_page_for_people_shows_every_operation_and_loads_nothing(
    app: Flask, spec: dict[str, Any]
) -> None:
    answer = app.test_client().get("/docs")
    for _, _, operation in operations(spec):
        assert f'id="{operation["operationId"]}"' in answer.text
    assert "<script" not in answer.text
    assert not re.search(r'(?:src|href)="(?:https?:)?//', answer.text)
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
    for anchor in re.findall(r'href="#([^"]+)"', answer.text):
        assert f'id="{anchor}"' in answer.text


def test_answers_carry_what_keeps_browsers_safe(app: Flask) -> None:
    for path in ("/health/live", "/docs", "/nope", "/api/v1/releases"):
        headers = app.test_client().get(path).headers
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
