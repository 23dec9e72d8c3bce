"""Who may call what: the page says what the code says, and real requests are answered so."""

import itertools
import re
from pathlib import Path

import pytest

from api import access
from api.access import NO, YES
from api.dashboard import renewal
from orchestrator.domain.access import Role
from orchestrator.domain.news import HEARD, fits
from orchestrator.domain.telling import EVERYTHING
from tests.integration.api_world import V1, ApiWorld, Person, pipeline_of, world

__all__ = ["world"]

PAGE = Path(__file__).parents[2] / "docs" / "access.md"
ROLES = [str(role) for role in Role]
NUMBERS = itertools.count(1)


def rows_under(heading: str) -> list[list[str]]:
    """The cells of the table under a heading of the page."""
    part = PAGE.read_text().split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in part.splitlines() if line.startswith("| ") and "---" not in line]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines][1:]


def test_the_page_is_what_the_code_says(world: ApiWorld) -> None:
    """`python -m api.access` prints the tables anew."""
    assert access.table(world.app) in PAGE.read_text()
    assert access.table_of_pages(world.app) in PAGE.read_text()


def answer_of(world: ApiWorld, role: str | None, method: str, path: str) -> tuple[int, str]:
    """Ask with what names nothing, so that whoever may ask changes nothing; users are asked about themselves."""
    headers, mine = {}, 999999999
    if role is not None:
        person = world.person(role)
        mine = person.id
        headers["Authorization"] = f"Bearer {person.tokens['access_token']}"
    url = re.sub(r"{[a-z_]*id}", "999999999", path.replace("{user_id}", str(mine)))
    url = re.sub(r"{[a-z_]+}", "nothing", url)
    answer = world.client().open(url, method=method, headers=headers, json={} if method != "GET" else None)
    return answer.status_code, answer.get_data(as_text=True)


@pytest.mark.parametrize("role", [None, *ROLES])
def test_requests_are_answered_as_the_page_says(world: ApiWorld, role: str | None) -> None:
    column = ["nobody", *ROLES].index(role or "nobody") + 2
    rows = rows_under("By role")
    assert len(rows) > 50
    for row in rows:
        method, path = row[0].strip("`").split(" ", 1)
        status, text = answer_of(world, role, method, path)
        refused = status == 403 and "this needs the role" in text
        expected = row[column]
        assert refused == (expected == NO), (row, status, text)
        if expected == "401":
            assert status == 401, (row, status)
        elif expected == YES and role is not None:
            assert status != 401, (row, status)


def make(world: ApiWorld, owner: Person, request: str) -> tuple[str, str, dict[str, object]]:
    """Something that belongs to the owner, and the request for it."""
    method, path = request.split(" ", 1)
    name = world.application("1.0")
    if path == "/applications/{name}" or path.startswith("/grants/"):
        return make_of_application(owner, method, path)
    if path == "/locks/{id}":
        body = {"application": name, "reason": "x", "warning_only": True}
    elif path == "/schedules/{id}":
        body = {"application": name, "environment": "staging", "cron": "0 9 * * *", "zone": "UTC"}
    elif path == "/tokens/{id}":
        body = {"name": "x", "scopes": ["read"]}
    else:
        return method, f"/users/{owner.id}", {"email": f"new-{owner.id}@example.com"}
    made = owner.post(path.removesuffix("{id}"), json=body)
    assert made.status_code == 201, made.text
    return method, path.replace("{id}", str(made.get_json()["id"])), {}


def make_of_application(owner: Person, method: str, path: str) -> tuple[str, str, dict[str, object]]:
    """An application of the owner's, or a grant for it, and the request."""
    name = f"mine-{next(NUMBERS)}"
    put = {"data": pipeline_of(name), "content_type": "application/yaml"}
    assert owner.call("PUT", f"/applications/{name}/pipeline", **put).status_code == 201
    if method == "PATCH":
        return method, f"/applications/{name}", {"owner": "admin"}
    body = {"application": name, "team": "web", "role": "deployer"}
    if method == "POST":
        return method, "/grants/", body
    made = owner.post("/grants/", json=body)
    assert made.status_code == 201, made.text
    return method, f"/grants/{made.get_json()['id']}", {}


OWNED = [
    (row[0].strip("`"), role, whose, row[1 + 2 * ROLES.index(role) + (whose == "another's")])
    for row in rows_under("What belongs to somebody")
    for role in ROLES
    for whose in ("own", "another's")
]


@pytest.mark.parametrize(("request_", "role", "whose", "status"), OWNED)
def test_owners_and_others(world: ApiWorld, request_: str, role: str, whose: str, status: str) -> None:
    if status == "-":
        pytest.skip("nobody with this role can own one")
    person = world.person(role)
    owner = person if whose == "own" else world.person("deployer")
    method, path, body = make(world, owner, request_)
    answer = person.call(method, path, json=body)
    assert str(answer.status_code) == status, answer.text


def test_every_route_under_the_api_is_in_the_table(world: ApiWorld) -> None:
    listed = {row[0].strip("`") for row in rows_under("By role")}
    there = {f"{method} {path}" for path, method, _ in access.routes(world.app)}
    assert listed == there
    assert any(path.startswith(f"{V1}/deployments") for path in (each.split(" ")[1] for each in there))


def test_every_page_is_in_its_table(world: ApiWorld) -> None:
    listed = {row[0].strip("`") for row in rows_under("Pages")}
    assert listed == {f"{method} {path}" for path, method, _ in access.routes(world.app, pages=True)}


def test_every_page_says_how_it_renews_itself(world: ApiWorld) -> None:
    """A page that shows what changes and says nothing would be old without anybody knowing."""
    rules = [each for each in world.app.url_map.iter_rules() if each.endpoint.startswith("dashboard.")]
    views = {
        each.endpoint: world.app.view_functions[each.endpoint] for each in rules if "GET" in each.methods
    }
    assert len(views) > 30
    assert [name for name, view in views.items() if renewal.of(view) is None] == []
    named = {kind for view in views.values() for kind in renewal.of(view).news} - {EVERYTHING}
    assert [each for each in named if not any(fits([each], kind) for kind in HEARD)] == []


@pytest.mark.parametrize("role", [None, *ROLES])
def test_pages_are_answered_as_the_table_says(world: ApiWorld, role: str | None) -> None:
    client, token = world.browser(role)
    rows = rows_under("Pages")
    assert len(rows) > 15
    for row in sorted(rows, key=lambda row: "logout" in row[0]):
        method, path = row[0].strip("`").split(" ", 1)
        url = re.sub(r"{[a-z_]+}", "nothing", re.sub(r"{[a-z_]*id}", "999999999", path))
        form = {"form_token": token, "reason": "x", "answer": "skip"} if method == "POST" else None
        answer = client.open(url, method=method, data=form, headers={"Origin": "http://localhost"})
        expected = row[["nobody", *ROLES].index(role or "nobody") + 2]
        sent_to_login = answer.status_code == 303 and answer.headers["Location"].startswith("/login?next=")
        assert sent_to_login == (expected == "login"), (row, answer.status_code)
        refused = answer.status_code == 403 and "needs the role" in answer.text
        assert refused == (expected == NO), (row, answer.status_code, answer.text)
        assert answer.status_code != 500, row
