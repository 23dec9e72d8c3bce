"""What a list costs in statements does not depend on how much is in it."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

from orchestrator.domain.statuses import Outcome
from orchestrator.services import attempts
from orchestrator.services.attempts import Ended, Output
from tests.integration.api_world import ApiWorld, world
from tests.integration.engine_world import worker

__all__ = ["world"]

NOT_COUNTED = {
    "/api/v1/auth/oidc": "asks the provider, of which there is none",
    "/health": "asks on connections of its own, and only whether they answer",
    "/health/live": "asks nobody",
    "/health/ready": "the same as /health",
    "/openapi.json": "asks nobody",
    "/docs": "asks nobody",
    "/api/v1/deployments/<id:deployment_id>/stream": "leads elsewhere",
}
MOST = 12
"""Statements of one request, whatever it reads."""


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """Every statement of this thread; another one asks now and then whether Postgres is there."""
    seen: list[str] = []
    asking = threading.get_ident()

    def note(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if threading.get_ident() == asking:
            seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield seen
    event.remove(Engine, "before_cursor_execute", note)


def carry_out(world: ApiWorld, deployment: int) -> None:
    """Let everything of a deployment succeed, each step with some output."""
    with world.database.transaction() as session:
        claim = attempts.advance(session, deployment, worker())
    while claim is not None:
        with world.database.transaction() as session:
            attempts.write_output(session, claim, Output(0, 3, b"hi\n"))
            claim = attempts.finish(session, claim, Ended(Outcome.SUCCEEDED, 0), worker())


def grow(world: ApiWorld, count: int) -> dict[str, Any]:
    """So many of everything that is listed; what the routes with a name or an id in them are asked for."""
    known: dict[str, Any] = {}
    for _ in range(count):
        name = world.application("1.0", "1.1")
        made = world.deploy(name, "1.0")["id"]
        carry_out(world, made)
        carry_out(world, world.deploy(name, "1.0", "production")["id"])
        waiting = world.deploy(name, "1.1", "production")
        person = world.person("operator")
        rule = {"environment": "production", "name": f"rule of {name}", "zone": "UTC"}
        weekly = {"weekly": {"days": ["mon"], "from": "09:00", "to": "16:00"}}
        dated = {"dated": {"from": "2031-01-01T00:00:00", "to": "2031-01-02T00:00:00"}}
        lock = {"application": name, "environment": "production", "reason": "because"}
        schedule = {"application": name, "environment": "production", "cron": "0 9 * * 1", "zone": "UTC"}
        schedule["from_environment"] = "staging"
        grant = {"application": name, "team": "web", "role": "deployer"}
        webhook = {"name": name, "settings": {"url": "https://example.com/told"}, "events": ["release.*"]}
        known = {
            "user_id": person.id,
            "deployment_id": waiting["id"],
            "release_id": waiting["release_id"],
            "name": name,
            "lock_id": _made(world, "/locks/", lock),
            "schedule_id": _made(world, "/schedules/", schedule),
            "windows": _made(world, "/windows/", rule | weekly),
            "freezes": _made(world, "/freezes/", rule | dated),
            "grant_id": _made(world, "/grants/", grant),
            "hook_id": _made(world, "/hooks/", {"sender": "github", "application": name}),
            "webhook_id": _made(world, "/webhooks/", webhook | {"applications": [name]}),
        }
        known["delivery_id"] = world.admin.post(f"/webhooks/{known['webhook_id']}/test").get_json()["id"]
        _made(world, "/tokens/", {"name": f"of {name}", "scopes": ["read"]})
    return known


def _made(world: ApiWorld, path: str, body: dict[str, Any]) -> int:
    answer = world.admin.post(path, json=body)
    assert answer.status_code == 201, (path, answer.text)
    return int(answer.get_json()["id"])


def paths(world: ApiWorld, known: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Every route that reads, and where it leads with what is known."""
    for rule in world.app.url_map.iter_rules():
        if "GET" not in rule.methods or rule.rule in NOT_COUNTED or rule.endpoint.startswith("dashboard."):
            continue  # pages are counted below
        part = rule.rule.removeprefix("/api/v1/").split("/")[0]
        values = {name: known[part if name == "rule_id" else name] for name in rule.arguments}
        if part == "environments":
            values = dict.fromkeys(values, "production")
        path = rule.rule
        for name, value in values.items():
            for converter in ("id", "name"):
                path = path.replace(f"<{converter}:{name}>", str(value))
        assert "<" not in path, path
        yield rule.rule, path


def counts(world: ApiWorld, known: dict[str, Any], statements: list[str]) -> dict[str, int]:
    found = {}
    for rule, path in paths(world, known):
        world.redis.flushdb()  # what is cached costs no statement
        statements.clear()
        answer = world.admin.client.get(
            path, headers={"Authorization": f"Bearer {world.admin.tokens['access_token']}"}
        )
        assert answer.status_code == 200, (path, answer.text)
        found[rule] = len(statements)
    return found


def test_no_route_asks_more_often_because_there_is_more(world: ApiWorld, statements: list[str]) -> None:
    with_one = counts(world, grow(world, 1), statements)
    with_many = counts(world, grow(world, 4), statements)
    assert len(with_many) > 25
    assert with_many == with_one
    assert {rule: count for rule, count in with_many.items() if count > MOST} == {}
    assert sum(with_many.values()) > len(with_many), "statements are seen"


def test_the_lists_that_are_counted_have_something_in_them(world: ApiWorld) -> None:
    known = grow(world, 2)
    shown = {}
    for rule, path in paths(world, known):
        answer = world.admin.get(path.removeprefix("/api/v1")) if path.startswith("/api") else None
        body = answer.get_json() if answer is not None and answer.is_json else None
        if isinstance(body, dict) and "items" in body:
            shown[rule] = len(body["items"])
    empty = {rule for rule, count in shown.items() if count == 0}
    assert empty <= {"/api/v1/diagnosis", "/api/v1/deployments/<id:deployment_id>/logs"}, shown
    with world.database.reading() as session:
        assert session.execute(text("SELECT count(*) FROM steps")).scalar_one() >= 10


def test_no_page_asks_more_often_because_there_is_more(world: ApiWorld, statements: list[str]) -> None:
    client, _ = world.browser("operator")

    def counted(known: dict[str, Any]) -> dict[str, int]:
        made, name = known["deployment_id"], known["name"]
        found = {}
        for path in (
            "/dashboard/grid",
            f"/deployments/{made}/live",
            "/deployments",
            f"/deploy?application={name}",
        ):
            statements.clear()
            assert client.get(path).status_code == 200
            found[path.replace(name, "NAME").replace(f"/{made}/", "/ID/")] = len(statements)
        return found

    with_one = counted(grow(world, 1))
    assert counted(grow(world, 4)) == with_one
    assert {path: count for path, count in with_one.items() if not 0 < count <= MOST} == {}
