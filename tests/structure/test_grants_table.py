"""Who may what by a grant: a real request for each cell of the table in docs/access.md."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest

from api import access
from orchestrator.domain.access import BY_APPLICATION
from tests.integration.api_world import V1, ApiWorld, Person, pipeline_of, world
from tests.structure.test_access import rows_under

__all__ = ["world"]

RESTRICTED = "vault"
_numbers = itertools.count(1)
# By column: the role that is granted, in which environments, and in which environment they ask.
COLUMNS: list[dict[str, Any]] = [
    {"role": "deployer"},
    {"role": "deployer", "team": True},
    {"role": "deployer", "environments": ["production"]},
    {"role": "deployer", "elsewhere": True},
    {"role": "operator"},
    {"role": None, "own": "deployer", "asked_in": RESTRICTED},
    {"role": "deployer", "asked_in": RESTRICTED},
    {"role": "deployer", "environments": [RESTRICTED], "asked_in": RESTRICTED},
]
CELLS = [
    pytest.param(row[0], column, cell, id=f"{row[0]}-{number}")
    for row in rows_under("By grant")
    for number, (column, cell) in enumerate(zip(COLUMNS, row[1:], strict=True))
]


@pytest.fixture(scope="module")
def application(world: ApiWorld) -> Iterator[str]:
    """With an environment that is restricted."""
    name = "granted"
    source = pipeline_of(name).replace(
        "deploy:\n", f"  {RESTRICTED}:\n    targets: [{{name: v, kind: noop}}]\ndeploy:\n"
    )
    assert world.apply(name, source).status_code == 201
    assert world.admin.post("/releases/", json={"name": name, "version": "1.0"}).status_code == 201
    restricted = world.admin.call("PATCH", f"/environments/{RESTRICTED}", json={"restricted": True})
    assert restricted.get_json()["restricted"] is True
    yield name
    world.admin.call("PATCH", f"/environments/{RESTRICTED}", json={"restricted": False})


def granted(world: ApiWorld, application: str, column: dict[str, Any]) -> Person:
    """Somebody as the head of the column says."""
    person = world.person(column.get("own", "viewer"))
    if column["role"] is None:
        return person
    body = {
        "application": world.application() if column.get("elsewhere") else application,
        "role": column["role"],
        "environments": column.get("environments", []),
    }
    if column.get("team"):
        body["team"] = f"team-{next(_numbers)}"
        world.admin.call("PATCH", f"/users/{person.id}", json={"teams": [body["team"]]})
    else:
        body["user"] = person.get("/auth/me").get_json()["username"]
    made = world.admin.post("/grants/", json=body)
    assert made.status_code == 201, made.text
    return person


def request_of(
    world: ApiWorld, said: str, application: str, environment: str
) -> tuple[str, str, dict[str, Any]]:
    """Method, path and options of what the first cell of a row says."""
    method, path = said.split("`")[1].split(" ", 1)
    place = {"application": application, "environment": environment}
    body: dict[str, Any] = {}
    if path == "/releases/":
        body = {"name": application, "version": f"2.{next(_numbers)}"}
    elif path == "/deployments/":
        body = place | {"version": "1.0"}
        body |= {"override_windows": True, "reason": "now"} if "override" in said else {}
    elif path.startswith("/deployments/{id}"):
        path = path.replace("{id}", str(world.deploy(application, "1.0", environment)["id"]))
        body = {"answer": "fail"} if path.endswith("resume") else {}
    elif path == "/windows/":
        daily = {"expression": "0 0 * * *", "duration": "24h"}
        body = {"environment": "production", "name": "x", "zone": "UTC", "cron": daily}
    elif path.startswith("/locks/"):
        body = place | {"reason": "x", "warning_only": True}
    elif path == "/installations/check":
        body = place
    elif path.startswith("/schedules/"):
        body = place | {"cron": "0 9 * * *", "zone": "UTC"}
    elif path.endswith("/pipeline"):
        name = f"new-{next(_numbers)}" if "new one" in said else application
        path = path.replace("{name}", name)
        return (
            method,
            path,
            {"data": pipeline_of(name), "content_type": "application/yaml", "query_string": "dry_run=true"},
        )
    if path.endswith("{id}"):
        made = world.admin.post(path.removesuffix("{id}"), json=body)
        assert made.status_code == 201, made.text
        path, body = path.replace("{id}", str(made.get_json()["id"])), {}
    return method, path, {"json": body} if method != "GET" else {}


@pytest.mark.parametrize(("said", "column", "cell"), CELLS)
def test_a_grant_counts_where_it_is_for(
    world: ApiWorld, application: str, said: str, column: dict[str, Any], cell: str
) -> None:
    person = granted(world, application, column)
    method, path, options = request_of(world, said, application, column.get("asked_in", "staging"))
    answer = person.call(method, path, **options)
    assert (answer.status_code == 403) == (cell == "403"), answer.text
    if cell == "yes":  # 400 and 409 look at the deployment, and that is for whom may
        assert answer.status_code in {200, 201, 202, 400, 409}, answer.text


def test_each_route_that_a_grant_opens_is_in_the_table(world: ApiWorld) -> None:
    """One that is not might forget to ask for which application."""
    shown = {row[0].split("`")[1] for row in rows_under("By grant")}
    opened = {
        f"{method} {re.sub('{[a-z]+_id}', '{id}', path.removeprefix(V1))}"
        for path, method, permission in access.routes(world.app)
        if permission in BY_APPLICATION
    }
    assert opened
    assert opened <= shown
